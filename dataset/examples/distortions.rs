//! Draws digits and what the recipe with distortions makes of them: in the first row the images, below it the same as
//! epochs 0, 1, … see them; below that with elastic distortion. Says how long an image takes.
//!
//!     cargo run --release -p lockstep-dataset --example distortions -- OUT.png

use std::fs::File;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use lockstep_dataset::augment::{Augmentation, Memory, Seen};
use lockstep_dataset::{Dataset, ImageShape, Split};
use lockstep_proto::job::{Augment, Job};

const COLUMNS: u64 = 16;
const EPOCHS: u64 = 5;

fn main() -> Result<()> {
    let out = std::env::args().nth(1).context("name the picture: distortions OUT.png")?;
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/mnist-lenet5-1998-distorted.toml");
    let affine = Job::load(&recipe, [], &[])?;
    let elastic = Augment { elastic_alpha: 34.0, ..Augment::default() };
    let elastic = Job { augment: elastic, ..affine.clone() };
    let dataset = Dataset::open(&affine.data)?;

    let mut rows: Vec<Vec<u8>> =
        vec![(0..COLUMNS).flat_map(|sample| dataset.pixels(Split::Train, sample).unwrap()).copied().collect()];
    for job in [&affine, &elastic] {
        let augmentation = augmentation(job, dataset.shape())?;
        let mut memory = Memory::default();
        for epoch in 0..EPOCHS {
            let mut row = Vec::new();
            for sample in 0..COLUMNS {
                let pixels = dataset.pixels(Split::Train, sample).unwrap();
                augmentation.append(pixels, Seen { epoch, sample }, &mut memory, &mut row);
            }
            rows.push(row);
        }
    }
    write(Path::new(&out), dataset.shape(), &rows)?;
    for (name, job) in [("the recipe's", &affine), ("elastic", &elastic)] {
        println!("{name}: {:.0} ns an image", nanoseconds(&augmentation(job, dataset.shape())?, &dataset));
    }
    Ok(())
}

fn augmentation(job: &Job, shape: ImageShape) -> Result<Augmentation> {
    Augmentation::of(job, shape).map_err(anyhow::Error::msg)?.context("the recipe has no augmentation")
}

/// The fastest of ten rounds over 1,000 images.
fn nanoseconds(augmentation: &Augmentation, dataset: &Dataset) -> f64 {
    let (mut memory, mut bytes) = (Memory::default(), Vec::new());
    let mut round = |epoch| {
        let start = Instant::now();
        for sample in 0..1000 {
            bytes.clear();
            augmentation.append(
                dataset.pixels(Split::Train, sample).unwrap(),
                Seen { epoch, sample },
                &mut memory,
                &mut bytes,
            );
        }
        start.elapsed().as_secs_f64() * 1e6
    };
    (0..10).map(&mut round).fold(f64::INFINITY, f64::min)
}

/// Rows of images side by side.
fn write(path: &Path, shape: ImageShape, rows: &[Vec<u8>]) -> Result<()> {
    let columns = rows[0].len() / shape.len();
    let mut pixels = Vec::new();
    for row in rows {
        for y in 0..shape.height {
            let lines = row.chunks_exact(shape.len()).map(|image| &image[y * shape.width..][..shape.width]);
            lines.for_each(|line| pixels.extend_from_slice(line));
        }
    }
    let (width, height) = (columns * shape.width, rows.len() * shape.height);
    let file = File::create(path).with_context(|| path.display().to_string())?;
    let mut encoder = png::Encoder::new(file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}

//! How fast one thread turns files into pixels, in images a second of CPU time: `decode`, all of each image; `train`, as
//! ImageNet's training sees it, normalised; `evaluate`, its middle. What benches/decode.py runs beside others.
//!
//!     cargo run --release -p lockstep-dataset --example decode [--features turbojpeg] -- FOLDER_OF_JPEGS WORK...

use std::fs;
use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lockstep_dataset::augment::Seen;
use lockstep_dataset::decode::{Decoder, Window, sides};
use lockstep_dataset::{ImageReader, ImageShape};
use lockstep_proto::job::{Augment, Data, Job};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 224, width: 224 };
/// Over all files: crops differ from pass to pass, and the clock ticks every few milliseconds.
const PASSES: u64 = 5;
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().context("name a folder of JPEGs, and what to do with them")?;
    let mut paths = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    paths.sort();
    let files = paths.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    for work in arguments {
        let mut one = worker(&work)?;
        let mut pass = |epoch| (0..).zip(&files).try_for_each(|(sample, file)| one(file, Seen { epoch, sample }));
        pass(0)?;
        let start = cpu_time()?;
        (1..=PASSES).try_for_each(&mut pass)?;
        println!("{work} {:.1}", (files.len() * PASSES as usize) as f64 / (cpu_time()? - start).as_secs_f64());
    }
    Ok(())
}

/// What this thread has used, so that others on its core don't show. Linux's first figure, in nanoseconds.
fn cpu_time() -> Result<Duration> {
    let figures = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = figures.split(' ').next().context("/proc/thread-self/schedstat is empty")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

type Worker = Box<dyn FnMut(&[u8], Seen) -> Result<()>>;

fn worker(work: &str) -> Result<Worker> {
    let augment = Augment { random_resized_crop: vec![0.08, 1.0], flip: true, ..Augment::default() };
    let job = Job { augment, data: Data { size: 224, resize: 256, ..Data::default() }, ..Job::default() };
    let mut reader = ImageReader::of(&job, SHAPE).map_err(anyhow::Error::msg)?;
    let mut pixels = vec![0; SHAPE.len()];
    let mut normalised = vec![0.0; SHAPE.len()];
    let mut decoder = Decoder::default();
    Ok(match work {
        "decode" => Box::new(move |file, _| {
            black_box(decoder.decode(file, Window::all(sides(file)?), 3)?.pixels);
            Ok(())
        }),
        "train" => Box::new(move |file, seen| {
            reader.train(file, seen, &mut pixels)?;
            normalise(&pixels, &mut normalised);
            black_box(&normalised);
            Ok(())
        }),
        "evaluate" => Box::new(move |file, _| {
            reader.evaluate(file, &mut pixels)?;
            normalise(&pixels, &mut normalised);
            black_box(&normalised);
            Ok(())
        }),
        _ => bail!("{work}: it is one of decode, train, evaluate"),
    })
}

/// The work of the device's first pass.
fn normalise(pixels: &[u8], normalised: &mut [f32]) {
    let plane = SHAPE.height * SHAPE.width;
    for (channel, (pixels, normalised)) in pixels.chunks(plane).zip(normalised.chunks_mut(plane)).enumerate() {
        let (scale, shift) = (1.0 / (255.0 * STD[channel]), -MEAN[channel] / STD[channel]);
        for (normalised, &pixel) in normalised.iter_mut().zip(pixels) {
            *normalised = f32::from(pixel) * scale + shift;
        }
    }
}

//! A small dataset of pictures of all sizes, and jobs that train on it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::outcome::Outcome;
use super::process::Ended;
use super::{lockstep as binary, recipe, set};

const CLASSES: [&str; 3] = ["cat", "dog", "emu"];
/// Windows of pictures of any size, on 16×16 pixels, for three epochs of 61 samples: 8 lanes of 8, the last one short.
pub const SETTINGS: [&str; 12] = [
    "data.size=16",
    "data.classes=3",
    "data.last_batch=keep",
    "data.mean=[0.4, 0.5, 0.6]",
    "augment.random_resized_crop=[0.2, 1.0]",
    "augment.flip=true",
    "augment.lighting=0.1",
    "batch.size=32",
    "batch.micro_batch=8",
    "schedule.epochs=3",
    "metrics.every=1",
    "model.hidden=[20]",
];

/// A folder of pictures for each class, of all sizes, and what is prepared of it.
pub struct Stage {
    folder: TempDir,
}

impl Stage {
    /// Nothing is prepared yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (split, count) in [("train", 61), ("val", 10)] {
            for number in 0..count {
                let class = folder.path().join("source").join(split).join(CLASSES[number % 3]);
                fs::create_dir_all(&class).unwrap();
                fs::write(class.join(format!("{number}.png")), picture(number)).unwrap();
            }
        }
        Self { folder }
    }

    /// What is in its folder by this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Prepares the pictures, in shards of some dozen.
    pub fn prepared() -> Self {
        let stage = Self::new();
        Ended::of(&mut stage.prepare("data", &[])).success();
        stage
    }

    /// `data prepare` of the pictures.
    pub fn prepare(&self, out: &str, more: &[&str]) -> Command {
        let mut command = binary(["data", "prepare"]);
        command.arg(self.path("source")).arg("--out").arg(self.path(out)).args(["--shard-size", "1MiB"]).args(more);
        command
    }

    /// `train` on what was prepared.
    pub fn train(&self, run: &str, settings: &[&str]) -> Command {
        let data = format!("data.path={}", self.path("data").display());
        let settings: Vec<&str> = [data.as_str()].iter().chain(&SETTINGS).chain(settings).copied().collect();
        let mut command = binary(["train"]);
        command.arg(recipe("mnist-mlp.toml")).arg("--out").arg(self.path(run)).args(set(&settings));
        command
    }

    /// What training on it comes to.
    pub fn outcome(&self, run: &str, workers: &str, threads: &str) -> Outcome {
        Ended::of(self.train(run, &[]).args(["--json", "--workers", workers, "--threads", threads])).success();
        Outcome::of(&self.path(run))
    }
}

/// Noise of a size and a colour of its own.
pub fn picture(number: usize) -> Vec<u8> {
    let (height, width) = (40 + number as u32 % 23, 35 + number as u32 * 7 % 31);
    let mut state = number as u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 / 2 + (number % 3) as u8 * 60
    };
    let pixels: Vec<u8> = (0..height * width * 3).map(|_| next()).collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    bytes
}

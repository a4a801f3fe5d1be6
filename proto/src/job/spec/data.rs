//! `[data]`: training and test data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Training and test data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Folder of a prepared dataset or of the four idx files; relative paths start at the job file's folder. A prepared
    /// dataset can be in an object store: `s3://bucket/prefix` or `http://host/folder`.
    pub path: PathBuf,
    /// What nodes call the dataset; those that know the name take their own folder for `path`.
    pub name: String,
    /// Training samples held out for evaluation: the last N of the file.
    pub validation: u64,
    /// Use only the first N training samples that are left; 0 for all.
    pub limit: u64,
    /// Number of classes; labels are below it.
    pub classes: u32,
    /// Rows and columns of black that are put around each image.
    pub pad: u32,
    /// Rows and columns of the images that the network takes, out of files of any size; 0 where all are of one size.
    pub size: u32,
    /// For evaluation, the shorter side that images are resized to before the middle is cut out; 0 for `size`.
    pub resize: u32,
    /// Mean of a pixel in [0, 1], subtracted.
    pub mean: Channels,
    /// Standard deviation of a pixel in [0, 1], divided by.
    pub std: Channels,
    /// What becomes of an epoch's short last batch.
    pub last_batch: LastBatch,
    /// In which order an epoch goes through the samples.
    pub order: Order,
    /// Of the windowed order: samples that stay together, those of a shard.
    pub block: u64,
    /// Of the windowed order: sequences of blocks that are read side by side.
    pub streams: u32,
    /// Of the windowed order: samples of a stream that are shuffled.
    pub window: u64,
    /// Threads of each worker that read and decode lanes before a device needs them; 0 for as many as a GPU has cores, and
    /// for none on CPUs, whose lane threads decode.
    pub threads: u32,
    /// Of a dataset in an object store: bytes of samples that each worker brings into memory before they are needed.
    pub prefetch_bytes: u64,
    /// Of datasets in object stores: bytes of shards that each machine keeps on its disk, for all jobs together.
    pub cache_bytes: u64,
    /// Samples that can't be decoded and are left out before the job stops, in each epoch and evaluation.
    pub skip_bad: u32,
    /// Share of the training samples that have one of the other classes instead of their own.
    pub label_noise: f64,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            name: String::new(),
            validation: 0,
            limit: 0,
            classes: 10,
            pad: 0,
            size: 0,
            resize: 0,
            mean: Channels::All(0.0),
            std: Channels::All(1.0),
            last_batch: LastBatch::Drop,
            order: Order::Global,
            block: 0,
            streams: 1,
            window: 16_384,
            threads: 0,
            prefetch_bytes: 256 << 20,
            cache_bytes: 100_000_000_000,
            skip_bad: 0,
            label_noise: 0.0,
        }
    }
}

/// What becomes of an epoch's short last batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastBatch {
    /// Its samples are left out of this epoch.
    Drop,
    /// It is a step of fewer lanes, the last lane maybe short.
    Keep,
}

/// In which order an epoch goes through the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// A permutation of all.
    Global,
    /// Blocks of neighbours in a random order, shuffled within windows: a worker reads a few shards at a time.
    Windowed,
}

/// A number for all channels of an image, or one for each of three.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a number, or three of them: one for each channel")]
pub enum Channels {
    /// For all.
    All(f64),
    /// For red, green and blue.
    Each([f64; 3]),
}

impl Channels {
    /// One for each of three channels.
    pub fn each(self) -> [f64; 3] {
        match self {
            Self::All(all) => [all; 3],
            Self::Each(each) => each,
        }
    }
}

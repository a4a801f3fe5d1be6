//! What can be wrong with data: one line each, naming the file or key and what to do.

use std::io;
use std::path::PathBuf;

use super::decode::DecodeError;
use super::manifest::ManifestError;
use super::shards::ShardError;

/// A folder or file of data that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder is missing.
    #[error("data.path {}: no such folder: set data.path to the folder of the four idx files", .0.display())]
    NoFolder(PathBuf),
    /// A file is missing, with and without `.gz`.
    #[error("{}[.gz]: no such file: data.path needs train-images-idx3-ubyte, train-labels-idx1-ubyte, \
             t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain or .gz", .0.display())]
    NoFile(PathBuf),
    /// The file cannot be opened or read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file's contents are not what its name promises.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: Problem,
    },
    /// Images and labels don't belong together.
    #[error("{}: {images} images, but {} holds {labels} labels: take both files from one dataset",
            images_path.display(), labels_path.display())]
    Count {
        /// The file of images.
        images_path: PathBuf,
        /// Its images.
        images: usize,
        /// The file of labels.
        labels_path: PathBuf,
        /// Its labels.
        labels: usize,
    },
    /// A label is not a class.
    #[error("{}: label {label} of sample {sample} is out of range: data.classes = {classes} allows 0 to {}: \
             mend the file or set data.classes", path.display(), classes.saturating_sub(1))]
    Label {
        /// The file of labels.
        path: PathBuf,
        /// Sample in the file.
        sample: usize,
        /// Its label.
        label: u16,
        /// Number of classes.
        classes: u32,
    },
    /// Test images differ in size from training images.
    #[error("{}: images of {test} pixels, but {} has {train}: take both files from one dataset",
            test_path.display(), train_path.display())]
    Shape {
        /// The file of test images.
        test_path: PathBuf,
        /// Sizes of a test image.
        test: String,
        /// The file of training images.
        train_path: PathBuf,
        /// Sizes of a training image.
        train: String,
    },
    /// A prepared dataset without a test split.
    #[error("{}: there is no prepared test split: make one with `lockstep data prepare SRC --split test --out` the \
             dataset's folder", .0.display())]
    NoTest(PathBuf),
    /// A manifest that can't be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A shard that can't be read, or is damaged.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// A sample that is as it was prepared, and can't be used.
    #[error("{place}: {problem}")]
    Sample {
        /// Shard, sample and offset.
        place: String,
        /// What is wrong with it.
        problem: DecodeError,
    },
    /// Images of many sizes, and no word of what the network takes.
    #[error("{}: has images of {}×{} to {}×{} pixels: set data.size to the rows and columns that the network takes",
            path.display(), least[0], least[1], most[0], most[1])]
    Sizes {
        /// The dataset.
        path: PathBuf,
        /// Fewest rows and columns.
        least: [u32; 2],
        /// Most rows and columns.
        most: [u32; 2],
    },
    /// Pixels that would have to be resized.
    #[error("{}: data.size = {size} is for datasets of JPEG and PNG files: set it to 0, or prepare the files with \
             `lockstep data prepare`", path.display())]
    SizeOfIdx {
        /// The folder.
        path: PathBuf,
        /// The key's value.
        size: u32,
    },
    /// Black around images that are not in memory.
    #[error("{}: data.pad = {pad} is for datasets of small images of one size: set it to 0", path.display())]
    PadOfShards {
        /// The dataset.
        path: PathBuf,
        /// The key's value.
        pad: u32,
    },
    /// More classes than the network has.
    #[error("{}: has {found} classes: set data.classes to as many, not {classes}", path.display())]
    Classes {
        /// The split.
        path: PathBuf,
        /// Its classes.
        found: usize,
        /// The key's value.
        classes: u32,
    },
    /// Splits that were prepared with different classes.
    #[error("{}: class {class} is {train:?}, but {test:?} in the test split: prepare both in one go, or with the same \
             --classes", path.display())]
    ClassNames {
        /// The training split.
        path: PathBuf,
        /// The first class that differs.
        class: usize,
        /// Its name there.
        train: String,
        /// Its name in the test split.
        test: String,
    },
    /// Nothing would be left to train on.
    #[error("data.validation = {validation} leaves no training sample: {} holds {samples}: hold out fewer",
            path.display())]
    Validation {
        /// The file of training images.
        path: PathBuf,
        /// The key's value.
        validation: u64,
        /// Samples of the file.
        samples: u64,
    },
}

impl DataError {
    /// Whether it is a sample that is as it was prepared, and can't be used.
    pub fn is_undecodable(&self) -> bool {
        matches!(self, Self::Sample { .. })
    }
}

/// What is wrong with an idx file, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Shorter than a header.
    #[error("ends inside the idx header: get the file again")]
    ShortHeader,
    /// Bytes that no idx file starts with.
    #[error("is not an idx file, plain or gzip (starts with {0:02x?}): check data.path")]
    Magic([u8; 4]),
    /// Elements that are not read.
    #[error("holds idx elements of type 0x{element:02x}, but only {wanted} can be read: convert the file")]
    ElementType {
        /// The header's type.
        element: u8,
        /// What can be read, in words.
        wanted: &'static str,
    },
    /// A label of 16 bits below 0.
    #[error("label {label} of sample {sample} is negative: mend the file")]
    Negative {
        /// Sample in the file.
        sample: usize,
        /// Its label.
        label: i16,
    },
    /// Another number of dimensions: images for labels, say.
    #[error("is {got}-dimensional, but {what} are {wanted}: check that the files are not swapped")]
    Dimensions {
        /// What was wanted.
        what: &'static str,
        /// Dimensions that it has, in words.
        wanted: &'static str,
        /// Dimensions of the file.
        got: u8,
    },
    /// No samples, or images without pixels.
    #[error("holds no samples: get the file again")]
    Empty,
    /// Above one of this reader's limits.
    #[error("claims {got} {what}, above the limit of {limit}: get the file again, or make the dataset smaller")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The header's claim.
        got: u64,
        /// This reader's limit.
        limit: u64,
    },
    /// Fewer bytes than the header promises.
    #[error("is truncated: its header promises {promised} bytes, {found}: get the file again")]
    Truncated {
        /// Bytes with the header.
        promised: u64,
        /// Bytes that there are, in words.
        found: Found,
    },
    /// More bytes than the header promises.
    #[error("goes on after the {promised} bytes that its header promises: get the file again")]
    Trailing {
        /// Bytes with the header.
        promised: u64,
    },
    /// Damaged compression.
    #[error("its gzip data is damaged ({0}): get the file again")]
    Gzip(String),
    /// No room for what the header promises.
    #[error("needs {0} bytes of memory, more than there are: free some, or make the dataset smaller")]
    Memory(u64),
}

/// How many bytes a truncated file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Found {
    /// This many, uncompressed.
    #[error("but there are {0}")]
    Bytes(u64),
    /// So few compressed bytes that they cannot hold the promised ones.
    #[error("which {0} compressed bytes cannot hold")]
    Compressed(u64),
}

//! What can be wrong with a source.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// A source that samples can't be taken from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It can't be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An idx file that is none.
    #[error(transparent)]
    Idx(#[from] DataError),
    /// It is not what it should be.
    #[error("{}: {problem}", path.display())]
    Wrong {
        /// File or folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: Problem,
    },
    /// A member of a tar is not what it should be.
    #[error("{}: {problem} (member {member:?}, byte {offset})", path.display())]
    Member {
        /// The tar.
        path: PathBuf,
        /// The member.
        member: String,
        /// Where its content starts.
        offset: u64,
        /// What is wrong, and what to do.
        problem: Problem,
    },
}

impl SourceError {
    pub(super) fn of(path: &Path, problem: Problem) -> Self {
        Self::Wrong { path: path.to_owned(), problem }
    }
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No source that is known.
    #[error(
        "is no source of samples: name a folder with a folder for each class, WebDataset tars, a folder of idx \
             files, of CIFAR's binary files, or of .npy pairs"
    )]
    Unknown,
    /// A name that is no text.
    #[error("has a name that is not UTF-8: rename it")]
    Name,
    /// A folder of classes without any.
    #[error("has no folders of classes")]
    NoClasses,
    /// A class that some other source does not have.
    #[error("has a class {0:?} that is not among the classes: add it to --classes, or leave the folder out")]
    NoSuchClass(String),
    /// A file among images that is none by its name.
    #[error("is no image by its name (.jpg, .jpeg, .png): move it elsewhere")]
    Extension,
    /// Nothing in it.
    #[error("is empty: get it again, or remove it")]
    Empty,
    /// More than a sample may have.
    #[error("has {0} bytes, more than an image of a dataset may")]
    Long(u64),
    /// Folders too deep, as links in a circle make them.
    #[error("is more than 16 folders deep: is a link to a folder above among them?")]
    Deep,
    /// A label that is none.
    #[error("has label {label} for sample {sample}: labels are 0 to 65,535")]
    Label {
        /// The sample.
        sample: u64,
        /// Its label.
        label: i64,
    },
    /// A label that is not even a number.
    #[error("is {0:?} where a class's number should be (0 to 65,535)")]
    NoLabel(String),
    /// A sample without a label.
    #[error("has no .cls beside it: each sample needs an image and its class's number")]
    WithoutLabel,
    /// A label without an image.
    #[error("has no image (.jpg, .jpeg, .png) beside it")]
    WithoutImage,
    /// A file of images alone.
    #[error("has no file of labels beside it")]
    WithoutLabels,
    /// A file of labels alone.
    #[error("has no file of images beside it")]
    WithoutImages,
    /// Two of the same.
    #[error("comes twice in its sample")]
    Twice,
    /// A key that was there before.
    #[error("has a key that another sample before it had: keys are to be different")]
    Key,
    /// Two files that don't belong together.
    #[error("has {images} images, but {} has {labels} labels: take both files from one dataset", labels_path.display())]
    Count {
        /// Images.
        images: u64,
        /// Labels.
        labels: u64,
        /// Where the labels are.
        labels_path: PathBuf,
    },
    /// A gzip file that is damaged.
    #[error("is a damaged gzip file ({0}): get it again")]
    Gzip(String),
    /// Images that no decoder would take.
    #[error("has images of {0}×{1} pixels, more than an image may have")]
    Pixels(u64, u64),
    /// Images that no kind of picture has.
    #[error("has images of {0} channels: 1 (grey) and 3 (colours) can be prepared")]
    Channels(u8),
    /// A CIFAR file of another length.
    #[error("has {found} bytes, which is no whole number of samples of {sample} bytes: get it again")]
    Length {
        /// Its length.
        found: u64,
        /// Bytes of a sample.
        sample: u64,
    },
    /// A `.npy` file that is none, or not of pixels or labels.
    #[error("{0}")]
    Npy(String),
}

//! The few operations that folders and buckets have in common. What makes a checkpoint valid is decided above them.

mod bucket;
mod folder;

use std::fmt::Debug;

use crate::error::Error;

pub(crate) use bucket::Bucket;
pub(crate) use folder::Folder;

/// The two files of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The tensors, written first.
    State,
    /// What state it is, written last.
    Manifest,
}

impl Part {
    /// The file's name.
    pub fn file(self) -> &'static str {
        match self {
            Self::State => "state.safetensors",
            Self::Manifest => "checkpoint.json",
        }
    }
}

/// A file as it was found.
pub(crate) enum Read {
    /// All of it.
    Whole(Vec<u8>),
    /// There is none.
    Missing,
    /// It can't be what was written; the reason in words.
    Wrong(String),
}

/// A place where checkpoints lie side by side, each under one name.
pub(crate) trait Store: Debug + Send + Sync {
    /// All names there; empty if the place does not exist yet.
    fn names(&self) -> Result<Vec<String>, Error>;

    /// Whether anything that counts as a checkpoint has this name.
    fn stands(&self, name: &str) -> Result<bool, Error>;

    /// A whole file of at most `limit` bytes.
    fn read(&self, name: &str, part: Part, limit: u64) -> Result<Read, Error>;

    /// Begins a checkpoint that nobody sees before it is published. Creates the place if need be.
    fn draft(&self, name: &str) -> Result<Box<dyn Draft + '_>, Error>;

    /// Gives a checkpoint another name. Names that are taken stay as they are: the answer is `false`.
    fn rename(&self, from: &str, to: &str) -> Result<bool, Error>;

    /// Removes a checkpoint, so that it is no longer valid before any of it goes.
    fn remove(&self, name: &str) -> Result<(), Error>;

    /// Removes what dead processes have left half done. Nothing depends on it, so it tells no errors.
    fn sweep(&self);

    /// Bytes that all files take.
    fn used_bytes(&self) -> Result<u64, Error>;

    /// Whether a checkpoint could be written now; leaves nothing behind.
    fn check_writable(&self) -> Result<(), Error>;
}

/// A checkpoint that is being written. Dropped before it is published, it leaves nothing.
pub(crate) trait Draft {
    /// Adds bytes to a part. Parts are written one after the other, the manifest last.
    fn write(&mut self, part: Part, bytes: &[u8]) -> Result<(), Error>;

    /// Makes a part durable. Nothing more is added to it.
    fn finish(&mut self, part: Part) -> Result<(), Error>;

    /// Makes the checkpoint visible and durable, whole; `false` if another process has published one of this name.
    fn publish(self: Box<Self>) -> Result<bool, Error>;
}

//! What can be wrong with a manifest.

use std::io;
use std::path::PathBuf;

/// A manifest or table that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// A file is missing or cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The manifest contradicts itself.
    #[error("{}: {problem}: prepare the dataset again with `lockstep data prepare`", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The tables are not those of the manifest.
    #[error("{}: the table of {shard} at byte {offset} is not what manifest.json says ({problem}): get both files \
             again, or prepare the dataset again", path.display())]
    Table {
        /// `manifest.samples`.
        path: PathBuf,
        /// Whose table.
        shard: String,
        /// Where it starts.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file of tables is shorter or longer than all tables.
    #[error("{}: has {found} bytes where manifest.json needs {wanted}: get both files again, or prepare the dataset \
             again", path.display())]
    Length {
        /// `manifest.samples`.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// What it should be.
        wanted: u64,
    },
}

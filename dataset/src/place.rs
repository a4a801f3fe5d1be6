//! Where a dataset's files are: in a folder of this machine, or in an object store.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use lockstep_objects::Objects;

use crate::remote::Remote;

/// A folder of files.
#[derive(Clone, Debug)]
pub enum Place {
    /// On this machine's disks.
    Folder(PathBuf),
    /// In an object store.
    Remote(Remote),
}

impl Place {
    /// The place that a path names: `s3://bucket/prefix`, `http://host/folder`, or else a folder.
    ///
    /// # Errors
    /// In words, if it has a scheme and can be no place all the same.
    pub fn of(path: &Path) -> Result<Self, String> {
        match path.to_str().filter(|text| Objects::is_place(text)) {
            Some(text) => Remote::open(text).map(Self::Remote),
            None => Ok(Self::Folder(path.to_owned())),
        }
    }

    /// A folder in it.
    pub fn inside(&self, name: &str) -> Self {
        match self {
            Self::Folder(folder) => Self::Folder(folder.join(name)),
            Self::Remote(remote) => Self::Remote(remote.inside(name)),
        }
    }

    /// A file of it, for people; on this machine, its path.
    pub fn path(&self, file: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(file),
            Self::Remote(remote) => remote.path(file),
        }
    }

    /// Whether there is such a file.
    ///
    /// # Errors
    /// If a store doesn't say.
    pub fn has(&self, file: &str) -> io::Result<bool> {
        match self {
            Self::Folder(folder) => Ok(folder.join(file).is_file()),
            Self::Remote(remote) => remote.has(file),
        }
    }

    /// A whole file of at most `most` bytes.
    ///
    /// # Errors
    /// If there is no such file, it is longer, or it can't be read.
    pub fn read(&self, file: &str, most: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::Folder(folder) => {
                let file = File::open(folder.join(file))?;
                let bytes = file.metadata()?.len();
                if bytes > most {
                    return Err(io::Error::other(format!("has {bytes} bytes, more than {most}")));
                }
                let mut text = Vec::with_capacity(bytes as usize);
                file.take(most).read_to_end(&mut text)?;
                Ok(text)
            }
            Self::Remote(remote) => remote.read(file, most).map(Into::into),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

//! Samples of a prepared split, from shards on this machine's disks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::kept::Kept;
use crate::manifest::{Index, Location, ManifestError, Record, Shard};

/// Files that are kept open. Others are opened again when they are needed again.
const OPEN_FILES: usize = 256;

/// A sample that can't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The manifest can't be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A shard can't be read.
    #[error("{}: cannot be read: {source}: get the shard again (`lockstep data verify` finds all that are missing)",
            path.display())]
    Read {
        /// The shard.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A shard of another length.
    #[error("{}: has {found} bytes, but the manifest says {wanted}: get the shard again", path.display())]
    Length {
        /// The shard.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// What it should be.
        wanted: u64,
    },
    /// A sample whose bytes are not those that were prepared, twice.
    #[error("{}: sample {sample} at byte {offset} is damaged: its CRC-32 is {found:08x}, not {wanted:08x}: get the shard \
             again (`lockstep data verify --full` finds all that are damaged)", path.display())]
    Damaged {
        /// The shard.
        path: PathBuf,
        /// The sample.
        sample: u64,
        /// Where its image starts.
        offset: u64,
        /// Its checksum.
        found: u32,
        /// What it should be.
        wanted: u32,
    },
}

/// A split's shards.
#[derive(Debug)]
pub struct Shards {
    folder: PathBuf,
    /// Its manifest.
    pub index: Index,
    open: Mutex<Kept<Arc<File>>>,
}

impl Shards {
    /// Opens the manifest of a split's folder. Shards are looked at when they are needed.
    ///
    /// # Errors
    /// If the manifest is missing or not what it should be.
    pub fn open(folder: &Path) -> Result<Self, ManifestError> {
        Ok(Self { folder: folder.to_owned(), index: Index::open(folder)?, open: Mutex::new(Kept::new(OPEN_FILES)) })
    }

    /// Number of samples.
    pub fn samples(&self) -> u64 {
        self.index.manifest.samples
    }

    /// Reads a sample's image, as it is stored, over what `bytes` held; gives what is known of it. Bytes that are not
    /// those that were prepared are read once more, in case the way from the disk was to blame.
    ///
    /// # Errors
    /// If it can't be read, or is damaged.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn read(&self, sample: u64, bytes: &mut Vec<u8>) -> Result<Record, ShardError> {
        let (location, record) = self.index.record(sample)?;
        let mut found = 0;
        for _ in 0..2 {
            self.read_at(location, &record, bytes)?;
            found = crc32fast::hash(bytes);
            if found == record.crc32 {
                return Ok(record);
            }
        }
        let (path, offset, wanted) = (self.path(location.shard), record.offset(), record.crc32);
        Err(ShardError::Damaged { path, sample, offset, found, wanted })
    }

    /// Where an image lies, for people.
    pub fn place(&self, sample: u64) -> Result<String, ShardError> {
        let (location, record) = self.index.record(sample)?;
        Ok(format!("{}: sample {sample} at byte {}", self.path(location.shard).display(), record.offset()))
    }

    fn read_at(
        &self,
        Location { shard, .. }: Location,
        record: &Record,
        bytes: &mut Vec<u8>,
    ) -> Result<(), ShardError> {
        let file = self.file(shard)?;
        bytes.resize(record.length as usize, 0);
        let read = file.read_exact_at(bytes, record.offset());
        read.map_err(|source| ShardError::Read { path: self.path(shard), source })
    }

    fn file(&self, shard: usize) -> Result<Arc<File>, ShardError> {
        let lock = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = lock().get(shard) {
            return Ok(file);
        }
        let file = Arc::new(open(&self.folder, &self.index.manifest.shards[shard])?);
        lock().keep(shard, Arc::clone(&file), 1);
        Ok(file)
    }

    fn path(&self, shard: usize) -> PathBuf {
        self.folder.join(&self.index.manifest.shards[shard].name)
    }
}

/// Opens a shard that is as long as it should be.
///
/// # Errors
/// If it is missing or of another length.
pub fn open(folder: &Path, shard: &Shard) -> Result<File, ShardError> {
    let path = folder.join(&shard.name);
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    match opened {
        Ok((found, file)) if found == shard.bytes => Ok(file),
        Ok((found, _)) => Err(ShardError::Length { path, found, wanted: shard.bytes }),
        Err(source) => Err(ShardError::Read { path, source }),
    }
}

//! Samples of a prepared split: their bytes, out of shards on this machine's disks or in an object store.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lockstep_proto::job::Data;

use crate::kept::Kept;
use crate::manifest::{Hash, Index, ManifestError, Record, Shard};
use crate::place::Place;
use crate::remote::Remote;
use crate::remote::ahead::{Ahead, Plan};
use crate::remote::cache::Cache;
use crate::remote::mirror::Mirror;

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
    /// A shard in an object store that came whole, twice, and is another.
    #[error("{}: is not the shard that was prepared: its BLAKE3 is {found}, not {wanted}: put the prepared one there again",
            path.display())]
    Changed {
        /// The shard.
        path: PathBuf,
        /// Its hash.
        found: Hash,
        /// What it should be.
        wanted: Hash,
    },
    /// A place that can be none.
    #[error("{}: {problem}", path.display())]
    Place {
        /// As it was written.
        path: PathBuf,
        /// What is wrong.
        problem: String,
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
    /// Its manifest.
    pub index: Arc<Index>,
    files: Arc<Files>,
    ahead: Ahead,
    /// Of a split in an object store.
    mirror: Option<Mirror>,
}

/// Memory and disk that a split in an object store may take.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Bytes of samples in memory that nobody has asked for yet.
    pub ahead: u64,
    /// Bytes of shards on this machine's disk, of all datasets together.
    pub cache: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self::of(&Data::default())
    }
}

impl Room {
    /// As a job says.
    pub fn of(data: &Data) -> Self {
        Self { ahead: data.prefetch_bytes, cache: data.cache_bytes }
    }
}

impl Shards {
    /// Opens the manifest of a split. Shards are looked at when they are needed.
    ///
    /// # Errors
    /// If the manifest is missing or not what it should be, or what comes over a network can't be kept.
    pub fn open(place: &Place, room: Room) -> Result<Self, ManifestError> {
        let (index, cache) = match place {
            Place::Folder(folder) => (Index::open(folder)?, None),
            Place::Remote(remote) => {
                let cache = cache(room.cache)?;
                (Index::bring(remote, &cache)?, Some(cache))
            }
        };
        let index = Arc::new(index);
        let files = Arc::new(Files::new(place.clone(), cache, Arc::clone(&index)));
        let ahead = Ahead::new(Arc::clone(&index), Arc::clone(&files), room.ahead);
        let mirror = files.cache().map(|_| Mirror::new(Arc::clone(&index), Arc::clone(&files)));
        Ok(Self { index, files, ahead, mirror })
    }

    /// As [`Self::open`], of a folder of this machine.
    ///
    /// # Errors
    /// The same.
    pub fn open_folder(folder: &Path) -> Result<Self, ManifestError> {
        Self::open(&Place::Folder(folder.to_owned()), Room::default())
    }

    /// Number of samples.
    pub fn samples(&self) -> u64 {
        self.index.manifest.samples
    }

    /// Says which samples will be read from now on, in place of what was said before: they are on their way before they
    /// are asked for.
    pub fn expect(&self, plan: Plan) {
        if let Some(mirror) = &self.mirror {
            mirror.expect(Arc::clone(&plan));
        }
        self.ahead.expect(plan);
    }

    /// Brings all shards of an object store for which this machine's cache has room, and waits for them.
    pub fn bring_all(&self) {
        if let Some(mirror) = &self.mirror {
            mirror.bring_all();
        }
    }

    /// Reads a sample's image, as it is stored, over what `bytes` held; gives what is known of it. Bytes that are not
    /// those that were prepared are read once more, in case the way was to blame; and from the object store, if what was
    /// kept of it is damaged.
    ///
    /// # Errors
    /// If it can't be read, or is damaged.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn read(&self, sample: u64, bytes: &mut Vec<u8>) -> Result<Record, ShardError> {
        let (location, record) = self.index.record(sample)?;
        let mut found = 0;
        for attempt in 0..self.attempts() {
            match attempt {
                0 if self.take(sample, bytes)? => {}
                0 | 1 => self.files.read(location.shard, &record, bytes)?,
                _ => self.files.read_anew(location.shard, &record, bytes)?,
            }
            found = crc32fast::hash(bytes);
            if found == record.crc32 {
                return Ok(record);
            }
        }
        let (path, offset, wanted) = (self.files.path(location.shard), record.offset(), record.crc32);
        Err(ShardError::Damaged { path, sample, offset, found, wanted })
    }

    /// Where an image lies, for people.
    pub fn place(&self, sample: u64) -> Result<String, ShardError> {
        let (location, record) = self.index.record(sample)?;
        let path = self.files.path(location.shard);
        Ok(format!("{}: sample {sample} at byte {}", path.display(), record.offset()))
    }

    /// A shard's file, for people.
    pub(crate) fn path(&self, number: usize) -> PathBuf {
        self.files.path(number)
    }

    /// Hands all bytes of a shard to `take`, in order.
    ///
    /// # Errors
    /// If it can't be read, or is of another length.
    pub(crate) fn scan(&self, number: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), ShardError> {
        self.files.scan(number, take)
    }

    /// Whether a shard is there, as long as it should be.
    ///
    /// # Errors
    /// If it is not.
    pub(crate) fn check(&self, number: usize) -> Result<(), ShardError> {
        self.files.check(number)
    }

    fn attempts(&self) -> usize {
        if self.mirror.is_some() { 3 } else { 2 }
    }

    /// What has come before it was asked for.
    fn take(&self, sample: u64, bytes: &mut Vec<u8>) -> Result<bool, ShardError> {
        self.mirror.as_ref().map_or(Ok(()), Mirror::check)?;
        let Some(here) = self.ahead.take(sample) else { return Ok(false) };
        bytes.clear();
        bytes.extend_from_slice(&here);
        Ok(true)
    }
}

/// The cache of what comes over a network.
fn cache(most: u64) -> Result<Cache, ManifestError> {
    let missing = "set $LOCKSTEP_CACHE to the absolute path of a folder for data that comes over the network";
    let folder = Cache::folder_of_user()
        .ok_or_else(|| ManifestError::Read { path: "$LOCKSTEP_CACHE".into(), source: io::Error::other(missing) })?;
    Cache::open(folder.clone(), most).map_err(|source| ManifestError::Read { path: folder, source })
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// The files of a split's shards.
#[derive(Debug)]
pub struct Files {
    place: Place,
    /// Of shards in an object store.
    cache: Option<Cache>,
    index: Arc<Index>,
    open: Mutex<Kept<Arc<File>>>,
}

impl Files {
    fn new(place: Place, cache: Option<Cache>, index: Arc<Index>) -> Self {
        Self { place, cache, index, open: Mutex::new(Kept::new(OPEN_FILES)) }
    }

    #[cfg(test)]
    pub(crate) fn remote_of(remote: Remote, cache: Cache, index: Arc<Index>) -> Self {
        Self::new(Place::Remote(remote), Some(cache), index)
    }

    /// The object store that they are in, if they are in one.
    pub fn remote(&self) -> Option<&Remote> {
        match &self.place {
            Place::Remote(remote) => Some(remote),
            Place::Folder(_) => None,
        }
    }

    /// Where they are kept that come over a network.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// A shard's file, for people.
    pub fn path(&self, number: usize) -> PathBuf {
        self.place.path(&self.shard(number).name)
    }

    /// A shard's file on this machine; none if it is in an object store and not kept here.
    ///
    /// # Errors
    /// If it is missing or of another length.
    pub fn here(&self, number: usize) -> Result<Option<Arc<File>>, ShardError> {
        let lock = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = lock().get(number) {
            return Ok(Some(file));
        }
        let shard = self.shard(number);
        let file = match &self.cache {
            None => open(self.path(number), shard.bytes)?,
            Some(cache) => match cache.get(shard) {
                Some(file) => file,
                None => return Ok(None),
            },
        };
        let file = Arc::new(file);
        lock().keep(number, Arc::clone(&file), 1);
        Ok(Some(file))
    }

    /// Lets go of shards that are not needed soon, so that others may have their room in the cache.
    pub fn close(&self, is_far: impl Fn(usize) -> bool) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|number| !is_far(number));
    }

    fn shard(&self, number: usize) -> &Shard {
        &self.index.manifest.shards[number]
    }

    fn read(&self, number: usize, record: &Record, bytes: &mut Vec<u8>) -> Result<(), ShardError> {
        let Some(file) = self.here(number)? else { return self.ask(number, record, bytes) };
        bytes.resize(record.length as usize, 0);
        let read = file.read_exact_at(bytes, record.offset());
        read.map_err(|source| ShardError::Read { path: self.path(number), source })
    }

    /// From where the shard was prepared; what is kept of it here is no longer.
    fn read_anew(&self, number: usize, record: &Record, bytes: &mut Vec<u8>) -> Result<(), ShardError> {
        if let Some(cache) = &self.cache {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(number);
            if cache.forget(self.shard(number)) {
                let path = self.path(number);
                tracing::warn!("{}: what was kept of it on this machine is damaged, and goes", path.display());
            }
        }
        self.ask(number, record, bytes)
    }

    /// From the object store.
    fn ask(&self, number: usize, record: &Record, bytes: &mut Vec<u8>) -> Result<(), ShardError> {
        let range = record.offset()..record.offset() + u64::from(record.length);
        let read = |remote: &Remote| remote.read_range(&self.shard(number).name, range);
        let answer = self.remote().map_or_else(|| Err(io::ErrorKind::NotFound.into()), read);
        let answer = answer.map_err(|source| ShardError::Read { path: self.path(number), source })?;
        bytes.clear();
        bytes.extend_from_slice(&answer);
        Ok(())
    }

    fn scan(&self, number: usize, take: &mut dyn FnMut(&[u8])) -> Result<(), ShardError> {
        let shard = self.shard(number);
        let read = match &self.place {
            Place::Remote(remote) => remote.copy(&shard.name, shard.bytes, |piece| {
                take(piece);
                Ok(())
            }),
            Place::Folder(_) => scan(&mut open(self.path(number), shard.bytes)?, take),
        };
        read.map_err(|source| ShardError::Read { path: self.path(number), source })
    }

    fn check(&self, number: usize) -> Result<(), ShardError> {
        let (path, wanted) = (self.path(number), self.shard(number).bytes);
        match &self.place {
            Place::Folder(_) => open(path, wanted).map(drop),
            Place::Remote(remote) => match remote.len(&self.shard(number).name) {
                Ok(found) if found == wanted => Ok(()),
                Ok(found) => Err(ShardError::Length { path, found, wanted }),
                Err(source) => Err(ShardError::Read { path, source }),
            },
        }
    }
}

fn scan(file: &mut File, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(()),
            read => take(&part[..read]),
        }
    }
}

/// Opens a file that is as long as it should be.
fn open(path: PathBuf, wanted: u64) -> Result<File, ShardError> {
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    match opened {
        Ok((found, file)) if found == wanted => Ok(file),
        Ok((found, _)) => Err(ShardError::Length { path, found, wanted }),
        Err(source) => Err(ShardError::Read { path, source }),
    }
}

//! Whole shards on this machine's disk, by their hash: `shards/HASH`, and `HASH.part` while one comes in.
//!
//! Any number of processes share a cache and need no word from each other. Who reads a shard holds a shared lock on its
//! file, who writes one an exclusive lock on its part; the system lets go of a dead process' locks, so that what is not
//! locked is nobody's: parts may be removed, shards may go where room is needed. Who looks for room holds the lock of
//! the whole cache, for as long as a folder takes to list.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use lockstep_kernels::user_cache;

use crate::manifest::{Hash, Shard};

const PART: &str = "part";

/// A folder of shards, of a bounded size.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Bytes of all shards.
    pub most: u64,
}

/// How soon a shard is needed: the fewer, the sooner; none for one that is not known to be needed.
pub type NextUse<'a> = &'a dyn Fn(&str) -> Option<usize>;

impl Cache {
    /// The folder `data` of the user's cache; none if there is no such, or the one that is set is not absolute.
    pub fn folder_of_user() -> Option<PathBuf> {
        let is_relative = |path: &OsString| !Path::new(path).is_absolute();
        let root =
            user_cache::folder().filter(|_| !std::env::var_os("LOCKSTEP_CACHE").as_ref().is_some_and(is_relative));
        root.map(|root| root.join("data"))
    }

    /// The cache in a folder, which is made if need be.
    ///
    /// # Errors
    /// If it can't be.
    pub fn open(folder: PathBuf, most: u64) -> io::Result<Self> {
        fs::create_dir_all(folder.join("shards"))?;
        fs::create_dir_all(folder.join("tables"))?;
        Ok(Self { folder, most })
    }

    /// Where a split's tables are kept.
    pub fn tables(&self, id: &Hash) -> PathBuf {
        self.folder.join("tables").join(id.to_string())
    }

    /// Whether a shard is there.
    pub fn has(&self, shard: &Shard) -> bool {
        self.path(&shard.blake3).exists()
    }

    /// Opens a shard if it is there: it stays for as long as the file is held.
    pub fn get(&self, shard: &Shard) -> Option<File> {
        let file = File::open(self.path(&shard.blake3)).ok()?;
        // Refused only while somebody is about to remove it.
        file.try_lock_shared().ok()?;
        let about = file.metadata().ok()?;
        if about.nlink() == 0 || about.len() != shard.bytes {
            return None;
        }
        // Says when it was last of use; a cache of another user's can still be read.
        let _ = file.set_modified(SystemTime::now());
        Some(file)
    }

    /// Forgets a shard that turned out to be damaged; gives whether it was there. Who has it open keeps what he has.
    pub fn forget(&self, shard: &Shard) -> bool {
        fs::remove_file(self.path(&shard.blake3)).is_ok()
    }

    /// Begins to bring a shard, for which others may go that are needed later, if `is_worth_it`; none if another process
    /// is bringing it, or there is no room.
    ///
    /// # Errors
    /// If the folder can't be written to.
    pub fn draft(&self, shard: &Shard, is_worth_it: bool, next_use: NextUse<'_>) -> io::Result<Option<Draft>> {
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(self.folder.join("lock"))?;
        lock.lock()?;
        let kept = self.kept()?;
        let part = self.path(&shard.blake3).with_extension(PART);
        // Of a part that is left: somebody is at it.
        if self.has(shard) || part.exists() || !self.make_room(kept, shard, is_worth_it, next_use)? {
            return Ok(None);
        }
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(&part)?;
        file.lock()?;
        // Others see how much room it is going to take.
        file.set_len(shard.bytes)?;
        let whole = self.path(&shard.blake3);
        Ok(Some(Draft { file, part, whole, hasher: blake3::Hasher::new(), wanted: shard.blake3 }))
    }

    /// Whether there is room for a shard, or could be made.
    fn make_room(&self, kept: Vec<Kept>, shard: &Shard, is_worth_it: bool, next_use: NextUse<'_>) -> io::Result<bool> {
        let used: u64 = kept.iter().map(|kept| kept.bytes).sum();
        let mut over = (used + shard.bytes).saturating_sub(self.most);
        if over == 0 {
            return Ok(true);
        }
        if !is_worth_it || shard.bytes > self.most {
            return Ok(false);
        }
        let own = next_use(&shard.blake3.to_string());
        let is_later = |next: Option<usize>| next.is_none_or(|next| own.is_some_and(|own| next > own));
        let mut others: Vec<_> = kept
            .into_iter()
            .filter(|kept| kept.path.extension().is_none())
            .map(|kept| (next_use(&kept.name()), kept))
            .filter(|(next, _)| is_later(*next))
            .collect();
        // Those first of which no use is known, the longest unused of them first; then those of the latest use.
        others.sort_by_key(|(next, kept)| (std::cmp::Reverse(next.unwrap_or(usize::MAX)), kept.used));
        let mut gone = Vec::new();
        for (_, kept) in others {
            let Some(file) = unused(&kept.path) else { continue };
            over = over.saturating_sub(kept.bytes);
            gone.push((kept.path, file));
            if over == 0 {
                // Not before it is known that it helps.
                gone.iter().try_for_each(|(path, _)| fs::remove_file(path))?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is in the cache, less what dead processes have left.
    fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(self.folder.join("shards"))? {
            let entry = entry?;
            // Gone since.
            let Ok(about) = entry.metadata() else { continue };
            let path = entry.path();
            if path.extension().is_some() && unused(&path).is_some() {
                fs::remove_file(&path)?;
                continue;
            }
            kept.push(Kept { path, bytes: about.len(), used: about.modified()? });
        }
        Ok(kept)
    }

    #[cfg(test)]
    pub(crate) fn whole(&self, shard: &Shard) -> PathBuf {
        self.path(&shard.blake3)
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.folder.join("shards").join(hash.to_string())
    }
}

/// A file of the cache.
struct Kept {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Kept {
    fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A file that nobody reads or writes, and nobody will while the answer is held.
fn unused(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

/// A shard that is coming in. Dropped before it is whole, it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    file: File,
    part: PathBuf,
    whole: PathBuf,
    hasher: blake3::Hasher,
    wanted: Hash,
}

impl Draft {
    /// Adds the bytes that follow.
    ///
    /// # Errors
    /// If they can't be written, as on a full disk.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }

    /// Keeps the shard, if it is the one that it should be; else gives the hash that it has.
    ///
    /// # Errors
    /// If it can't be kept.
    pub fn publish(self) -> io::Result<Option<Hash>> {
        let found: Hash = self.hasher.finalize().into();
        if found != self.wanted {
            return Ok(Some(found));
        }
        // Before it has its name: a reader may lock it at once.
        self.file.lock_shared()?;
        fs::rename(&self.part, &self.whole)?;
        Ok(None)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After it was published there is none.
        let _ = fs::remove_file(&self.part);
    }
}

#[cfg(test)]
mod tests;

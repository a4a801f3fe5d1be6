//! `data verify`: whether a prepared split is what its manifest says.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::decode::Decoder;
use crate::manifest::{Hash, Manifest, ManifestError, Shard};
use crate::shards::{self, ShardError, Shards};

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Whether all shards are there, as long as they should be.
    Quick,
    /// Whether each byte is the one that was prepared.
    Full,
    /// Whether each sample can be decoded, besides.
    Decode,
}

/// What is wrong with a shard or a sample.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It can't be had.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// It is not what was prepared.
    #[error("{}: is not the shard that was prepared: its BLAKE3 is {found}, not {wanted}: get it again", path.display())]
    Changed {
        /// The shard.
        path: PathBuf,
        /// Its hash.
        found: Hash,
        /// What it should be.
        wanted: Hash,
    },
    /// A sample can't be decoded.
    #[error("{place}: {problem}")]
    Sample {
        /// Shard, sample and offset.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// Looks at all shards, on all threads; gives what is wrong, in their order. `progress` is called with bytes done and of
/// how many.
///
/// # Errors
/// If there is no manifest, or it contradicts itself.
pub fn verify(
    folder: &Path,
    depth: Depth,
    threads: usize,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(Manifest, Vec<Damage>), ManifestError> {
    let split = Shards::open(folder)?;
    let manifest = &split.index.manifest;
    let all = manifest.bytes();
    let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
    let damages = Mutex::new(Vec::new());
    let run = || {
        let mut decoder = Decoder::default();
        while let Some((number, shard)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            manifest.shards.get(number).map(|shard| (number, shard))
        } {
            let found = look(folder, &split, shard, depth, &mut decoder);
            damages.lock().unwrap_or_else(PoisonError::into_inner).extend(found.into_iter().map(|d| (number, d)));
            progress(done.fetch_add(shard.bytes, Ordering::Relaxed) + shard.bytes, all);
        }
    };
    thread::scope(|scope| (0..threads.clamp(1, manifest.shards.len())).for_each(|_| _ = scope.spawn(run)));
    let mut damages = damages.into_inner().unwrap_or_else(PoisonError::into_inner);
    damages.sort_by_key(|(number, _)| *number);
    Ok((manifest.clone(), damages.into_iter().map(|(_, damage)| damage).collect()))
}

fn look(folder: &Path, split: &Shards, shard: &Shard, depth: Depth, decoder: &mut Decoder) -> Vec<Damage> {
    let file = match shards::open(folder, shard) {
        Ok(file) => file,
        Err(error) => return vec![error.into()],
    };
    if depth >= Depth::Full
        && let Err(damage) = compare(folder, shard, file).and_then(|()| table(split, shard))
    {
        return vec![damage];
    }
    if depth < Depth::Decode {
        return Vec::new();
    }
    let mut bytes = Vec::new();
    let samples = shard.first_sample..shard.first_sample + u64::from(shard.samples);
    samples.filter_map(|sample| decode(split, sample, decoder, &mut bytes).err()).collect()
}

fn compare(folder: &Path, shard: &Shard, mut file: File) -> Result<(), Damage> {
    let path = folder.join(&shard.name);
    let found = hash(&mut file).map_err(|source| ShardError::Read { path: path.clone(), source })?;
    match found == shard.blake3 {
        true => Ok(()),
        false => Err(Damage::Changed { path, found, wanted: shard.blake3 }),
    }
}

/// Whether its table is the manifest's.
fn table(split: &Shards, shard: &Shard) -> Result<(), Damage> {
    split.index.record(shard.first_sample).map_err(ShardError::from)?;
    Ok(())
}

fn hash(file: &mut File) -> io::Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut part = vec![0; 1 << 20];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hasher.finalize().into()),
            read => _ = hasher.update(&part[..read]),
        }
    }
}

fn decode(split: &Shards, sample: u64, decoder: &mut Decoder, bytes: &mut Vec<u8>) -> Result<(), Damage> {
    split.read(sample, bytes)?;
    match decoder.decode_all(bytes) {
        Ok(_) => Ok(()),
        Err(problem) => Err(Damage::Sample { place: split.place(sample)?, problem: problem.to_string() }),
    }
}

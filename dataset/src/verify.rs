//! `data verify`: whether a prepared split is what its manifest says.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::decode::Decoder;
use crate::manifest::{Hash, Shard};
use crate::shards::{ShardError, Shards};

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
pub fn verify(split: &Shards, depth: Depth, threads: usize, progress: &(dyn Fn(u64, u64) + Sync)) -> Vec<Damage> {
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
            let found = look(split, number, depth, &mut decoder);
            damages.lock().unwrap_or_else(PoisonError::into_inner).extend(found.into_iter().map(|d| (number, d)));
            progress(done.fetch_add(shard.bytes, Ordering::Relaxed) + shard.bytes, all);
        }
    };
    thread::scope(|scope| (0..threads.clamp(1, manifest.shards.len())).for_each(|_| _ = scope.spawn(run)));
    let mut damages = damages.into_inner().unwrap_or_else(PoisonError::into_inner);
    damages.sort_by_key(|(number, _)| *number);
    damages.into_iter().map(|(_, damage)| damage).collect()
}

fn look(split: &Shards, number: usize, depth: Depth, decoder: &mut Decoder) -> Vec<Damage> {
    let shard = &split.index.manifest.shards[number];
    if let Err(error) = split.check(number) {
        return vec![error.into()];
    }
    if depth >= Depth::Full
        && let Err(error) = compare(split, number, shard).and_then(|()| Ok(split.index.check_table(number)?))
    {
        return vec![error.into()];
    }
    if depth < Depth::Decode {
        return Vec::new();
    }
    let mut bytes = Vec::new();
    let samples = shard.first_sample..shard.first_sample + u64::from(shard.samples);
    samples.filter_map(|sample| decode(split, sample, decoder, &mut bytes).err()).collect()
}

fn compare(split: &Shards, number: usize, shard: &Shard) -> Result<(), ShardError> {
    let mut hasher = blake3::Hasher::new();
    split.scan(number, &mut |bytes| _ = hasher.update(bytes))?;
    let (found, wanted) = (Hash::from(hasher.finalize()), shard.blake3);
    if found == wanted { Ok(()) } else { Err(ShardError::Changed { path: split.path(number), found, wanted }) }
}

fn decode(split: &Shards, sample: u64, decoder: &mut Decoder, bytes: &mut Vec<u8>) -> Result<(), Damage> {
    split.read(sample, bytes)?;
    match decoder.decode_all(bytes) {
        Ok(_) => Ok(()),
        Err(problem) => Err(Damage::Sample { place: split.place(sample)?, problem: problem.to_string() }),
    }
}

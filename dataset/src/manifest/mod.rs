//! A dataset's index, and nothing else: which shards a split has, and where in them its samples lie.
//!
//! Two files beside the shards. `manifest.json` names the shards and what all samples have in common; its BLAKE3 is the
//! split's id. `manifest.samples` has a [`Record`] for each sample, shard by shard, and `manifest.json` has the BLAKE3 of
//! each shard's part, its *table*. So opening takes time and memory by the shards alone, a table is read and checked when
//! one of its samples is first asked for, and the id stands for every byte of the split all the same.

mod error;
mod hash;
mod record;
mod tables;

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::decode::MOST_PIXELS;
use crate::place::Place;
use crate::remote::Remote;
use crate::remote::cache::Cache;

pub use error::ManifestError;
pub use hash::Hash;
pub use record::Record;
pub use tables::Tables;

/// The manifest itself.
pub const MANIFEST: &str = "manifest.json";
/// The tables of all shards.
pub const TABLES: &str = "manifest.samples";
/// The only version there is.
const VERSION: u32 = 1;
/// A manifest of a hundred million samples in shards of a thousand takes 25 MB.
const MAX_BYTES: u64 = 1 << 28;
/// A table has at most so many records: 64 MiB of them.
const MAX_SAMPLES_A_SHARD: u32 = 1 << 22;
/// As labels are 16 bits.
pub const MAX_CLASSES: usize = 1 << 16;

/// Content of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format.
    pub lockstep_manifest: u32,
    /// Number of samples.
    pub samples: u64,
    /// Names of the classes; a label is an index into them.
    pub classes: Vec<String>,
    /// What the images are like.
    pub images: Images,
    /// In the order of their samples.
    pub shards: Vec<Shard>,
}

/// What all images of a split have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// 1 if all are grey, else 3.
    pub channels: u8,
    /// Fewest rows and fewest columns.
    pub least: [u32; 2],
    /// Most rows and most columns.
    pub most: [u32; 2],
}

impl Images {
    /// Rows and columns of each image, if all have the same.
    pub fn size(self) -> Option<[u32; 2]> {
        (self.least == self.most).then_some(self.least)
    }

    /// What both have in common.
    pub fn and(self, other: Self) -> Self {
        Self {
            channels: self.channels.max(other.channels),
            least: [0, 1].map(|side| self.least[side].min(other.least[side])),
            most: [0, 1].map(|side| self.most[side].max(other.most[side])),
        }
    }
}

/// A file of samples.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Name of the file, without a folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Of the file.
    pub blake3: Hash,
    /// Its samples are this one and those that follow.
    pub first_sample: u64,
    /// Number of samples.
    pub samples: u32,
    /// Of its records, as they are in `manifest.samples`.
    pub table_blake3: Hash,
}

/// Where a sample is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Index of its shard.
    pub shard: usize,
    /// Its index there.
    pub index: u32,
}

impl Manifest {
    /// A manifest of this version.
    pub fn new(classes: Vec<String>, images: Images, shards: Vec<Shard>) -> Self {
        let samples = shards.iter().map(|shard| u64::from(shard.samples)).sum();
        Self { lockstep_manifest: VERSION, samples, classes, images, shards }
    }

    /// Reads and checks a text; gives the split's id as well.
    ///
    /// # Errors
    /// In words, what about it is wrong.
    pub fn decode(text: &[u8]) -> Result<(Self, Hash), String> {
        let manifest: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        manifest.check()?;
        Ok((manifest, Hash::of(text)))
    }

    /// As `manifest.json` has it.
    ///
    /// # Errors
    /// None that was ever seen.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Bytes of all shards.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// Where a sample is.
    ///
    /// # Panics
    /// If `sample` is not below `samples`.
    pub fn locate(&self, sample: u64) -> Location {
        assert!(sample < self.samples, "sample {sample} of {}", self.samples);
        let shard = self.shards.partition_point(|shard| shard.first_sample <= sample) - 1;
        Location { shard, index: (sample - self.shards[shard].first_sample) as u32 }
    }

    fn check(&self) -> Result<(), String> {
        if self.lockstep_manifest != VERSION {
            return Err(format!("is of version {}; this build reads {VERSION}", self.lockstep_manifest));
        }
        let Images { channels, least, most } = self.images;
        let pixels = u64::from(most[0]) * u64::from(most[1]);
        if pixels > MOST_PIXELS as u64
            || !matches!(channels, 1 | 3)
            || [0, 1].iter().any(|&side| least[side] == 0 || least[side] > most[side])
        {
            return Err(format!("has images of {channels} channels, {least:?} to {most:?} pixels"));
        }
        if self.classes.is_empty() || self.classes.len() > MAX_CLASSES {
            return Err(format!("names {} classes: 1 to {MAX_CLASSES} can be", self.classes.len()));
        }
        let mut names = HashSet::new();
        let mut next = 0u64;
        for shard in &self.shards {
            shard.check(next)?;
            if !names.insert(&shard.name) {
                return Err(format!("names {} twice", shard.name));
            }
            next += u64::from(shard.samples);
        }
        if next != self.samples || next == 0 {
            return Err(format!("promises {} samples, but its shards have {next}", self.samples));
        }
        Ok(())
    }
}

impl Shard {
    /// `first`: the first sample behind the shard before.
    fn check(&self, first: u64) -> Result<(), String> {
        let name = &self.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 255 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(format!("names a shard {name:?}, which is no plain file name"));
        }
        if self.samples == 0 || self.samples > MAX_SAMPLES_A_SHARD {
            return Err(format!("has {} samples in {name}: 1 to {MAX_SAMPLES_A_SHARD} can be", self.samples));
        }
        if self.first_sample != first {
            return Err(format!("has {name} begin with sample {}, which should be {first}", self.first_sample));
        }
        if self.bytes > Record::MAX_OFFSET {
            return Err(format!("has {} bytes in {name}, more than a shard may", self.bytes));
        }
        Ok(())
    }
}

/// A split on this machine's disk: its manifest, and tables that are read as they are asked for.
#[derive(Debug)]
pub struct Index {
    /// The manifest.
    pub manifest: Manifest,
    /// BLAKE3 of `manifest.json`.
    pub id: Hash,
    /// Tables of its shards.
    pub tables: Tables,
}

impl Index {
    /// Opens the manifest of a split's folder.
    ///
    /// # Errors
    /// If a file is missing, unreadable or not what it should be.
    pub fn open(folder: &Path) -> Result<Self, ManifestError> {
        let (manifest, id) = read(&Place::Folder(folder.to_owned()))?;
        let tables = Tables::open(folder.join(TABLES), manifest.samples)?;
        Ok(Self { manifest, id, tables })
    }

    /// Brings the manifest of a split in an object store; its tables are kept in `cache`.
    ///
    /// # Errors
    /// If a file is missing, can't be had or kept, or is not what it should be.
    pub fn bring(remote: &Remote, cache: &Cache) -> Result<Self, ManifestError> {
        let (manifest, id) = read(&Place::Remote(remote.clone()))?;
        let kept = cache.tables(&id);
        let tables = match Tables::open(kept.clone(), manifest.samples) {
            Ok(tables) => tables,
            // None, or cut off as by a loss of power.
            Err(_) => {
                Tables::bring(remote, &kept, &manifest)?;
                Tables::open(kept, manifest.samples)?
            }
        };
        Ok(Self { tables: tables.copied_from(remote.clone()), manifest, id })
    }

    /// Whether a shard's table is what the manifest says, where it was prepared.
    ///
    /// # Errors
    /// If it is not, or can't be read.
    pub fn check_table(&self, shard: usize) -> Result<(), ManifestError> {
        self.tables.check(&self.manifest, shard)
    }

    /// Where a sample is, and what is known of it.
    ///
    /// # Errors
    /// If its shard's table can't be read, or is not what the manifest says.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn record(&self, sample: u64) -> Result<(Location, Record), ManifestError> {
        let location = self.manifest.locate(sample);
        let table = self.tables.table(&self.manifest, location.shard)?;
        Ok((location, table[location.index as usize]))
    }
}

/// Whether the folder holds a split.
pub fn is_split(folder: &Path) -> bool {
    folder.join(MANIFEST).is_file()
}

fn read(place: &Place) -> Result<(Manifest, Hash), ManifestError> {
    let path = || place.path(MANIFEST);
    let text = place.read(MANIFEST, MAX_BYTES).map_err(|source| ManifestError::Read { path: path(), source })?;
    Manifest::decode(&text).map_err(|problem| ManifestError::Invalid { path: path(), problem })
}

#[cfg(test)]
mod tests;

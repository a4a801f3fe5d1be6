//! `data prepare`: from what people have to shards and a manifest.
//!
//! Sources are gone through once, and what is found is listed on disk, so that memory does not grow with them. An order
//! by the seed says which sample comes where; that is the shuffling. Shards are then made at once by all threads, each
//! whole or absent, so that a killed process goes on where it was. The manifest comes last.

mod error;
mod files;
mod item;
mod plan;
mod record;
mod shard;
mod sources;

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use serde::{Deserialize, Serialize};

pub use error::PrepareError;
pub use sources::SourceError;

use crate::dataset::Split;
use crate::decode::Sides;
use crate::manifest::{Index, MANIFEST, MAX_CLASSES, Manifest, TABLES};
use crate::order::Order;
use item::Maker;
use plan::Plan;
use record::{Collector, Sources};
use shard::{Finished, Work};
use sources::{Place, Sink};

/// Folder of unfinished work in a split's.
const UNFINISHED: &str = ".prepare";

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Folders and tars.
    pub sources: Vec<PathBuf>,
    /// The dataset's folder: a folder for each split will be in it.
    pub out: PathBuf,
    /// Of which split samples are whose source does not say it.
    pub split: Split,
    /// Of the shuffling.
    pub seed: u64,
    /// About so many bytes a shard.
    pub shard_bytes: u64,
    /// Larger images are made smaller.
    pub smaller: Option<Smaller>,
    /// Names of all classes, in the order of their numbers; none for those that the sources have.
    pub classes: Option<Vec<String>>,
    /// So many samples that can't be decoded are left out.
    pub skip_bad: u64,
    /// Shards that are made at once.
    pub threads: usize,
}

/// Images whose shorter side is longer than this are scaled to it, and are JPEG then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smaller {
    /// In pixels.
    pub short_side: u32,
    /// Of JPEG, 1 to 100.
    pub quality: u8,
}

impl Smaller {
    /// The size of an image that was of `sides`, if it becomes smaller. As torchvision's `Resize` has it.
    fn sides(&self, sides: Sides) -> Option<Sides> {
        let short = sides.height.min(sides.width);
        let wanted = self.short_side as usize;
        let scaled = |side: usize| if side == short { wanted } else { side * wanted / short };
        (short > wanted).then(|| Sides { height: scaled(sides.height), width: scaled(sides.width) })
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Going through the sources of a split.
    Looking {
        /// Samples that were found.
        found: u64,
    },
    /// Making shards.
    Preparing {
        /// Samples that are done.
        done: u64,
        /// All of the split.
        of: u64,
    },
}

/// A split that was prepared.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// Which.
    pub split: Split,
    /// Its folder.
    pub folder: PathBuf,
    /// What it consists of.
    pub manifest: Manifest,
    /// Samples whose names say another kind than they are; they have the right one now.
    pub misnamed: u64,
    /// Samples that were left out, each with its reason.
    pub bad: Vec<String>,
}

/// Prepares all splits that the sources have.
///
/// # Errors
/// The first thing that is wrong. What was finished until then is kept, and gone on with next time.
pub fn prepare(wanted: &Wanted, progress: &(dyn Fn(Progress) + Sync)) -> Result<Vec<Prepared>, PrepareError> {
    let mut places = Vec::new();
    for source in &wanted.sources {
        places.extend(sources::detect(source)?);
    }
    let classes = classes(wanted, places.iter().map(|(_, place)| place))?;
    let mut preparations = Vec::new();
    for split in [Split::Train, Split::Test] {
        let places: Vec<&Place> =
            places.iter().filter(|(of, _)| of.unwrap_or(wanted.split) == split).map(|(_, place)| place).collect();
        if !places.is_empty() {
            preparations.push((Preparation { wanted, split, classes: &classes, progress }, places));
        }
    }
    let unfinished = preparations.iter().any(|(preparation, _)| preparation.folder().join(UNFINISHED).exists());
    let done = preparations.iter().find(|(preparation, _)| preparation.is_done());
    if let (Some((done, _)), false) = (done, unfinished) {
        return Err(PrepareError::Done(done.folder()));
    }
    // Manifests come last, one right after the other, so that what is killed goes on with all splits; but for what was
    // killed between the two.
    let mut made = Vec::new();
    for (preparation, places) in &preparations {
        made.push(if preparation.is_done() { None } else { Some(preparation.make(places)?) });
    }
    let all = preparations.iter().zip(made);
    all.map(|((preparation, _), made)| match made {
        Some(made) => preparation.finish(made),
        None => preparation.finished(),
    })
    .collect()
}

/// Names of the classes of all splits; empty if none are known before labels are.
fn classes<'p>(wanted: &Wanted, places: impl Iterator<Item = &'p Place>) -> Result<Vec<String>, PrepareError> {
    let classes = known_classes(wanted, places)?;
    match classes.len() > MAX_CLASSES {
        true => Err(PrepareError::Classes(classes.len())),
        false => Ok(classes),
    }
}

fn known_classes<'p>(wanted: &Wanted, places: impl Iterator<Item = &'p Place>) -> Result<Vec<String>, PrepareError> {
    if let Some(classes) = &wanted.classes {
        return Ok(classes.clone());
    }
    let mut folders = std::collections::BTreeSet::new();
    let mut listed = None;
    for place in places {
        match place {
            Place::Folder(_) => folders.extend(place.classes()?.into_iter().flatten()),
            _ => listed = listed.or(place.classes()?),
        }
    }
    Ok(if folders.is_empty() { listed.unwrap_or_default() } else { folders.into_iter().collect() })
}

/// One split on its way.
struct Preparation<'a> {
    wanted: &'a Wanted,
    split: Split,
    /// Empty if labels are all that is known.
    classes: &'a [String],
    progress: &'a (dyn Fn(Progress) + Sync),
}

/// All shards of a split, without its manifest.
struct Made {
    plan: Plan,
    shards: Vec<Finished>,
    /// Held until the manifest is there.
    lock: File,
}

impl Preparation<'_> {
    fn folder(&self) -> PathBuf {
        self.wanted.out.join(self.split.name())
    }

    fn is_done(&self) -> bool {
        self.folder().join(MANIFEST).exists()
    }

    fn make(&self, places: &[&Place]) -> Result<Made, PrepareError> {
        let folder = self.folder();
        let unfinished = folder.join(UNFINISHED);
        let target = |source| PrepareError::Target { path: unfinished.clone(), source };
        fs::create_dir_all(&unfinished).map_err(target)?;
        let lock = File::create(unfinished.join("lock")).map_err(target)?;
        match lock.try_lock() {
            // Somebody else may have come to an end in between.
            Ok(()) if self.is_done() => return Err(PrepareError::Done(folder)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PrepareError::Busy(folder)),
            Err(TryLockError::Error(error)) => return Err(target(error)),
        }
        let sources = self.collect(places, &unfinished).inspect_err(|_| {
            // Nothing is left behind where nothing was made. Folders with anything else in them stay.
            if !unfinished.join(plan::FILE).exists() {
                let _ = fs::remove_dir_all(&unfinished);
                let _ = fs::remove_dir(&folder).and_then(|()| fs::remove_dir(&self.wanted.out));
            }
        })?;
        let order = Order::new(self.wanted.seed, 0, sources.count);
        let Wanted { seed, shard_bytes, smaller, .. } = *self.wanted;
        let classes = self.names(&sources).map_err(target)?;
        let plan = Plan::new(&sources, &order, classes, (seed, shard_bytes, smaller)).map_err(target)?;
        plan.settle(&folder, &unfinished)?;
        let work = Work {
            folder: &folder,
            unfinished: &unfinished,
            plan: &plan,
            sources: &sources,
            order: &order,
            skip_bad: self.wanted.skip_bad,
            bad: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            progress: self.progress,
        };
        let shards = make_all(&work, self.wanted.threads)?;
        Ok(Made { plan, shards, lock })
    }

    fn collect(&self, places: &[&Place], unfinished: &Path) -> Result<Sources, PrepareError> {
        let target = |source| PrepareError::Target { path: unfinished.to_owned(), source };
        let mut collector = Collector::new(unfinished).map_err(target)?;
        let progress = |found| (self.progress)(Progress::Looking { found });
        for place in places {
            let sink =
                Sink { collector: &mut collector, unpacked: unfinished, classes: self.classes, progress: &progress };
            place.collect(&mut { sink })?;
        }
        match collector.finish().map_err(target)? {
            Sources { count: 0, .. } => Err(PrepareError::Nothing { split: self.split.name() }),
            sources => Ok(sources),
        }
    }

    /// Names of the classes; their numbers, if there are no others.
    fn names(&self, sources: &Sources) -> io::Result<Vec<String>> {
        if !self.classes.is_empty() {
            return Ok(self.classes.to_vec());
        }
        let mut largest = 0;
        for index in 0..sources.count {
            largest = largest.max(sources.get(index)?.label);
        }
        Ok((0..=largest).map(|label| label.to_string()).collect())
    }

    /// Puts the tables together and writes the manifest.
    fn finish(&self, Made { plan, shards: finished, lock }: Made) -> Result<Prepared, PrepareError> {
        let folder = self.folder();
        let unfinished = folder.join(UNFINISHED);
        let path = folder.join(MANIFEST);
        let target = |source: io::Error| PrepareError::Target { path: path.clone(), source };
        let mut first = 0;
        let mut shards = Vec::new();
        let mut tables = BufWriter::new(File::create(folder.join(TABLES)).map_err(target)?);
        for (number, finished) in (0..).zip(&finished) {
            if finished.samples == 0 {
                fs::remove_file(folder.join(shard::name(number))).map_err(target)?;
                continue;
            }
            let table = fs::read(unfinished.join(shard::table_name(number))).map_err(target)?;
            tables.write_all(&table).map_err(target)?;
            shards.push(finished.shard(number, first));
            first += u64::from(finished.samples);
        }
        tables.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all()).map_err(target)?;
        let images = finished.iter().filter_map(|finished| finished.images).reduce(crate::manifest::Images::and);
        let images = images.ok_or(PrepareError::Nothing { split: self.split.name() })?;
        let manifest = Manifest::new(plan.classes.clone(), images, shards);
        let text = manifest.encode().map_err(|error| target(error.into()))?;
        // What a reader would refuse is not left behind as prepared.
        Manifest::decode(text.as_bytes()).map_err(|problem| {
            PrepareError::Manifest(crate::manifest::ManifestError::Invalid { path: path.clone(), problem })
        })?;
        files::write_whole(&path, text.as_bytes()).and_then(|()| files::sync_folder(&folder)).map_err(target)?;
        fs::remove_dir_all(&unfinished).map_err(target)?;
        drop(lock);
        Ok(Prepared {
            split: self.split,
            folder,
            manifest,
            misnamed: finished.iter().map(|finished| finished.misnamed).sum(),
            bad: finished.iter().flat_map(|finished| finished.bad.iter().cloned()).collect(),
        })
    }

    /// A split that an earlier process has finished.
    fn finished(&self) -> Result<Prepared, PrepareError> {
        let folder = self.folder();
        let manifest = Index::open(&folder)?.manifest;
        Ok(Prepared { split: self.split, folder, manifest, misnamed: 0, bad: Vec::new() })
    }
}

/// Makes all shards, as many at once as there are threads; the first failure ends it.
fn make_all(work: &Work<'_>, threads: usize) -> Result<Vec<Finished>, PrepareError> {
    let shards = work.plan.shards();
    let next = AtomicU32::new(0);
    let made: Mutex<Vec<Option<Finished>>> = Mutex::new((0..shards).map(|_| None).collect());
    let failure = Mutex::new(None);
    let run = || {
        let mut maker = Maker::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= shards {
                return;
            }
            match work.shard(number, &mut maker) {
                Ok(finished) => made.lock().unwrap_or_else(PoisonError::into_inner)[number as usize] = finished,
                Err(error) => {
                    work.failed.store(true, Ordering::Relaxed);
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
            }
        }
    };
    thread::scope(|scope| (0..threads.clamp(1, shards as usize)).for_each(|_| _ = scope.spawn(run)));
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(made.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()),
    }
}

#[cfg(test)]
mod tests;

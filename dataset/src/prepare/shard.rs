//! Making one shard: its tar beside the others, its table and what is known of it among the unfinished work.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::item::{Item, Maker, Unmade};
use super::plan::Plan;
use super::record::{Source, Sources};
use super::sources::SourceError;
use super::{PrepareError, Progress, files};
use crate::manifest::{Hash, Images, Record, Shard};
use crate::order::Order;
use crate::tar::ShardWriter;

/// What all threads share.
pub(super) struct Work<'a> {
    /// The split's folder.
    pub(super) folder: &'a Path,
    /// Its folder of unfinished work.
    pub(super) unfinished: &'a Path,
    pub(super) plan: &'a Plan,
    pub(super) sources: &'a Sources,
    pub(super) order: &'a Order,
    pub(super) skip_bad: u64,
    pub(super) bad: AtomicU64,
    pub(super) done: AtomicU64,
    /// Another thread has failed.
    pub(super) failed: AtomicBool,
    pub(super) progress: &'a (dyn Fn(Progress) + Sync),
}

/// What is known of a finished shard.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finished {
    pub(super) bytes: u64,
    pub(super) blake3: Hash,
    pub(super) samples: u32,
    pub(super) table_blake3: Hash,
    /// None of a shard without samples.
    pub(super) images: Option<Images>,
    /// Samples whose names say another kind than they are.
    pub(super) misnamed: u64,
    /// Samples that were left out, each with its reason.
    pub(super) bad: Vec<String>,
}

impl Finished {
    /// As the manifest has it.
    pub(super) fn shard(&self, number: u32, first_sample: u64) -> Shard {
        let Self { bytes, blake3, samples, table_blake3, .. } = *self;
        Shard { name: name(number), bytes, blake3, first_sample, samples, table_blake3 }
    }
}

/// A shard's file.
pub(super) fn name(number: u32) -> String {
    format!("shard-{number:06}.tar")
}

/// The table's, among the unfinished work.
pub(super) fn table_name(number: u32) -> String {
    format!("shard-{number:06}.samples")
}

impl Work<'_> {
    /// Makes a shard unless it is there; none if another thread has failed meanwhile.
    pub(super) fn shard(&self, number: u32, maker: &mut Maker) -> Result<Option<Finished>, PrepareError> {
        let known = self.unfinished.join(format!("shard-{number:06}.json"));
        let path = self.folder.join(name(number));
        let target = |source: io::Error| PrepareError::Target { path: path.clone(), source };
        if let Some(finished) = self.found(number, &known, &path) {
            let bad = finished.bad.len() as u64;
            if self.bad.fetch_add(bad, Ordering::Relaxed) + bad > self.skip_bad
                && let Some(one) = finished.bad.first()
            {
                return Err(PrepareError::TooManyBad { allowed: self.skip_bad, one: one.clone() });
            }
            self.step(self.plan.positions(number).count() as u64);
            return Ok(Some(finished));
        }
        let partial = path.with_extension("tar.partial");
        let mut making = Making::new(File::create(&partial).map_err(target)?);
        for position in self.plan.positions(number) {
            if self.failed.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let source = self.sources.get(self.order.sample_at(position)).map_err(target)?;
            match maker.make(&source, self.plan.smaller.as_ref()) {
                Ok(item) => making.append(position, &item, source.label).map_err(target)?,
                Err(Unmade::Bad(problem)) => making.bad.push(self.leave_out(&source, problem)?),
                Err(Unmade::Unread(error)) => {
                    return Err(SourceError::Read { path: source.path.clone(), source: error }.into());
                }
            }
            self.step(1);
        }
        let (file, table, finished) = making.finish().map_err(target)?;
        file.sync_all().and_then(|()| fs::rename(&partial, &path)).map_err(target)?;
        files::write_whole(&self.unfinished.join(table_name(number)), &table).map_err(target)?;
        // Last, and behind the names of the others: it says that they are there.
        files::sync_folder(self.folder).and_then(|()| files::sync_folder(self.unfinished)).map_err(target)?;
        let text = serde_json::to_vec(&finished).map_err(|error| target(error.into()))?;
        files::write_whole(&known, &text).map_err(target)?;
        Ok(Some(finished))
    }

    /// What is known of a shard that an earlier process has finished, if all of it is there.
    fn found(&self, number: u32, known: &Path, shard: &Path) -> Option<Finished> {
        let finished: Finished = serde_json::from_slice(&fs::read(known).ok()?).ok()?;
        let table = fs::read(self.unfinished.join(table_name(number))).ok()?;
        let whole = fs::metadata(shard).ok()?.len() == finished.bytes && Hash::of(&table) == finished.table_blake3;
        whole.then_some(finished)
    }

    fn step(&self, samples: u64) {
        let done = self.done.fetch_add(samples, Ordering::Relaxed) + samples;
        (self.progress)(Progress::Preparing { done, of: self.plan.samples });
    }

    fn leave_out(&self, source: &Source, problem: String) -> Result<String, PrepareError> {
        let place = source.place();
        match self.skip_bad {
            0 => Err(PrepareError::Sample { place, problem }),
            allowed if self.bad.fetch_add(1, Ordering::Relaxed) >= allowed => {
                Err(PrepareError::TooManyBad { allowed, one: format!("{place}: {problem}") })
            }
            _ => Ok(format!("{place}: {problem}")),
        }
    }
}

/// A shard in a split's folder, finished or not, if there is one.
pub(super) fn any_in(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("shard-") && (name.ends_with(".tar") || name.ends_with(".tar.partial")) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// A shard in the making.
struct Making {
    writer: ShardWriter<BufWriter<File>>,
    table: Vec<u8>,
    images: Option<Images>,
    samples: u32,
    misnamed: u64,
    bad: Vec<String>,
}

impl Making {
    fn new(file: File) -> Self {
        let writer = ShardWriter::new(BufWriter::with_capacity(1 << 20, file));
        Self { writer, table: Vec::new(), images: None, samples: 0, misnamed: 0, bad: Vec::new() }
    }

    fn append(&mut self, position: u64, item: &Item<'_>, label: u32) -> io::Result<()> {
        let block = self.writer.append(&format!("{position:09}.{}", item.extension), item.bytes)?;
        self.writer.append(&format!("{position:09}.cls"), label.to_string().as_bytes())?;
        let record = Record { block, length: item.bytes.len() as u32, label, crc32: crc32fast::hash(item.bytes) };
        self.table.extend(record.encode());
        self.images = Some(self.images.map_or(item.images, |images| images.and(item.images)));
        self.samples += 1;
        self.misnamed += u64::from(item.misnamed);
        Ok(())
    }

    fn finish(self) -> io::Result<(File, Vec<u8>, Finished)> {
        let Self { writer, table, images, samples, misnamed, bad } = self;
        let (out, written) = writer.finish()?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let finished = Finished {
            bytes: written.bytes,
            blake3: written.blake3,
            samples,
            table_blake3: Hash::of(&table),
            images,
            misnamed,
            bad,
        };
        Ok((file, table, finished))
    }
}

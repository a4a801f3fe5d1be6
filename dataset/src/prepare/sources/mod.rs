//! What a dataset may be prepared from. A source is looked at, and each of its samples told: nothing is decoded yet.

mod cifar;
mod error;
mod folder;
mod idx;
mod npy;
mod webdataset;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use error::{Problem, SourceError};

use super::PrepareError;
use super::record::{Collector, Source};
use crate::dataset::Split;

/// Samples of one split, in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder for each class.
    Folder(PathBuf),
    /// A tar of samples.
    Tar(PathBuf),
    /// Files of images and of labels.
    Idx { images: PathBuf, labels: PathBuf },
    /// A file of images with their labels.
    Cifar(cifar::File),
    /// Arrays of images and of labels.
    Npy { images: PathBuf, labels: PathBuf },
}

/// What going through sources collects, and needs.
pub(super) struct Sink<'a> {
    pub(super) collector: &'a mut Collector,
    /// A folder for what has to be unpacked first.
    pub(super) unpacked: &'a Path,
    /// Names of all classes, if any source has such.
    pub(super) classes: &'a [String],
    /// Called now and then with the number of samples.
    pub(super) progress: &'a dyn Fn(u64),
}

impl Sink<'_> {
    fn push(&mut self, source: &Source) -> Result<(), PrepareError> {
        let (label, classes) = (source.label, self.classes.len());
        if classes > 0 && label as usize >= classes {
            return Err(PrepareError::Label { place: source.place(), label, classes });
        }
        let target = |source| PrepareError::Target { path: self.unpacked.to_owned(), source };
        self.collector.push(source).map_err(target)?;
        if self.collector.count().is_multiple_of(1024) {
            (self.progress)(self.collector.count());
        }
        Ok(())
    }
}

impl Place {
    /// Names of its classes, if it has such.
    pub(super) fn classes(&self) -> Result<Option<Vec<String>>, SourceError> {
        match self {
            Self::Folder(folder) => folder::classes(folder).map(Some),
            Self::Cifar(file) => cifar::classes(file),
            Self::Tar(_) | Self::Idx { .. } | Self::Npy { .. } => Ok(None),
        }
    }

    /// Tells all samples, in an order that depends on nothing but the source.
    pub(super) fn collect(&self, sink: &mut Sink<'_>) -> Result<(), PrepareError> {
        match self {
            Self::Folder(folder) => folder::collect(folder, sink),
            Self::Tar(path) => webdataset::collect(path, sink),
            Self::Idx { images, labels } => idx::collect(images, labels, sink),
            Self::Cifar(file) => cifar::collect(file, sink),
            Self::Npy { images, labels } => npy::collect(images, labels, sink),
        }
    }
}

/// What there is under a path: places, and of which split each is, if the source says so.
pub(super) fn detect(path: &Path) -> Result<Vec<(Option<Split>, Place)>, SourceError> {
    let found = places(path)?;
    if let [(None, Place::Folder(_))] = found[..] {
        let names = listed(path)?;
        return splits(path, &names).map(|splits| if splits.is_empty() { found } else { splits });
    }
    Ok(found)
}

/// What there is under a path that is one split, or whose files say theirs.
fn places(path: &Path) -> Result<Vec<(Option<Split>, Place)>, SourceError> {
    let metadata = fs::metadata(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
    if metadata.is_file() {
        return match path.extension().is_some_and(|extension| extension == "tar") {
            true => Ok(vec![(None, Place::Tar(path.to_owned()))]),
            false => Err(SourceError::of(path, Problem::Unknown)),
        };
    }
    let names = listed(path)?;
    for find in [tars, idx::find, cifar::find, npy::find] {
        let found = find(path, &names)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(vec![(None, Place::Folder(path.to_owned()))])
}

/// `train` and `val` or `test`, each a source of its own, if there are such.
fn splits(path: &Path, names: &[String]) -> Result<Vec<(Option<Split>, Place)>, SourceError> {
    let mut found = Vec::new();
    for (name, split) in [("train", Split::Train), ("val", Split::Test), ("test", Split::Test)] {
        // ImageNet's test images have no labels, so where there is both, `val` is what people test on.
        let told = found.iter().any(|(of, _)| *of == Some(split));
        if names.iter().any(|other| other == name) && path.join(name).is_dir() && !told {
            found.extend(places(&path.join(name))?.into_iter().map(|(_, place)| (Some(split), place)));
        }
    }
    Ok(found)
}

fn tars(path: &Path, names: &[String]) -> Result<Vec<(Option<Split>, Place)>, SourceError> {
    let tars = names.iter().filter(|name| name.ends_with(".tar"));
    Ok(tars.map(|name| (None, Place::Tar(path.join(name)))).collect())
}

/// Names in a folder, sorted, but for hidden ones.
fn listed(folder: &Path) -> Result<Vec<String>, SourceError> {
    let read = |source| SourceError::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let name = entry.map_err(read)?.file_name();
        match name.into_string() {
            Ok(name) if name.starts_with('.') => {}
            Ok(name) => names.push(name),
            Err(name) => return Err(SourceError::of(&folder.join(name), Problem::Name)),
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Opens a file; gives its length, and has the time of its last change noticed.
fn open(path: &Path, sink: &mut Sink<'_>) -> Result<(File, u64), SourceError> {
    let read = |source| SourceError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    notice(&metadata, sink);
    Ok((file, metadata.len()))
}

fn notice(metadata: &fs::Metadata, sink: &mut Sink<'_>) {
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    sink.collector.notice(&changed.map_or(0, |time| time.as_nanos()).to_le_bytes());
}

/// A label, if it is one.
fn label(path: &Path, sample: u64, label: i64) -> Result<u32, SourceError> {
    u32::try_from(label)
        .ok()
        .filter(|label| *label < MAX_LABELS)
        .ok_or_else(|| SourceError::of(path, Problem::Label { sample, label }))
}

/// Labels are below this.
const MAX_LABELS: u32 = 1 << 16;

#[cfg(test)]
mod tests;

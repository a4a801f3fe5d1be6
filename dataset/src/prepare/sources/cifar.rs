//! CIFAR-10 and CIFAR-100 in their binary version (Krizhevsky, 2009): a label or two, then 32×32 pixels, channel by channel.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::PrepareError;
use super::super::record::{Pixels, Source, Stored};
use super::{Place, Problem, Sink, SourceError, open};
use crate::dataset::Split;

const PIXELS: Pixels = Pixels { channels: 3, height: 32, width: 32, planar: true };
const IMAGE: u64 = 3 * 32 * 32;
/// Files of class names are a few hundred bytes.
const MAX_NAMES: u64 = 1 << 16;
/// Samples whose labels are read at once.
const BATCH: u64 = 1000;

/// One of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct File {
    path: PathBuf,
    /// Bytes before the pixels; the last of them is the label.
    labels: u8,
    /// The file of class names.
    names: PathBuf,
}

/// The files that are there.
pub(super) fn find(folder: &Path, names: &[String]) -> Result<Vec<(Option<Split>, Place)>, SourceError> {
    let file = |name: &String| {
        let (split, labels, classes) = match name.as_str() {
            "test_batch.bin" => (Split::Test, 1, "batches.meta.txt"),
            "train.bin" => (Split::Train, 2, "fine_label_names.txt"),
            "test.bin" => (Split::Test, 2, "fine_label_names.txt"),
            name if name.starts_with("data_batch_") && name.ends_with(".bin") => (Split::Train, 1, "batches.meta.txt"),
            _ => return None,
        };
        Some((Some(split), Place::Cifar(File { path: folder.join(name), labels, names: folder.join(classes) })))
    };
    Ok(names.iter().filter_map(file).collect())
}

/// Names of the classes, if their file is there.
pub(super) fn classes(file: &File) -> Result<Option<Vec<String>>, SourceError> {
    let read = |source| SourceError::Read { path: file.names.clone(), source };
    match std::fs::metadata(&file.names) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(read(error)),
        Ok(metadata) if metadata.len() > MAX_NAMES => {
            return Err(SourceError::of(&file.names, Problem::Long(metadata.len())));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&file.names).map_err(read)?;
    Ok(Some(text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()))
}

/// All samples, in the order of the file.
pub(super) fn collect(file: &File, sink: &mut Sink<'_>) -> Result<(), PrepareError> {
    let (opened, found) = open(&file.path, sink)?;
    let sample = u64::from(file.labels) + IMAGE;
    if found == 0 || !found.is_multiple_of(sample) {
        return Err(SourceError::of(&file.path, Problem::Length { found, sample }).into());
    }
    let mut bytes = vec![0; (sample * BATCH) as usize];
    let count = found / sample;
    for first in (0..count).step_by(BATCH as usize) {
        let batch = &mut bytes[..(BATCH.min(count - first) * sample) as usize];
        let read = opened.read_exact_at(batch, first * sample);
        read.map_err(|source| SourceError::Read { path: file.path.clone(), source })?;
        for (index, sample_bytes) in (first..).zip(batch.chunks_exact(sample as usize)) {
            sink.push(&Source {
                path: file.path.clone(),
                offset: index * sample + u64::from(file.labels),
                length: IMAGE as u32,
                label: sample_bytes[usize::from(file.labels) - 1].into(),
                stored: Stored::Pixels(PIXELS),
            })?;
        }
    }
    Ok(())
}

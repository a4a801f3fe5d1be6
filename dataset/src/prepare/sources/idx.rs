//! Files of images and of labels as MNIST has them, plain or gzip.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::super::PrepareError;
use super::super::record::{Pixels, Source, Stored};
use super::{Place, Problem, Sink, SourceError, label, open};
use crate::dataset::Split;
use crate::error::DataError;
use crate::idx::{GZIP_MAGIC, IdxFile, Layout, MAX_BYTES};

/// Both splits, where their files are.
pub(super) fn find(folder: &Path, names: &[String]) -> Result<Vec<(Option<Split>, Place)>, SourceError> {
    let mut found = Vec::new();
    for (prefix, split) in [("train", Split::Train), ("t10k", Split::Test)] {
        let path = |kinds: [&str; 2]| {
            let names_of = kinds.map(|kind| format!("{prefix}-{kind}"));
            let there = |name: &&String| names_of.iter().any(|of| **name == *of || **name == format!("{of}.gz"));
            names.iter().find(there).map(|name| folder.join(name))
        };
        let images = path(["images-idx3-ubyte", "images-idx4-ubyte"]);
        let labels = path(["labels-idx1-ubyte", "labels-idx1-short"]);
        match (images, labels) {
            (Some(images), Some(labels)) => found.push((Some(split), Place::Idx { images, labels })),
            (Some(path), None) => return Err(SourceError::of(&path, Problem::WithoutLabels)),
            (None, Some(path)) => return Err(SourceError::of(&path, Problem::WithoutImages)),
            (None, None) => {}
        }
    }
    Ok(found)
}

/// All samples, in the order of the files.
pub(super) fn collect(images: &Path, labels: &Path, sink: &mut Sink<'_>) -> Result<(), PrepareError> {
    let labels_file = IdxFile::open(&[labels.to_owned()]).map_err(SourceError::from)?;
    let values = labels_file.labels().map_err(SourceError::from)?.values;
    let path = plain(images, sink)?;
    let layout = layout(&path, images)?;
    if layout.count != values.len() as u64 {
        let (images_count, labels_count) = (layout.count, values.len() as u64);
        let labels_path = labels.to_owned();
        let problem = Problem::Count { images: images_count, labels: labels_count, labels_path };
        return Err(SourceError::of(images, problem).into());
    }
    let Layout { channels, height, width, first, .. } = layout;
    if !matches!(channels, 1 | 3) {
        return Err(SourceError::of(images, Problem::Channels(channels)).into());
    }
    let pixels = Pixels { channels, height, width, planar: true };
    let length = u32::from(channels) * u32::from(height) * u32::from(width);
    for (sample, value) in (0..).zip(values) {
        let offset = first + sample * u64::from(length);
        let label = label(labels, sample, value.into())?;
        sink.push(&Source { path: path.clone(), offset, length, label, stored: Stored::Pixels(pixels) })?;
    }
    Ok(())
}

/// The file itself, or what it holds, unpacked: samples are read in any order.
fn plain(path: &Path, sink: &mut Sink<'_>) -> Result<PathBuf, PrepareError> {
    let (file, _) = open(path, sink)?;
    let mut start = [0; 2];
    if file.read_exact_at(&mut start, 0).is_err() || start != GZIP_MAGIC {
        return Ok(path.to_owned());
    }
    let name = path.file_stem().unwrap_or(path.as_os_str());
    let unpacked = sink.unpacked.join(format!("{}-{}", sink.collector.count(), name.to_string_lossy()));
    let target = |source| PrepareError::Target { path: unpacked.clone(), source };
    let mut out = File::create(&unpacked).map_err(target)?;
    let mut stream = MultiGzDecoder::new(BufReader::new(file)).take(MAX_BYTES + 1);
    let mut part = vec![0; 1 << 20];
    loop {
        match stream.read(&mut part) {
            Ok(0) => return Ok(unpacked),
            Ok(read) => out.write_all(&part[..read]).map_err(target)?,
            Err(error) => return Err(SourceError::of(path, Problem::Gzip(error.to_string())).into()),
        }
    }
}

/// Where the images lie in a file that is called `name` for people.
fn layout(path: &Path, name: &Path) -> Result<Layout, SourceError> {
    Layout::of(path).map_err(|error| match error {
        DataError::File { problem, .. } => DataError::File { path: name.to_owned(), problem }.into(),
        other => other.into(),
    })
}

//! Pairs of `.npy` files: images of bytes, (N, H, W) or (N, H, W, C), and labels of whole numbers, (N).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::PrepareError;
use super::super::record::{Pixels, Source, Stored};
use super::{Place, Problem, Sink, SourceError, label, open};
use crate::dataset::Split;
use crate::decode::MOST_PIXELS;
use crate::npy::{Element, Header, MAX_HEADER};

/// Names of images and of labels, and the split they tell.
const PAIRS: [(&str, &str, Option<Split>); 5] = [
    ("images.npy", "labels.npy", None),
    ("train_images.npy", "train_labels.npy", Some(Split::Train)),
    ("test_images.npy", "test_labels.npy", Some(Split::Test)),
    ("x_train.npy", "y_train.npy", Some(Split::Train)),
    ("x_test.npy", "y_test.npy", Some(Split::Test)),
];
/// Labels that are read at once.
const BATCH: usize = 4096;

/// The pairs that are there.
pub(super) fn find(folder: &Path, names: &[String]) -> Result<Vec<(Option<Split>, Place)>, SourceError> {
    let mut found = Vec::new();
    for (images, labels, split) in PAIRS {
        let there = [images, labels].map(|name| names.iter().any(|other| other == name));
        let [images, labels] = [images, labels].map(|name| folder.join(name));
        match there {
            [true, true] => found.push((split, Place::Npy { images, labels })),
            [true, false] => return Err(SourceError::of(&images, Problem::WithoutLabels)),
            [false, true] => return Err(SourceError::of(&labels, Problem::WithoutImages)),
            [false, false] => {}
        }
    }
    Ok(found)
}

/// All samples, in the order of the files.
pub(super) fn collect(images: &Path, labels: &Path, sink: &mut Sink<'_>) -> Result<(), PrepareError> {
    let (_, pixels_at, [count, height, width, channels]) = open_images(images, sink)?;
    let (file, header) = open_array(labels, sink)?;
    let wrong = |path: &Path, problem: String| SourceError::of(path, Problem::Npy(problem));
    if header.shape.len() != 1 {
        return Err(wrong(labels, format!("is of shape {:?}: labels are one for each image", header.shape)).into());
    }
    if header.shape[0] != count {
        let problem = Problem::Count { images: count, labels: header.shape[0], labels_path: labels.to_owned() };
        return Err(SourceError::of(images, problem).into());
    }
    let sides = [height, width].map(u16::try_from);
    let [Ok(height), Ok(width)] = sides else {
        return Err(wrong(images, format!("has images of {height}×{width} pixels, more than can be read")).into());
    };
    if u64::from(height) * u64::from(width) > MOST_PIXELS as u64 {
        return Err(SourceError::of(images, Problem::Pixels(height.into(), width.into())).into());
    }
    // Below 2⁸ · 2¹⁶ · 2¹⁶, of which a sample may have 2²⁸.
    let bytes = channels * u64::from(height) * u64::from(width);
    let length = super::folder::image_length(bytes).map_err(|problem| SourceError::of(images, problem))?;
    let stored = Stored::Pixels(Pixels { channels: channels as u8, height, width, planar: false });
    let size = header.element.bytes();
    let mut batch = vec![0; BATCH * size];
    for first in (0..count).step_by(BATCH) {
        let batch = &mut batch[..(count - first).min(BATCH as u64) as usize * size];
        let read = file.read_exact_at(batch, header.first + first * size as u64);
        read.map_err(|source| SourceError::Read { path: labels.to_owned(), source })?;
        for (sample, bytes) in (first..).zip(batch.chunks_exact(size)) {
            let label = label(labels, sample, header.element.value(bytes))?;
            let offset = pixels_at + sample * u64::from(length);
            sink.push(&Source { path: images.to_owned(), offset, length, label, stored })?;
        }
    }
    Ok(())
}

/// The file, where its pixels start, and (N, H, W, C).
fn open_images(path: &Path, sink: &mut Sink<'_>) -> Result<(File, u64, [u64; 4]), SourceError> {
    let (file, header) = open_array(path, sink)?;
    let wrong = |problem: String| SourceError::of(path, Problem::Npy(problem));
    if header.element != Element::Unsigned(1) {
        return Err(wrong(format!("holds {}: images are of unsigned bytes", header.element)));
    }
    let sizes = match header.shape[..] {
        [count, height, width] => [count, height, width, 1],
        [count, height, width, channels @ (1 | 3)] => [count, height, width, channels],
        _ => {
            let problem = format!("is of shape {:?}: images are (N, H, W), (N, H, W, 1) or (N, H, W, 3)", header.shape);
            return Err(wrong(problem));
        }
    };
    Ok((file, header.first, sizes))
}

fn open_array(path: &Path, sink: &mut Sink<'_>) -> Result<(File, Header), SourceError> {
    let (file, length) = open(path, sink)?;
    let mut start = vec![0; length.min(MAX_HEADER) as usize];
    file.read_exact_at(&mut start, 0).map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
    let header = Header::decode(&start, length).map_err(|problem| SourceError::of(path, Problem::Npy(problem)))?;
    Ok((file, header))
}

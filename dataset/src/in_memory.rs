//! Images of one size in memory, with their labels.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::{panic, thread};

use super::dataset::ImageShape;
use super::decode::DecodeError;
use super::error::DataError;
use super::idx::{IdxFile, Images, Labels};
use super::image_reader::ImageReader;
use super::shards::Shards;

/// Images and their labels, one each.
#[derive(Debug)]
pub(super) struct LabelledImages {
    pub(super) shape: ImageShape,
    /// (samples, channels, height, width).
    pixels: Vec<u8>,
    labels: Vec<u16>,
    /// Samples that could not be decoded, if such may be left out; their pixels are black.
    undecodable: BTreeMap<usize, Undecodable>,
}

/// Where a sample lies, and what is wrong with it.
type Undecodable = (String, DecodeError);

/// What an idx pair is, before it is used.
#[derive(Debug)]
pub(super) struct IdxPair {
    pub(super) images_file: IdxFile,
    images: Images,
    labels: Labels,
}

impl LabelledImages {
    /// No images at all, of this shape.
    pub(super) fn none(shape: ImageShape) -> Self {
        Self { shape, pixels: Vec::new(), labels: Vec::new(), undecodable: BTreeMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    /// A sample's pixels (channels, height, width).
    pub(super) fn pixels(&self, index: usize) -> &[u8] {
        let size = self.shape.len();
        &self.pixels[index * size..][..size]
    }

    pub(super) fn label(&self, index: usize) -> u16 {
        self.labels[index]
    }

    /// Whether a sample has pixels.
    ///
    /// # Errors
    /// If it could not be decoded.
    pub(super) fn check_decoded(&self, index: usize) -> Result<(), DataError> {
        match self.undecodable.get(&index).cloned() {
            Some((place, problem)) => Err(DataError::Sample { place, problem }),
            None => Ok(()),
        }
    }

    /// Decodes all samples of a split whose images are of one size, on all cores. `skips`: whether one that can't be
    /// decoded is for readers to find, and no error here.
    pub(super) fn of_shards(shards: &Shards, shape: ImageShape, skips: bool) -> Result<Self, DataError> {
        let samples = shards.samples() as usize;
        shards.bring_all();
        // What has no room on this machine's disk.
        let all = shards.samples();
        shards.expect(Arc::new(move || Box::new(0..all)));
        let mut pixels = vec![0; samples * shape.len()];
        let mut labels = vec![0; samples];
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let share = samples.div_ceil(cores);
        let parts = pixels.chunks_mut(share * shape.len()).zip(labels.chunks_mut(share)).enumerate();
        let undecodable = thread::scope(|scope| {
            let decode = |(part, (pixels, labels))| {
                scope.spawn(move || decode(shards, (part * share) as u64, (shape, skips), pixels, labels))
            };
            let threads: Vec<_> = parts.map(decode).collect();
            let found = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|e| panic::resume_unwind(e)));
            found.collect::<Result<Vec<_>, DataError>>()
        })?;
        Ok(Self { shape, pixels, labels, undecodable: undecodable.into_iter().flatten().collect() })
    }

    /// The same with `pad` rows and columns of black around each.
    pub(super) fn padded(self, pad: usize) -> Self {
        let Self { shape: ImageShape { channels, height, width }, pixels, labels, undecodable } = self;
        let images = Images { count: labels.len(), channels: Some(channels), height, width, pixels };
        let Images { height, width, pixels, .. } = images.padded(pad);
        Self { shape: ImageShape { channels, height, width }, pixels, labels, undecodable }
    }
}

/// Decodes the samples from `first` on, one after the other; gives those that can't be decoded, if it `skips` such.
fn decode(
    shards: &Shards,
    first: u64,
    (shape, skips): (ImageShape, bool),
    pixels: &mut [u8],
    labels: &mut [u16],
) -> Result<Vec<(usize, Undecodable)>, DataError> {
    let mut undecodable = Vec::new();
    let (mut reader, mut bytes) = (ImageReader::as_they_are(shape), Vec::new());
    let images = pixels.chunks_exact_mut(shape.len()).zip(labels);
    for (sample, (out, label)) in (first..).zip(images) {
        *label = shards.read(sample, &mut bytes)?.label as u16;
        if let Err(problem) = reader.evaluate(&bytes, out) {
            let place = shards.place(sample)?;
            if !skips {
                return Err(DataError::Sample { place, problem });
            }
            out.fill(0);
            undecodable.push((sample as usize, (place, problem)));
        }
    }
    Ok(undecodable)
}

impl IdxPair {
    pub(super) fn open(folder: &Path, name: &str, classes: u32) -> Result<Self, DataError> {
        let file = |kind: &str| folder.join(format!("{name}-{kind}"));
        let images_file = IdxFile::open(&[file("images-idx3-ubyte"), file("images-idx4-ubyte")])?;
        let labels_file = IdxFile::open(&[file("labels-idx1-ubyte"), file("labels-idx1-short")])?;
        let labels = labels_file.labels()?;
        let out_of_range = |&(_, &label): &(usize, &u16)| u32::from(label) >= classes;
        if let Some((sample, &label)) = labels.values.iter().enumerate().find(out_of_range) {
            return Err(DataError::Label { path: labels_file.path, sample, label, classes });
        }
        let images = images_file.images()?;
        if images.count != labels.values.len() {
            return Err(DataError::Count {
                images_path: images_file.path,
                images: images.count,
                labels_path: labels_file.path,
                labels: labels.values.len(),
            });
        }
        Ok(Self { images_file, images, labels })
    }

    /// Sizes of an image, in words.
    pub(super) fn size(&self) -> String {
        let Images { channels, height, width, .. } = self.images;
        let channels = channels.map_or(String::new(), |channels| format!("{channels}×"));
        format!("{channels}{height}×{width}")
    }

    /// Takes notice of the files' contents.
    pub(super) fn hash(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.images.header());
        hasher.update(&self.images.pixels);
        hasher.update(&self.labels.file());
    }
}

impl From<IdxPair> for LabelledImages {
    fn from(IdxPair { images, labels, .. }: IdxPair) -> Self {
        let Images { channels, height, width, pixels, .. } = images;
        let shape = ImageShape { channels: channels.unwrap_or(1), height, width };
        Self { shape, pixels, labels: labels.values, undecodable: BTreeMap::new() }
    }
}

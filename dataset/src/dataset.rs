//! The dataset of a job, cut into splits: idx files, or what `data prepare` has made.
//!
//! Small images of one size live decoded in memory. Others are read and decoded as they are needed ([`super::reader`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lockstep_proto::job::Data;

use super::decode::DECODERS;
use super::error::DataError;
use super::in_memory::{IdxPair, LabelledImages};
use super::known;
use super::manifest::{Manifest, ManifestError, is_split};
use super::place::Place;
use super::remote::ahead::Plan;
use super::shards::{Room, ShardError, Shards};

/// Decoded images of one size that take no more than this live in memory.
const IN_MEMORY: u64 = 2 << 30;

/// A part of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What `data.validation` holds out of the training file.
    Validation,
    /// The test files.
    Test,
}

impl Split {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// Sizes of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageShape {
    /// 1 where it is grey.
    pub channels: usize,
    /// Rows, padding included.
    pub height: usize,
    /// Columns, padding included.
    pub width: usize,
}

impl ImageShape {
    /// Bytes of an image.
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }

    /// Whether there are no pixels: of no image that was read.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// All samples of a job. Samples of a split are numbered from 0; those of [`Split::Train`] as in its file or manifest.
#[derive(Debug)]
pub struct Dataset {
    train: Samples,
    test: Samples,
    train_len: u64,
    validation_len: u64,
    classes: usize,
    shape: ImageShape,
    id: String,
    /// Whether its files are pictures of some kind.
    is_encoded: bool,
}

/// Where samples are.
#[derive(Debug)]
pub(super) enum Samples {
    /// Decoded, all of one shape.
    Memory(LabelledImages),
    /// In shards, of any size.
    Shards(Box<Shards>),
}

impl Samples {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(images) => images.len() as u64,
            Self::Shards(shards) => shards.samples(),
        }
    }
}

/// What there is to train and to test on, before it is cut.
struct Parts {
    train: Samples,
    test: Samples,
    shape: ImageShape,
    id: String,
    is_encoded: bool,
    /// The file that training samples are of.
    path: PathBuf,
}

impl Dataset {
    /// Opens what is in `data.path`: a prepared dataset, or the four idx files.
    ///
    /// # Errors
    /// If it is neither, or not what it should be.
    pub fn open(data: &Data) -> Result<Self, DataError> {
        let path = known::resolved(&data.path);
        let place = Place::of(&path).map_err(|problem| ShardError::Place { path: path.clone(), problem })?;
        let is_prepared = match &place {
            Place::Remote(_) => true,
            Place::Folder(folder) if !folder.is_dir() => return Err(DataError::NoFolder(path)),
            Place::Folder(folder) => is_split(&folder.join(Split::Train.name())),
        };
        let Parts { train, test, shape, id, is_encoded, path } = match is_prepared {
            true => prepared(&path, &place, data)?,
            false => idx(&path, data)?,
        };
        let train_len = trained_on(data, train.len());
        if train_len == 0 {
            return Err(DataError::Validation { validation: data.validation, samples: train.len(), path });
        }
        Ok(Self {
            train_len,
            validation_len: data.validation,
            classes: data.classes as usize,
            train,
            test,
            shape,
            id,
            is_encoded,
        })
    }

    /// A dataset that is not here, as far as its sizes go: colour images of `data.size`, so many in the training split and
    /// none to test on. For looking at jobs before their data are there; none of its samples can be read.
    ///
    /// # Errors
    /// In words, if the job doesn't say how large images are, or holds out all of them.
    pub fn assumed(data: &Data, samples: u64) -> Result<Self, String> {
        if data.size == 0 {
            return Err("data that are not there have no size: set data.size".into());
        }
        let train_len = trained_on(data, samples);
        if train_len == 0 {
            return Err(format!("data.validation = {} leaves nothing of {samples} samples", data.validation));
        }
        let side = data.size as usize;
        let shape = ImageShape { channels: 3, height: side, width: side };
        let none = || Samples::Memory(LabelledImages::none(shape));
        Ok(Self {
            train_len,
            validation_len: data.validation,
            classes: data.classes as usize,
            train: none(),
            test: none(),
            shape,
            id: format!("assumed: {samples} samples"),
            is_encoded: true,
        })
    }

    /// In hexadecimal. Of idx files BLAKE3 of their uncompressed contents, one after another: training images, training
    /// labels, test images, test labels. Of a prepared dataset BLAKE3 of its splits' ids, training first, as they are
    /// written. Doesn't depend on how they are cut into splits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of samples of a split.
    pub fn len(&self, split: Split) -> u64 {
        match split {
            Split::Train => self.train_len,
            Split::Validation => self.validation_len,
            Split::Test => self.test.len(),
        }
    }

    /// A sample's pixels, (channels, height, width); none where they are not in memory.
    ///
    /// # Panics
    /// If `sample` is not below the split's `len`.
    pub fn pixels(&self, split: Split, sample: u64) -> Option<&[u8]> {
        match self.locate(split, sample) {
            (Samples::Memory(images), index) => Some(images.pixels(index as usize)),
            (Samples::Shards(_), _) => None,
        }
    }

    /// A sample's class, below `classes`.
    ///
    /// # Errors
    /// If it is in a manifest that can't be read.
    ///
    /// # Panics
    /// If `sample` is not below the split's `len`.
    pub fn label(&self, split: Split, sample: u64) -> Result<u16, DataError> {
        match self.locate(split, sample) {
            (Samples::Memory(images), index) => Ok(images.label(index as usize)),
            // Below the manifest's classes, of which there are at most 2¹⁶.
            (Samples::Shards(shards), index) => Ok(shards.index.record(index)?.1.label as u16),
        }
    }

    /// Reads a sample's file over what `file` held; gives false, and nothing, where samples live in memory.
    ///
    /// # Errors
    /// If it can't be had.
    ///
    /// # Panics
    /// If `sample` is not below the split's `len`.
    pub fn stored(&self, split: Split, sample: u64, file: &mut Vec<u8>) -> Result<bool, DataError> {
        match self.locate(split, sample) {
            (Samples::Memory(_), _) => Ok(false),
            (Samples::Shards(shards), index) => Ok(shards.read(index, file).map(|_| true)?),
        }
    }

    /// Sizes of each image, as the network takes them.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Channels of an image: 1 where it is grey.
    pub fn channels(&self) -> usize {
        self.shape.channels
    }

    /// Rows of an image, padding included.
    pub fn height(&self) -> usize {
        self.shape.height
    }

    /// Columns of an image, padding included.
    pub fn width(&self) -> usize {
        self.shape.width
    }

    /// Number of classes: `data.classes`.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Bytes of shards for each training sample, on average; none where samples live in memory.
    pub fn stored_bytes(&self) -> Option<u64> {
        let Samples::Shards(shards) = &self.train else { return None };
        let manifest = &shards.index.manifest;
        Some(manifest.bytes() / manifest.samples)
    }

    /// Whether all training samples live decoded in memory.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.train, Samples::Memory(_))
    }

    /// Says which samples of a split will be read from now on, in place of what was said before: if they are not in
    /// memory, they are on their way before they are asked for. `plan` is called for each look ahead.
    pub fn expect(&self, split: Split, plan: Plan) {
        let (samples, first) = self.samples(split);
        match samples {
            Samples::Memory(_) => {}
            Samples::Shards(shards) if first == 0 => shards.expect(plan),
            Samples::Shards(shards) => {
                shards.expect(Arc::new(move || Box::new(plan().map(move |sample| first + sample))));
            }
        }
    }

    /// What its pixels come of, besides its files: decoders and their versions. None of pixels that are stored as such.
    pub fn decoders(&self) -> Option<&'static str> {
        self.is_encoded.then_some(DECODERS)
    }

    /// Where a split's sample is, and its number there.
    pub(super) fn locate(&self, split: Split, sample: u64) -> (&Samples, u64) {
        let len = self.len(split);
        assert!(sample < len, "sample {sample} of {len} of the {} split", split.name());
        let (samples, first) = self.samples(split);
        (samples, first + sample)
    }

    /// Where a split's samples are, and the number there of its first.
    fn samples(&self, split: Split) -> (&Samples, u64) {
        match split {
            Split::Train => (&self.train, 0),
            Split::Validation => (&self.train, self.train.len() - self.validation_len),
            Split::Test => (&self.test, 0),
        }
    }
}

/// How many of so many samples of a training split are trained on.
pub fn trained_on(data: &Data, samples: u64) -> u64 {
    let left = samples.saturating_sub(data.validation);
    if data.limit == 0 { left } else { left.min(data.limit) }
}

/// The four idx files of a folder.
fn idx(path: &Path, data: &Data) -> Result<Parts, DataError> {
    if data.size > 0 {
        return Err(DataError::SizeOfIdx { path: path.to_owned(), size: data.size });
    }
    // The small files first: a folder of another dataset is refused without reading all of it.
    let test = IdxPair::open(path, "t10k", data.classes)?;
    let train = IdxPair::open(path, "train", data.classes)?;
    if test.size() != train.size() {
        return Err(DataError::Shape {
            test: test.size(),
            test_path: test.images_file.path,
            train: train.size(),
            train_path: train.images_file.path,
        });
    }
    let mut hasher = blake3::Hasher::new();
    [&train, &test].into_iter().for_each(|pair| pair.hash(&mut hasher));
    let path = train.images_file.path.clone();
    let [train, test] = [train, test].map(|pair| LabelledImages::from(pair).padded(data.pad as usize));
    let (shape, id) = (train.shape, hasher.finalize().to_hex().to_string());
    Ok(Parts { train: Samples::Memory(train), test: Samples::Memory(test), shape, id, is_encoded: false, path })
}

/// The splits that `data prepare` has made in a place.
fn prepared(path: &Path, place: &Place, data: &Data) -> Result<Parts, DataError> {
    let [train_path, test_path] = [Split::Train, Split::Test].map(|split| path.join(split.name()));
    let open = |split: Split| Shards::open(&place.inside(split.name()), Room::of(data));
    let train = open(Split::Train)?;
    let test = match open(Split::Test) {
        Err(ManifestError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err(DataError::NoTest(test_path));
        }
        test => test?,
    };
    check_classes(&train_path, &train.index.manifest, &test.index.manifest, data.classes)?;
    let images = train.index.manifest.images.and(test.index.manifest.images);
    let channels = usize::from(images.channels);
    let id = blake3::hash(format!("{}\n{}\n", train.index.id, test.index.id).as_bytes()).to_hex().to_string();
    let side = data.size as usize;
    let [height, width] = match (data.size, images.size()) {
        (0, Some(size)) => size.map(|side| side as usize),
        (0, None) => return Err(DataError::Sizes { path: path.to_owned(), least: images.least, most: images.most }),
        _ => [side, side],
    };
    let shape = ImageShape { channels, height, width };
    let pad = data.pad as usize;
    let padded = ImageShape { channels, height: height + 2 * pad, width: width + 2 * pad };
    let all = (train.samples() + test.samples()).saturating_mul(padded.len() as u64);
    if data.size == 0 && all <= IN_MEMORY {
        let skips = data.skip_bad > 0;
        let decoded =
            |shards: &Shards| Ok::<_, DataError>(LabelledImages::of_shards(shards, shape, skips)?.padded(pad));
        let [train, test] = [decoded(&train)?, decoded(&test)?];
        let (shape, path) = (train.shape, train_path);
        let [train, test] = [train, test].map(Samples::Memory);
        return Ok(Parts { train, test, shape, id, is_encoded: true, path });
    }
    if data.pad > 0 {
        return Err(DataError::PadOfShards { path: path.to_owned(), pad: data.pad });
    }
    let [train, test] = [train, test].map(|shards| Samples::Shards(Box::new(shards)));
    Ok(Parts { train, test, shape, id, is_encoded: true, path: train_path })
}

/// Both splits have the same classes, as far as they have any, and no more than the network.
fn check_classes(path: &Path, train: &Manifest, test: &Manifest, classes: u32) -> Result<(), DataError> {
    let (fewer, more) = match train.classes.len() < test.classes.len() {
        true => (&train.classes, &test.classes),
        false => (&test.classes, &train.classes),
    };
    if let Some(class) = fewer.iter().zip(more).position(|(fewer, more)| fewer != more) {
        let [train, test] = [train, test].map(|manifest| manifest.classes[class].clone());
        return Err(DataError::ClassNames { path: path.to_owned(), class, train, test });
    }
    match more.len() > classes as usize {
        true => Err(DataError::Classes { path: path.to_owned(), found: more.len(), classes }),
        false => Ok(()),
    }
}

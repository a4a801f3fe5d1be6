//! The dataset of a job in memory: four idx files, cut into splits.

use std::path::Path;

use lockstep_proto::job::Data;

use super::error::DataError;
use super::idx::{IdxFile, Images, Labels};
use super::known;

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

/// All samples of a job. Samples of a split are numbered from 0; those of [`Split::Train`] as in the file.
#[derive(Debug)]
pub struct Dataset {
    train: LabelledImages,
    test: LabelledImages,
    train_len: usize,
    validation_len: usize,
    classes: usize,
    id: String,
}

impl Dataset {
    /// Reads the four files in `data.path`.
    pub fn open(data: &Data) -> Result<Self, DataError> {
        let path = known::resolved(&data.path);
        if !path.is_dir() {
            return Err(DataError::NoFolder(path));
        }
        // The small files first: a folder of another dataset is refused without reading all of it.
        let mut test = LabelledImages::open(&path, "t10k", data.classes)?;
        let mut train = LabelledImages::open(&path, "train", data.classes)?;
        if test.size() != train.size() {
            return Err(DataError::Shape {
                test: test.size(),
                test_path: test.images_file.path,
                train: train.size(),
                train_path: train.images_file.path,
            });
        }
        let validation_len = usize::try_from(data.validation).unwrap_or(usize::MAX);
        let left = train.len().saturating_sub(validation_len);
        if left == 0 {
            return Err(DataError::Validation {
                validation: data.validation,
                samples: train.len(),
                path: train.images_file.path,
            });
        }
        // Of the files as they are.
        let id = id(&train, &test);
        train.pad(data.pad);
        test.pad(data.pad);
        let limit = usize::try_from(data.limit).unwrap_or(usize::MAX);
        Ok(Self {
            train_len: if limit == 0 { left } else { left.min(limit) },
            validation_len,
            classes: data.classes as usize,
            id,
            train,
            test,
        })
    }

    /// BLAKE3 of the uncompressed files' contents, one after another: training images, training labels, test images,
    /// test labels. In hexadecimal. Doesn't depend on how they are cut into splits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Number of samples of a split.
    pub fn len(&self, split: Split) -> u64 {
        let len = match split {
            Split::Train => self.train_len,
            Split::Validation => self.validation_len,
            Split::Test => self.test.len(),
        };
        len as u64
    }

    /// A sample's pixels, (channels, height, width).
    ///
    /// # Panics
    /// If `sample` is not below the split's `len`.
    pub fn pixels(&self, split: Split, sample: u64) -> &[u8] {
        let (source, index) = self.locate(split, sample);
        let size = self.channels() * source.images.height * source.images.width;
        &source.images.pixels[index * size..][..size]
    }

    /// A sample's class, below `classes`.
    ///
    /// # Panics
    /// If `sample` is not below the split's `len`.
    pub fn label(&self, split: Split, sample: u64) -> u16 {
        let (source, index) = self.locate(split, sample);
        source.labels.values[index]
    }

    /// Sizes of each image.
    pub fn shape(&self) -> ImageShape {
        ImageShape { channels: self.channels(), height: self.height(), width: self.width() }
    }

    /// Channels of an image: 1 where it is grey.
    pub fn channels(&self) -> usize {
        self.train.images.channels.unwrap_or(1)
    }

    /// Rows of an image, padding included.
    pub fn height(&self) -> usize {
        self.train.images.height
    }

    /// Columns of an image, padding included.
    pub fn width(&self) -> usize {
        self.train.images.width
    }

    /// Number of classes: `data.classes`.
    pub fn classes(&self) -> usize {
        self.classes
    }

    fn locate(&self, split: Split, sample: u64) -> (&LabelledImages, usize) {
        let len = self.len(split);
        assert!(sample < len, "sample {sample} of {len} of the {} split", split.name());
        let sample = sample as usize;
        match split {
            Split::Train => (&self.train, sample),
            Split::Validation => (&self.train, self.train.len() - self.validation_len + sample),
            Split::Test => (&self.test, sample),
        }
    }
}

/// Images and their labels, one each.
#[derive(Debug)]
struct LabelledImages {
    images_file: IdxFile,
    images: Images,
    labels: Labels,
}

impl LabelledImages {
    fn open(folder: &Path, name: &str, classes: u32) -> Result<Self, DataError> {
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

    fn len(&self) -> usize {
        self.labels.values.len()
    }

    /// Sizes of an image, in words.
    fn size(&self) -> String {
        let Images { channels, height, width, .. } = self.images;
        let channels = channels.map_or(String::new(), |channels| format!("{channels}×"));
        format!("{channels}{height}×{width}")
    }

    fn pad(&mut self, pad: u32) {
        let images = Images { count: 0, channels: None, height: 0, width: 0, pixels: Vec::new() };
        self.images = std::mem::replace(&mut self.images, images).padded(pad as usize);
    }
}

/// See [`Dataset::id`].
fn id(train: &LabelledImages, test: &LabelledImages) -> String {
    let mut hasher = blake3::Hasher::new();
    for source in [train, test] {
        hasher.update(&source.images.header());
        hasher.update(&source.images.pixels);
        hasher.update(&source.labels.file());
    }
    hasher.finalize().to_hex().to_string()
}

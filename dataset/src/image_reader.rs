//! From a file's bytes to the pixels that the network sees: decoded, cut out, resized and augmented in one go.

use lockstep_proto::job::Job;

use crate::augment::{self, Augmentation, Seen};
use crate::dataset::ImageShape;
use crate::decode::{self, DecodeError, Decoder, Sides, Window};
use crate::resize::{Finish, Resizer};

/// Reads a job's images. One a thread: pixels do not depend on which, and its memory is kept from image to image.
#[derive(Clone, Debug)]
pub struct ImageReader {
    shape: ImageShape,
    augmentation: Option<Augmentation>,
    /// The shorter side that images are resized to before the middle is cut out; none where all are of one size.
    short_side: Option<usize>,
    decoder: Decoder,
    resizer: Resizer,
    memory: augment::Memory,
    image: Vec<u8>,
}

/// What is taken of a file: a window of the image, in another size, and of that a part.
#[derive(Clone, Copy, Debug)]
struct Taken {
    window: Window,
    sides: Sides,
    part: Window,
}

impl ImageReader {
    /// For a job's images; `shape` is theirs as the network takes them, `data.size` on both sides where that is set.
    ///
    /// # Errors
    /// In words, if the job's augmentation doesn't fit such images.
    pub fn of(job: &Job, shape: ImageShape) -> Result<Self, String> {
        let short_side = match (job.data.size, job.data.resize) {
            (0, _) => None,
            (size, 0) => Some(size as usize),
            (_, resize) => Some(resize as usize),
        };
        Ok(Self { augmentation: Augmentation::of(job, shape)?, short_side, ..Self::as_they_are(shape) })
    }

    /// For images that are all of this shape, and stay as they are.
    pub fn as_they_are(shape: ImageShape) -> Self {
        Self {
            shape,
            augmentation: None,
            short_side: None,
            decoder: Decoder::default(),
            resizer: Resizer::default(),
            memory: augment::Memory::default(),
            image: Vec::new(),
        }
    }

    /// Reads a sample as an epoch of training sees it into `out` (channels, height, width).
    ///
    /// # Errors
    /// If the bytes are no image that can be read, or one of another size where all are to be of one.
    ///
    /// # Panics
    /// If `out` is of another length than the shape.
    pub fn train(&mut self, bytes: &[u8], seen: Seen, out: &mut [u8]) -> Result<(), DecodeError> {
        let Some(augmentation) = &self.augmentation else { return self.evaluate(bytes, out) };
        let all = decode::sides(bytes)?;
        let taken = match augmentation.window(all, seen) {
            Some(window) => Taken { window, sides: self.sides(), part: Window::all(self.sides()) },
            None => self.middle(all)?,
        };
        if let Some(finish) = augmentation.finish(seen) {
            return self.read(bytes, taken, finish, out);
        }
        let mut image = std::mem::take(&mut self.image);
        image.resize(self.shape.len(), 0);
        self.read(bytes, taken, Finish::default(), &mut image)?;
        if let Some(augmentation) = &self.augmentation {
            augmentation.change(&image, seen, &mut self.memory, out);
        }
        self.image = image;
        Ok(())
    }

    /// Appends a decoded sample (channels, height, width) to `out` as an epoch of training sees it.
    ///
    /// # Panics
    /// If `pixels` is of another length than the shape.
    pub fn train_decoded(&mut self, pixels: &[u8], seen: Seen, out: &mut Vec<u8>) {
        match &self.augmentation {
            Some(augmentation) => augmentation.append(pixels, seen, &mut self.memory, out),
            None => out.extend_from_slice(pixels),
        }
    }

    /// Reads a sample as evaluations see it into `out` (channels, height, width): as it is, or its middle.
    ///
    /// # Errors
    /// As [`Self::train`].
    ///
    /// # Panics
    /// As [`Self::train`].
    pub fn evaluate(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<(), DecodeError> {
        let taken = self.middle(decode::sides(bytes)?)?;
        self.read(bytes, taken, Finish::default(), out)
    }

    fn read(&mut self, bytes: &[u8], taken: Taken, finish: Finish, out: &mut [u8]) -> Result<(), DecodeError> {
        let view = self.decoder.decode(bytes, taken.window, self.shape.channels)?;
        self.resizer.resize(&view, taken.sides, taken.part, finish, out);
        Ok(())
    }

    /// What the network takes.
    fn sides(&self) -> Sides {
        Sides { height: self.shape.height, width: self.shape.width }
    }

    /// The middle of an image whose shorter side becomes `short_side`: torchvision's `Resize` and `CenterCrop`.
    fn middle(&self, all: Sides) -> Result<Taken, DecodeError> {
        let wanted = self.sides();
        let Some(short) = self.short_side else {
            let taken = Taken { window: Window::all(all), sides: all, part: Window::all(all) };
            return if all == wanted { Ok(taken) } else { Err(DecodeError::Sides { found: all, wanted }) };
        };
        let shorter = all.height.min(all.width);
        let sides = Sides { height: short * all.height / shorter, width: short * all.width / shorter };
        if sides.pixels() > decode::MOST_PIXELS {
            return Err(DecodeError::Narrow(all));
        }
        let [top, left] = [sides.height - wanted.height, sides.width - wanted.width].map(half_to_even);
        Ok(Taken { window: Window::all(all), sides, part: Window { top, left, sides: wanted } })
    }
}

/// As Python rounds.
fn half_to_even(rest: usize) -> usize {
    rest / 2 + usize::from(rest % 4 == 3)
}

#[cfg(test)]
mod tests;

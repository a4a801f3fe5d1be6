//! What becomes of a training sample's pixels in an epoch: `[augment]` of the job. Behind the dataset, before the
//! micro-batch.
//!
//! All random choices are functions of (`seed.augment`, epoch, sample); each kind has a stream of its own, so that
//! turning one on leaves the others as they are.

mod crop;
mod lighting;
mod placement;

use lockstep_proto::job::{Augment, Job};

use super::dataset::ImageShape;
use super::decode::{Sides, View, Window};
use super::distortion::{Affine, Elastic, FieldMemory, Frame, Planar, Warp};
use super::random::{Purpose, Random};
use super::resize::{self, Finish, Resizer};
use crop::ResizedCrop;
use placement::Placement;

/// A job's augmentation of images of one shape.
#[derive(Clone, Debug)]
pub struct Augmentation {
    seed: u64,
    keys: Augment,
    shape: ImageShape,
    crop: Option<ResizedCrop>,
    elastic: Option<Elastic>,
}

/// Which sample, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// From 0.
    pub epoch: u64,
    /// Its number in the training split.
    pub sample: u64,
}

/// Working memory of one thread, kept from sample to sample.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    resizer: Resizer,
    cropped: Vec<u8>,
    placed: Vec<u8>,
    frame: Frame,
    fields: FieldMemory,
}

impl Augmentation {
    /// What a job wants of images of `shape`; none if nothing is on.
    ///
    /// # Errors
    /// In words, if an image could be moved out of sight.
    pub fn of(job: &Job, shape: ImageShape) -> Result<Option<Self>, String> {
        let keys = &job.augment;
        let side = shape.height.min(shape.width);
        for (key, pixels) in [("pad_crop", f64::from(keys.pad_crop)), ("translate", keys.translate)] {
            if pixels >= side as f64 {
                return Err(format!(
                    "`augment.{key}` = {pixels} moves images of {}×{} pixels out of sight: set it below {side}",
                    shape.height, shape.width
                ));
            }
        }
        let sides = [shape.height, shape.width];
        if keys.lighting > 0.0 && shape.channels != 3 {
            return Err("`augment.lighting` needs colour images: set it to 0".to_owned());
        }
        let crop = match keys.random_resized_crop[..] {
            [smallest, largest] => Some(ResizedCrop { areas: [smallest, largest], ratios: keys.crop_ratio }),
            _ => None,
        };
        let elastic = (keys.elastic_alpha > 0.0).then(|| Elastic::new(keys.elastic_alpha, keys.elastic_sigma, sides));
        let augmentation = Self { seed: job.seed.augment, keys: keys.clone(), shape, crop, elastic };
        let is_on =
            augmentation.crop.is_some() || augmentation.places() || augmentation.distorts() || keys.lighting > 0.0;
        Ok(is_on.then_some(augmentation))
    }

    /// Appends the sample's `pixels`, (channels, height, width), to `bytes` as they are seen.
    ///
    /// # Panics
    /// If the length of `pixels` differs from the shape.
    pub fn append(&self, pixels: &[u8], seen: Seen, memory: &mut Memory, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.resize(start + pixels.len(), 0);
        let out = &mut bytes[start..];
        let ImageShape { height, width, .. } = self.shape;
        let sides = Sides { height, width };
        let Some(window) = self.window(sides, seen) else { return self.change(pixels, seen, memory, out) };
        let mut cropped = std::mem::take(&mut memory.cropped);
        cropped.resize(pixels.len(), 0);
        for (pixels, out) in pixels.chunks_exact(height * width).zip(cropped.chunks_exact_mut(height * width)) {
            let view = View { pixels, sides, channels: 1, window };
            memory.resizer.resize(&view, sides, Window::all(sides), Finish::default(), out);
        }
        self.change(&cropped, seen, memory, out);
        memory.cropped = cropped;
    }

    /// The window of an image of `sides` that is to be resized to the shape; none if windows of that kind are off.
    pub(crate) fn window(&self, sides: Sides, seen: Seen) -> Option<Window> {
        self.crop.map(|crop| crop.draw(sides, &mut self.random(Purpose::ResizedCrop, seen)))
    }

    /// All that happens behind [`Self::window`], if it is so little that it can be done while pixels are put in place.
    pub(crate) fn finish(&self, seen: Seen) -> Option<Finish> {
        let is_little = self.keys.pad_crop == 0 && !self.distorts();
        is_little.then(|| Finish { mirrored: self.placement(seen).mirrored, shift: self.shift(seen) })
    }

    /// All that happens behind [`Self::window`], from `pixels` to `out`, both of the shape.
    pub(crate) fn change(&self, pixels: &[u8], seen: Seen, memory: &mut Memory, out: &mut [u8]) {
        self.move_and_distort(pixels, seen, memory, out);
        let ImageShape { height, width, .. } = self.shape;
        for (plane, shift) in out.chunks_exact_mut(height * width).zip(self.shift(seen)) {
            resize::add(shift, plane);
        }
    }

    fn move_and_distort(&self, pixels: &[u8], seen: Seen, memory: &mut Memory, out: &mut [u8]) {
        if !self.distorts() {
            return self.placement(seen).copy(self.shape, pixels, out);
        }
        let Memory { placed, frame, fields, .. } = memory;
        let pixels = match self.places() {
            false => pixels,
            true => {
                placed.resize(pixels.len(), 0);
                self.placement(seen).copy(self.shape, pixels, placed);
                placed
            }
        };
        let displacement =
            self.elastic.as_ref().map(|elastic| elastic.draw(&mut self.random(Purpose::Elastic, seen), fields));
        let map = Affine::back(&self.planar(seen));
        Warp { shape: self.shape, map, displacement }.sample(pixels, frame, out);
    }

    /// Whether images are moved by whole pixels.
    fn places(&self) -> bool {
        self.keys.pad_crop > 0 || self.keys.flip
    }

    /// Whether images are sampled anew.
    fn distorts(&self) -> bool {
        let Augment { scale, squeeze, shear, rotate, translate, .. } = self.keys;
        self.elastic.is_some() || [scale, squeeze, shear, rotate, translate].iter().any(|&bound| bound > 0.0)
    }

    fn random(&self, purpose: Purpose, Seen { epoch, sample }: Seen) -> Random {
        Random::new(self.seed, purpose, epoch, sample)
    }

    fn placement(&self, seen: Seen) -> Placement {
        let mut crop = self.random(Purpose::Crop, seen);
        // Offsets 0 to 2 × pad_crop alike, but for one part in 2³².
        let mut offset = || {
            let choices = u64::from(2 * self.keys.pad_crop + 1);
            ((u64::from(crop.next_u32()) * choices) >> 32) as i32 - self.keys.pad_crop as i32
        };
        let [down, right] = [(); 2].map(|()| offset());
        let mirrored = self.keys.flip && self.random(Purpose::Flip, seen).next_u32() >> 31 == 1;
        Placement { down, right, mirrored }
    }

    /// Grey levels that the light of each channel changes by.
    fn shift(&self, seen: Seen) -> [i16; 3] {
        match self.keys.lighting {
            0.0 => [0; 3],
            strength => lighting::draw(strength, &mut self.random(Purpose::Lighting, seen)),
        }
    }

    /// All six numbers are drawn whatever is on.
    fn planar(&self, seen: Seen) -> Planar {
        let mut random = self.random(Purpose::Affine, seen);
        let mut within = |bound: f64| bound * (2.0 * f64::from(random.next_uniform()) - 1.0);
        let Augment { scale, squeeze, shear, rotate, translate, .. } = self.keys;
        Planar {
            scale: 1.0 + within(scale),
            squeeze: 1.0 + within(squeeze),
            shear: within(shear),
            rotate: within(rotate) / 180.0,
            translate: [within(translate), within(translate)],
        }
    }
}

#[cfg(test)]
mod tests;

//! What becomes of a training sample's pixels in an epoch: `[augment]` of the job. Behind the dataset, before the
//! micro-batch.
//!
//! All random choices are functions of (`seed.augment`, epoch, sample); each kind has a stream of its own, so that
//! turning one on leaves the others as they are.

mod placement;

use lockstep_proto::job::{Augment, Job};

use super::dataset::ImageShape;
use super::distortion::{Affine, Elastic, FieldMemory, Frame, Planar, Warp};
use super::random::{Purpose, Random};
use placement::Placement;

/// A job's augmentation of images of one shape.
#[derive(Clone, Debug)]
pub struct Augmentation {
    seed: u64,
    keys: Augment,
    shape: ImageShape,
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
        let elastic = (keys.elastic_alpha > 0.0).then(|| Elastic::new(keys.elastic_alpha, keys.elastic_sigma, sides));
        let augmentation = Self { seed: job.seed.augment, keys: keys.clone(), shape, elastic };
        Ok((augmentation.places() || augmentation.distorts()).then_some(augmentation))
    }

    /// Appends the sample's `pixels`, (channels, height, width), to `bytes` as they are seen.
    ///
    /// # Panics
    /// If the length of `pixels` differs from the shape.
    pub fn append(&self, pixels: &[u8], seen: Seen, memory: &mut Memory, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.resize(start + pixels.len(), 0);
        let out = &mut bytes[start..];
        if !self.distorts() {
            return self.placement(seen).copy(self.shape, pixels, out);
        }
        let Memory { placed, frame, fields } = memory;
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

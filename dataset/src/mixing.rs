//! Training samples that are mixed with others of their lane: mixup (Zhang, Cisse, Dauphin & Lopez-Paz 2018, "mixup:
//! Beyond empirical risk minimization") and CutMix (Yun et al. 2019, "CutMix: Regularization strategy to train strong
//! classifiers with localizable features").
//!
//! Behind [`super::augment`], on whole grey levels, since the device takes bytes. A lane is a function of (seed, epoch,
//! position), so that who is mixed with whom is too: each sample with the one behind it, the last with the first. How is
//! drawn once a lane, from (`seed.augment`, epoch, the lane's first sample).

use lockstep_kernels::scalar::{exp, ln};
use lockstep_proto::job::Job;

use super::augment::Seen;
use super::dataset::ImageShape;
use super::random::{Purpose, Random};

/// Shares of mixup are multiples of 1 over this, so that pixels and labels have the very same.
const WHOLE: u32 = 1 << 16;

/// A job's mixing of images of one shape.
#[derive(Clone, Debug)]
pub struct Mixing {
    seed: u64,
    /// α of mixup; 0 without.
    mixup: f64,
    /// α of CutMix; 0 without.
    cutmix: f64,
    shape: ImageShape,
}

/// What becomes of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mix {
    /// Each pixel is [`WHOLE`]ths of its own, and the rest of the other's.
    Blend(u32),
    /// Rows and columns, each from and to, that are the other's.
    Paste([[usize; 2]; 2]),
}

impl Mixing {
    /// What a job wants of images of `shape`; none if nothing is on.
    pub fn of(job: &Job, shape: ImageShape) -> Option<Self> {
        let (mixup, cutmix) = (job.augment.mixup, job.augment.cutmix);
        (mixup > 0.0 || cutmix > 0.0).then_some(Self { seed: job.seed.augment, mixup, cutmix, shape })
    }

    /// Mixes a lane's `pixels`, (samples, channels, height, width), in place; gives how much of each sample is its own, in
    /// [0, 1]. `first`: its first sample. A mixed pixel is rounded to the nearest grey level. `memory` is overwritten.
    ///
    /// # Panics
    /// If the length of `pixels` is no multiple of the shape's.
    pub fn mix(&self, pixels: &mut [u8], first: Seen, memory: &mut Vec<u8>) -> f64 {
        assert!(pixels.len().is_multiple_of(self.shape.len()), "whole samples");
        let mix = self.draw(&mut Random::new(self.seed, Purpose::Mix, first.epoch, first.sample));
        memory.clear();
        memory.extend_from_slice(&pixels[..self.shape.len().min(pixels.len())]);
        let mut left = pixels;
        while !left.is_empty() {
            let (own, behind) = left.split_at_mut(self.shape.len());
            let other = if behind.is_empty() { &memory[..] } else { &behind[..own.len()] };
            match mix {
                Mix::Blend(weight) => blend(weight, own, other),
                Mix::Paste(window) => self.paste(window, own, other),
            }
            left = behind;
        }
        self.share(mix)
    }

    /// CutMix or mixup, by a fair coin if both are on, as in the PyTorch package timm. The coin is tossed in any case.
    fn draw(&self, random: &mut Random) -> Mix {
        let heads = random.next_u32() >> 31 == 1;
        let cuts = self.cutmix > 0.0 && (heads || self.mixup == 0.0);
        let share = beta(if cuts { self.cutmix } else { self.mixup }, random);
        if !cuts {
            return Mix::Blend((share * f64::from(WHOLE)).round_ties_even() as u32);
        }
        Mix::Paste([self.shape.height, self.shape.width].map(|all| {
            let centre = ((u64::from(random.next_u32()) * all as u64) >> 32) as usize;
            span(all, share, centre)
        }))
    }

    /// How much of a sample is its own.
    fn share(&self, mix: Mix) -> f64 {
        match mix {
            Mix::Blend(weight) => f64::from(weight) / f64::from(WHOLE),
            Mix::Paste(window) => {
                let [height, width] = window.map(|[from, to]| to - from);
                1.0 - (height * width) as f64 / (self.shape.height * self.shape.width) as f64
            }
        }
    }

    fn paste(&self, [rows, columns]: [[usize; 2]; 2], own: &mut [u8], other: &[u8]) {
        let ImageShape { height, width, .. } = self.shape;
        for (own, other) in own.chunks_exact_mut(height * width).zip(other.chunks_exact(height * width)) {
            for row in rows[0]..rows[1] {
                let window = row * width + columns[0]..row * width + columns[1];
                own[window.clone()].copy_from_slice(&other[window]);
            }
        }
    }
}

/// Rows or columns of a window of 1 − `share` of an image's area, of `all` that it has: as in the authors' code the centre
/// may be anywhere, and the window is what lies within the image.
fn span(all: usize, share: f64, centre: usize) -> [usize; 2] {
    let half = (all as f64 * (1.0 - share).sqrt()) as usize / 2;
    [centre.saturating_sub(half), (centre + half).min(all)]
}

fn blend(weight: u32, own: &mut [u8], other: &[u8]) {
    for (own, other) in own.iter_mut().zip(other) {
        let sum = weight * u32::from(*own) + (WHOLE - weight) * u32::from(*other);
        *own = ((sum + WHOLE / 2) / WHOLE) as u8;
    }
}

/// A draw of Beta(α, α): X / (X + Y), both of Gamma(α, 1); by their logarithms, since those of a small α underflow.
fn beta(alpha: f64, random: &mut Random) -> f64 {
    let [x, y] = [(); 2].map(|()| log_of_gamma(alpha, random));
    1.0 / (1.0 + exp(y - x))
}

/// The logarithm of a draw of Gamma(α, 1): Marsaglia & Tsang, *A simple method for generating gamma variables*, ACM TOMS
/// 26(3), 2000; for α below 1 their X · U^(1/α) with X of Gamma(α + 1, 1).
fn log_of_gamma(alpha: f64, random: &mut Random) -> f64 {
    if alpha < 1.0 {
        return log_of_gamma(alpha + 1.0, random) + ln(between_0_and_1(random)) / alpha;
    }
    let d = alpha - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = random.next_normal();
        let root = 1.0 + c * x;
        if root <= 0.0 {
            continue;
        }
        let v = root * root * root;
        let u = between_0_and_1(random);
        if ln(u) < 0.5 * x * x + d - d * v + d * ln(v) {
            return ln(d) + ln(v);
        }
    }
}

/// Neither of the two.
fn between_0_and_1(random: &mut Random) -> f64 {
    ((random.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;

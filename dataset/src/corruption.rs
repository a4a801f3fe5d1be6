//! Fixed changes of an image, for how well a network stands them: all samples alike, or noise that is a function of (seed,
//! sample). Pixels are the same bits on any machine.

use crate::dataset::ImageShape;
use crate::distortion::{Affine, Frame, Planar, Warp};
use crate::random::{Purpose, Random};

/// Grey levels from black to white.
const WHITE: f64 = 255.0;

/// What is done to an image. What comes from outside of it is black.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Moved to the right, in pixels; sampled bilinearly between them.
    Shift,
    /// Turned about its centre, in degrees, from the right downwards.
    Rotation,
    /// Grown about its centre by a factor of 1 + strength.
    Scaling,
    /// To each channel of each pixel a normal draw is added, of this standard deviation in white; what is below black or
    /// above white becomes black or white. The draws are the same for all strengths, so that these compare in pairs.
    Noise,
}

/// One change of one strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Corruption {
    /// Which.
    pub kind: Kind,
    /// How strong; at 0 images stay as they are.
    pub strength: f64,
    /// Of the noise.
    pub seed: u64,
}

/// Working memory of one thread, kept from image to image.
#[derive(Debug, Default)]
pub struct CorruptionMemory {
    frame: Frame,
    before: Vec<u8>,
}

impl Corruption {
    /// Changes an image, `pixels` (channels, height, width) of a sample of this number.
    ///
    /// # Panics
    /// If the length of `pixels` differs from the shape.
    pub fn apply(&self, shape: ImageShape, sample: u64, pixels: &mut [u8], memory: &mut CorruptionMemory) {
        let Some(planar) = self.planar() else { return self.add_noise(sample, pixels) };
        let CorruptionMemory { frame, before } = memory;
        before.clear();
        before.extend_from_slice(pixels);
        Warp { shape, map: Affine::back(&planar), displacement: None }.sample(before, frame, pixels);
    }

    /// The map of the plane, of what is one.
    fn planar(&self) -> Option<Planar> {
        match self.kind {
            Kind::Shift => Some(Planar { translate: [self.strength, 0.0], ..Planar::default() }),
            Kind::Rotation => Some(Planar { rotate: self.strength / 180.0, ..Planar::default() }),
            Kind::Scaling => Some(Planar { scale: 1.0 + self.strength, ..Planar::default() }),
            Kind::Noise => None,
        }
    }

    fn add_noise(&self, sample: u64, pixels: &mut [u8]) {
        let mut random = Random::new(self.seed, Purpose::Noise, 0, sample);
        for pixel in pixels {
            let level = f64::from(*pixel) + WHITE * self.strength * random.next_normal();
            *pixel = (level + 0.5).clamp(0.0, WHITE) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 5, width: 7 };

    fn image() -> Vec<u8> {
        (0..SHAPE.len()).map(|i| (i * i * 31 % 251) as u8).collect()
    }

    fn changed(kind: Kind, strength: f64) -> Vec<u8> {
        let mut pixels = image();
        let corruption = Corruption { kind, strength, seed: 3 };
        corruption.apply(SHAPE, 11, &mut pixels, &mut CorruptionMemory::default());
        pixels
    }

    #[test]
    fn strength_0_changes_nothing() {
        for kind in [Kind::Shift, Kind::Rotation, Kind::Scaling, Kind::Noise] {
            assert_eq!(changed(kind, 0.0), image(), "{kind:?}");
        }
    }

    #[test]
    fn shifts_go_to_the_right_and_half_turns_turn_around() {
        let (image, shifted) = (image(), changed(Kind::Shift, 2.0));
        for (before, after) in image.chunks_exact(7).zip(shifted.chunks_exact(7)) {
            assert_eq!((&after[..2], &after[2..]), (&[0, 0][..], &before[..5]));
        }
        let half: Vec<u8> = changed(Kind::Shift, 0.5)[1..3].to_vec();
        let mean = |a: u8, b: u8| ((f32::from(a) + f32::from(b)) / 2.0 + 0.5) as u8;
        assert_eq!(half, [mean(image[0], image[1]), mean(image[1], image[2])]);
        let turned = changed(Kind::Rotation, 180.0);
        for (before, after) in image.chunks_exact(35).zip(turned.chunks_exact(35)) {
            assert!(before.iter().rev().eq(after));
        }
        // A quarter turn takes the right to below: the centre's right neighbour comes to be under it.
        assert_eq!(changed(Kind::Rotation, 90.0)[3 * 7 + 3], image[2 * 7 + 4]);
        // Twice as large: the centre's neighbour is two pixels away.
        assert_eq!(changed(Kind::Scaling, 1.0)[2 * 7 + 5], image[2 * 7 + 4]);
    }

    #[test]
    fn noise_has_its_standard_deviation_and_is_the_sample_s_own() {
        let noisy = |strength, sample| {
            let mut pixels = vec![128u8; SHAPE.len() * 100];
            Corruption { kind: Kind::Noise, strength, seed: 1 }.add_noise(sample, &mut pixels);
            pixels.into_iter().map(|pixel| f64::from(pixel) - 128.0).collect::<Vec<_>>()
        };
        let noise = noisy(0.1, 0);
        let deviation = (noise.iter().map(|x| x * x).sum::<f64>() / noise.len() as f64).sqrt();
        assert!((deviation - 25.5).abs() < 1.0, "{deviation}");
        assert_ne!(noise, noisy(0.1, 1));
        let weaker = noisy(0.05, 0);
        assert!(noise.iter().zip(&weaker).all(|(a, b)| (a - 2.0 * b).abs() <= 1.5), "the same draws");
        assert!(noisy(10.0, 0).iter().all(|x| (-128.0..=127.0).contains(x)));
    }
}

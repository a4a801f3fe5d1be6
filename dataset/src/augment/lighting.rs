//! Changes of light: Krizhevsky, Sutskever & Hinton, *ImageNet classification with deep convolutional neural networks*,
//! NIPS 2012, §4.1.

use crate::random::Random;

/// Principal components of the colours of ImageNet's pixels in [0, 1], a row each for red, green and blue, and their
/// variances: the figures in common use since fb.resnet.torch.
pub(super) const COMPONENTS: [[f64; 3]; 3] =
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]];
pub(super) const VARIANCES: [f64; 3] = [0.2175, 0.0188, 0.0045];

/// What is added to all pixels of an image: `255 · Σ component · variance · α` in whole grey levels, α normal with
/// standard deviation `strength`.
pub(super) fn draw(strength: f64, random: &mut Random) -> [i16; 3] {
    let along = VARIANCES.map(|variance| variance * strength * random.next_normal());
    COMPONENTS.map(|[a, b, c]| (255.0 * (a * along[0] + b * along[1] + c * along[2])).round_ties_even() as i16)
}

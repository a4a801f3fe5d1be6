//! `[augment]`: how training samples are changed, anew in each epoch.

use serde::{Deserialize, Serialize};

/// Augmentation of training samples; what is 0, false or empty is off. In the order in which it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Smallest and largest share of an image's area that is cut out and resized to what the network takes.
    pub random_resized_crop: Vec<f64>,
    /// Smallest and largest ratio of such a window's width to its height.
    pub crop_ratio: [f64; 2],
    /// Rows and columns of black that are put around an image before a window of its size is cut out anywhere.
    pub pad_crop: u32,
    /// Whether half of the images are mirrored left to right.
    pub flip: bool,
    /// Largest change of size, as a fraction: by a factor of 1 ± this.
    pub scale: f64,
    /// Largest squeeze: wider by a factor of 1 ± this and lower by the same.
    pub squeeze: f64,
    /// Largest horizontal shear: columns a row.
    pub shear: f64,
    /// Largest rotation either way, in degrees.
    pub rotate: f64,
    /// Largest translation either way, in pixels, both horizontally and vertically.
    pub translate: f64,
    /// Strength of elastic distortion, in pixels: of the noise before it is smoothed.
    pub elastic_alpha: f64,
    /// Standard deviation of the Gaussian that smooths the noise, in pixels.
    pub elastic_sigma: f64,
    /// Standard deviation of a change of light along the principal components of ImageNet's colours.
    pub lighting: f64,
    /// α of mixup: samples of a micro-batch are mixed in shares that Beta(α, α) has.
    pub mixup: f64,
    /// α of CutMix: a window of one sample is put into another, of an area whose share Beta(α, α) has.
    pub cutmix: f64,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            random_resized_crop: Vec::new(),
            crop_ratio: [3.0 / 4.0, 4.0 / 3.0],
            pad_crop: 0,
            flip: false,
            scale: 0.0,
            squeeze: 0.0,
            shear: 0.0,
            rotate: 0.0,
            translate: 0.0,
            elastic_alpha: 0.0,
            elastic_sigma: 4.0,
            lighting: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
        }
    }
}

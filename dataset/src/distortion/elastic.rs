//! Elastic fields of displacements (Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks
//! applied to visual document analysis").

use lockstep_kernels::scalar;

use crate::random::Random;

/// Where the Gaussian is cut off, in standard deviations.
const REACH: f64 = 3.0;
/// 2⁻³¹.
const TWO_TO_MINUS_31: f64 = 1.0 / (1u32 << 31) as f64;

/// Noise, even in ±α pixels, smoothed by a Gaussian of standard deviation σ whose weights sum to 1. Beyond the field
/// the noise is 0, so that displacements fade towards the borders.
///
/// The standard deviation of a displacement far from the borders is α/√3 · Σ weight², about 0.16·α/σ.
#[derive(Clone, Debug)]
pub struct Elastic {
    alpha: f64,
    /// For the places −radius ..= radius.
    weights: Vec<f32>,
    height: usize,
    width: usize,
}

/// The fields and what they are made in. Memory that is kept.
#[derive(Clone, Debug, Default)]
pub struct FieldMemory {
    /// (height, width).
    noise: Vec<f32>,
    /// A row, smoothed along its columns, with zeros of a radius on both sides.
    row: Vec<f32>,
    /// (height, width) along x and along y.
    fields: [Vec<f32>; 2],
}

impl Elastic {
    /// Fields of (height, width) of α and σ in pixels; σ is above 0.
    pub fn new(alpha: f64, sigma: f64, [height, width]: [usize; 2]) -> Self {
        let radius = (REACH * sigma).ceil() as i32;
        let weight = |place: i32| scalar::exp(-0.5 * (f64::from(place) / sigma) * (f64::from(place) / sigma));
        let sum: f64 = (-radius..=radius).map(weight).sum();
        let weights = (-radius..=radius).map(|place| (weight(place) / sum) as f32).collect();
        Self { alpha, weights, height, width }
    }

    /// Draws a displacement for each pixel, (height, width) along x and along y. The noise of a field is one draw a
    /// pixel, row by row.
    pub fn draw<'a>(&self, random: &mut Random, memory: &'a mut FieldMemory) -> [&'a [f32]; 2] {
        let FieldMemory { noise, row, fields } = memory;
        let pixels = self.height * self.width;
        noise.resize(pixels, 0.0);
        row.clear();
        row.resize(self.width + self.weights.len() - 1, 0.0);
        let unit = (self.alpha * TWO_TO_MINUS_31) as f32;
        for field in fields.iter_mut() {
            noise.fill_with(|| random.next_u32() as i32 as f32 * unit);
            field.resize(pixels, 0.0);
            self.smooth(noise, row, field);
        }
        fields.each_ref().map(Vec::as_slice)
    }

    /// Smooths along columns, then rows. Both are sums of shifted rows, which the compiler makes vectors of.
    fn smooth(&self, noise: &[f32], row: &mut [f32], field: &mut [f32]) {
        let (width, radius) = (self.width, self.weights.len() / 2);
        for (y, smoothed) in field.chunks_exact_mut(width).enumerate() {
            let inner = &mut row[radius..][..width];
            inner.fill(0.0);
            // Rows of the noise that the weights reach from here.
            let (first, last) = (y.saturating_sub(radius), (y + radius).min(self.height - 1));
            let weights = &self.weights[first + radius - y..];
            for (weight, noise) in weights.iter().zip(noise[first * width..(last + 1) * width].chunks_exact(width)) {
                add_scaled(inner, *weight, noise);
            }
            smoothed.fill(0.0);
            for (place, weight) in self.weights.iter().enumerate() {
                add_scaled(smoothed, *weight, &row[place..][..width]);
            }
        }
    }
}

/// `sum += factor · values`, each rounded by itself.
fn add_scaled(sum: &mut [f32], factor: f32, values: &[f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

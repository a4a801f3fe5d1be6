//! Losses along lines: `slice` and `plane` from the weights in random directions, `interpolation` from the initial
//! weights, or a file's, to those of now. Each point is a pass in evaluation mode. A loss that is not finite is told as null.
//!
//! Directions are filter-normalised (Li, Xu, Taylor, Studer & Goldstein 2018, "Visualizing the loss landscape of neural
//! nets", §4): each filter of a normal random direction has the norm of the weights' filter, so that how far a step of 1
//! goes does not depend on the scale of a layer. A filter is what feeds one output of a convolution or linear map. Biases
//! and parameters of normalisations stay, as do running statistics.

use std::borrow::Cow;

use lockstep_kernels::device::Device;
use lockstep_proto::job::{Probe, ProbeMeasure};

use super::figures::Figures;
use super::probing::{Broken, Probing};
use crate::layers::Role;
use crate::model::Tensor;

/// `points` of a slice or an interpolation that says none.
const POINTS: u32 = 41;
/// Of a plane's side.
const PLANE_POINTS: u32 = 15;

/// `alpha`, and `loss` and `accuracy` at w + α·d.
pub fn slice<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let weights = probing.weights();
    let direction = normalised(probing, &weights, 0);
    let alphas = around(points(probing.probe), extent(probing));
    scan(probing, alphas, |alpha| along(&weights, &[(alpha, &direction)]))
}

/// `alpha`, and `loss` at w + α·d₁ + β·d₂, row by row: each row has one β and all α, which both take the same values.
pub fn plane<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let weights = probing.weights();
    let [across, down] = [0, 1].map(|number| normalised(probing, &weights, number));
    let alphas = around(points(probing.probe), extent(probing));
    let (mut losses, mut samples) = (Vec::with_capacity(alphas.len() * alphas.len()), 0);
    for beta in &alphas {
        for alpha in &alphas {
            let score = probing.score(&along(&weights, &[(*alpha, &across), (*beta, &down)]))?;
            losses.push(score.loss);
            samples = score.samples;
        }
    }
    let mut figures = Figures::over(samples);
    figures.many("alpha", alphas).many("loss", losses);
    Ok(figures)
}

/// `alpha` from −0.5 to 1.5, and `loss` and `accuracy` at (1 − α)·w₀ + α·w. w₀ are the initial weights (Goodfellow, Vinyals
/// & Saxe 2015, "Qualitatively characterizing neural network optimization problems"), or those of the file `from`, such as
/// another solution (Keskar et al. 2017, "On large-batch training for deep learning", figure 3). Running statistics lie on the
/// line as well, so that its ends are the networks that there were; beyond them a variance may be negative, and the loss no number.
pub fn interpolation<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let start = match probing.start {
        Some(of_file) => Cow::Borrowed(of_file),
        None => Cow::Owned(probing.initial_weights()?),
    };
    let now = probing.weights();
    let alphas: Vec<f64> = around(points(probing.probe), 1.0).into_iter().map(|x| 0.5 + x).collect();
    scan(probing, alphas, |alpha| {
        let between = |(from, to): (&f32, &f32)| ((1.0 - alpha) * f64::from(*from) + alpha * f64::from(*to)) as f32;
        start.iter().zip(&now).map(between).collect()
    })
}

/// The losses and accuracies at flat vectors that are functions of α.
fn scan<D: Device>(
    probing: &mut Probing<'_, D>,
    alphas: Vec<f64>,
    place: impl Fn(f64) -> Vec<f32>,
) -> Result<Figures, Broken> {
    let (mut losses, mut accuracies, mut samples) = (Vec::new(), Vec::new(), 0);
    for alpha in &alphas {
        let score = probing.score(&place(*alpha))?;
        losses.push(score.loss);
        accuracies.push(score.accuracy);
        samples = score.samples;
    }
    let mut figures = Figures::over(samples);
    figures.many("alpha", alphas).many("loss", losses).many("accuracy", accuracies);
    Ok(figures)
}

/// Points of a line, or along each side of a plane.
pub fn points(probe: &Probe) -> u32 {
    match (probe.points, probe.measure) {
        (0, ProbeMeasure::Plane) => PLANE_POINTS,
        (0, _) => POINTS,
        (points, _) => points,
    }
}

fn extent<D: Device>(probing: &Probing<'_, D>) -> f64 {
    if probing.probe.extent == 0.0 { 1.0 } else { probing.probe.extent }
}

/// So many numbers from −extent to extent, evenly; an odd count has 0 in the middle.
fn around(points: u32, extent: f64) -> Vec<f64> {
    let last = f64::from(points - 1);
    let place = |point: u32| if points == 1 { 0.0 } else { (2.0 * f64::from(point) - last) / last };
    (0..points).map(|point| extent * place(point)).collect()
}

/// w + Σ αᵢ·dᵢ, in f64, rounded once; what is behind a direction's elements, the statistics, stays.
fn along(weights: &[f32], steps: &[(f64, &[f32])]) -> Vec<f32> {
    let mut place = weights.to_vec();
    for (element, value) in place.iter_mut().enumerate().take(steps.first().map_or(0, |(_, step)| step.len())) {
        let step: f64 = steps.iter().map(|(alpha, direction)| alpha * f64::from(direction[element])).sum();
        *value = (f64::from(*value) + step) as f32;
    }
    place
}

/// The probe's direction of this number, normalised by the filters of `weights`.
fn normalised<D: Device>(probing: &Probing<'_, D>, weights: &[f32], number: u64) -> Vec<f32> {
    let mut direction = probing.direction(number);
    normalise(probing.work.model.trained_tensors(), weights, &mut direction);
    direction
}

/// Gives each filter of `direction` the norm of the weights'; what is no filter becomes 0.
fn normalise(tensors: &[Tensor], weights: &[f32], direction: &mut [f32]) {
    for tensor in tensors {
        let part = &mut direction[tensor.range.clone()];
        let filters = match (tensor.shape.role, &tensor.shape.shape[..]) {
            (Role::Weight { .. }, [filters, _, ..]) => *filters,
            _ => {
                part.fill(0.0);
                continue;
            }
        };
        let len = part.len() / filters;
        for (filter, direction) in weights[tensor.range.clone()].chunks_exact(len).zip(part.chunks_exact_mut(len)) {
            let scale = norm(filter) / norm(direction);
            direction.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
        }
    }
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::TensorShape;

    #[test]
    fn points_are_even_and_have_0_in_the_middle() {
        assert_eq!(around(5, 2.0), [-2.0, -1.0, 0.0, 1.0, 2.0]);
        assert_eq!((around(1, 3.0), around(2, 0.5)), (vec![0.0], vec![-0.5, 0.5]));
        let alphas: Vec<f64> = around(POINTS, 1.0).into_iter().map(|x| 0.5 + x).collect();
        assert_eq!((alphas[0], alphas[10], alphas[30], alphas[40]), (-0.5, 0.0, 1.0, 1.5));
    }

    #[test]
    fn filters_have_the_weights_norms_and_all_else_stays() {
        let weight = Role::Weight { fan_in: 2, fan_out: 1, plane: false };
        let tensors = [
            Tensor { shape: TensorShape::new("fc", "weight", vec![2, 2], weight), range: 0..4 },
            Tensor {
                shape: TensorShape::new("fc", "bias", vec![2], Role::Bias { fan_in: 2, plane: false }),
                range: 4..6,
            },
            Tensor { shape: TensorShape::new("bn", "weight", vec![1], Role::Scale { ends_block: false }), range: 6..7 },
        ];
        let weights = [3.0, 4.0, 0.0, 0.0, 9.0, 9.0, 9.0];
        let mut direction = [0.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        normalise(&tensors, &weights, &mut direction);
        assert_eq!(direction, [0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(along(&[1.0, 2.0, 7.0], &[(2.0, &[1.0, 0.0]), (-1.0, &[0.5, 1.0])]), [2.5, 1.0, 7.0]);
    }
}

//! `sam` and `keskar`: how far the loss rises around the weights. Both losses are those of training mode, as the gradients
//! that lead up are.

use lockstep_collective::Tally;
use lockstep_estimators::keskar::{Ascent, Subspace, ascend, half_widths};
use lockstep_estimators::vectors::norm;
use lockstep_kernels::device::Device;

use super::figures::Figures;
use super::hessian::or;
use super::probing::{Broken, Probing};
use crate::trainer::measures::{self, Score};

const RHO: f64 = 0.05;
const EPSILON: f64 = 1e-3;
const STEPS: usize = 10;

/// `sharpness` = L(w + ρ·g/‖g‖) − L(w) (Foret et al. 2021).
pub fn sam<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let radius = if probing.probe.radius > 0.0 { probing.probe.radius } else { RHO };
    let (weights, mut gradient) = (probing.weights(), vec![0.0; probing.parameters()]);
    let tally = probing.gradient(&weights, &mut gradient)?;
    let here = Score::of(&tally);
    let length = norm(&gradient);
    let mut figures = Figures::over(here.samples);
    figures.one("loss", here.loss).one("radius", radius);
    figures.one("gradient_norm", length / here.samples as f64);
    if !(length > 0.0 && length.is_finite()) {
        figures.remark("the gradient leads nowhere: it is zero or not finite");
        return Ok(figures);
    }
    let above = moved(&weights, |i| radius * gradient[i] / length, gradient.len());
    let there = Score::of(&probing.gradient(&above, &mut gradient)?);
    figures.one("sharpness", there.loss - here.loss);
    Ok(figures)
}

/// φ of Keskar et al. 2017 (`phi`), over all weights or a random subspace.
pub fn keskar<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let probe = probing.probe;
    let radius = if probe.radius > 0.0 { probe.radius } else { EPSILON };
    let steps = or(probe.iterations, STEPS);
    let weights = probing.weights();
    let len = probing.parameters();
    let at = |i: usize| f64::from(weights[i]);
    let mut samples = 0;
    let (ascent, method) = if probe.draws == 0 {
        let widths = half_widths((0..len).map(at), radius);
        let ascent = ascend(&widths, steps, |y: &[f64], slope: &mut [f64]| {
            mean_at(probing, &moved(&weights, |i| y[i], len), slope, &mut samples)
        })?;
        (ascent, "all weights".to_owned())
    } else {
        let subspace = Subspace { len, dimensions: probe.draws as usize, seed: probing.seed() };
        let Some(coordinates) = subspace.coordinates(at) else {
            let mut figures = Figures::over(0);
            figures.remark(format!("{} random directions of {len} weights depend on each other", probe.draws));
            return Ok(figures);
        };
        let widths = half_widths(coordinates.into_iter(), radius);
        let (mut lifted, mut gradient) = (vec![0.0; len], vec![0.0; len]);
        let ascent = ascend(&widths, steps, |y: &[f64], slope: &mut [f64]| {
            probing.alive()?;
            subspace.lift(y, &mut lifted);
            let value = mean_at(probing, &moved(&weights, |i| lifted[i], len), &mut gradient, &mut samples)?;
            probing.alive()?;
            slope.copy_from_slice(&subspace.project(|i| gradient[i]));
            Ok::<_, Broken>(value)
        })?;
        (ascent, format!("a random subspace of {} dimensions", probe.draws))
    };
    let Ascent { start, most, evaluations, .. } = ascent;
    let mut figures = Figures::over(samples);
    figures.by(format!("projected L-BFGS over {method}"));
    figures.one("phi", ascent.sharpness()).one("loss", start).one("highest_loss", most);
    figures.one("radius", radius).one("steps", ascent.steps as f64).one("gradients", evaluations as f64);
    Ok(figures)
}

/// The mean loss at `flat`, and its gradient.
fn mean_at<D: Device>(
    probing: &mut Probing<'_, D>,
    flat: &[f32],
    slope: &mut [f64],
    samples: &mut u64,
) -> Result<f64, Broken> {
    slope.fill(0.0);
    let tally: Tally = probing.gradient(flat, slope)?;
    *samples = tally.counts[measures::SAMPLES];
    slope.iter_mut().for_each(|d| *d /= *samples as f64);
    Ok(Score::of(&tally).loss)
}

/// A flat vector whose first `len` elements are moved, rounded to f32.
fn moved(flat: &[f32], by: impl Fn(usize) -> f64, len: usize) -> Vec<f32> {
    let mut moved = flat.to_vec();
    moved[..len].iter_mut().enumerate().for_each(|(i, w)| *w = (f64::from(*w) + by(i)) as f32);
    moved
}

//! `eigenvalues`, `trace` and `density`: the Hessian's spectrum, by products alone.

use lockstep_estimators::Failure;
use lockstep_estimators::density::{self, Density};
use lockstep_estimators::eigenvalues::{self, Ended, Search};
use lockstep_estimators::trace::{self, Estimate};
use lockstep_kernels::device::Device;
use lockstep_proto::job::{Optimizer, OptimizerName, Probe};

use super::figures::Figures;
use super::probing::{Broken, Probing};
use super::products::Products;

const TOP: usize = 1;
const ITERATIONS: usize = 100;
const TOLERANCE: f64 = 1e-3;
const TRACE_DRAWS: usize = 30;

/// The largest eigenvalues in magnitude with their residuals, and how far the largest of all is on its way to the edge of
/// stability: 1 is where gradient descent of this momentum is unstable on a quadratic (Cohen et al. 2021).
pub fn eigenvalues<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let probe = probing.probe;
    let search = Search {
        top: or(probe.top, TOP),
        iterations: iterations(probe),
        tolerance: if probe.tolerance > 0.0 { probe.tolerance } else { TOLERANCE },
        seed: probing.seed(),
    };
    let (rate, parameters, keys) = (probing.learning_rate, probing.parameters(), &probing.job.optimizer);
    let mut products = Products::new(probing);
    let found = eigenvalues::largest(parameters, &search, |v: &[f32], to: &mut [f64]| products.times(v, to));
    let mut figures = Figures::over(products.samples());
    figures.by(products.method());
    let Some(found) = solved(found, &mut figures)? else { return Ok(figures) };
    figures.many("eigenvalues", found.values.iter().map(|ritz| ritz.value).collect());
    figures.many("residuals", found.values.iter().map(|ritz| ritz.residual).collect());
    figures.one("highest", found.highest.value).one("highest_residual", found.highest.residual);
    figures.one("learning_rate", rate).one("products", found.products as f64);
    match edge(keys, rate) {
        Some(edge) => _ = figures.one("edge", found.highest.value / edge),
        None => _ = figures.remark("the edge of stability is known of SGD alone"),
    }
    if found.highest.residual > search.tolerance * found.highest.value.abs() {
        figures.remark("the highest eigenvalue is known to its residual alone");
    }
    if found.ended == Ended::Iterations {
        figures.remark(format!("residuals are above the tolerance after {} products", found.products));
    }
    if found.values.len() < search.top {
        figures.remark(format!("{} of {} eigenvalues were found", found.values.len(), search.top));
    }
    Ok(figures)
}

/// Most steps of Lanczos of `eigenvalues`.
pub fn iterations(probe: &Probe) -> usize {
    or(probe.iterations, ITERATIONS)
}

/// Hutchinson's estimate of the trace.
pub fn trace<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let draws = or(probing.probe.draws, TRACE_DRAWS);
    let (seed, parameters) = (probing.seed(), probing.parameters());
    let mut products = Products::new(probing);
    let estimate = trace::trace(parameters, draws, seed, |v: &[f32], to: &mut [f64]| products.times(v, to))?;
    let mut figures = Figures::over(products.samples());
    figures.by(products.method());
    figures.one("trace", estimate.mean);
    with_error(&mut figures, "standard_error", &estimate);
    figures.one("draws", draws as f64);
    Ok(figures)
}

/// The density of eigenvalues by stochastic Lanczos quadrature.
pub fn density<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let probe = probing.probe;
    let (draws, steps) = (probe.density_draws() as usize, probe.density_iterations() as usize);
    let (seed, parameters) = (probing.seed(), probing.parameters());
    let mut products = Products::new(probing);
    let density = density::density(parameters, (draws, steps), seed, |v: &[f32], to: &mut [f64]| products.times(v, to));
    let mut figures = Figures::over(products.samples());
    figures.by(products.method());
    let Some(density) = solved(density, &mut figures)? else { return Ok(figures) };
    let Density { nodes, weights, moments, products: made } = density;
    figures.many("nodes", nodes).many("weights", weights);
    figures.many("moments", moments.iter().map(|moment| moment.mean).collect());
    if draws > 1 {
        let errors = moments.iter().filter_map(|moment| moment.standard_error).collect();
        figures.many("moment_errors", errors);
    } else {
        figures.remark("a single draw has no standard error: set `draws` to 2 or more");
    }
    figures.one("draws", draws as f64).one("products", made as f64);
    Ok(figures)
}

fn with_error(figures: &mut Figures, name: &str, estimate: &Estimate) {
    match estimate.standard_error {
        Some(error) => figures.one(name, error),
        None => figures.remark("a single draw has no standard error: set `draws` to 2 or more"),
    };
}

/// A key's value, or the measure's own for 0.
pub(super) fn or(value: u32, own: usize) -> usize {
    if value == 0 { own } else { value as usize }
}

/// What was found, or a remark that products were not finite, as those of a run that has diverged are.
fn solved<T>(found: Result<T, Failure<Broken>>, figures: &mut Figures) -> Result<Option<T>, Broken> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Failure::Product(broken)) => Err(broken),
        Err(Failure::Unsolved) => {
            figures.remark("products with the Hessian are not finite: the loss has overflowed");
            Ok(None)
        }
    }
}

/// The curvature above which gradient descent diverges on a quadratic: 2/η, with momentum β (2 + 2β)/η, with Nesterov's
/// (2 + 2β)/((1 + 2β)·η) (Cohen et al. 2021, appendix B).
fn edge(keys: &Optimizer, rate: f64) -> Option<f64> {
    let beta = keys.momentum;
    match (keys.name, keys.nesterov) {
        (OptimizerName::Sgd, false) => Some((2.0 + 2.0 * beta) / rate),
        (OptimizerName::Sgd, true) => Some((2.0 + 2.0 * beta) / ((1.0 + 2.0 * beta) * rate)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a job's optimiser on λ·w²/2 from 1: how far from 0 it is behind many.
    fn descended(keys: &Optimizer, curvature: f64, rate: f64) -> f64 {
        let (mut w, mut velocity) = (1.0f64, 0.0);
        for _ in 0..4000 {
            let gradient = curvature * w;
            velocity = keys.momentum * velocity + gradient;
            w -= rate * if keys.nesterov { gradient + keys.momentum * velocity } else { velocity };
        }
        w.abs()
    }

    #[test]
    fn below_the_edge_a_quadratic_is_descended_and_above_it_is_not() {
        for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true), (0.5, true)] {
            let keys = Optimizer { momentum, nesterov, ..Optimizer::default() };
            let edge = edge(&keys, 0.1).unwrap();
            assert!(descended(&keys, 0.99 * edge, 0.1) < 1e-3, "{momentum} {nesterov}");
            let far = descended(&keys, 1.01 * edge, 0.1);
            assert!(far.is_nan() || far > 1e3, "{momentum} {nesterov}: {far}");
        }
        assert_eq!(super::edge(&Optimizer { name: OptimizerName::Adam, ..Optimizer::default() }, 0.1), None);
    }
}

//! `eigenvalues`, `trace` and `density`: the Hessian's spectrum, by products alone.

use lockstep_estimators::Failure;
use lockstep_estimators::density::{self, Density};
use lockstep_estimators::eigenvalues::{self, Ended, Search};
use lockstep_estimators::trace::{self, Estimate};
use lockstep_kernels::device::Device;

use super::figures::Figures;
use super::probing::{Broken, Probing};
use super::products::Products;
use crate::trainer::TrainerError;

const TOP: usize = 1;
const ITERATIONS: usize = 100;
const TOLERANCE: f64 = 1e-3;
const TRACE_DRAWS: usize = 30;
const DENSITY_STEPS: usize = 60;
const DENSITY_DRAWS: usize = 4;

/// The largest eigenvalues in magnitude with their residuals, and the edge of stability: λ_max·η/2, which gradient descent
/// brings to 1 (Cohen et al. 2021).
pub fn eigenvalues<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let probe = probing.probe;
    let search = Search {
        top: or(probe.top, TOP),
        iterations: or(probe.iterations, ITERATIONS),
        tolerance: if probe.tolerance > 0.0 { probe.tolerance } else { TOLERANCE },
        seed: probing.seed(),
    };
    let (rate, parameters, title) = (probing.learning_rate, probing.parameters(), probe.title());
    let mut products = Products::new(probing);
    let found = eigenvalues::largest(parameters, &search, |v: &[f32], to: &mut [f64]| products.times(v, to));
    let found = found.map_err(|failure| broken(failure, title))?;
    let mut figures = Figures::over(products.samples());
    figures.by(products.method());
    figures.many("eigenvalues", found.values.iter().map(|ritz| ritz.value).collect());
    figures.many("residuals", found.values.iter().map(|ritz| ritz.residual).collect());
    figures.one("highest", found.highest.value).one("highest_residual", found.highest.residual);
    figures.one("edge", found.highest.value * rate / 2.0);
    figures.one("learning_rate", rate).one("products", found.products as f64);
    if found.ended == Ended::Iterations {
        figures.remark(format!("residuals are above the tolerance after {} products", found.products));
    }
    if found.values.len() < search.top {
        figures.remark(format!("{} of {} eigenvalues were found", found.values.len(), search.top));
    }
    Ok(figures)
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
    let (draws, steps) = (or(probe.draws, DENSITY_DRAWS), or(probe.iterations, DENSITY_STEPS));
    let (seed, parameters, title) = (probing.seed(), probing.parameters(), probe.title());
    let mut products = Products::new(probing);
    let density = density::density(parameters, (draws, steps), seed, |v: &[f32], to: &mut [f64]| products.times(v, to));
    let Density { nodes, weights, moments, products: made } = density.map_err(|failure| broken(failure, title))?;
    let mut figures = Figures::over(products.samples());
    figures.by(products.method());
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

fn broken(failure: Failure<Broken>, title: &str) -> Broken {
    match failure {
        Failure::Product(broken) => broken,
        Failure::Unsolved => {
            let problem =
                format!("probe {title}: products with the Hessian are not finite: the loss may have overflowed");
            TrainerError::Job(problem).into()
        }
    }
}

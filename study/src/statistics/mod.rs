//! What a handful of seeds can say: means with bootstrap intervals, differences paired by seed, straight lines, the
//! hyperbola of critical batch sizes, and how much of a spread a grouping explains.
//!
//! These figures go into reports and onto terminals, not into weights or tables, so std's logarithms are good enough. The generator is our
//! own and seeded: the same tables give the same report.

mod bootstrap;
mod generator;
mod groups;
mod hyperbola;
mod line;
mod quantile;
mod stability;

pub use bootstrap::{FEWEST_SEEDS, Interval, geometric_interval, interval, mean_interval, paired_interval};
pub use generator::Generator;
pub use groups::explained_share;
pub use hyperbola::{Hyperbola, HyperbolaFit, Unfit, fit_hyperbola};
pub use line::{Line, fit_line};
pub use quantile::quantile;
pub use stability::stability_limit;

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Geometric mean; `None` of nothing, or where a value is not positive.
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    let logarithms: Option<Vec<f64>> = values.iter().map(|value| (*value > 0.0).then(|| value.ln())).collect();
    mean(&logarithms?).map(f64::exp)
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

//! Percentile intervals by resampling seeds.

use super::{Generator, mean, quantile};

/// Resamplings of an interval.
const RESAMPLINGS: usize = 4000;
/// Seeds that an interval takes. Resampling gives none wider than from the least value to the most, and of four these
/// leave the median out one time in eight.
pub const FEWEST_SEEDS: usize = 5;
/// The stream of all intervals: two figures of the same seeds are resampled alike.
const SEED: u64 = 0x10C5_7E90;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Of all values.
    pub value: f64,
    /// Lower end; `None` where there are too few values for an interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Values (seeds) that it is of.
    pub count: usize,
}

impl Interval {
    /// A figure without an interval.
    pub fn bare(value: f64, count: usize) -> Self {
        Self { value, low: None, high: None, count }
    }

    /// Why there is no interval; `None` if there is one.
    pub fn lacks(&self) -> Option<&'static str> {
        match (self.low.is_some(), self.count < FEWEST_SEEDS) {
            (true, _) => None,
            (false, true) => Some("too few seeds for an interval"),
            (false, false) => Some("no interval: too many resamplings of the seeds don't have the figure"),
        }
    }

    /// Both ends, if there is an interval.
    pub fn ends(&self) -> Option<[f64; 2]> {
        self.low.zip(self.high).map(|(low, high)| [low, high])
    }

    /// Whether the interval is there and leaves `value` out.
    pub fn excludes(&self, value: f64) -> bool {
        self.ends().is_some_and(|[low, high]| value < low || value > high)
    }

    /// The interval of an increasing function of the figure.
    pub fn map(self, function: impl Fn(f64) -> f64) -> Self {
        Self {
            value: function(self.value),
            low: self.low.map(&function),
            high: self.high.map(&function),
            count: self.count,
        }
    }
}

/// The 95 % interval of a statistic of `count` seeds: the percentiles of its values over resampled seeds. The statistic
/// takes indices of seeds and is `None` where a resample doesn't have it. Such resamples count as if they lay beyond
/// either end, so that there is no interval where they are more than an end cuts off.
///
/// The percentiles are Hesterberg's *expanded* ones (*What teachers should know about the bootstrap*, 2015, section
/// 5.3.2): Φ(−√(n/(n−1)) · t₀.₉₇₅(n−1)) in place of 0.025, since plain ones of few seeds are too narrow: of five they
/// cover 83 % of normal means where these cover 92 %.
pub fn interval(count: usize, statistic: impl Fn(&[usize]) -> Option<f64>) -> Option<Interval> {
    let all: Vec<usize> = (0..count).collect();
    let value = statistic(&all).filter(|value| value.is_finite())?;
    if count < FEWEST_SEEDS {
        return Some(Interval::bare(value, count));
    }
    let mut generator = Generator::new(SEED);
    let mut sample = all;
    let mut values = Vec::with_capacity(RESAMPLINGS);
    for _ in 0..RESAMPLINGS {
        sample.iter_mut().for_each(|index| *index = generator.below(count));
        values.extend(statistic(&sample).filter(|value| value.is_finite()));
    }
    let (tail, lost) = (expanded_tail(count), 1.0 - values.len() as f64 / RESAMPLINGS as f64);
    if lost > tail {
        return Some(Interval::bare(value, count));
    }
    values.sort_by(f64::total_cmp);
    // Of those that are there less is to be cut off.
    let rest = (tail - lost) / (1.0 - lost);
    Some(Interval { value, low: quantile(&values, rest), high: quantile(&values, 1.0 - rest), count })
}

/// The interval of a mean.
pub fn mean_interval(values: &[f64]) -> Option<Interval> {
    interval(values.len(), |seeds| mean(&seeds.iter().map(|seed| values[*seed]).collect::<Vec<_>>()))
}

/// The interval of a geometric mean; `None` of nothing, or where a value is not positive.
pub fn geometric_interval(values: &[f64]) -> Option<Interval> {
    let logarithms: Option<Vec<f64>> = values.iter().map(|value| (*value > 0.0).then(|| value.ln())).collect();
    mean_interval(&logarithms?).map(|interval| interval.map(f64::exp))
}

/// The interval of the mean difference `after − before`, paired by seed: pairs are resampled, so that what a seed does
/// to both cancels.
pub fn paired_interval(pairs: &[(f64, f64)]) -> Option<Interval> {
    mean_interval(&pairs.iter().map(|(before, after)| after - before).collect::<Vec<_>>())
}

/// What is cut off on each side.
fn expanded_tail(count: usize) -> f64 {
    let freedom = count as f64 - 1.0;
    normal_below(-(count as f64 / freedom).sqrt() * student(count - 1))
}

/// The 0.975 quantile of Student's t. The first ones are tabulated; from there on Cornish and Fisher's expansion is
/// exact to four digits.
fn student(freedom: usize) -> f64 {
    const FEW: [f64; 10] = [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281];
    if let Some(known) = FEW.get(freedom.wrapping_sub(1)) {
        return *known;
    }
    let (z, n) = (1.959_964_f64, freedom as f64);
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    z + (z3 + z) / (4.0 * n)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n)
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * n.powi(3))
}

/// Φ: how much of the standard normal distribution lies below `x`, by Simpson's rule.
fn normal_below(x: f64) -> f64 {
    const PARTS: usize = 400;
    let width = x.abs().min(20.0) / PARTS as f64;
    let density = |index: usize| (-0.5 * (index as f64 * width).powi(2)).exp();
    let inner: f64 = (1..PARTS).map(|index| density(index) * if index % 2 == 1 { 4.0 } else { 2.0 }).sum();
    let half = (density(0) + inner + density(PARTS)) * width / 3.0 / (2.0 * std::f64::consts::PI).sqrt();
    if x < 0.0 { (0.5 - half).max(0.0) } else { 0.5 + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_tails_are_those_of_tables() {
        for (freedom, known) in [(1, 12.706), (4, 2.776), (11, 2.201), (29, 2.045), (120, 1.980)] {
            assert!((student(freedom) - known).abs() < 1e-3, "{freedom}: {}", student(freedom));
        }
        for (x, known) in [(-1.959_964, 0.025), (-3.0, 0.001_349_9), (1.0, 0.841_345), (0.0, 0.5)] {
            assert!((normal_below(x) - known).abs() < 1e-6, "{x}: {}", normal_below(x));
        }
    }
}

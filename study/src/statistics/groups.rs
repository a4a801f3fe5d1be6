//! How much of a spread a grouping explains.

use std::collections::BTreeMap;

use super::mean;

/// The share of the values' variance that a grouping explains, adjusted for the number of groups:
/// ε² = 1 − (n − 1)/(n − g) · SS_within/SS_total for n values in g groups (Kelley 1935). 1 if values of a group are equal;
/// 0 on average if the groups say nothing, and so below 0 at times, whatever g is: without the adjustment many groups
/// explain more than few, even at random. `None` if there are fewer than two groups, no group of two, or no variance.
pub fn explained_share(values: &[(usize, f64)]) -> Option<f64> {
    let mut groups: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (group, value) in values {
        groups.entry(*group).or_default().push(*value);
    }
    let (all, parts) = (values.len() as f64, groups.len() as f64);
    if groups.len() < 2 || groups.len() == values.len() {
        return None;
    }
    let squares = |values: &[f64]| {
        let mean = mean(values)?;
        Some(values.iter().map(|value| (value - mean).powi(2)).sum::<f64>())
    };
    let total = squares(&values.iter().map(|value| value.1).collect::<Vec<_>>())?;
    let within: f64 = groups.values().filter_map(|group| squares(group)).sum();
    (total > 0.0).then(|| 1.0 - (all - 1.0) / (all - parts) * within / total)
}

//! How much of a spread a grouping explains.

use std::collections::BTreeMap;

use super::mean;

/// The share of the values' variance that lies between groups: 1 if values of a group are equal, about
/// (groups − 1)/(values − 1) if groups say nothing. `None` if there are fewer than two groups, no group of two, or no
/// variance.
pub fn explained_share(values: &[(usize, f64)]) -> Option<f64> {
    let mut groups: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (group, value) in values {
        groups.entry(*group).or_default().push(*value);
    }
    if groups.len() < 2 || groups.len() == values.len() {
        return None;
    }
    let all = mean(&values.iter().map(|value| value.1).collect::<Vec<_>>())?;
    let total: f64 = values.iter().map(|value| (value.1 - all).powi(2)).sum();
    let between: f64 =
        groups.values().filter_map(|group| Some(group.len() as f64 * (mean(group)? - all).powi(2))).sum();
    (total > 0.0).then(|| between / total)
}

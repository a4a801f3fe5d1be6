//! In which keys two jobs differ.

use std::collections::{BTreeMap, BTreeSet};

use super::spec::{Job, Probe};
use super::text::flatten;

/// A key of two jobs, with another value in each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDifference {
    /// Such as `batch.size`; tables that come any number of times are one key.
    pub key: String,
    /// The first job's value, as TOML.
    pub first: String,
    /// The second's.
    pub second: String,
}

impl Job {
    /// All keys that have another value in `other`, in the order of their names; equal jobs have none.
    ///
    /// # Panics
    /// As [`Job::to_toml`].
    pub fn differences(&self, other: &Self) -> Vec<KeyDifference> {
        let values = |job: &Self| -> BTreeMap<String, String> {
            flatten(&job.to_table()).into_iter().map(|(key, value)| (key, value.to_string())).collect()
        };
        let (ours, theirs) = (values(self), values(other));
        let keys: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let value = |values: &BTreeMap<String, String>, key| values.get(key).cloned().unwrap_or_default();
        let all = keys.into_iter().map(|key| KeyDifference {
            key: key.clone(),
            first: value(&ours, key),
            second: value(&theirs, key),
        });
        all.filter(|difference| difference.first != difference.second).collect()
    }

    /// Titles of the probes that `other` doesn't have, or has with other keys; how often they are taken is no matter.
    pub fn probes_unlike<'a>(&'a self, other: &Self) -> Vec<&'a str> {
        let alike = |one: &Probe, two: &Probe| Probe { every: one.every, ..two.clone() } == *one;
        let unlike = self.probe.iter().filter(|one| !other.probe.iter().any(|two| alike(one, two)));
        unlike.map(Probe::title).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_named_with_both_values() {
        let job = Job::default();
        let mut other = job.clone();
        assert_eq!(job.differences(&other), []);
        (other.batch.growth, other.seed.init, other.data.name) = (vec![(2, 128)], 7, "digits".into());
        let told: Vec<String> =
            job.differences(&other).iter().map(|d| format!("{}: {} | {}", d.key, d.first, d.second)).collect();
        assert_eq!(told, ["batch.growth: [] | [[2, 128]]", "data.name: \"\" | \"digits\"", "seed.init: 0 | 7"]);
    }

    #[test]
    fn probes_are_told_apart_by_what_they_measure() {
        let job = |probes: &[(&str, u32, u64)]| {
            let probe = |(name, points, every): &(&str, u32, u64)| Probe {
                name: (*name).to_owned(),
                points: *points,
                every: *every,
                ..Probe::default()
            };
            Job { probe: probes.iter().map(probe).collect(), ..Job::default() }
        };
        let (one, two) = (job(&[("a", 5, 0), ("b", 5, 0), ("", 7, 0)]), job(&[("a", 5, 10), ("b", 6, 0)]));
        assert_eq!((one.probes_unlike(&two), two.probes_unlike(&one)), (vec!["b", "gap"], vec!["b"]));
    }
}

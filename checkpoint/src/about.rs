//! What a checkpoint says of the state beside it.

use std::collections::{HashMap, HashSet};

use lockstep_proto::ledger::Ledger;
use lockstep_proto::plans::Plans;
use serde::{Deserialize, Serialize};

use crate::Tensor;

/// What state a checkpoint holds. It is written to `checkpoint.json`, and all of it is checked when read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Committed steps.
    pub step: u64,
    /// The cursor's epoch, from 0.
    pub epoch: u64,
    /// The cursor's next position in the epoch's order.
    pub position: u64,
    /// Samples in the committed steps.
    pub samples: u64,
    /// Number of the generation that committed the last step.
    pub generation: u64,
    /// The job's id.
    pub job: String,
    /// Hash of all that the job's results depend on.
    pub job_hash: String,
    /// The data set, which of its samples, and their order.
    pub dataset: String,
    /// Hash of the model's tensor names and shapes.
    pub model: String,
    /// What the results depend on beside job and data.
    pub fingerprint: Fingerprint,
    /// Of the state, computed by the caller.
    pub digest: String,
    /// Which positions are in which committed steps.
    pub ledger: Ledger,
    /// By which plans the steps were computed; of no use under another fingerprint.
    #[serde(default, skip_serializing_if = "Plans::is_empty")]
    pub plans: Plans,
}

/// What results depend on beside job and data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Version and hash of the executable.
    pub build: String,
    /// Kind of device.
    pub device: String,
    /// Instruction set of the kernels.
    pub instruction_set: String,
    /// Digest of a fixed computation.
    pub canary: String,
}

/// What a checkpoint must belong to for a job to go on from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The data set, which of its samples, and their order.
    pub dataset: String,
    /// Hash of the model's tensor names and shapes.
    pub model: String,
    /// Those names, as a checkpoint has them, and shapes: to say in what another model differs.
    pub tensors: Vec<(String, Vec<usize>)>,
}

impl Wanted {
    /// The first tensor that a state has not as the model has it, in the model's order, or else the first that the model
    /// has not at all: what the state has, and what the model. Only lists that the model has are looked at, such as
    /// `parameters/`: others are the optimiser's.
    pub(crate) fn first_difference(&self, state: &[Tensor]) -> Option<(String, String)> {
        let theirs: HashMap<&str, &[usize]> =
            state.iter().map(|tensor| (tensor.name.as_str(), tensor.shape.as_slice())).collect();
        for (name, shape) in &self.tensors {
            match theirs.get(name.as_str()) {
                None => return Some((format!("it has no tensor {name}"), format!("one of shape {shape:?}"))),
                Some(other) if other != shape => {
                    return Some((format!("its tensor {name} is of shape {other:?}"), format!("one of {shape:?}")));
                }
                Some(_) => {}
            }
        }
        let list = |name: &str| name.split_once('/').map(|(list, _)| list.to_owned());
        let lists: HashSet<_> = self.tensors.iter().filter_map(|(name, _)| list(name)).collect();
        let ours: HashSet<&str> = self.tensors.iter().map(|(name, _)| name.as_str()).collect();
        let unknown = state.iter().find(|tensor| {
            list(&tensor.name).is_some_and(|list| lists.contains(&list)) && !ours.contains(tensor.name.as_str())
        })?;
        Some((format!("its tensor {} is of shape {:?}", unknown.name, unknown.shape), "no such tensor".into()))
    }
}

impl About {
    /// Whether both say the same of the state, whoever committed it.
    pub(crate) fn same_state(&self, other: &Self) -> bool {
        (self.step, &self.digest, &self.dataset, &self.model)
            == (other.step, &other.digest, &other.dataset, &other.model)
    }

    /// Says what is impossible in it, if anything is: for text that came from a disk.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        let mut end = 0;
        for row in self.ledger.rows() {
            if row.first_step != end || row.from > row.to {
                return Some("its ledger has a gap");
            }
            end = match row.first_step.checked_add(row.steps) {
                Some(end) => end,
                None => return Some("its ledger counts too many steps"),
            };
        }
        (end > self.step).then_some("its ledger has more steps than it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize]) -> Tensor {
        Tensor { name: name.into(), shape: shape.into(), values: Vec::new() }
    }

    #[test]
    fn the_first_difference_between_models_is_told() {
        let tensors =
            [("parameters/fc.weight", vec![2, 3]), ("parameters/fc.bias", vec![2]), ("statistics/mean", vec![3])];
        let tensors = tensors.map(|(name, shape)| (name.into(), shape)).to_vec();
        let wanted = Wanted { dataset: String::new(), model: String::new(), tensors };
        let [weight, bias] = [tensor("parameters/fc.weight", &[2, 3]), tensor("parameters/fc.bias", &[2])];
        let [mean, words] = [tensor("statistics/mean", &[3]), tensor("words", &[8])];
        let told = |state: &[&Tensor]| {
            let state: Vec<Tensor> = state.iter().map(|tensor| (*tensor).clone()).collect();
            wanted.first_difference(&state).map(|(theirs, ours)| format!("{theirs} | {ours}"))
        };
        // Any order, and whatever the optimiser keeps.
        assert_eq!(told(&[&words, &mean, &bias, &weight, &tensor("velocity/fc.weight", &[2, 3])]), None);
        let wide = tensor("parameters/fc.weight", &[3, 2]);
        let shape = "its tensor parameters/fc.weight is of shape [3, 2] | one of [2, 3]";
        assert_eq!(told(&[&wide, &mean]).as_deref(), Some(shape));
        let missing = "it has no tensor parameters/fc.bias | one of shape [2]";
        assert_eq!(told(&[&weight, &mean]).as_deref(), Some(missing));
        let more = "its tensor statistics/var is of shape [3] | no such tensor";
        assert_eq!(told(&[&weight, &bias, &mean, &tensor("statistics/var", &[3])]).as_deref(), Some(more));
    }
}

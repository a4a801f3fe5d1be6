//! What a checkpoint says of the state beside it.

use lockstep_proto::ledger::Ledger;
use serde::{Deserialize, Serialize};

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

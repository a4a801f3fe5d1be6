//! Over which samples a probe is, and in how many lanes.

use std::collections::BTreeSet;

use lockstep_dataset::dataset::{Dataset, Split};
use lockstep_proto::job::{Job, Probe, ProbeSamples};

use crate::trainer::schedule;

/// `samples` of a probe that says none.
const DEFAULT_SAMPLES: u64 = 1024;
/// Lanes whose gradients are reduced at once. A probe over more goes in chunks of so many, whatever the number of workers,
/// since the workers' shared memory grows with them.
pub const MOST_LANES: u32 = 256;

/// The first samples of a split, as they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples {
    /// Of which they are.
    pub split: Split,
    /// How many.
    pub count: u64,
}

impl Samples {
    /// Those of a probe.
    pub fn of(probe: &Probe, dataset: &Dataset) -> Self {
        let split = match probe.on {
            ProbeSamples::Train | ProbeSamples::Subset => Split::Train,
            ProbeSamples::Validation => Split::Validation,
        };
        let most = match (probe.on, probe.samples) {
            (ProbeSamples::Train | ProbeSamples::Validation, _) => u64::MAX,
            (ProbeSamples::Subset, 0) => DEFAULT_SAMPLES,
            (ProbeSamples::Subset, samples) => samples,
        };
        Self { split, count: dataset.len(split).min(most) }
    }

    /// Those that a job holds out: for validation if there are some, else those of the test.
    pub fn held_out(dataset: &Dataset) -> Self {
        let split = if dataset.len(Split::Validation) > 0 { Split::Validation } else { Split::Test };
        Self { split, count: dataset.len(split) }
    }

    /// Lanes of `micro_batch` samples; the last may be short.
    pub fn lanes(&self, micro_batch: u64) -> u32 {
        self.count.div_ceil(micro_batch) as u32
    }
}

/// Most lanes whose gradients a job's probes reduce at once; 0 if none needs gradients.
pub fn gradient_lanes(job: &Job, dataset: &Dataset) -> u32 {
    let with_gradients = job.probe.iter().filter(|probe| probe.measure.needs_gradients());
    let lanes = with_gradients.map(|probe| Samples::of(probe, dataset).lanes(job.batch.micro_batch.into()));
    lanes.max().unwrap_or(0).min(MOST_LANES)
}

/// Samples that a lane of the job's probes may have, each count once: those of probes that need gradients, or of all.
pub fn lane_sizes(job: &Job, dataset: &Dataset, gradients: bool) -> BTreeSet<u64> {
    let probes = job.probe.iter().filter(|probe| !gradients || probe.measure.needs_gradients());
    schedule::lane_sizes(probes.map(|probe| Samples::of(probe, dataset).count), job.batch.micro_batch.into())
}

//! What a probe keeps of vectors as long as the weights while it is taken, by far the most of its memory.

use lockstep_dataset::dataset::Dataset;
use lockstep_proto::job::{Job, Probe, ProbeMeasure};

use super::samples::Samples;
use super::{hessian, lane_gradients};

/// Vectors of f32 that a probe keeps on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How many, at most.
    pub vectors: u64,
    /// The key that says how many.
    pub key: &'static str,
    /// Those beside what the key says.
    pub beside: u64,
    /// The least that the key may say.
    pub fewest: u64,
}

/// Those of a probe of so many parameters; none where they are a few.
pub fn kept(probe: &Probe, job: &Job, dataset: &Dataset, parameters: usize) -> Option<Kept> {
    let lanczos = |iterations: u64| {
        // A vector for each product, and the next; no basis has more vectors than dimensions.
        let vectors = (iterations + 1).min(parameters as u64);
        Some(Kept { vectors, key: "iterations", beside: 1, fewest: 1 })
    };
    match probe.measure {
        ProbeMeasure::Eigenvalues => lanczos(hessian::iterations(probe) as u64),
        ProbeMeasure::Density => lanczos(probe.density_iterations().into()),
        ProbeMeasure::LaneGradients => {
            let vectors = lane_gradients::lanes(probe, Samples::of(probe, dataset), job.batch.micro_batch.into());
            Some(Kept { vectors, key: "lanes", beside: 0, fewest: 2 })
        }
        _ => None,
    }
}

//! The flat vector that a job begins with: drawn from its seed, or taken from a file that all workers see.

use lockstep_kernels::device::Device;
use lockstep_proto::job::Job;

use super::{TrainerError, sealed_weights};
use crate::model::{Model, WeightsError, initial_values};

/// Parameters and running statistics before the first step.
///
/// # Errors
/// If the job's file of weights is missing, another one, or not of this model.
pub fn initial_weights<D: Device>(job: &Job, model: &Model<D>) -> Result<Vec<f32>, TrainerError> {
    let mut flat = initial_values(model.tensors(), job.seed.init, &job.model);
    if job.model.init_from.is_empty() {
        return Ok(flat);
    }
    let weights = sealed_weights::of_beginning(job)?;
    // The last layer's parameters come first.
    let last = model.layer_ranges().into_iter().next().unwrap_or_default();
    let anew = if job.model.new_head { last.clone() } else { 0..0 };
    weights.fill(model.tensors(), anew, &mut flat).map_err(|error| {
        let of_last =
            |name: &String| model.tensors().iter().any(|t| t.shape.name == *name && last.contains(&t.range.start));
        match &error {
            WeightsError::Shape { name, .. } if of_last(name) => TrainerError::Job(format!(
                "model.init_from: {error}: set model.new_head = true (--new-head) to begin the last layer anew"
            )),
            _ => error.into(),
        }
    })?;
    Ok(flat)
}

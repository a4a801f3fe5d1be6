//! The flat vector that a job begins with: drawn from its seed, or taken from a file that all workers see.
//!
//! The file is told by its hash, which is part of the job: whoever sees another file under that path refuses the job.

use std::path::Path;

use lockstep_kernels::device::Device;
use lockstep_proto::job::Job;

use super::TrainerError;
use crate::model::{Model, NamedWeights, WeightsError, initial_values, read_bounded};

/// Parameters and running statistics before the first step.
///
/// # Errors
/// If the job's file of weights is missing, another one, or not of this model.
pub fn initial_weights<D: Device>(job: &Job, model: &Model<D>) -> Result<Vec<f32>, TrainerError> {
    let mut flat = initial_values(model.tensors(), job.seed.init, &job.model);
    if job.model.init_from.is_empty() {
        return Ok(flat);
    }
    let weights = read(job)?;
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

fn read(job: &Job) -> Result<NamedWeights, TrainerError> {
    let (path, wanted) = (&job.model.init_from, &job.model.init_blake3);
    let bytes = read_bounded(Path::new(path))?;
    let found = blake3::hash(&bytes).to_hex();
    if found.as_str() != wanted {
        return Err(TrainerError::Job(format!(
            "model.init_from: {path}: its BLAKE3 is {found}, not model.init_blake3 = {wanted:?}: take the file that \
             the job was made with"
        )));
    }
    let weights = NamedWeights::parse(path.clone(), &bytes)?;
    weights.check_finite()?;
    Ok(weights)
}

/// Fills in the hash of the job's file of weights, unless the job says it.
///
/// # Errors
/// If the file cannot be read.
pub fn seal_initial_weights(job: &mut Job) -> Result<(), TrainerError> {
    if !job.model.init_from.is_empty() && job.model.init_blake3.is_empty() {
        let bytes = read_bounded(Path::new(&job.model.init_from))?;
        job.model.init_blake3 = blake3::hash(&bytes).to_hex().to_string();
    }
    Ok(())
}

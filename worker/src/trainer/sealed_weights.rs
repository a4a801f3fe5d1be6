//! Files of weights that a job names, on a disk that all workers see: initial weights, and ends of lines that probes go
//! along. Each is told by its hash, which is part of the job: whoever sees another file under that path refuses the job.

use std::path::Path;

use lockstep_proto::job::{Job, Probe};

use super::TrainerError;
use crate::model::{NamedWeights, Tensor, WeightsError, read_bounded};

/// One of them.
struct Sealed<'j> {
    /// What the job calls the path, in words.
    key: String,
    path: &'j str,
    /// What the job calls the hash.
    hash_key: &'static str,
    hash: &'j str,
}

impl Sealed<'_> {
    fn read(&self) -> Result<NamedWeights, TrainerError> {
        let Self { key, path, hash_key, hash } = self;
        let told = |error: WeightsError| TrainerError::Job(format!("{key}: {error}"));
        let bytes = read_bounded(Path::new(path)).map_err(told)?;
        let found = blake3::hash(&bytes).to_hex();
        if found.as_str() != *hash {
            return Err(TrainerError::Job(format!(
                "{key}: {path}: its BLAKE3 is {found}, not {hash_key} = {hash:?}: take the file that the job was made \
                 with"
            )));
        }
        let weights = NamedWeights::parse((*path).to_owned(), &bytes).map_err(told)?;
        weights.check_finite().map_err(told)?;
        Ok(weights)
    }
}

/// The weights that a job begins with, of a job that takes them from a file.
///
/// # Errors
/// If the file is missing, another one, or holds what nothing can begin with.
pub(super) fn of_beginning(job: &Job) -> Result<NamedWeights, TrainerError> {
    let (path, hash) = (&job.model.init_from, &job.model.init_blake3);
    Sealed { key: "model.init_from".into(), path, hash_key: "model.init_blake3", hash }.read()
}

/// The flat vector that a probe's line begins at, parameters and statistics; none if its probe names no file.
///
/// # Errors
/// If the file is missing, another one, or not of this network.
pub(super) fn of_probe(probe: &Probe, tensors: &[Tensor]) -> Result<Option<Vec<f32>>, TrainerError> {
    if probe.from.is_empty() {
        return Ok(None);
    }
    let key = format!("probe {}: `from`", probe.title());
    let (path, hash) = (&probe.from, &probe.from_blake3);
    let weights = Sealed { key: key.clone(), path, hash_key: "from_blake3", hash }.read()?;
    let mut flat = vec![0.0; tensors.iter().map(|tensor| tensor.range.end).max().unwrap_or(0)];
    weights.fill(tensors, 0..0, &mut flat).map_err(|error| TrainerError::Job(format!("{key}: {error}")))?;
    Ok(Some(flat))
}

/// Fills in the hashes of the job's files of weights, unless the job says them.
///
/// # Errors
/// If a file cannot be read.
pub fn seal_weights(job: &mut Job) -> Result<(), TrainerError> {
    seal("model.init_from", &job.model.init_from, &mut job.model.init_blake3)?;
    for probe in &mut job.probe {
        let key = format!("probe {}: `from`", probe.title());
        seal(&key, &probe.from, &mut probe.from_blake3)?;
    }
    Ok(())
}

fn seal(key: &str, path: &str, hash: &mut String) -> Result<(), TrainerError> {
    if !path.is_empty() && hash.is_empty() {
        let bytes = read_bounded(Path::new(path)).map_err(|error| TrainerError::Job(format!("{key}: {error}")))?;
        *hash = blake3::hash(&bytes).to_hex().to_string();
    }
    Ok(())
}

//! A run whose model is to be used: its job, what it was trained on, and its weights.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lockstep_checkpoint::{Error as CheckpointError, Place};
use lockstep_proto::job::Job;
use lockstep_worker::model::{NamedWeights, ParameterSet, SampleShape};
use serde::Deserialize;

use crate::{BadInput, run_folder};

/// An opened run.
pub struct Run {
    folder: PathBuf,
    /// Its job, as it was.
    pub job: Job,
}

/// What is read of `run.json`.
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    sample: [u32; 3],
}

/// What is read of `summary.json`.
#[derive(Deserialize)]
struct Summary {
    steps: Option<u64>,
}

impl Run {
    /// Opens a run folder; nothing of the environment changes what its job was.
    ///
    /// # Errors
    /// If it is no run's.
    pub fn open(folder: &Path) -> Result<Self> {
        let (folder, toml) = run_folder::of_run(folder)?;
        Ok(Self { job: Job::load(&toml, [], &[])?, folder })
    }

    /// Where it is, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its checkpoints are.
    pub fn checkpoints(&self) -> String {
        run_folder::checkpoints_of(&self.folder, &self.job)
    }

    /// What its network takes and tells apart.
    ///
    /// # Errors
    /// If `run.json` does not say.
    pub fn sample_shape(&self) -> Result<SampleShape, BadInput> {
        let path = self.folder.join("run.json");
        let refused = |reason: String| BadInput(format!("{}: {reason}", path.display()));
        let text = std::fs::read(&path).map_err(|error| refused(format!("cannot be read: {error}")))?;
        let record: Record = serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
        let [channels, height, width] = record.sample.map(|size| size as usize);
        let sizes = [channels, height, width];
        if !sizes.iter().all(|size| (1..=4096).contains(size)) {
            return Err(refused(format!("says that samples have the sizes {sizes:?}, which no network takes")));
        }
        Ok(SampleShape { channels, height, width, classes: self.job.data.classes as usize })
    }

    /// The weights at its end.
    ///
    /// # Errors
    /// If it has not completed.
    pub fn final_weights(&self) -> Result<NamedWeights> {
        let path = self.folder.join("final/model.safetensors");
        if !path.exists() {
            let shown = path.display();
            return Err(BadInput(format!("{shown}: no such file: the run has not completed; add --checkpoint")).into());
        }
        Ok(NamedWeights::read(&path).map_err(BadInput::from_display)?)
    }

    /// The weights of its newest checkpoint that is whole, and their step.
    ///
    /// # Errors
    /// If there is none.
    pub fn checkpoint_weights(&self, set: ParameterSet) -> Result<(NamedWeights, u64)> {
        let text = self.checkpoints();
        let place = Place::open(&text).map_err(BadInput::from_display)?;
        for name in place.list().map_err(BadInput::from_display)?.into_iter().rev() {
            match place.read(name) {
                Ok(snapshot) => {
                    return Ok((NamedWeights::of_snapshot(format!("{text}/{name}"), snapshot, set), name.step));
                }
                // What is being removed or damaged is passed over; nothing is changed of a run that may go on.
                Err(error @ CheckpointError::Damaged { .. }) => eprintln!("{error}: the one before is taken"),
                Err(CheckpointError::Missing { .. }) => {}
                Err(error) => return Err(BadInput::from_display(error).into()),
            }
        }
        Err(BadInput(format!("{text}: no checkpoint")).into())
    }

    /// The weights of its end, or of the newest checkpoint.
    ///
    /// # Errors
    /// If there are none.
    pub fn weights(&self, of_checkpoint: bool) -> Result<NamedWeights> {
        if of_checkpoint { Ok(self.checkpoint_weights(ParameterSet::Averaged)?.0) } else { self.final_weights() }
    }

    /// The weights that were trained at the run's end, where those that were evaluated are their average.
    ///
    /// # Errors
    /// If no checkpoint has them.
    pub fn final_trained_weights(&self) -> Result<NamedWeights> {
        if self.job.optimizer.ema == 0.0 {
            return self.final_weights();
        }
        let (weights, step) = self.checkpoint_weights(ParameterSet::Trained)?;
        let text = std::fs::read(self.folder.join("summary.json")).unwrap_or_default();
        let end = serde_json::from_slice::<Summary>(&text).ok().and_then(|summary| summary.steps);
        if end == Some(step) {
            return Ok(weights);
        }
        let end = end.map_or_else(|| "not known".into(), |end| format!("step {end}"));
        let reason = format!("{}: is of step {step}, but the run's end is {end}: add --checkpoint", weights.origin());
        Err(BadInput(reason).into())
    }
}

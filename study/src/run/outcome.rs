//! What a run came to, out of `summary.json`, `run.json`, `job.toml` and `metrics.jsonl`.

use std::path::Path;

use lockstep_proto::job::{Job, Libraries, instruction_set_family, text_of_file};
use lockstep_proto::report::Report;
use serde::Deserialize;

use super::{RunError, json, lines};
use crate::grid::key;
use crate::plan::Outcome;

/// What there is of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// No folder, or an empty one.
    Nothing,
    /// It came to an end of its own.
    Finished(Box<Outcome>),
    /// It did not.
    Unfinished {
        /// Of who has worked on it; empty where nobody has.
        fingerprint: String,
    },
}

/// Ends that are results. `interrupted`, `cancelled` and `failed` are none.
const RESULTS: [&str; 4] = ["completed", "target", "plateau", "nonfinite"];

#[derive(Deserialize)]
struct Summary {
    stop_reason: String,
    steps: Option<u64>,
    epochs: Option<u64>,
    samples: Option<u64>,
    steps_to_target: Option<u64>,
    train_loss: Option<f64>,
    test_loss: Option<f64>,
    test_error: Option<f64>,
}

#[derive(Deserialize)]
struct Run {
    fingerprint: Fingerprint,
    #[serde(default)]
    dataset: String,
}

/// What results depend on beside job and data, as `run.json` has it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Fingerprint {
    /// Version and hash of the executable.
    pub build: String,
    /// Kind of device.
    pub device: String,
    /// Of its kernels.
    pub instruction_set: String,
    /// Digest of a fixed computation.
    pub canary: String,
    /// Libraries of kernels.
    #[serde(default)]
    pub libraries: String,
}

impl Fingerprint {
    /// What of it matters to a job that uses these libraries; instruction sets that give the same bits are one.
    pub fn in_words(&self, used: Libraries) -> String {
        let Self { build, device, instruction_set, canary, libraries } = self;
        let family = instruction_set_family(instruction_set);
        let with = match used {
            Libraries::Auto if !libraries.is_empty() => format!(" with {libraries}"),
            Libraries::Auto | Libraries::Own => String::new(),
        };
        format!("build {build}, {device} ({family}){with}, canary {canary}")
    }
}

/// Looks into the folder of the run of this key.
///
/// # Errors
/// If what lies there is another run, or can't be read.
pub fn look(folder: &Path, wanted: &str) -> Result<Found, RunError> {
    let job_file = folder.join("job.toml");
    if !job_file.exists() {
        return Ok(Found::Nothing);
    }
    let text = text_of_file(&job_file).map_err(|error| RunError::new(folder, error))?;
    let job = Job::from_toml(&text).map_err(|error| RunError::new(&job_file, error))?;
    let run: Option<Run> = json(&folder.join("run.json"))?;
    let summary: Option<Summary> = json(&folder.join("summary.json"))?;
    let fingerprint = run.as_ref().map(|run| run.fingerprint.in_words(job.cluster.libraries)).unwrap_or_default();
    let finished = summary.filter(|summary| RESULTS.contains(&summary.stop_reason.as_str()));
    let (Some(summary), Some(run)) = (finished, run) else { return Ok(Found::Unfinished { fingerprint }) };
    let is = key(&job, &run.dataset);
    if is != wanted {
        return Err(RunError::new(folder, format!("is the run {is}, not {wanted}: remove the folder")));
    }
    let mut outcome = Outcome {
        stop_reason: summary.stop_reason,
        fingerprint,
        steps: summary.steps,
        epochs: summary.epochs,
        samples: summary.samples,
        steps_to_target: summary.steps_to_target,
        train_loss: summary.train_loss,
        test_loss: summary.test_loss,
        test_error: summary.test_error,
        ..Outcome::default()
    };
    measured(&folder.join("metrics.jsonl"), &mut outcome)?;
    Ok(Found::Finished(Box::new(outcome)))
}

/// The id of the data that the run in this folder is of; nothing where it doesn't say.
///
/// # Errors
/// If it can't be read.
pub fn dataset(folder: &Path) -> Result<Option<String>, RunError> {
    let run: Option<Run> = json(&folder.join("run.json"))?;
    Ok(run.map(|run| run.dataset).filter(|dataset| !dataset.is_empty()))
}

/// Takes in what only the lines of `metrics.jsonl` tell.
fn measured(path: &Path, outcome: &mut Outcome) -> Result<(), RunError> {
    let (mut epoch, mut right, mut steps) = (None, 0.0, 0_u64);
    let mut gap = None;
    lines(path, |line| {
        match line {
            Report::Step(step) => {
                if epoch != Some(step.epoch) {
                    (epoch, right, steps) = (Some(step.epoch), 0.0, 0);
                }
                right += step.accuracy;
                steps += 1;
            }
            Report::Evaluation(evaluation) if evaluation.split == "validation" => {
                outcome.validation_loss = Some(evaluation.loss).filter(|loss| loss.is_finite());
                outcome.validation_error = Some(1.0 - evaluation.accuracy).filter(|error| error.is_finite());
            }
            Report::Evaluation(evaluation) if evaluation.split == "test" => outcome.test_evaluations += 1,
            Report::Probe(probe) if probe.measure == "gap" => {
                let figure = |name: &str| probe.figures.get(name).and_then(|values| *values.first()?);
                gap = Some((figure("train_loss"), figure("train_accuracy")));
            }
            Report::Evaluation(_) | Report::Probe(_) => {}
        }
        Ok(())
    })?;
    // The mean of the steps that were reported, which are those of `metrics.every`.
    outcome.train_accuracy = (steps > 0).then(|| right / steps as f64).filter(|mean| mean.is_finite());
    if let Some((loss, accuracy)) = gap {
        outcome.train_loss = loss.or(outcome.train_loss);
        outcome.train_accuracy = accuracy.or(outcome.train_accuracy);
    }
    Ok(())
}

//! What workers tell about a run: fingerprint, reports, outcome. Checked types; the wire's stop at `rpc`.

use lockstep_proto::job::{Libraries, instruction_set_family};
pub use lockstep_proto::report::{EvaluationReport, PhaseSeconds, ProbeReport, Report, StepReport};
use serde::{Deserialize, Serialize};

/// What results depend on beside job and data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Version and hash of the executable.
    pub build: String,
    /// Kind of device.
    pub device: String,
    /// Instruction set of the kernels.
    pub instruction_set: String,
    /// Digest of a fixed computation.
    pub canary: String,
    /// Libraries of kernels that were found, with their versions.
    #[serde(default)]
    pub libraries: String,
}

impl Fingerprint {
    /// What of it matters to a job that uses these libraries.
    pub fn for_job(&self, libraries: Libraries) -> Self {
        match libraries {
            Libraries::Own => Self { libraries: String::new(), ..self.clone() },
            Libraries::Auto => self.clone(),
        }
    }

    /// What of `other` doesn't agree with this one, in words; nothing if results will be the same bits.
    ///
    /// Instruction sets compare by family: all sets of one family give the same bits, which the canary checks.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let parts = [
            ("build", self.build.as_str(), other.build.as_str()),
            ("device", self.device.as_str(), other.device.as_str()),
            (
                "instruction set family",
                instruction_set_family(&self.instruction_set),
                instruction_set_family(&other.instruction_set),
            ),
            ("canary", self.canary.as_str(), other.canary.as_str()),
            ("set of libraries", named(&self.libraries), named(&other.libraries)),
        ];
        let (what, ours, theirs) = parts.into_iter().find(|(_, a, b)| a != b)?;
        Some(format!("{what} is {theirs}, not {ours}"))
    }
}

fn named(libraries: &str) -> &str {
    if libraries.is_empty() { "none" } else { libraries }
}

/// What a worker knows once it has data set and data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Id of the data set.
    pub dataset: String,
    /// Steps of the whole job.
    pub total_steps: u64,
    /// Epochs of the whole job.
    pub total_epochs: u64,
    /// Parameters of the model.
    pub parameters: u64,
    /// Samples of an epoch.
    pub train_samples: u64,
    /// Channels, height and width of a sample; zeros in runs from before it was recorded.
    #[serde(default)]
    pub sample: [u32; 3],
}

/// What a worker tells once data set and model stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prepared {
    /// The same on all workers.
    pub facts: RunFacts,
    /// The newest valid checkpoint that it can read, with its name.
    pub checkpoint: Option<(Held, String)>,
    /// For people: what it found amiss.
    pub remarks: Vec<String>,
    /// The run folder is on a disk that it sees.
    pub sees_run_folder: bool,
}

/// A committed state that somebody has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Steps committed.
    pub step: u64,
    /// Of the state; empty where unknown.
    pub digest: String,
}

/// A checkpoint on disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointFact {
    /// Steps committed.
    pub step: u64,
    /// Of its folder.
    pub name: String,
    /// Of the state.
    pub digest: String,
    /// Its size.
    pub bytes: u64,
    /// Time that writing took.
    pub seconds: f64,
    /// The folder or address that it is in.
    pub dir: String,
}

/// Why a worker's loop ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All steps are done.
    Completed,
    /// An evaluation reached the job's target: it is done.
    Target,
    /// Evaluations got no better: it is done.
    Plateau,
    /// The job's time is over: it is done.
    Time,
    /// A user cancelled the job.
    Cancelled,
    /// A signal ended the job.
    Interrupted,
    /// A user paused the job.
    Paused,
    /// The membership changes.
    Regrouped,
    /// A step's loss or gradients are not finite: the job has failed.
    Nonfinite,
}

impl StopReason {
    /// As files and the wire have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Target => "target",
            Self::Plateau => "plateau",
            Self::Time => "time",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Paused => "paused",
            Self::Regrouped => "regrouped",
            Self::Nonfinite => "nonfinite",
        }
    }

    /// From a text of the wire.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [
            Self::Completed,
            Self::Target,
            Self::Plateau,
            Self::Time,
            Self::Cancelled,
            Self::Interrupted,
            Self::Paused,
            Self::Regrouped,
            Self::Nonfinite,
        ];
        all.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Why the loop ended.
    pub stop_reason: StopReason,
    /// Steps committed.
    pub steps: u64,
    /// Epochs done.
    pub epochs: u64,
    /// Samples committed.
    pub samples: u64,
    /// Of the training loop, evaluation included.
    pub seconds: f64,
    /// Mean over the last epoch's steps; absent where no finite number.
    pub train_loss: Option<f64>,
    /// Mean over the test split.
    pub test_loss: Option<f64>,
    /// Fraction of the test split that was wrong.
    pub test_error: Option<f64>,
    /// Fraction of the test split whose class is not among the five best answers.
    #[serde(default)]
    pub test_top5_error: Option<f64>,
    /// Of `final/model.safetensors`; empty where no weights were written.
    pub weights_sha256: String,
    /// Why, where the stop reason alone does not say all; of rank 0.
    #[serde(default)]
    pub reason: String,
}

impl Outcome {
    /// What of another rank's outcome doesn't agree with this one. Time, and what only one rank may know, are left out.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let parts = [
            ("stop reason", self.stop_reason.as_str().to_owned(), other.stop_reason.as_str().to_owned()),
            ("steps", self.steps.to_string(), other.steps.to_string()),
            ("epochs", self.epochs.to_string(), other.epochs.to_string()),
            ("samples", self.samples.to_string(), other.samples.to_string()),
            ("training loss", number(self.train_loss), number(other.train_loss)),
        ];
        let (what, ours, theirs) = parts.into_iter().find(|(_, a, b)| a != b)?;
        Some(format!("{what} {theirs}, not {ours}"))
    }
}

/// Shortest text that tells two numbers apart.
fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "no number".into(), |value| value.to_string())
}

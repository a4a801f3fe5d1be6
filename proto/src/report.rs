//! Lines of `metrics.jsonl`: what a run reports of its steps, evaluations and probes. Whoever writes them and whoever reads
//! them, the same program's or an older one's, goes by these types.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Report {
    /// Some steps were committed.
    Step(StepReport),
    /// An evaluation was done.
    Evaluation(EvaluationReport),
    /// A probe was taken.
    Probe(ProbeReport),
}

impl Report {
    /// Steps committed, when it was made.
    pub fn step(&self) -> u64 {
        match self {
            Self::Step(report) => report.step,
            Self::Evaluation(report) => report.step,
            Self::Probe(report) => report.step,
        }
    }

    /// What tells reports of one step apart: nothing of the step itself, the split of an evaluation, a probe's title.
    pub fn of_step(&self) -> (&'static str, &str) {
        match self {
            Self::Step(_) => ("step", ""),
            Self::Evaluation(report) => ("evaluation", &report.split),
            Self::Probe(report) => ("probe", &report.probe),
        }
    }
}

/// JSON has no word for NaN and infinities: they are written as null.
fn number_or_null<'de, D: serde::Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(value)?.unwrap_or(f64::NAN))
}

/// Measures of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Steps committed, this one included.
    pub step: u64,
    /// Counted from 0.
    pub epoch: u64,
    /// Mean over the batch.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Fraction of the batch that was right.
    #[serde(deserialize_with = "number_or_null")]
    pub accuracy: f64,
    /// η of this step.
    #[serde(deserialize_with = "number_or_null")]
    pub learning_rate: f64,
    /// Of the whole job.
    #[serde(deserialize_with = "number_or_null")]
    pub samples_per_second: f64,
    /// Committed so far, over all epochs.
    pub samples: u64,
    /// Of one worker, summed since its previous report.
    pub seconds: PhaseSeconds,
    /// Of the gradients; none in files from before it was measured.
    pub noise: Option<NoiseScale>,
}

/// Time by phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseSeconds {
    /// Waiting for samples.
    pub data: f64,
    /// Forward pass.
    pub forward: f64,
    /// Backward pass.
    pub backward: f64,
    /// Reduction.
    pub reduce: f64,
    /// Update of the state.
    pub commit: f64,
}

/// Measures of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationReport {
    /// Steps committed.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// `validation` or `test`.
    pub split: String,
    /// Mean over the split.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Fraction of the split that was right.
    #[serde(deserialize_with = "number_or_null")]
    pub accuracy: f64,
    /// Fraction whose class is among the five best answers; absent in files from before it was measured.
    #[serde(default)]
    pub top5_accuracy: Option<f64>,
    /// Samples of the split that it is over.
    pub samples: u64,
    /// Samples that could not be decoded and were left out, the first hundred of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<u64>,
}

/// What a probe has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeReport {
    /// Steps committed.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Its title.
    pub probe: String,
    /// What it measures.
    pub measure: String,
    /// Over which samples; empty where it looks at none.
    pub on: String,
    /// How many.
    pub samples: u64,
    /// How, where there are several ways.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// What was measured, by name; null where it can't be told.
    pub figures: BTreeMap<String, Vec<Option<f64>>>,
    /// What could not be told, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// By-products of a step's reduction, over the last steps; null what is not identified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseScale {
    /// Of all parameters.
    #[serde(flatten)]
    pub all: NoiseEstimate,
    /// Mean squared norm of the step's lanes' mean gradients.
    pub lane_squared_norm: Option<f64>,
    /// The implicit-gradient term: a quarter of it times η.
    pub implicit_gradient: Option<f64>,
    /// That trace, squared norm and scale are over.
    pub steps: u64,
    /// The last layer first.
    pub layers: Vec<LayerNoise>,
    /// Why there is neither scale nor bound.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The same of one layer's parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerNoise {
    /// In the model.
    pub name: String,
    /// Of its parameters.
    #[serde(flatten)]
    pub own: NoiseEstimate,
}

/// How noisy a gradient is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseEstimate {
    /// trΣ, of the covariance of a sample's gradient. Unbiased, so that it may be negative.
    pub trace: Option<f64>,
    /// ‖G‖², of the gradient without the noise in it. Unbiased, so that it may be negative.
    pub squared_norm: Option<f64>,
    /// trΣ/‖G‖², in samples.
    pub scale: Option<f64>,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// A lower bound of the scale, where the gradient can't be told from none.
    pub above: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To the letter: run folders of other versions are read and gone on with.
    #[test]
    fn a_step_is_the_line_that_it_has_always_been() {
        let own =
            NoiseEstimate { trace: Some(0.5), squared_norm: Some(-1e-7), above: Some(0.1 + 0.2), ..Default::default() };
        let noise = NoiseScale {
            all: NoiseEstimate { scale: Some(3.0), low: Some(2.0), high: Some(4.0), ..own },
            steps: 8,
            layers: vec![LayerNoise { name: "fc1".into(), own }],
            ..Default::default()
        };
        let step = StepReport { step: 8, epoch: 1, samples: 64, noise: Some(noise), ..Default::default() };
        let line = serde_json::to_string(&Report::Step(step.clone())).unwrap();
        let wanted = concat!(
            r#"{"kind":"step","step":8,"epoch":1,"loss":0.0,"accuracy":0.0,"learning_rate":0.0,"samples_per_second":0.0,"#,
            r#""samples":64,"seconds":{"data":0.0,"forward":0.0,"backward":0.0,"reduce":0.0,"commit":0.0},"#,
            r#""noise":{"trace":0.5,"squared_norm":-1e-7,"scale":3.0,"low":2.0,"high":4.0,"above":0.30000000000000004,"#,
            r#""lane_squared_norm":null,"implicit_gradient":null,"steps":8,"layers":[{"name":"fc1","trace":0.5,"#,
            r#""squared_norm":-1e-7,"scale":null,"low":null,"high":null,"above":0.30000000000000004}]}}"#
        );
        assert_eq!(line, wanted);
        assert_eq!(serde_json::from_str::<Report>(&line).unwrap(), Report::Step(step));
    }
}

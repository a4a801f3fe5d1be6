//! What a run comes to: two runs of one job are equal in all of it, whatever happened to them.

use std::path::Path;

use lockstep_proto::ledger::Ledger;
use serde_json::Value;

use super::process::Ended;
use super::{json, json_lines, lockstep, weights_sha256};

/// What must not depend on anything but the job.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    weights: String,
    /// Without who committed.
    ledger: Ledger,
    /// What `ledger RUN` says of each epoch, without generations.
    proof: Vec<Value>,
    /// Step, loss and noise of each line of `metrics.jsonl`, in the order of steps.
    losses: Vec<(u64, String, f64, Value)>,
}

impl Outcome {
    /// Of a run that has completed.
    pub fn of(run: &Path) -> Self {
        let summary = json(&run.join("summary.json"));
        assert_eq!(summary["stop_reason"], "completed", "{summary}");
        let weights = weights_sha256(run);
        assert_eq!(summary["weights_sha256"], weights);
        let rows = json(&run.join("ledger.json"))["rows"].take();
        let ledger: Ledger = serde_json::from_value(rows).unwrap();
        assert_eq!(summary["steps"], ledger.steps());
        Self { weights, ledger: ledger.across_generations(), proof: proof(run), losses: losses(run) }
    }

    /// Committed steps.
    pub fn steps(&self) -> u64 {
        self.ledger.steps()
    }

    /// A run came to the same.
    pub fn is_that_of(&self, run: &Path) {
        let other = self.has_the_state_of(run);
        let different = self.losses.iter().zip(&other.losses).find(|(ours, theirs)| ours != theirs);
        assert_eq!((different, self.losses.len()), (None, other.losses.len()), "{}", run.display());
    }

    /// A run came to the same weights and the same ledger; gives all that it came to. Reports may have been lost with
    /// the only worker that had them, once a checkpoint held what they tell of.
    pub fn has_the_state_of(&self, run: &Path) -> Self {
        let other = Self::of(run);
        assert_eq!(self.weights, other.weights, "{}", run.display());
        assert_eq!(self.ledger, other.ledger, "{}", run.display());
        assert_eq!(self.proof, other.proof, "{}", run.display());
        other
    }
}

/// Epochs as `ledger RUN` proves them.
fn proof(run: &Path) -> Vec<Value> {
    let said = Ended::of(lockstep(["ledger", "--json"]).arg(run)).success();
    let mut said = json_lines(&said).remove(0);
    assert_eq!((&said["proven"], &said["problems"]), (&true.into(), &Value::Array(Vec::new())));
    let Value::Array(mut epochs) = said["epochs"].take() else { panic!("epochs: {said}") };
    for epoch in &mut epochs {
        assert!(epoch["generations"].take().is_array(), "{epoch}");
    }
    epochs
}

/// Losses of steps and evaluations, noise of the former, and figures of probes.
fn losses(run: &Path) -> Vec<(u64, String, f64, Value)> {
    let lines = json_lines(&std::fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    let told = |line: &Value| {
        let step = line["step"].as_u64().unwrap();
        if let Some(title) = line["probe"].as_str() {
            return (step, title.to_owned(), 0.0, line["figures"].clone());
        }
        let what = line["split"].as_str().unwrap_or("step").to_owned();
        (step, what, line["loss"].as_f64().unwrap(), line["noise"].clone())
    };
    lines.iter().map(told).collect()
}

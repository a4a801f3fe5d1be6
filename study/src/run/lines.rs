//! `metrics.jsonl`, line by line.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

use super::RunError;

/// Longest line that is believed.
const LONGEST_LINE: u64 = 4 << 20;

/// One line.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// Some steps were committed.
    Step(Box<Step>),
    /// An evaluation was done.
    Evaluation(Evaluation),
    /// A probe was taken.
    Probe(Probe),
}

/// Of a step; absent what is no finite number.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Step {
    /// Committed, this one included.
    pub step: u64,
    /// From 0.
    pub epoch: u64,
    /// Committed so far.
    pub samples: u64,
    /// Mean over the batch.
    pub loss: Option<f64>,
    /// Fraction that was right.
    pub accuracy: Option<f64>,
    /// η.
    pub learning_rate: Option<f64>,
    /// By-products of the reduction.
    #[serde(default)]
    pub noise: Option<Noise>,
}

/// By-products of the reduction, of all parameters.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Noise {
    /// trΣ.
    pub trace: Option<f64>,
    /// ‖G‖².
    pub squared_norm: Option<f64>,
    /// B_simple.
    pub scale: Option<f64>,
    /// Of its interval.
    pub low: Option<f64>,
    /// Of its interval.
    pub high: Option<f64>,
    /// Where it can only be told to be above something.
    pub above: Option<f64>,
    /// Mean ‖g_k‖² of lanes.
    pub lane_squared_norm: Option<f64>,
    /// η/4 times that.
    pub implicit_gradient: Option<f64>,
    /// The same by layer.
    pub layers: Vec<NoiseLayer>,
}

/// Of a layer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NoiseLayer {
    /// Its name.
    pub name: String,
    /// trΣ.
    pub trace: Option<f64>,
    /// ‖G‖².
    pub squared_norm: Option<f64>,
    /// B_simple.
    pub scale: Option<f64>,
}

/// Of an evaluation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Evaluation {
    /// Committed.
    pub step: u64,
    /// Done.
    pub epoch: u64,
    /// `validation` or `test`.
    pub split: String,
    /// Mean over the split.
    pub loss: Option<f64>,
    /// Fraction that was right.
    pub accuracy: Option<f64>,
    /// How many.
    pub samples: u64,
}

/// Of a probe.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Probe {
    /// Committed.
    pub step: u64,
    /// Done.
    pub epoch: u64,
    /// Its title.
    pub probe: String,
    /// What it measures.
    pub measure: String,
    /// Over which samples.
    #[serde(default)]
    pub on: String,
    /// How many.
    #[serde(default)]
    pub samples: u64,
    /// How, where there are several ways.
    #[serde(default)]
    pub method: String,
    /// By name.
    pub figures: BTreeMap<String, Vec<Option<f64>>>,
    /// What could not be told.
    #[serde(default)]
    pub remarks: Vec<String>,
}

/// Shows the lines of a file; none if there is no such file.
///
/// # Errors
/// The first line that can't be believed, or what `each` says.
pub fn lines(path: &Path, mut each: impl FnMut(Line) -> Result<(), RunError>) -> Result<(), RunError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(RunError::new(path, error)),
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut text);
        if read.map_err(|error| RunError::new(path, error))? == 0 {
            break;
        }
        let at = |problem: &dyn std::fmt::Display| RunError::new(path, format!("line {number}: {problem}"));
        let line = text.strip_suffix(b"\n").ok_or_else(|| at(&"is cut off"))?;
        each(serde_json::from_slice(line).map_err(|error| at(&error))?)?;
    }
    Ok(())
}

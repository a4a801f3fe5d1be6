//! `predict RUN IMAGE…`: what a trained network says of pictures.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Result;
use lockstep_coordinator::client::{columns, percent};
use lockstep_worker::trained::{Answer, Predictor};

use crate::arguments::Predict;
use crate::picture::{self, Prepared, Wanted};
use crate::run::Run;
use crate::{BadInput, print};

/// Most classes that are told of an image.
const TOLD: usize = 5;
/// Largest file of names.
const MOST_BYTES: u64 = 16 << 20;

/// Looks at all images, then prints.
///
/// # Errors
/// If the run has no such weights, or an image or the names can't be used.
pub fn predict(arguments: &Predict) -> Result<()> {
    let run = Run::open(&arguments.run)?;
    let shape = run.sample_shape()?;
    let wanted = match shape.channels {
        channels @ (1 | 3) => Wanted { channels, height: shape.height, width: shape.width },
        other => return Err(BadInput(format!("the network takes {other} channels: no picture has those")).into()),
    };
    let names = match &arguments.classes {
        Some(path) => names(path, shape.classes)?,
        None => (0..shape.classes).map(|class| class.to_string()).collect(),
    };
    let mut predictor = Predictor::new(&run.job, shape, &run.weights(arguments.checkpoint)?).map_err(crate::used)?;
    let mut text = String::new();
    for path in &arguments.images {
        let prepared = picture::prepare(path, wanted, arguments.polarity())?;
        let answer = predictor.predict(&prepared.pixels);
        text.push_str(&if arguments.json {
            format!("{}\n", json(path, &prepared, &answer, &names))
        } else {
            lines(path, &prepared, &answer, &names)
        });
    }
    print(&text)
}

/// One name a line.
fn names(path: &Path, classes: usize) -> Result<Vec<String>, BadInput> {
    let refused = |reason: String| BadInput(format!("{}: {reason}", path.display()));
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text));
    read.map_err(|error| refused(format!("cannot be read: {error}")))?;
    let names: Vec<String> = text.lines().map(|line| line.trim().escape_debug().take(200).collect()).collect();
    match names.len() {
        count if count == classes => Ok(names),
        count => Err(refused(format!("has {count} lines, but the network tells {classes} classes apart: one a line"))),
    }
}

fn lines(path: &Path, prepared: &Prepared, answer: &Answer, names: &[String]) -> String {
    let row = |class: &usize| vec![format!("  {}", names[*class]), percent(answer.probabilities[*class])];
    let rows: Vec<Vec<String>> = answer.ranking.iter().take(TOLD).map(row).collect();
    format!("{} ({})\n{}", path.display(), prepared.done, columns(&rows))
}

fn json(path: &Path, prepared: &Prepared, answer: &Answer, names: &[String]) -> serde_json::Value {
    let told = |class: &usize| {
        serde_json::json!({
            "class": class, "name": names[*class], "probability": answer.probabilities[*class],
        })
    };
    serde_json::json!({
        "image": path.display().to_string(),
        "inverted": prepared.inverted,
        "classes": answer.ranking.iter().take(TOLD).map(told).collect::<Vec<_>>(),
        "outputs": answer.outputs,
    })
}

//! `data prepare SRC… --out DIR`.

use std::fs;
use std::path::Path;

use anyhow::Result;
use lockstep_coordinator::client::{exit, grouped};
use lockstep_dataset::Split;
use lockstep_dataset::prepare::{Prepared, Progress, Smaller, Wanted, prepare as run};
use serde_json::json;

use super::meter::{Meter, Unit};
use super::{bytes, threads};
use crate::arguments::{DataPrepare, PreparedSplit};
use crate::{BadInput, print};

/// As many samples that were left out are shown.
const SHOWN: usize = 10;
/// A file of class names has at most so many bytes.
const MAX_CLASSES_FILE: u64 = 16 << 20;

/// Prepares a dataset and says what it has become.
///
/// # Errors
/// If a source or a name is not what it should be, or nothing can be written.
pub fn prepare(arguments: &DataPrepare) -> Result<u8> {
    let wanted = Wanted {
        sources: arguments.sources.iter().map(|path| lockstep_dataset::known::resolved(path)).collect(),
        out: arguments.out.clone(),
        split: arguments.split.into(),
        seed: arguments.seed,
        shard_bytes: arguments.shard_size,
        smaller: arguments.short_side.map(|short_side| Smaller { short_side, quality: arguments.quality }),
        classes: arguments.classes.as_deref().map(classes).transpose()?,
        skip_bad: arguments.skip_bad,
        threads: threads(arguments.threads),
    };
    let meter = Meter::new(arguments.json);
    let result = run(&wanted, &|progress| match progress {
        Progress::Looking { found } => meter.found("looking at sources", found),
        Progress::Preparing { done, of } => meter.done("preparing", done, of, Unit::Samples),
    });
    meter.end();
    let prepared = result.map_err(|error| match error.is_bad_input() {
        true => anyhow::Error::from(BadInput::from_display(error)),
        false => error.into(),
    })?;
    match arguments.json {
        true => print(&format!("{}\n", json!(prepared.iter().map(to_json).collect::<Vec<_>>())))?,
        false => prepared.iter().try_for_each(|prepared| print(&told(prepared)))?,
    }
    Ok(exit::COMPLETED)
}

/// Names of classes, one a line.
fn classes(path: &Path) -> Result<Vec<String>> {
    let bad = |what: &dyn std::fmt::Display| BadInput(format!("{}: {what}", path.display()));
    let length = fs::metadata(path).map_err(|error| bad(&error))?.len();
    if length > MAX_CLASSES_FILE {
        return Err(bad(&format!("has {length} bytes, more than any list of classes")).into());
    }
    let text = fs::read_to_string(path).map_err(|error| bad(&error))?;
    let classes: Vec<String> = text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    match classes.is_empty() {
        true => Err(bad(&"names no class: write one a line").into()),
        false => Ok(classes),
    }
}

fn told(prepared: &Prepared) -> String {
    let Prepared { split, folder, manifest, misnamed, bad } = prepared;
    let mut text = format!(
        "{}: {} samples of {} classes in {} ({}) in {}\n",
        split.name(),
        grouped(manifest.samples as f64),
        manifest.classes.len(),
        count(manifest.shards.len(), "shard"),
        bytes(manifest.bytes()),
        folder.display(),
    );
    if *misnamed > 0 {
        text += &format!(
            "  {} of another kind than the name says, which is right now\n",
            count(*misnamed as usize, "image")
        );
    }
    if !bad.is_empty() {
        text += &format!("  {} left out, which can't be decoded:\n", count(bad.len(), "sample"));
        bad.iter().take(SHOWN).for_each(|bad| text += &format!("    {bad}\n"));
        if bad.len() > SHOWN {
            text += &format!("    and {} more\n", bad.len() - SHOWN);
        }
    }
    text
}

fn count(number: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(number as f64), if number == 1 { "" } else { "s" })
}

fn to_json(prepared: &Prepared) -> serde_json::Value {
    let Prepared { split, folder, manifest, misnamed, bad } = prepared;
    json!({
        "split": split.name(),
        "folder": folder,
        "samples": manifest.samples,
        "classes": manifest.classes.len(),
        "shards": manifest.shards.len(),
        "bytes": manifest.bytes(),
        "misnamed": misnamed,
        "left_out": bad,
    })
}

impl From<PreparedSplit> for Split {
    fn from(name: PreparedSplit) -> Self {
        match name {
            PreparedSplit::Train => Self::Train,
            PreparedSplit::Test => Self::Test,
        }
    }
}

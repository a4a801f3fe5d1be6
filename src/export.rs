//! `export RUN`: a run's weights as a file for other programs.

use std::path::Path;

use anyhow::{Context, Result};
use lockstep_coordinator::run_folder::atomic;
use lockstep_worker::model::{NamedWeights, ParameterSet};

use crate::arguments::{Export, ExportFormat};
use crate::run::Run;
use crate::{BadInput, print};

/// Writes the file, whole or not at all.
///
/// # Errors
/// If the run has no such weights, or the file is there already or can't be written.
pub fn export(arguments: &Export) -> Result<()> {
    let out = std::path::absolute(&arguments.out).context("--out")?;
    if out.exists() && !arguments.overwrite {
        return Err(
            BadInput(format!("{} is there already: add --overwrite, or choose another --out", out.display())).into()
        );
    }
    let run = Run::open(&arguments.run)?;
    let weights = chosen(&run, arguments)?;
    let bytes = match arguments.format {
        ExportFormat::Safetensors => weights.to_safetensors().map_err(BadInput::from_display)?,
    };
    write(&out, &bytes)?;
    let (tensors, elements) = weights.counts();
    print(&format!("{tensors} tensors, {elements} numbers of {} in {}\n", weights.origin(), out.display()))
}

fn chosen(run: &Run, arguments: &Export) -> Result<NamedWeights> {
    let set = if arguments.trained { ParameterSet::Trained } else { ParameterSet::Averaged };
    match (arguments.checkpoint, set) {
        (true, set) => Ok(run.checkpoint_weights(set)?.0),
        (false, ParameterSet::Averaged) => run.final_weights(),
        (false, ParameterSet::Trained) => run.final_trained_weights(),
    }
}

fn write(out: &Path, bytes: &[u8]) -> Result<()> {
    if out.is_dir() {
        return Err(BadInput(format!("{} is a folder: name a file with --out", out.display())).into());
    }
    let written = atomic::write(out, bytes);
    written
        .map_err(|error| BadInput(format!("{}: cannot be written: {error}: choose another --out", out.display())))?;
    Ok(())
}

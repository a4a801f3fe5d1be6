//! `fork RUN --at STEP`: a new run from a checkpoint of another, with other settings from there on.

use std::path::{Path, PathBuf};

use anyhow::Result;
use lockstep_checkpoint::Place;
use lockstep_coordinator::run_folder::{ForkedFrom, RunFolder};
use lockstep_proto::job::{ForkPoint, Job};
use lockstep_worker::trainer;

use crate::arguments::Fork;
use crate::checkpoints::Checkpoints;
use crate::device;
use crate::run::Run;
use crate::train::{self, Training};
use crate::{BadInput, run_folder, trained};

/// Branches off a run and trains; returns the exit code.
///
/// # Errors
/// If there is no such checkpoint, or a setting is not for a fork: before anything is written.
pub fn fork(arguments: &Fork) -> Result<u8> {
    let run = Run::open(&arguments.run)?;
    let snapshot = Checkpoints::of(&run)?.at(arguments.at)?;
    let point = ForkPoint { epoch: snapshot.about.epoch, position: snapshot.about.position };
    let job = job(arguments, &run, point)?;
    let offered = device::offered(job.cluster.device, Some(job.cluster.workers))?;
    offered.check(job.cluster.workers, "cluster.workers")?;
    offered.remarks().iter().for_each(|remark| eprintln!("{remark}"));
    let (step, digest) = (snapshot.about.step, snapshot.about.digest.clone());
    let snapshot = trainer::forked(&run.job, &job, snapshot).map_err(trained)?;

    let settings = run.job.differences(&job).into_iter().map(|difference| (difference.key, difference.second));
    let from = ForkedFrom {
        run: run.folder().display().to_string(),
        step,
        digest,
        job_hash: run.job.hash(),
        settings: settings.filter(|(key, _)| key != "checkpoint.dir").collect(),
    };
    let (folder, name) = folder(arguments, &run)?;
    let probes = job.probes_unlike(&run.job);
    RunFolder::fork(&folder, &job.to_toml(), run.folder(), &from, &probes).map_err(BadInput::from_display)?;
    let place = Place::open(&run_folder::checkpoints_of(&folder, &job)).map_err(BadInput::from_display)?;
    if let Err(error) = place.write(&snapshot) {
        // Without its checkpoint it is no run; what can't be removed is told by the next call.
        let _ = std::fs::remove_dir_all(&folder);
        return Err(error.into());
    }
    Training { job, offered, name, folder, from: Vec::new(), go_on: true }.to_its_end(train::view(&arguments.shown))
}

/// The run's job with the settings; nothing of the environment goes into it.
fn job(arguments: &Fork, run: &Run, point: ForkPoint) -> Result<Job> {
    // A place of its own: in the other run's, the other's newest checkpoint would be gone on from.
    let mut overrides = vec!["checkpoint.dir=''".to_owned()];
    overrides.extend(arguments.set.iter().cloned());
    overrides.extend(arguments.size.settings());
    let mut job = run.job.forked(&overrides, point).map_err(BadInput::from_display)?;
    let dir = &job.checkpoint.dir;
    if !dir.is_empty() && *dir == run.job.checkpoint.dir {
        let line = format!("checkpoint.dir = {dir:?} has the other run's checkpoints: leave it out, or set another");
        return Err(BadInput(line).into());
    }
    trainer::seal_weights(&mut job).map_err(trained)?;
    train::settle_threads(&mut job);
    Ok(job)
}

/// The fork's folder and name.
fn folder(arguments: &Fork, run: &Run) -> Result<(PathBuf, String)> {
    let name = run.folder().file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
    let name = format!("{name}-fork");
    if let Some(out) = &arguments.out
        && (holds(out, run.folder()) || holds(run.folder(), out))
    {
        let line = format!("--out {} has the run that is forked, or lies in it: choose another", out.display());
        return Err(BadInput(line).into());
    }
    Ok((run_folder::prepare(arguments.out.as_deref(), &name, arguments.overwrite)?, name))
}

/// Whether `inner` is `outer` or lies in it.
fn holds(outer: &Path, inner: &Path) -> bool {
    // One that is not there yet lies where its folder does.
    let real = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let known = path.ancestors().find_map(|above| Some((above, std::fs::canonicalize(above).ok()?)));
        known.map_or(path.clone(), |(above, real)| match path.strip_prefix(above) {
            Ok(rest) if rest != Path::new("") => real.join(rest),
            _ => real,
        })
    };
    real(inner).starts_with(real(outer))
}

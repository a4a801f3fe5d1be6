//! The very step from which on two runs differ: both are trained again, step by step, from where they are equal.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lockstep_checkpoint::{Place, Snapshot};
use lockstep_proto::job::{Evaluate, Job, Measure, Reduction};
use lockstep_proto::slot::SlotDevice;
use lockstep_worker::stepper::{Stepper, StepperError};
use lockstep_worker::trainer::{self, Hardware};

use super::states::{self, StateDifference};
use super::{Comparison, Side};
use crate::{BadInput, device, trained};

/// What training again came to.
pub struct Exact {
    /// The last step after which both are the same; none if they differ after the first.
    pub equal_to: Option<u64>,
    /// The step that differs, and in what.
    pub found: Option<(u64, StateDifference)>,
    /// Of the runs, what training again does not come to here.
    pub remarks: Vec<String>,
}

impl Exact {
    /// The step that differs.
    pub fn step(&self) -> Option<u64> {
        self.found.as_ref().map(|(step, _)| *step)
    }
}

/// Trains both until they differ: at most to the first checkpoint that does, so that it shows whose is not what its job
/// comes to; without one to the first step that is known to differ, or to the end of the shorter.
///
/// # Errors
/// If one can't be trained here, or there is nothing to start from.
pub fn find(sides: &[Side; 2], comparison: &Comparison) -> Result<Exact> {
    check(sides)?;
    let ends = sides.iter().filter_map(Side::steps).min();
    let Some(end) = comparison.checkpoint_differs_at().or(comparison.differs_at()).or(ends) else {
        return Err(
            BadInput("--exact: neither run has ended, and nothing is known to differ: wait for one".into()).into()
        );
    };
    let start = start(sides, comparison)?;
    let scratch = Scratch::new()?;
    let mut steppers = Vec::new();
    for (index, side) in sides.iter().enumerate() {
        let folder = scratch.0.join(format!("run{}", index + 1));
        std::fs::create_dir_all(&folder)?;
        steppers.push(stepper(side, &folder, start.as_ref())?);
    }
    let first_step = start.as_ref().map_or(0, |(_, state)| state.about.step);
    let mut exact = Exact { equal_to: start.map(|_| first_step), found: None, remarks: Vec::new() };
    for step in first_step + 1..=end {
        steppers.iter_mut().for_each(Stepper::begin_step);
        let mut digests = Vec::new();
        for stepper in &mut steppers {
            match stepper.end_step() {
                Ok((_, digest)) => digests.push(digest.to_owned()),
                Err(StepperError::Done(_)) => return Ok(exact),
                Err(error) => return Err(error.into()),
            }
        }
        exact.remarks.extend(remarks(comparison, step, &digests));
        if digests[0] != digests[1] {
            let mut written = Vec::new();
            for (index, stepper) in steppers.iter_mut().enumerate() {
                written.push(state(stepper, &scratch.0.join(format!("run{}", index + 1)))?);
            }
            exact.found = states::compare(&written[0], &written[1]).map(|difference| (step, difference));
            return Ok(exact);
        }
        exact.equal_to = Some(step);
    }
    Ok(exact)
}

/// Runs whose bits depend on more than job and data can't be trained again.
fn check(sides: &[Side; 2]) -> Result<(), BadInput> {
    match sides.iter().find(|side| side.run.job.optimizer.reduction != Reduction::Tree) {
        None => Ok(()),
        Some(side) => {
            let run = side.run.folder().display();
            Err(BadInput(format!("--exact: {run} has an `optimizer.reduction` whose bits depend on its workers")))
        }
    }
}

/// The newest state that both share and one has a checkpoint of, with that run; none for the beginning of both.
fn start<'a>(sides: &'a [Side; 2], comparison: &Comparison) -> Result<Option<(&'a Side, Snapshot)>> {
    let has = |side: &Side, step| side.checkpoints.steps().any(|there| there == step);
    let of_step = |step| sides.iter().find(|side| has(side, step)).map(|side| (side, step));
    if let Some((side, step)) = comparison.equal_at().into_iter().find_map(of_step) {
        return Ok(Some((side, side.checkpoints.read(step)?)));
    }
    match sides.iter().find_map(|side| side.forked.as_ref()) {
        None => Ok(None),
        Some(fork) => {
            let (step, run) = (fork.step, &fork.run);
            let line = format!(
                "--exact: there is no checkpoint left that both share, and a fork has no beginning of its own: it was \
                 forked at step {step} from {run}; keep that with checkpoint.keep_every"
            );
            Err(BadInput(line).into())
        }
    }
}

/// A trainer for a run that starts where both are equal.
fn stepper(side: &Side, folder: &Path, start: Option<&(&Side, Snapshot)>) -> Result<Stepper> {
    let job = quiet(&side.run.job);
    if let Some((owner, state)) = start {
        let state = trainer::forked(&owner.run.job, &job, state.clone()).map_err(trained)?;
        Place::open(&checkpoints(folder))?.write(&state)?;
    }
    let hardware = match device::to_check(job.cluster.device)? {
        SlotDevice::Cpu => Hardware::Cpu,
        SlotDevice::Cuda => Hardware::Gpu(0),
    };
    // Both compute at the same time.
    let threads = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
    Ok(Stepper::prepare(&job, folder, hardware, threads)?)
}

/// The job without what changes no state: what it would write, measure and wait for.
fn quiet(job: &Job) -> Job {
    let mut job = job.clone();
    job.checkpoint.dir = String::new();
    (job.checkpoint.every_epochs, job.checkpoint.every_steps, job.checkpoint.every_minutes) = (0, 0, 0);
    job.probe.clear();
    job.schedule.max_minutes = 0.0;
    let schedule = &job.schedule;
    if schedule.target_accuracy == 0.0 && schedule.target_loss == 0.0 && schedule.patience == 0 {
        job.evaluate = Evaluate { every_epochs: 0, every_steps: 0, test: false };
        job.checkpoint.keep_best = Measure::None;
    }
    job
}

fn checkpoints(folder: &Path) -> String {
    folder.join("checkpoints").display().to_string()
}

/// The newest state of a trainer.
fn state(stepper: &mut Stepper, folder: &Path) -> Result<Snapshot> {
    let name = stepper.write_checkpoint()?.parse()?;
    Ok(Place::open(&checkpoints(folder))?.read(name)?)
}

/// Says which runs' checkpoints are not what training again comes to.
fn remarks(comparison: &Comparison, step: u64, digests: &[String]) -> Vec<String> {
    let Some(common) = comparison.checkpoints.iter().find(|common| common.step == step) else { return Vec::new() };
    let other = |(index, recorded): (usize, &String)| {
        let line = format!(
            "RUN{}'s checkpoint of step {step} is not what its job comes to here: another build or device, or a fault",
            index + 1
        );
        (digests[index] != *recorded).then_some(line)
    };
    common.digests.iter().enumerate().filter_map(other).collect()
}

/// A folder that is gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        // Never one that somebody else has made, or a call that was killed has left.
        for attempt in 0..1000 {
            let folder = std::env::temp_dir().join(format!("lockstep-diff-{}-{attempt}", std::process::id()));
            match std::fs::create_dir(&folder) {
                Ok(()) => return Ok(Self(folder)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| format!("cannot make {}", folder.display())),
            }
        }
        bail!("there is no free name for a folder in {}: clear it of lockstep-diff-*", std::env::temp_dir().display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed is the system's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

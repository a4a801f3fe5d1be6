//! A state for a job that branches off another.

use lockstep_checkpoint::{Place, Snapshot};
use lockstep_dataset::dataset::Split;
use lockstep_kernels::cpu::Cpu;
use lockstep_proto::job::Job;

use super::TrainerError;
use super::hardware::Hardware;
use super::host_memory::check_host_memory;
use super::optimizer::kept;
use super::prepare::{about, instruction_set, samples_in_order, work};
use super::probes;
use super::schedule::Schedule;
use crate::datasets;

/// What `job` starts from where it branches off `original` at the state in `snapshot`, after the checks that a job's
/// start has on this machine. The state is the same. What the checkpoint says of its samples' order is said in words of
/// `job`: a windowed order names all batches, also those that are still to come, of which the two may differ.
///
/// # Errors
/// If the state is of other samples or another network than `original`'s are on this machine, or `job` keeps other
/// vectors in it.
pub fn forked(original: &Job, job: &Job, snapshot: Snapshot) -> Result<Snapshot, TrainerError> {
    instruction_set(job.cluster.instruction_set)?;
    check_vectors(original, job)?;
    let dataset = datasets::open(&job.data, &[])?;
    Schedule::new(job, dataset.len(Split::Train)).map_err(TrainerError::Job)?;
    let work = work::<Cpu>(job, dataset)?;
    // Kept meanwhile, as a trainer does.
    let starts = probes::check(job, &work)?;
    check_host_memory(job, &work)?;
    drop(starts);
    if !job.checkpoint.dir.is_empty() {
        Place::open(&job.checkpoint.dir)?.check_writable()?;
    }
    let ours = about(job, "", &work, Hardware::Cpu)?;
    let mut snapshot = snapshot;
    let (was, is) = (&snapshot.about.dataset, samples_in_order(original, &work.dataset));
    if *was != is {
        let line = format!("the run's samples are {was:?}, but here they are {is:?}: set data.path to where those are");
        return Err(TrainerError::Job(line));
    }
    if snapshot.about.model != ours.model {
        let line = "the state is another network's than the run's job has: the run was changed by hand, or is an \
                    older program's";
        return Err(TrainerError::Job(line.into()));
    }
    snapshot.about.dataset = ours.dataset;
    Ok(snapshot)
}

/// Vectors of the optimiser's are part of the state.
fn check_vectors(original: &Job, job: &Job) -> Result<(), TrainerError> {
    let names = |job: &Job| kept(&job.optimizer).iter().map(|vector| vector.name).collect::<Vec<_>>().join(", ");
    let (theirs, ours) = (names(original), names(job));
    if theirs == ours {
        return Ok(());
    }
    Err(TrainerError::Job(format!(
        "the state has {theirs}, but the fork's optimizer keeps {ours}: leave optimizer.name, whether \
         optimizer.momentum and optimizer.ema are 0, and optimizer.centered as they were"
    )))
}

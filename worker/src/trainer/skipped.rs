//! Samples that are as they were prepared but can't be decoded, where `data.skip_bad` leaves such out of their lanes.
//!
//! Which they are is a function of the data alone. How many, and at which places of the batch, rides in the tally; so all
//! ranks know them, stop at the same step when there are too many, and have them in the ledger, which is part of the
//! state: samples left out in an epoch before a crash count behind it.

use std::collections::BTreeSet;

use lockstep_collective::{Error, Group, Tag, Tally};
use lockstep_dataset::Split;
use lockstep_kernels::device::Device;
use lockstep_proto::ledger::Ledger;

use super::TrainerError;
use super::lane::Work;
use super::measures;
use super::passes::Batch;
use super::schedule::StepPlan;

/// The broadcasts of an evaluation: who has left out what.
const SKIPPED_PASS: u32 = 3;

/// The samples that a step has left out, in the order of positions, by its reduced tally. `ledger`: of the steps before.
///
/// # Errors
/// If that makes more of the epoch than the job leaves out, or no sample is left in the step.
pub(super) fn of_step<D: Device>(
    work: &Work<D>,
    batch: &Batch,
    ledger: &Ledger,
    tally: &Tally,
) -> Result<Vec<u64>, TrainerError> {
    if tally.counts[measures::SKIPPED] == 0 {
        return Ok(Vec::new());
    }
    let (epoch, step) = (batch.plan.epoch, batch.step + 1);
    let positions = measures::skipped_places(tally).map(|place| batch.plan.first + place);
    let samples: Vec<u64> = positions.map(|position| batch.order.sample_at(position)).collect();
    let found = ledger.skipped_of(epoch) + samples.len() as u64;
    let of = format!("of epoch {epoch}, up to step {step},");
    check(work, (Split::Train, Some(epoch)), (found, &of), &samples)?;
    match tally.counts[measures::SAMPLES] {
        0 => Err(nothing_left(&format!("step {step} takes"))),
        _ => Ok(samples),
    }
}

/// Whether so many samples of an evaluation's split, ascending, may be left out.
///
/// # Errors
/// If they may not, or are all.
pub(crate) fn check_evaluation<D: Device>(work: &Work<D>, split: Split, skipped: &[u64]) -> Result<(), TrainerError> {
    let of = format!("of the {} split", split.name());
    check(work, (split, None), (skipped.len() as u64, &of), skipped)?;
    match skipped.len() as u64 == work.dataset.len(split) {
        true => Err(nothing_left(&format!("the {} split has", split.name()))),
        false => Ok(()),
    }
}

fn check<D: Device>(
    work: &Work<D>,
    (split, epoch): (Split, Option<u64>),
    (found, of): (u64, &str),
    samples: &[u64],
) -> Result<(), TrainerError> {
    if found <= work.skip_bad {
        return Ok(());
    }
    let last = samples.last().map_or(String::new(), |sample| why(work, split, epoch, *sample));
    Err(TrainerError::Job(format!(
        "data.skip_bad = {}, but {found} samples {of} can't be decoded, the last of them {last}; prepare the dataset \
         without them, or raise data.skip_bad",
        work.skip_bad
    )))
}

/// The error where all samples are left out. `whose`: what has or takes them.
pub(super) fn nothing_left(whose: &str) -> TrainerError {
    TrainerError::Job(format!(
        "none of the samples that {whose} can be decoded: prepare the dataset anew (`lockstep data verify --decode` \
         finds all that can't be)"
    ))
}

/// Where a sample lies and what is wrong with it: it is read again, since another worker may have found it.
fn why<D: Device>(work: &Work<D>, split: Split, epoch: Option<u64>, sample: u64) -> String {
    let read = work.reader.clone().append(&work.dataset, split, sample, epoch, &mut Vec::new());
    read.map_or_else(|error| error.to_string(), |_| format!("sample {sample}"))
}

/// Logs what a step has left out.
pub(super) fn tell<D: Device>(work: &Work<D>, plan: &StepPlan, step: u64, samples: &[u64]) {
    for sample in samples {
        tracing::warn!("step {step} is without {}", why(work, Split::Train, Some(plan.epoch), *sample));
    }
}

/// What all members of a group have left out of an evaluation, ascending; `own`: this one's part.
///
/// # Errors
/// As a broadcast's.
pub(super) fn of_all(group: &mut Group, step: u64, own: &[u64]) -> Result<Vec<u64>, Error> {
    let (rank, ranks) = group.rank_and_ranks();
    let mut all = BTreeSet::new();
    for source in 0..ranks {
        let mut payload = Vec::new();
        if source == rank {
            payload = own.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        }
        group.broadcast(source as u32, Tag { step, pass: SKIPPED_PASS }, &mut payload)?;
        all.extend(payload.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)));
    }
    Ok(all.into_iter().collect())
}

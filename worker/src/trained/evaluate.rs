//! Evaluation of given weights over a split, by lanes and tree as in training.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use lockstep_collective::{Tally, tree};
use lockstep_kernels::cpu::Cpu;
use lockstep_proto::job::Job;

use super::{UseError, device};
use crate::model::{NamedWeights, Weights};
use crate::trainer::crew::Crew;
use crate::trainer::lane::{Evaluation, LaneRunner, Pulse, Work};
use crate::trainer::measures::Score;
use crate::trainer::prepare;
use crate::trainer::progress::Progress;
use crate::trainer::skipped;
use lockstep_dataset::{Dataset, Split};

/// Most classes of a confusion table.
pub const MOST_CONFUSED: usize = 20;

/// What an evaluation came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// Samples of the split that it is over.
    pub samples: u64,
    /// Those that can't be decoded and were left out, ascending.
    pub skipped: Vec<u64>,
    /// Mean over them.
    pub loss: f64,
    /// Fraction of right answers.
    pub accuracy: f64,
    /// Fraction of wrong answers.
    pub error: f64,
    /// Fraction of samples whose class is among the five best answers.
    pub top5_accuracy: f64,
    /// Fraction of the others.
    pub top5_error: f64,
    /// Of at most [`MOST_CONFUSED`] classes: samples by class (row) and answer.
    pub confusion: Option<Vec<Vec<u64>>>,
}

/// Evaluates weights over a split of the job's data on `threads` threads; the result does not depend on how many.
///
/// # Errors
/// If job, data and weights don't fit, or the split is empty.
///
/// # Panics
/// If `threads` is 0.
pub fn evaluate(job: &Job, weights: &NamedWeights, split: Split, threads: usize) -> Result<Evaluated, UseError> {
    assert!(threads > 0, "somebody has to compute");
    let work = prepare::work(job, Dataset::open(&job.data)?)?;
    let samples = work.dataset.len(split);
    if samples == 0 {
        let name = split.name();
        return Err(UseError::Request(format!("there are no {name} samples: the run's data.{name} is 0")));
    }
    let mut flat = vec![0.0; work.model.len()];
    weights.fill(work.model.tensors(), 0..0, &mut flat)?;
    let (parameters, statistics) = flat.split_at(work.model.parameters());
    // Nobody watches.
    let (abort, progress) = (AtomicBool::new(false), Progress::default());
    let pulse = Pulse { abort: &abort, progress: &progress };
    let weights = Weights { parameters, statistics };
    let evaluation = Evaluation { work: &work, weights, split, positions: 0..samples, flags: 0, pulse };
    let lanes = samples.div_ceil(work.micro_batch) as u32;
    measure(&evaluation, lanes, threads.min(lanes as usize))
}

fn measure(evaluation: &Evaluation<'_, Cpu>, lanes: u32, threads: usize) -> Result<Evaluated, UseError> {
    let work = evaluation.work;
    let runners = (0..threads).map(|_| LaneRunner::new(device(), work)).collect();
    let mut crew = Crew::new(runners).map_err(|error| UseError::Machine(error.to_string()))?;
    let shown = if work.classes <= MOST_CONFUSED { work.classes } else { 0 };
    let mut tallies = vec![Tally::default(); lanes as usize];
    let share = (lanes as usize).div_ceil(threads);
    let mut confusions = vec![vec![vec![0; shown]; shown]; threads];
    let parts = tallies.chunks_mut(share).zip(&mut confusions).enumerate().map(|(index, (tallies, confusion))| {
        let first = (index * share) as u32;
        (first..first + tallies.len() as u32, tallies, confusion)
    });
    crew.run(parts.collect(), |runner, (lanes, tallies, confusion)| {
        let mut outputs = Vec::new();
        for (lane, tally) in lanes.zip(tallies) {
            *tally = runner.evaluate_subtree(evaluation, lane..lane + 1);
            if shown > 0 {
                confuse(runner, work, &mut outputs, confusion);
            }
        }
    });
    crew.check_read()?;
    let mut skipped = crew.take_skipped();
    if !skipped.is_empty() {
        skipped.sort_unstable();
        skipped::check_evaluation(work, evaluation.split, &skipped)?;
    }
    let score = Score::of(&sum(&tallies, 0..lanes));
    Ok(Evaluated {
        samples: score.samples,
        skipped,
        loss: score.loss,
        accuracy: score.accuracy,
        error: score.error(),
        top5_accuracy: score.top5_accuracy(),
        top5_error: score.top5_error(),
        confusion: (shown > 0).then(|| added(confusions)),
    })
}

/// Counts the answers of the lane that was computed last.
fn confuse(runner: &mut LaneRunner<Cpu>, work: &Work<Cpu>, outputs: &mut Vec<f32>, confusion: &mut [Vec<u64>]) {
    let classes = runner.answers(work, outputs);
    for (class, outputs) in classes.iter().zip(outputs.chunks_exact(work.classes)) {
        confusion[usize::from(*class)][work.loss.answer(outputs)] += 1;
    }
}

/// All lanes' tallies, added by the fixed tree.
fn sum(tallies: &[Tally], lanes: Range<u32>) -> Tally {
    if lanes.len() == 1 {
        return tallies[lanes.start as usize].clone();
    }
    let middle = tree::middle(&lanes);
    let mut left = sum(tallies, lanes.start..middle);
    left.add(&sum(tallies, middle..lanes.end));
    left
}

fn added(tables: Vec<Vec<Vec<u64>>>) -> Vec<Vec<u64>> {
    let add = |mut sum: Vec<Vec<u64>>, table: Vec<Vec<u64>>| {
        sum.iter_mut().flatten().zip(table.into_iter().flatten()).for_each(|(sum, count)| *sum += count);
        sum
    };
    tables.into_iter().reduce(add).unwrap_or_default()
}

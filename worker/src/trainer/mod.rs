//! The trainer: the loop that a sample's path goes through, in reading order.
//!
//! One compute thread owns everything here. It never waits for the control plane: stop and abort come as
//! [`Signals`], reports go into a channel that never blocks.

mod crew;
mod error;
mod evaluate;
mod fingerprint;
mod lane;
mod measures;
mod meter;
mod schedule;
mod signals;
mod start;
mod state;

use std::time::Instant;

use lockstep_collective::{Group, Tag};
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::sgd::SgdStep;
use lockstep_proto::job::Job;
use lockstep_proto::wire;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use crate::control::{Assignment, Event, Weights};
use crate::data::dataset::Split;
use crate::data::order::Order;

use crew::Crew;
use lane::{TrainStep, Work};
use measures::Score;
use meter::Meter;
use schedule::{Schedule, StepPlan};
use state::State;

pub use error::TrainerError;
pub use fingerprint::{canary, fingerprint};
pub use signals::{Phase, Signals};
pub use start::{Seat, check};

/// Trains one membership of a job to its end.
///
/// # Errors
/// If job, data or machine don't allow it, or a peer is lost.
pub fn run(seat: Seat, assignment: &Assignment) -> Result<(wire::Outcome, Option<Weights>), TrainerError> {
    Trainer::start(seat, assignment)?.train()
}

/// Passes of a step that reduce: gradients are the first; evaluations have a count of their own.
const FIRST_PASS: u32 = 0;

/// What the compute thread owns.
struct Trainer {
    job: Job,
    work: Work<Cpu>,
    schedule: Schedule,
    crew: Crew<Cpu>,
    state: State<Cpu>,
    group: Group,
    meter: Meter,
    /// The newest evaluation on the test split, and its step.
    newest_test: Option<(u64, Score)>,
    /// Rank 0 speaks for all: their numbers are the same bits.
    speaks: bool,
    signals: std::sync::Arc<Signals>,
    events: UnboundedSender<Event>,
}

/// What a committed step tells the loop.
struct Committed {
    epoch: u64,
    flags: u64,
    score: Score,
    learning_rate: f64,
}

impl Trainer {
    fn train(mut self) -> Result<(wire::Outcome, Option<Weights>), TrainerError> {
        while let Some(plan) = self.schedule.step(&self.state.cursor) {
            let committed = self.step(plan)?;
            self.report_step(&committed);
            if self.state.cursor.epoch > plan.epoch {
                self.meter.end_epoch();
                self.evaluate_if_due()?;
            }
            if let Some(reason) = stop_reason(committed.flags) {
                return Ok((self.outcome(reason), None));
            }
        }
        self.finish()
    }

    /// One step: data, forward and backward of this worker's lanes; the reduction; the update.
    fn step(&mut self, plan: StepPlan) -> Result<Committed, TrainerError> {
        self.signals.enter(Phase::Lanes);
        let order = Order::new(self.job.seed.order, plan.epoch, self.work.dataset.len(Split::Train));
        let step = TrainStep {
            work: &self.work,
            parameters: self.state.parameters(),
            plan,
            order: &order,
            flags: self.signals.stop_flags(),
        };
        self.crew.run(self.group.hands(plan.lanes)?, |runner, hand| {
            for mut subtree in hand.subtrees {
                *subtree.tally = runner.train_subtree(&step, subtree.lanes, &mut subtree.gradient);
            }
        });

        self.signals.enter(Phase::Reduce);
        let reducing = Instant::now();
        let tag = Tag { step: self.state.cursor.step, pass: FIRST_PASS };
        let reduced = self.group.reduce(plan.lanes, tag, self.crew.pool())?;

        self.signals.enter(Phase::Commit);
        let committing = Instant::now();
        let score = Score::of(reduced.tally);
        let learning_rate = self.schedule.learning_rate(self.state.cursor.step);
        let update = update(&self.job, learning_rate, score.samples);
        let cursor = self.schedule.advance(&self.state.cursor, &plan);
        self.state.commit(&mut self.crew, &update, reduced.gradient, cursor);
        self.meter.step(&score, committing - reducing, committing.elapsed());
        let flags = reduced.tally.flags;
        Ok(Committed { epoch: plan.epoch, flags, score, learning_rate })
    }

    /// The end of a job that ran its course: the test error, and the weights as a file.
    fn finish(mut self) -> Result<(wire::Outcome, Option<Weights>), TrainerError> {
        let mut outcome = self.outcome("completed");
        let test = match self.newest_test {
            Some((step, score)) if step == self.state.cursor.step => score,
            _ => self.evaluate(Split::Test)?,
        };
        outcome.test_loss = Some(test.loss);
        outcome.test_error = Some(test.error());
        let device = &mut self.crew.first().device;
        let file = self.state.to_safetensors(device, self.work.model.tensors());
        let file = file.map_err(|error| TrainerError::Machine(format!("cannot write the weights: {error}")))?;
        outcome.weights_sha256 = sha256_hex(&file);
        Ok((outcome, self.speaks.then_some(Weights(file))))
    }

    fn outcome(&self, stop_reason: &str) -> wire::Outcome {
        let cursor = self.state.cursor;
        wire::Outcome {
            stop_reason: stop_reason.into(),
            steps: cursor.step,
            epochs: cursor.epoch,
            samples: cursor.samples,
            seconds: self.meter.total_seconds(),
            train_loss: self.meter.train_loss(),
            ..Default::default()
        }
    }

    /// Every `metrics.every` steps, and at the last.
    fn report_step(&mut self, committed: &Committed) {
        let cursor = self.state.cursor;
        let due = cursor.step.is_multiple_of(self.job.metrics.every) || cursor.step == self.schedule.total_steps();
        if !due || !self.speaks || !self.meter.has_steps() {
            return;
        }
        let lanes = self.crew.first().take_seconds();
        let (samples_per_second, seconds) = self.meter.take(lanes);
        self.report(wire::report::Report::Step(wire::StepReport {
            step: cursor.step,
            epoch: committed.epoch,
            loss: committed.score.loss,
            accuracy: committed.score.accuracy,
            learning_rate: committed.learning_rate,
            samples_per_second,
            seconds: Some(seconds),
            samples: cursor.samples,
        }));
    }

    fn report(&self, report: wire::report::Report) {
        // Control outlives the trainer, except when the process is ending anyway.
        let _ = self.events.send(Event::TrainerReported(wire::Report { report: Some(report) }));
    }
}

/// The constants of an update with a gradient that sums over `count` samples.
fn update(job: &Job, learning_rate: f64, count: u64) -> SgdStep {
    SgdStep {
        learning_rate: learning_rate as f32,
        momentum: job.optimizer.momentum as f32,
        weight_decay: job.optimizer.weight_decay as f32,
        nesterov: job.optimizer.nesterov,
        count,
    }
}

/// What the reduced flags ask for; a signal goes before a cancellation, since it leaves the job to be gone on with.
fn stop_reason(flags: u64) -> Option<&'static str> {
    if flags & measures::INTERRUPTED != 0 {
        Some("interrupted")
    } else if flags & measures::CANCELLED != 0 {
        Some("cancelled")
    } else {
        None
    }
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

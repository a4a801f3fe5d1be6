//! What a worker process does next: a pure function of what it knows and what happened.
//!
//! On a control message's path this is the last decision: coordinator → shell → [`Control::step`] → trainer, and
//! on the way back reports are numbered here and kept until the coordinator has them on disk.

use std::collections::VecDeque;

use lockstep_proto::identity::Generation;
use lockstep_proto::wire;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The coordinator took the worker in.
    Welcomed,
    /// The coordinator did not.
    Refused(String),
    /// A membership of a job begins.
    Begin(Box<Assignment>),
    /// Stop after the step in flight.
    Stop {
        /// Of which membership.
        generation: Generation,
        /// Whose wish it is.
        why: StopReason,
    },
    /// Leave the membership at once.
    Abort {
        /// Of which membership.
        generation: Generation,
        /// In words.
        reason: String,
    },
    /// Reports numbered below this are durable.
    Acknowledged(u64),
    /// There is nothing more to do.
    Leave,
    /// The stream to the coordinator ended.
    StreamLost(String),
    /// The trainer has data and peers and begins its first step.
    TrainerReady(wire::Ready),
    /// The trainer reports a step or an evaluation.
    TrainerReported(wire::Report),
    /// The trainer is done; rank 0 has the weights as a file.
    TrainerFinished {
        /// Numbers of the run.
        outcome: wire::Outcome,
        /// `final/model.safetensors`.
        weights: Option<Weights>,
    },
    /// The trainer could not go on.
    TrainerFailed {
        /// In words.
        reason: String,
        /// The job or its data is at fault.
        bad_input: bool,
    },
    /// The coordinator has the weights.
    WeightsStored,
    /// It has not.
    WeightsNotStored(String),
}

/// A file for the run folder.
#[derive(Clone, PartialEq, Eq)]
pub struct Weights(pub Vec<u8>);

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Whose wish a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// A client cancelled the job.
    Cancelled,
    /// A signal.
    Interrupted,
}

/// A membership of a job, as dealt by the coordinator.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Which membership.
    pub generation: Generation,
    /// The message with job and members.
    pub begin: wire::Begin,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Start the trainer.
    StartTrainer(Box<Assignment>),
    /// Let the trainer set its stop-wanted bit.
    WantStop(StopReason),
    /// Let the trainer leave its reduction.
    AbortTrainer,
    /// Tell the coordinator.
    Send(wire::worker_event::Event),
    /// Store the weights in the run folder.
    StoreWeights(Weights),
    /// End the process.
    Exit {
        /// 0 when all is done.
        code: u8,
        /// In words.
        reason: String,
    },
}

/// Where the process is in its life.
#[derive(Debug)]
enum Phase {
    /// Hello sent.
    Joining,
    /// Taken in; no job yet.
    Waiting,
    /// In a membership.
    Training { generation: Generation },
    /// The trainer is done; rank 0's weights are on their way.
    Storing { generation: Generation, outcome: wire::Outcome },
    /// Finished or failed, and said so.
    Done,
}

/// A worker's state.
#[derive(Debug)]
pub struct Control {
    phase: Phase,
    /// Reports that are not yet durable, the first numbered `acknowledged`.
    reports: VecDeque<wire::Report>,
    acknowledged: u64,
}

impl Default for Control {
    fn default() -> Self {
        Self { phase: Phase::Joining, reports: VecDeque::new(), acknowledged: 0 }
    }
}

impl Control {
    /// Decides what follows from `event`.
    pub fn step(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Refused(reason) => self.exit(2, format!("refused by the coordinator: {reason}")),
            Event::StreamLost(reason) => {
                let mut commands = self.abort_trainer();
                commands.extend(self.exit(1, format!("lost the coordinator: {reason}")));
                commands
            }
            Event::Leave => self.exit(0, "nothing more to do".into()),
            Event::Acknowledged(number) => {
                self.acknowledge(number);
                Vec::new()
            }
            event => self.step_in_phase(event),
        }
    }

    fn step_in_phase(&mut self, event: Event) -> Vec<Command> {
        match (&self.phase, event) {
            (Phase::Joining, Event::Welcomed) => {
                self.phase = Phase::Waiting;
                Vec::new()
            }
            (Phase::Waiting, Event::Begin(assignment)) => {
                self.phase = Phase::Training { generation: assignment.generation };
                vec![Command::StartTrainer(assignment)]
            }
            (Phase::Training { generation: own }, Event::Stop { generation, why }) if generation == *own => {
                vec![Command::WantStop(why)]
            }
            (
                Phase::Training { generation: own } | Phase::Storing { generation: own, .. },
                Event::Abort { generation, reason },
            ) if generation == *own => {
                let mut commands = self.abort_trainer();
                commands.extend(self.exit(1, format!("the coordinator ended {generation:?}: {reason}")));
                commands
            }
            (Phase::Training { .. }, Event::TrainerReady(ready)) => {
                vec![Command::Send(wire::worker_event::Event::Ready(ready))]
            }
            (Phase::Training { generation }, Event::TrainerReported(report)) => {
                let generation = *generation;
                vec![self.report(generation, report)]
            }
            (Phase::Training { generation }, Event::TrainerFinished { outcome, weights }) => {
                let generation = *generation;
                match weights {
                    Some(weights) => {
                        self.phase = Phase::Storing { generation, outcome };
                        vec![Command::StoreWeights(weights)]
                    }
                    None => self.finish(generation, outcome),
                }
            }
            (Phase::Storing { generation, outcome }, Event::WeightsStored) => {
                let (generation, outcome) = (*generation, outcome.clone());
                self.finish(generation, outcome)
            }
            (Phase::Storing { generation, .. }, Event::WeightsNotStored(reason)) => {
                let generation = *generation;
                self.fail(generation, format!("the coordinator did not store the weights: {reason}"), false)
            }
            (Phase::Training { generation }, Event::TrainerFailed { reason, bad_input }) => {
                let generation = *generation;
                self.fail(generation, reason, bad_input)
            }
            // Anything else is late or of another membership: it changes nothing.
            (Phase::Joining | Phase::Waiting | Phase::Training { .. } | Phase::Storing { .. } | Phase::Done, _late) => {
                Vec::new()
            }
        }
    }

    fn report(&mut self, generation: Generation, report: wire::Report) -> Command {
        let number = self.acknowledged + self.reports.len() as u64;
        self.reports.push_back(report.clone());
        Command::Send(wire::worker_event::Event::Reports(wire::Reports {
            generation: Some(generation.into()),
            first: number,
            reports: vec![report],
        }))
    }

    fn acknowledge(&mut self, number: u64) {
        while self.acknowledged < number && self.reports.pop_front().is_some() {
            self.acknowledged += 1;
        }
    }

    fn finish(&mut self, generation: Generation, outcome: wire::Outcome) -> Vec<Command> {
        self.phase = Phase::Done;
        let finished = wire::Finished { generation: Some(generation.into()), outcome: Some(outcome) };
        vec![Command::Send(wire::worker_event::Event::Finished(finished))]
    }

    fn fail(&mut self, generation: Generation, reason: String, bad_input: bool) -> Vec<Command> {
        self.phase = Phase::Done;
        let failed = wire::Failed { generation: Some(generation.into()), reason, bad_input };
        vec![Command::Send(wire::worker_event::Event::Failed(failed))]
    }

    fn abort_trainer(&self) -> Vec<Command> {
        match self.phase {
            Phase::Training { .. } => vec![Command::AbortTrainer],
            Phase::Joining | Phase::Waiting | Phase::Storing { .. } | Phase::Done => Vec::new(),
        }
    }

    fn exit(&mut self, code: u8, reason: String) -> Vec<Command> {
        self.phase = Phase::Done;
        vec![Command::Exit { code, reason }]
    }
}

#[cfg(test)]
mod tests;

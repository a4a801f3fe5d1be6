//! What a worker process does next: a pure function of what it knows and what happened.
//!
//! On a control message's path this is the last decision: coordinator → shell → [`Control::step`] → trainer. On the
//! way back, what the coordinator may not have is kept here, and said again whenever a stream was lost.

mod command;
mod event;
mod generations;
mod journal;
mod participation;

use lockstep_proto::identity::Generation;
use lockstep_proto::wire::{self, worker_event::Event as Sent};

use journal::Journal;
use participation::Participation;

pub use command::Command;
pub use event::{Batch, Entry, Event, Ready, StopReason, TrainerEvent, Weights};

/// Where the process is in its life.
#[derive(Debug)]
enum Phase {
    /// Never welcomed.
    Joining,
    /// In no generation.
    Idle(Option<Ended>),
    /// In a generation.
    InGeneration(Box<Participation>),
    /// Failed, as was said.
    Done(Box<Sent>),
}

/// The newest generation, once it is over.
#[derive(Debug)]
struct Ended {
    generation: Generation,
    /// Whether this worker spoke for it.
    spoke: bool,
    /// What was said at its end.
    word: Box<Sent>,
}

/// How far the introduction on the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Lost,
    Greeted,
    Welcomed,
}

/// A worker's state.
#[derive(Debug)]
pub struct Control {
    hello: wire::WorkerHello,
    phase: Phase,
    connection: Connection,
    /// A hello was said before; nobody knows whether it was heard.
    greeted: bool,
    assignment: Option<Box<wire::Assignment>>,
    prepared: Option<Box<wire::Prepared>>,
    /// It takes part in no generation that is not above.
    highest_generation: u64,
    held: Option<wire::Held>,
    journal: Journal,
    /// To store weights.
    attempts: u64,
    /// Checkpoints that the coordinator may not know of: the newest, and those written while nobody listened.
    checkpoints: Vec<wire::CheckpointWritten>,
}

impl Control {
    /// A worker that introduces itself with `hello`, which has no attachment yet.
    pub fn new(hello: wire::WorkerHello) -> Self {
        Self {
            hello,
            phase: Phase::Joining,
            connection: Connection::Lost,
            greeted: false,
            assignment: None,
            prepared: None,
            highest_generation: 0,
            held: None,
            journal: Journal::default(),
            attempts: 0,
            checkpoints: Vec::new(),
        }
    }

    /// Decides what follows from `event`.
    pub fn step(&mut self, event: Event) -> Vec<Command> {
        match event {
            Event::Connected => self.greet(),
            Event::Welcomed => self.welcomed(),
            Event::Refused(reason) => {
                let code = if matches!(self.phase, Phase::Joining) { 2 } else { 1 };
                vec![Command::Exit { code, reason: format!("refused by the coordinator: {reason}") }]
            }
            Event::StreamLost(_) => {
                self.connection = Connection::Lost;
                Vec::new()
            }
            Event::Assigned(assignment) => self.assigned(assignment),
            Event::Begin(entry) => self.begin(entry),
            Event::Stop { generation, why } => self.stop(generation, why),
            Event::Abort { generation, reason } => self.abort(generation, reason),
            Event::Acknowledged { rows, step } => self.acknowledged(rows, step),
            Event::WriteCheckpoint => vec![Command::WriteCheckpoint],
            Event::DeleteCheckpoints(names) => {
                self.checkpoints.retain(|written| !names.contains(&written.name));
                vec![Command::DeleteCheckpoints(names)]
            }
            Event::Leave => vec![Command::Exit { code: 0, reason: "nothing more to do".into() }],
            Event::Trainer(event) => self.trainer(event),
            Event::WeightsStored { attempt } => self.weights_stored(attempt),
            Event::WeightsNotStored { attempt, reason, lost } => self.weights_not_stored(attempt, &reason, lost),
        }
    }

    fn greet(&mut self) -> Vec<Command> {
        self.connection = Connection::Greeted;
        // One that comes again says so, also if it was never welcomed.
        let attachment = std::mem::replace(&mut self.greeted, true).then(|| self.attachment());
        vec![Command::send(Sent::Hello(wire::WorkerHello { attachment, ..self.hello.clone() }))]
    }

    /// Enough for a coordinator that remembers nothing.
    fn attachment(&self) -> wire::Attachment {
        let (generation, held) = match &self.phase {
            Phase::InGeneration(own) if own.ready.is_some() => {
                let held = wire::Held { step: self.journal.step(), digest: String::new() };
                (Some(own.begin.clone()), Some(held))
            }
            Phase::InGeneration(own) => (Some(own.begin.clone()), self.held.clone()),
            Phase::Joining | Phase::Idle(_) | Phase::Done(_) => (None, self.held.clone()),
        };
        wire::Attachment {
            assignment: self.assignment.as_deref().cloned(),
            highest_generation: self.highest_generation,
            prepared: self.prepared.as_deref().cloned(),
            generation,
            held,
        }
    }

    /// There is a stream to speak on: all is said that may not have been heard on an earlier one, or not yet.
    fn welcomed(&mut self) -> Vec<Command> {
        self.connection = Connection::Welcomed;
        if matches!(self.phase, Phase::Joining) {
            self.phase = Phase::Idle(None);
            return Vec::new();
        }
        let mut said: Vec<Sent> = self.prepared.iter().map(|prepared| Sent::Prepared((**prepared).clone())).collect();
        if let Phase::InGeneration(own) = &self.phase {
            said.extend(own.ready.clone().map(Sent::Ready));
        }
        let mut commands: Vec<Command> = said.into_iter().map(Command::send).collect();
        self.journal.say_again();
        commands.extend(self.report());
        commands.extend(self.checkpoints.iter().cloned().map(Sent::CheckpointWritten).map(Command::send));
        self.checkpoints.drain(..self.checkpoints.len().saturating_sub(1));
        match &self.phase {
            Phase::Idle(Some(Ended { word, .. })) | Phase::Done(word) => commands.push(Command::send((**word).clone())),
            Phase::Joining | Phase::Idle(None) | Phase::InGeneration(_) => {}
        }
        commands.extend(self.store_weights());
        commands
    }

    fn assigned(&mut self, assignment: Box<wire::Assignment>) -> Vec<Command> {
        match &self.assignment {
            None => {
                self.assignment = Some(assignment.clone());
                vec![Command::Prepare(assignment)]
            }
            Some(own) if own.job == assignment.job => Vec::new(),
            Some(own) => {
                pass_over(format!("an assignment to job {}: this worker is for job {}", assignment.job, own.job))
            }
        }
    }

    fn acknowledged(&mut self, rows: u64, step: u64) -> Vec<Command> {
        self.journal.drop_recorded(step);
        let asks = self.speaks_for().is_some() && self.journal.acknowledge_rows(rows);
        if asks { self.report() } else { Vec::new() }
    }

    /// Says what was not yet said, if this worker speaks for its generation and is heard.
    fn report(&mut self) -> Vec<Command> {
        let Some(generation) = self.speaks_for().filter(|_| self.is_welcomed()) else { return Vec::new() };
        let messages = self.journal.say(&generation.into());
        messages.into_iter().map(|reports| Command::send(Sent::Reports(reports))).collect()
    }

    /// The generation that this worker speaks for: the one that it is in, or was in last, as rank 0.
    fn speaks_for(&self) -> Option<Generation> {
        match &self.phase {
            Phase::InGeneration(own) => own.speaks().then_some(own.generation),
            Phase::Idle(Some(ended)) => ended.spoke.then_some(ended.generation),
            Phase::Joining | Phase::Idle(None) | Phase::Done(_) => None,
        }
    }

    /// Says it now, if anybody hears it; what has to be heard is said again by [`Self::welcomed`].
    fn send(&self, event: Sent) -> Vec<Command> {
        if self.is_welcomed() { vec![Command::send(event)] } else { Vec::new() }
    }

    fn is_welcomed(&self) -> bool {
        self.connection == Connection::Welcomed
    }
}

fn pass_over(reason: String) -> Vec<Command> {
    vec![Command::PassOver(reason)]
}

#[cfg(test)]
mod tests;

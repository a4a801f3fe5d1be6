//! A job's trainer in this process, one step at a time: to find the step from which on two runs differ.
//!
//! Each step is a generation of one member, which is asked to stop before it begins: it commits one step and tells the
//! digest of its state. The state stays in memory from one to the next, and is the same bits as in one go.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use lockstep_collective::Endpoint;
use lockstep_proto::identity::Generation;
use lockstep_proto::job::Job;
use lockstep_proto::wire::{self, start::From};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::control::{Entry, Event, StopReason, TrainerEvent};
use crate::trainer::{self, Hardware, Progress, Seat, Signals, Task};

/// Why a job makes no more steps.
#[derive(Debug, thiserror::Error)]
pub enum StepperError {
    /// The trainer says why.
    #[error("{0}")]
    Failed(String),
    /// The job is done.
    #[error("the job is done after step {0}")]
    Done(u64),
}

/// A trainer that waits between steps.
pub struct Stepper {
    lanes: u32,
    threads: usize,
    addresses: (String, String),
    tasks: Sender<Task>,
    events: UnboundedReceiver<Event>,
    /// The newest state, and the checkpoint that it is from if it is not in memory.
    held: wire::Held,
    checkpoint: Option<String>,
    generation: u64,
}

impl Stepper {
    /// Prepares a job that starts from the newest checkpoint in `folder`/checkpoints, or else from its beginning.
    ///
    /// # Errors
    /// If the job can't be trained here.
    pub fn prepare(job: &Job, folder: &Path, hardware: Hardware, threads: usize) -> Result<Self, StepperError> {
        let failed = |error: &dyn std::fmt::Display| StepperError::Failed(error.to_string());
        let endpoint = Endpoint::bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).map_err(|error| failed(&error))?;
        let addresses = (endpoint.tcp().to_string(), endpoint.unix().to_owned());
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        let seat = Seat {
            endpoint,
            hardware,
            threads,
            progress: Arc::<Progress>::default(),
            events: sender,
            data: Vec::new(),
            #[cfg(feature = "fault-points")]
            fault: None,
        };
        let (tasks, inbox) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("compute".into()).spawn(move || trainer::run(seat, inbox));
        thread.map_err(|error| failed(&error))?;
        let mut stepper = Self {
            lanes: job.batch.lanes(),
            threads,
            addresses,
            tasks,
            events,
            held: wire::Held::default(),
            checkpoint: None,
            generation: 0,
        };
        stepper.order(Task::Prepare(Box::new(wire::Assignment {
            job: "stepper".into(),
            job_toml: job.to_toml(),
            run_folder: folder.display().to_string(),
            ..Default::default()
        })));
        let prepared = stepper.find(|event| match event {
            TrainerEvent::Prepared(prepared) => Some(*prepared),
            _ => None,
        })?;
        if let Some(held) = prepared.checkpoint {
            (stepper.held, stepper.checkpoint) = (held, Some(prepared.checkpoint_name));
        }
        Ok(stepper)
    }

    /// Begins one more step; [`Self::end_step`] waits for it.
    pub fn begin_step(&mut self) {
        self.generation += 1;
        let signals = Arc::<Signals>::default();
        signals.want_stop(StopReason::Regrouped);
        let generation = Generation { number: self.generation, id: [0; 16] };
        let member = wire::Member {
            worker: "stepper".into(),
            node: "here".into(),
            data_address: self.addresses.0.clone(),
            unix_address: self.addresses.1.clone(),
            threads: self.threads as u32,
            lanes: self.lanes,
        };
        let begin = wire::Begin {
            generation: Some(generation.into()),
            secret: vec![0; 32],
            rank: 0,
            members: vec![member],
            start: Some(self.start()),
            ledger_rows: 0,
            recorded_step: self.held.step,
            transport: String::new(),
        };
        self.order(Task::Enter(Box::new(Entry { generation, begin, reports: Vec::new() }), signals));
    }

    /// Waits for the step that was begun; gives how many are committed, and the digest of the state.
    ///
    /// # Errors
    /// If the job makes no more steps.
    pub fn end_step(&mut self) -> Result<(u64, &str), StepperError> {
        let before = self.held.step;
        let held = self.find(|event| match event {
            TrainerEvent::Finished { held, .. } => Some(held),
            _ => None,
        })?;
        if held.step == before {
            return Err(StepperError::Done(before));
        }
        (self.held, self.checkpoint) = (held, None);
        Ok((self.held.step, &self.held.digest))
    }

    /// Writes the newest state to `folder`/checkpoints; gives the checkpoint's name.
    ///
    /// # Errors
    /// If that fails.
    pub fn write_checkpoint(&mut self) -> Result<String, StepperError> {
        self.order(Task::WriteCheckpoint);
        self.find(|event| match event {
            TrainerEvent::CheckpointWritten(written) => Some(written.name),
            _ => None,
        })
    }

    fn start(&self) -> wire::Start {
        let wire::Held { step, digest } = self.held.clone();
        let (from, checkpoint) = match &self.checkpoint {
            Some(name) => (From::Checkpoint, name.clone()),
            None if step == 0 => (From::Initial, String::new()),
            None => (From::Memory, String::new()),
        };
        wire::Start { step, digest, source: 0, from: from.into(), share: false, checkpoint }
    }

    fn order(&self, task: Task) {
        // A trainer that has ended has told why, which is found next.
        let _ = self.tasks.send(task);
    }

    /// Waits for an event; what else is told on the way is of no use here.
    fn find<T>(&mut self, wanted: impl Fn(TrainerEvent) -> Option<T>) -> Result<T, StepperError> {
        loop {
            match self.events.blocking_recv() {
                Some(Event::Trainer(TrainerEvent::Failed { reason, .. })) => return Err(StepperError::Failed(reason)),
                Some(Event::Trainer(TrainerEvent::Left { cause, .. })) => return Err(StepperError::Failed(cause)),
                Some(Event::Trainer(TrainerEvent::CheckpointFailed(failed))) => {
                    return Err(StepperError::Failed(failed.reason));
                }
                Some(Event::Trainer(event)) => {
                    if let Some(found) = wanted(event) {
                        return Ok(found);
                    }
                }
                Some(_) => {}
                None => return Err(StepperError::Failed("the trainer has ended".into())),
            }
        }
    }
}

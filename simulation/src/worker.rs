//! A worker's process: the real [`Control`], and around it what the shell does.

use lockstep_proto::VERSION;
use lockstep_proto::identity::WorkerId;
use lockstep_proto::wire::{self, worker_event::Event as Sent};
use lockstep_worker::control::{Command, Control, Event};

use crate::Bug;
use crate::network::{Peer, Up};
use crate::orders;
use crate::trainer::{Task, Trainer};
use crate::world::{Action, World};

const ALIVE_EVERY: u64 = 1_000;

/// A worker's process.
pub(crate) struct Worker {
    pub id: WorkerId,
    pub node: usize,
    /// The life of the agent that started it.
    life: u32,
    pub alive: bool,
    /// Stopped by a signal: what would happen to it waits.
    pub stopped: bool,
    pub backlog: Vec<Action>,
    control: Control,
    pub connection: Option<usize>,
    /// The attempt to store weights that is under way, and over which connection.
    storing: Option<(usize, u64)>,
    pub trainer: Trainer,
}

impl World {
    /// A process that has just been started.
    pub(crate) fn new_worker(&mut self, node: usize, id: WorkerId) -> usize {
        let worker = self.workers.len();
        let hello = wire::WorkerHello {
            version: VERSION.into(),
            worker: id.to_string(),
            node: self.nodes[node].id.to_string(),
            data_address: "10.0.0.1:1".into(),
            unix_address: "u".into(),
            threads: 1,
            fingerprint: Some(wire::Fingerprint { build: "b".into(), device: "cpu".into(), ..Default::default() }),
            attachment: None,
            transport: None,
        };
        self.workers.push(Worker {
            id,
            node,
            life: self.nodes[node].life,
            alive: true,
            stopped: false,
            backlog: Vec::new(),
            control: Control::new(hello),
            connection: None,
            storing: None,
            trainer: Trainer::default(),
        });
        self.counts.processes += 1;
        let comes_up = self.random.within(20, 300);
        self.later(comes_up, Action::Connect(Peer::Worker(worker)));
        self.later(comes_up, Action::Beat(Peer::Worker(worker)));
        worker
    }

    /// Lets its control decide, and does what that says.
    pub(crate) fn control(&mut self, worker: usize, event: Event) {
        if !self.workers[worker].alive {
            return;
        }
        self.counts.decisions += 1;
        self.trace.note(self.now, || format!("→ {} {}", self.workers[worker].id, orders::control_event(&event)));
        for command in self.workers[worker].control.step(event) {
            self.trace.note(self.now, || format!("    {}", orders::control_command(&command)));
            self.obey(worker, command);
        }
    }

    fn obey(&mut self, worker: usize, command: Command) {
        match command {
            Command::Send(event) => self.worker_says(worker, *event),
            Command::Prepare(_) => self.trainer_gets(worker, Task::Prepare),
            Command::Enter(entry) => self.trainer_gets(worker, Task::Enter(entry)),
            Command::WantStop { generation, why } => self.want_stop(worker, generation, why),
            Command::AbortTrainer(generation) => self.abort_trainer(worker, generation),
            Command::WriteCheckpoint => self.trainer_gets(worker, Task::WriteCheckpoint),
            Command::DeleteCheckpoints(names) => self.trainer_gets(worker, Task::DeleteCheckpoints(names)),
            Command::StoreWeights { attempt, weights } => {
                let sha256 = String::from_utf8_lossy(&weights.0).into_owned();
                self.send_weights(worker, attempt, sha256);
            }
            Command::PassOver(_) => {}
            Command::Exit { code, .. } => self.process_ends(worker, code == 0),
        }
    }

    fn worker_says(&mut self, worker: usize, event: Sent) {
        let Some(connection) = self.workers[worker].connection else { return };
        let message = match event {
            Sent::Hello(hello) => Up::WorkerHello(Box::new(hello)),
            other => Up::Worker(Box::new(other)),
        };
        self.say(connection, message);
    }

    /// What the coordinator says.
    pub(crate) fn worker_told(&mut self, worker: usize, connection: usize, event: Event) {
        if self.workers[worker].connection != Some(connection) {
            return;
        }
        let event = match event {
            Event::Begin(mut entry) if self.bug == Some(Bug::AcceptsOldGenerations) => {
                // As a control would do that looks at no number.
                let highest = self.workers[worker].trainer.highest_entered;
                if entry.generation.number <= highest {
                    entry.generation.number = highest + 1;
                }
                Event::Begin(entry)
            }
            event => event,
        };
        self.control(worker, event);
    }

    /// Its stream is gone.
    pub(crate) fn worker_loses(&mut self, worker: usize) {
        self.workers[worker].connection = None;
        self.control(worker, Event::StreamLost("connection reset".into()));
        if let Some((_, attempt)) = self.workers[worker].storing.take() {
            let reason = "connection reset".into();
            self.control(worker, Event::WeightsNotStored { attempt, reason, lost: true });
        }
    }

    pub(crate) fn worker_beats(&mut self, worker: usize) {
        let alive = self.workers[worker].trainer.alive(self.now);
        self.worker_says(worker, Sent::Alive(alive));
        self.later(ALIVE_EVERY, Action::Beat(Peer::Worker(worker)));
    }

    fn send_weights(&mut self, worker: usize, attempt: u64, sha256: String) {
        match self.workers[worker].connection {
            Some(connection) => {
                self.workers[worker].storing = Some((connection, attempt));
                let arrives = self.random.within(2, 60);
                self.later(arrives, Action::Weights { worker, connection, attempt, sha256 });
            }
            None => {
                let reason = "there is no connection".into();
                self.control(worker, Event::WeightsNotStored { attempt, reason, lost: true });
            }
        }
    }

    pub(crate) fn weights_answered(&mut self, worker: usize, connection: usize, attempt: u64, denied: bool) {
        let under_way = self.workers[worker].storing == Some((connection, attempt));
        if !under_way || self.workers[worker].connection != Some(connection) {
            return;
        }
        self.workers[worker].storing = None;
        let event = match denied {
            true => Event::WeightsNotStored { attempt, reason: "not rank 0".into(), lost: false },
            false => Event::WeightsStored { attempt },
        };
        self.control(worker, event);
    }

    /// A process is gone: its streams and groups break, its agent will see it.
    pub(crate) fn process_ends(&mut self, worker: usize, clean: bool) {
        let process = &mut self.workers[worker];
        if !std::mem::take(&mut process.alive) {
            return;
        }
        process.backlog.clear();
        let (node, life, connection) = (process.node, process.life, process.connection.take());
        self.trace.note(self.now, || format!("{} ends, clean: {clean}", self.workers[worker].id));
        if let Some(connection) = connection {
            self.close_stream(connection);
        }
        self.drop_out(worker);
        let seen = self.random.within(1, 50);
        self.later(seen, Action::Exited { node, life, worker, clean });
    }

    /// A stopped process goes on: all that waited happens now.
    pub(crate) fn continues(&mut self, worker: usize) {
        self.workers[worker].stopped = false;
        for action in std::mem::take(&mut self.workers[worker].backlog) {
            self.at(self.now, action);
        }
    }
}

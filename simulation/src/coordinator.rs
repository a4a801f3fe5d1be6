//! The coordinator: the real [`Cluster`], and around it what the keeper and the rpc side do.

use std::collections::{BTreeMap, VecDeque};

use lockstep_coordinator::cluster::event::{News, Wish};
use lockstep_coordinator::cluster::job::Job;
use lockstep_coordinator::cluster::{Cluster, Command, Entropy, Event, Submission, Ticket, Timestamp};
use lockstep_coordinator::rpc;
use lockstep_proto::identity::{JobId, NodeId, WorkerId};
use lockstep_proto::job::Job as JobSpec;
use lockstep_worker::control;

use crate::Bug;
use crate::network::{AgentOrder, Down, Peer, Up};
use crate::orders;
use crate::plan::{Fault, Folder};
use crate::random::hash;
use crate::store::Store;
use crate::world::{Action, World};

/// The wall clock when the simulated time is 0.
const BEGINNING: u64 = 1_800_000_000_000;

/// The coordinator's process and its disk.
pub(crate) struct Coordinator {
    /// None while it is down.
    pub cluster: Option<Cluster>,
    pub store: Store,
    /// Earlier contents of the disk.
    backups: Vec<Store>,
    seed: u64,
    lives: u64,
    /// Of its clock, against simulated time.
    pub ahead: u64,
    pub asleep_until: u64,
    pub disk_full: bool,
    /// It is killed behind so many commands.
    pub dies_behind: Option<u32>,
    /// After how long it is started again, and with what.
    pub comes_back: Option<(u64, Folder)>,
    /// When a tick is under way.
    tick_at: Option<u64>,
    agents: BTreeMap<NodeId, usize>,
    workers: BTreeMap<WorkerId, usize>,
    tickets: u64,
    /// What a ticket was for.
    pub asked: BTreeMap<Ticket, Wish>,
}

impl Coordinator {
    /// One that has never run.
    pub fn new(seed: u64) -> Self {
        Self {
            cluster: None,
            store: Store::default(),
            backups: Vec::new(),
            seed,
            lives: 0,
            ahead: 0,
            asleep_until: 0,
            disk_full: false,
            dies_behind: None,
            comes_back: None,
            tick_at: None,
            agents: BTreeMap::new(),
            workers: BTreeMap::new(),
            tickets: 0,
            asked: BTreeMap::new(),
        }
    }

    /// The job, if the coordinator runs and knows it.
    pub fn job(&self) -> Option<&Job> {
        self.cluster.as_ref()?.jobs().next()
    }
}

impl World {
    /// The coordinator's clock.
    pub(crate) fn clock(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING + self.now + self.coordinator.ahead)
    }

    pub(crate) fn coordinator_starts(&mut self, folder: Folder) {
        let coordinator = &mut self.coordinator;
        match folder {
            Folder::Kept => {}
            Folder::Lost => coordinator.store = Store::default(),
            Folder::RolledBack => {
                if let Some(backup) = coordinator.backups.pop() {
                    coordinator.store = backup;
                }
            }
        }
        coordinator.lives += 1;
        if coordinator.lives > 1 {
            // The wall clock was set meanwhile; back as well, but not before what the simulation began with.
            coordinator.ahead = self.random.draw() % 7_200_000;
        }
        let mut seed = [0; 32];
        for (place, word) in seed.chunks_exact_mut(8).zip(0u64..) {
            place.copy_from_slice(
                &hash(hash(self.coordinator.seed) ^ self.coordinator.lives ^ word << 32).to_le_bytes(),
            );
        }
        let mut cluster = Cluster::new("/runs".into(), Entropy::new(seed));
        let commands = cluster.restore(self.coordinator.store.jobs(self.clock()));
        self.coordinator.cluster = Some(cluster);
        self.trace.note(self.now, || format!("coordinator starts, state {folder:?}"));
        for command in commands {
            if let Command::SaveJob { record } = command {
                self.coordinator.store.record = Some(record);
            }
        }
        self.inspect_start(folder);
        self.watch_deadline();
    }

    /// It is gone at once, with all its streams.
    pub(crate) fn coordinator_dies(&mut self) {
        self.trace.note(self.now, || "coordinator is killed".into());
        let coordinator = &mut self.coordinator;
        coordinator.cluster = None;
        (coordinator.dies_behind, coordinator.asleep_until) = (None, 0);
        coordinator.agents.clear();
        coordinator.workers.clear();
        coordinator.asked.clear();
        self.watch.coordinator_dies();
        if let Some((down, folder)) = coordinator.comes_back.take() {
            self.later(down, Action::CoordinatorStarts(folder));
        }
        for connection in 0..self.connections.len() {
            if std::mem::take(&mut self.connections[connection].served) {
                let notices = self.random.within(1, 900);
                self.break_stream(connection, false, [notices, notices]);
            }
        }
    }

    /// A copy of its disk, to go back to.
    pub(crate) fn back_up(&mut self) {
        if self.plan.has(|fault| matches!(fault, Fault::CoordinatorDies { folder: Folder::RolledBack, .. })) {
            self.coordinator.backups.push(self.coordinator.store.clone());
        }
    }

    /// The user hands the job in.
    pub(crate) fn submit(&mut self) {
        let toml = self.plan.job.toml.clone();
        let Ok(spec) = JobSpec::from_toml(&toml) else { return self.violate(format!("not a job: {toml}")) };
        let submission = Submission {
            name: "job".into(),
            spec,
            toml,
            run_folder: None,
            command: "lockstep submit job.toml".into(),
            from: Vec::new(),
            go_on: false,
            history: Vec::new(),
        };
        let ticket = self.ticket();
        self.hears(Event::Submitted { ticket, submission: Box::new(submission) });
    }

    fn ticket(&mut self) -> Ticket {
        self.coordinator.tickets += 1;
        Ticket(self.coordinator.tickets)
    }

    /// A user wants something of the job.
    pub(crate) fn ask(&mut self, wish: Wish) {
        let Some(job) = self.coordinator.job().map(|job| job.id.to_string()) else { return };
        let ticket = self.ticket();
        self.coordinator.asked.insert(ticket, wish);
        self.watch.in_doubt(wish);
        self.hears(Event::Asked { ticket, job, wish });
    }

    /// A message comes from a stream that is served.
    pub(crate) fn coordinator_receives(&mut self, connection: usize, message: Up) {
        let number = lockstep_coordinator::cluster::Connection(connection as u64);
        let event = match (message, self.connections[connection].peer) {
            (Up::AgentHello(hello), _) => Event::AgentJoined { connection: number, hello: *hello },
            (Up::WorkerHello(hello), _) => match rpc::worker_hello(*hello) {
                Ok(hello) => Event::WorkerJoined { connection: number, hello: Box::new(hello) },
                Err(status) => return self.violate(format!("a hello is refused: {}", status.message())),
            },
            (Up::Agent(event), _) => *event,
            (Up::Worker(said), Peer::Worker(worker)) => match rpc::news(*said) {
                Ok(news) => {
                    self.inspect_news(worker, &news);
                    Event::Told { worker: self.workers[worker].id.clone(), news }
                }
                Err(malformed) => return self.violate(format!("a worker's words are refused: {malformed}")),
            },
            (Up::Worker(_), Peer::Agent { .. }) => return,
        };
        self.hears(event);
    }

    /// It notices that a stream has ended.
    pub(crate) fn coordinator_loses(&mut self, connection: usize) {
        let stream = &mut self.connections[connection];
        if !std::mem::take(&mut stream.served) || !stream.admitted {
            return;
        }
        let number = lockstep_coordinator::cluster::Connection(connection as u64);
        let cause = "its connection broke".to_owned();
        let event = match stream.peer {
            Peer::Agent { .. } => {
                let node = stream.node.clone();
                self.coordinator.agents.retain(|_, newest| *newest != connection);
                Event::AgentLost { node, connection: number, cause }
            }
            Peer::Worker(worker) => {
                let worker = self.workers[worker].id.clone();
                self.coordinator.workers.retain(|_, newest| *newest != connection);
                Event::WorkerLost { worker, connection: number, cause }
            }
        };
        self.hears(event);
    }

    /// Lets the cluster decide, and carries the decision out, with what comes of that.
    pub(crate) fn hears(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.clock();
            let Some(cluster) = &mut self.coordinator.cluster else { return };
            self.counts.decisions += 1;
            self.trace.note(self.now, || format!("→ coordinator {}", orders::event(&event)));
            let commands = cluster.step(now, event);
            events.extend(self.carry_out(commands));
        }
        self.watch_deadline();
    }

    /// As the keeper does: in order; a record that fails is told to the cluster, and what says that it is durable is
    /// left out.
    fn carry_out(&mut self, commands: Vec<Command>) -> Option<Event> {
        let mut failed: Option<JobId> = None;
        for command in commands {
            if let Some(behind) = &mut self.coordinator.dies_behind {
                match behind.checked_sub(1) {
                    Some(left) => *behind = left,
                    None => {
                        self.coordinator_dies();
                        return None;
                    }
                }
            }
            self.trace.note(self.now, || format!("    {}", orders::command(&command)));
            match command {
                Command::Acknowledge { .. } | Command::Notify { .. } | Command::Answer { answer: Ok(_), .. }
                    if failed.is_some() => {}
                command => {
                    let command = match self.record(command) {
                        Recorded::Not(command) => command,
                        Recorded::Durable => continue,
                        Recorded::NoRoom(job) => {
                            failed.get_or_insert(job);
                            continue;
                        }
                    };
                    self.inspect_order(&command);
                    self.order(command);
                }
            }
        }
        let cause = "no space left on device".to_owned();
        failed.map(|job| Event::StorageFailed { job, cause, full: true })
    }

    fn record(&mut self, command: Command) -> Recorded {
        let full = self.coordinator.disk_full;
        let forgets = self.bug == Some(Bug::AcknowledgesBeforeRecording);
        let store = &mut self.coordinator.store;
        let job = match command {
            Command::SaveJob { record } => {
                let job = record.job.clone();
                if !full {
                    store.record = Some(record);
                }
                job
            }
            Command::SaveGeneration { job, generation } => {
                if !full {
                    store.save_generation(*generation);
                }
                job
            }
            Command::SaveCheckpoints { job, checkpoints } => {
                if !full {
                    store.checkpoints = checkpoints;
                }
                job
            }
            Command::AppendReports { job, first_row, rows, step, reports } => {
                if !full && !forgets {
                    self.inspect_rows(first_row, &rows);
                    self.coordinator.store.append(reports);
                    if !self.coordinator.store.save_progress(first_row, &rows, step) {
                        self.violate(format!("rows from {first_row} on leave a gap in the database: {rows:?}"));
                    }
                }
                job
            }
            Command::VoidAbove { job, step, rows, recorded } => {
                if !full {
                    self.watch.voids();
                    self.coordinator.store.reports.retain(|report| report.step() <= step);
                    if !self.coordinator.store.save_progress(rows, &[], recorded) {
                        self.violate(format!("{rows} rows can't stay: there are fewer"));
                    }
                }
                job
            }
            Command::CreateRun { record, .. } => record.job,
            Command::SaveRun { job, .. } | Command::SaveLedger { job, .. } | Command::CloseRun { job, .. } => job,
            other => return Recorded::Not(other),
        };
        if full { Recorded::NoRoom(job) } else { Recorded::Durable }
    }

    /// What goes to agents, workers and users.
    fn order(&mut self, command: Command) {
        match command {
            Command::WelcomeAgent { connection, node, .. } => {
                let connection = connection.0 as usize;
                self.connections[connection].admitted = true;
                self.coordinator.agents.insert(node.clone(), connection);
                self.tell_agent(&node, AgentOrder::Welcome);
            }
            Command::WelcomeWorker { connection, worker } => {
                let connection = connection.0 as usize;
                self.connections[connection].admitted = true;
                self.coordinator.workers.insert(worker.clone(), connection);
                self.tell_worker(&worker, control::Event::Welcomed);
            }
            Command::Refuse { connection, reason } => self.refuse(connection.0 as usize, reason),
            Command::StartWorker { node, worker, .. } => self.tell_agent(&node, AgentOrder::Start(worker)),
            Command::StopWorker { node, worker, .. } => self.tell_agent(&node, AgentOrder::Stop(worker)),
            Command::DismissAgent { node } => self.tell_agent(&node, AgentOrder::Dismissed),
            command => {
                if let Some((worker, event)) = orders::for_worker(command) {
                    self.tell_worker(&worker, event);
                }
            }
        }
    }

    fn refuse(&mut self, connection: usize, reason: String) {
        let message = match self.connections[connection].peer {
            Peer::Agent { .. } => Down::Agent(AgentOrder::Refused),
            Peer::Worker(_) => Down::Worker(Box::new(control::Event::Refused(reason))),
        };
        self.tell(connection, message);
        self.connections[connection].served = false;
    }

    fn tell_agent(&mut self, node: &NodeId, order: AgentOrder) {
        if let Some(&connection) = self.coordinator.agents.get(node) {
            self.tell(connection, Down::Agent(order));
        }
    }

    fn tell_worker(&mut self, worker: &WorkerId, event: control::Event) {
        if let Some(&connection) = self.coordinator.workers.get(worker) {
            self.tell(connection, Down::Worker(Box::new(event)));
        }
    }

    /// Weights come, beside the stream but over its connection.
    pub(crate) fn weights_arrive(&mut self, worker: usize, connection: usize, attempt: u64, sha256: String) {
        if self.coordinator.cluster.is_none()
            || !self.connections[connection].served
            || self.connections[connection].broken
        {
            return;
        }
        let id = self.workers[worker].id.clone();
        let team = self.coordinator.job().and_then(|job| job.state.team());
        let first = team.and_then(|team| team.current.as_ref()).and_then(|current| current.members.first());
        let denied = first != Some(&id);
        if !denied {
            self.hears(Event::FileStored { worker: id, sha256 });
        }
        let answered = self.random.within(1, 20);
        self.later(answered, Action::WeightsAnswered { worker, connection, attempt, denied });
    }

    /// Sees to it that the cluster's deadline is kept.
    pub(crate) fn watch_deadline(&mut self) {
        let Some(deadline) = self.coordinator.cluster.as_ref().and_then(Cluster::deadline) else { return };
        let at = deadline.millis().saturating_sub(BEGINNING + self.coordinator.ahead).max(self.now);
        if self.coordinator.tick_at.is_none_or(|tick| at < tick) {
            self.coordinator.tick_at = Some(at);
            self.at(at, Action::Tick);
        }
    }

    /// A tick, if one is due.
    pub(crate) fn tick(&mut self) {
        if self.coordinator.tick_at.is_none_or(|at| at > self.now) {
            return;
        }
        self.coordinator.tick_at = None;
        let now = self.clock();
        let deadline = |world: &Self| world.coordinator.cluster.as_ref().and_then(Cluster::deadline);
        if deadline(self).is_some_and(|deadline| deadline <= now) {
            self.hears(Event::Tick);
            if deadline(self).is_some_and(|deadline| deadline <= now) {
                self.violate("the deadline is not behind the tick that it asked for: the coordinator spins".into());
            }
        }
        self.watch_deadline();
    }

    /// What a worker says, before the cluster hears it.
    fn inspect_news(&mut self, worker: usize, news: &News) {
        if let News::StateDigest { generation, step, tensors } = news {
            self.watch.hears_digest(worker, *generation, *step, tensors);
        }
    }
}

/// What became of a record.
enum Recorded {
    /// It is none.
    Not(Command),
    Durable,
    NoRoom(JobId),
}

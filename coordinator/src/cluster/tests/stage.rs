//! The world around a cluster in a transcript: time, agents, workers, and what is durable.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use lockstep_proto::identity::{Generation, JobId, WorkerId};
use lockstep_proto::ledger::Ledger;

use super::memory::Memory;
use super::note;
use super::peers::{Agent, Worker, node};
use lockstep_proto::slot::SlotDevice;

use crate::cluster::event::{News, Wish};
use crate::cluster::facts::Held;
use crate::cluster::{Begin, Cluster, Command, Connection, Entropy, Event, Exit, Job, Ticket, Timestamp};

/// A cluster and its world.
pub struct Stage {
    cluster: Cluster,
    lives: u8,
    now: Timestamp,
    connections: u64,
    agents: BTreeMap<String, Agent>,
    workers: BTreeMap<String, Worker>,
    jobs: BTreeMap<String, JobId>,
    submitting: Option<String>,
    /// What a job's workers committed, by its name.
    ledgers: BTreeMap<String, Ledger>,
    memory: Memory,
    copy: Memory,
    quiet: bool,
    /// Signs of life that nobody listens to are not worth a line.
    waits: bool,
    /// The transcript.
    pub out: String,
}

impl Stage {
    /// An empty cluster.
    pub fn new() -> Self {
        Self {
            cluster: Cluster::new("/runs".into(), Entropy::new([0; 32])),
            lives: 0,
            now: Timestamp::from_millis(1_800_000_000_000),
            connections: 0,
            agents: BTreeMap::new(),
            workers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            submitting: None,
            ledgers: BTreeMap::new(),
            memory: Memory::default(),
            copy: Memory::default(),
            quiet: false,
            waits: false,
            out: String::new(),
        }
    }

    /// A line of the script.
    pub fn begin_line(&mut self, line: &str, quiet: bool) {
        self.quiet = quiet;
        let _ = writeln!(self.out, "{line}");
    }

    /// Something happens.
    pub fn step(&mut self, event: Event) {
        let tick = matches!(event, Event::Tick);
        let commands = self.cluster.step(self.now, event);
        for command in commands {
            self.carry_out(command);
        }
        let deadline = self.cluster.deadline();
        assert!(!tick || deadline.is_none_or(|deadline| deadline > self.now), "a deadline stands still");
    }

    fn carry_out(&mut self, command: Command) {
        self.memory.save(&command);
        match &command {
            Command::CreateRun { record, .. } => {
                if let Some(name) = self.submitting.take() {
                    self.jobs.insert(name, record.job.clone());
                }
            }
            Command::StartWorker { node, worker, job, .. } => {
                let job = self.name_of(job);
                let name = format!("{job}.{}", self.workers_of(&job).len());
                self.workers.insert(name, Worker::new(worker.clone(), node.clone()));
                let agent = self.agents.get_mut(node.as_str()).filter(|agent| agent.connection.is_some());
                agent.expect("an agent that hears").runs.insert(worker.clone());
            }
            Command::Assign { worker, assignment } => {
                if let Some(hears) = self.hearing(worker) {
                    hears.assign((**assignment).clone());
                }
            }
            Command::Begin(begin) => self.begins(begin),
            Command::Refuse { connection, .. } => {
                let refused = self.workers.values_mut().filter(|worker| worker.connection == Some(*connection));
                refused.for_each(|worker| (worker.connection, worker.lives) = (None, false));
            }
            _ => {}
        }
        let pointless = self.waits && matches!(command, Command::Ignore { .. });
        if let Some(line) = note::line(command).filter(|_| !self.quiet && !pointless) {
            let line = self.readable(line);
            let _ = writeln!(self.out, "    {line}");
        }
    }

    fn begins(&mut self, begin: &Begin) {
        let job = self.job_of(&begin.worker);
        let members: Vec<String> = begin.members.iter().map(|member| member.worker.clone()).collect();
        let durable = self.memory.membership(&self.jobs[&job]);
        assert_eq!(durable, Some((begin.generation.number, members)), "it begins before it is durable");
        self.ledgers.entry(job).or_default().void_above(begin.start.step);
        if let Some(hears) = self.hearing(&begin.worker) {
            hears.begin(begin);
        }
    }

    /// A worker that would hear a command now.
    fn hearing(&mut self, id: &WorkerId) -> Option<&mut Worker> {
        self.workers.values_mut().find(|worker| worker.id == *id && worker.lives && worker.connection.is_some())
    }

    // ---- agents

    pub fn agent_joins(&mut self, name: &str, (slots, device): (u32, SlotDevice), version: &str, process: &str) {
        let connection = self.connection();
        let agent = Agent { connection: Some(connection), slots, device, runs: Default::default() };
        let hello = agent.hello(name, version, process);
        self.agents.entry(name.into()).or_insert(agent);
        self.step(Event::AgentJoined { connection, hello });
    }

    pub fn agent_again(&mut self, name: &str) {
        let connection = self.connection();
        let agent = self.agents.get_mut(name).expect("an agent");
        agent.connection = Some(connection);
        let hello = agent.hello(name, lockstep_proto::VERSION, "p");
        self.step(Event::AgentJoined { connection, hello });
    }

    pub fn agent_lost(&mut self, name: &str) {
        let connection = self.agents.get_mut(name).and_then(|agent| agent.connection.take()).expect("a stream");
        self.step(Event::AgentLost { node: node(name), connection, cause: "connection reset".into() });
    }

    /// Its stream stays open, but it does nothing any more.
    pub fn agent_stuck(&mut self, name: &str) {
        self.agents.get_mut(name).expect("an agent").slots = 0;
    }

    // ---- jobs

    pub fn job(&self, name: &str) -> JobId {
        self.jobs[name].clone()
    }

    pub fn submit(&mut self, name: &str, event: Event) {
        self.submitting = Some(name.into());
        self.now = self.now.plus(Duration::from_secs(1));
        self.step(event);
    }

    pub fn ask(&mut self, name: &str, wish: Wish) {
        let job = self.jobs[name].to_string();
        self.step(Event::Asked { ticket: Ticket(9), job, wish });
    }

    /// Names of a job's workers, in the order of their start, those that are gone included.
    pub fn workers_of(&self, job: &str) -> Vec<String> {
        let mut found: Vec<_> = self.workers.keys().filter(|name| job_name(name) == job).cloned().collect();
        found.sort_by_key(|name| name[job.len() + 1..].parse::<u32>().expect("a number"));
        found
    }

    /// What the job of a worker committed.
    pub fn ledger(&mut self, worker: &str) -> &mut Ledger {
        self.ledgers.entry(job_name(worker).into()).or_default()
    }

    // ---- workers

    pub fn worker(&mut self, name: &str) -> &mut Worker {
        self.workers.get_mut(name).unwrap_or_else(|| panic!("no worker {name} was started"))
    }

    pub fn generation(&mut self, name: &str) -> Generation {
        self.worker(name).generation.as_ref().expect("a worker in a generation").0
    }

    pub fn joins(&mut self, name: &str) {
        let connection = self.connection();
        let worker = self.worker(name);
        let hello = Box::new(worker.hello());
        (worker.connection, worker.joined) = (Some(connection), true);
        self.step(Event::WorkerJoined { connection, hello });
    }

    /// On a new stream all is said that may not have been heard.
    pub fn comes_back(&mut self, name: &str) {
        self.joins(name);
        let welcome = self.worker(name).connection.is_some();
        for news in self.worker(name).say_again().into_iter().filter(|_| welcome) {
            self.tell(name, news);
        }
    }

    pub fn disconnects(&mut self, name: &str) {
        let worker = self.worker(name);
        let connection = worker.connection.take().expect("a stream");
        let worker = worker.id.clone();
        self.step(Event::WorkerLost { worker, connection, cause: "connection reset".into() });
    }

    pub fn tell(&mut self, name: &str, news: News) {
        let worker = self.worker(name).id.clone();
        self.step(Event::Told { worker, news });
    }

    pub fn ends_generation(&mut self, name: &str, held: Option<Held>, word: News) {
        let worker = self.worker(name);
        worker.end(held, word.clone());
        if worker.connection.is_some() {
            self.tell(name, word);
        }
    }

    /// The process ends, and its agent says so if it is heard.
    pub fn ends(&mut self, name: &str, exit: Exit) {
        let worker = self.worker(name);
        worker.lives = false;
        let (id, node, connected) = (worker.id.clone(), worker.node.clone(), worker.connection.is_some());
        if connected {
            self.disconnects(name);
        }
        let Some(agent) = self.agents.get_mut(node.as_str()) else { return };
        agent.runs.remove(&id);
        if agent.connection.is_some() {
            self.step(Event::WorkerExited { node, worker: id, exit });
        }
    }

    pub fn alive(&mut self, name: &str) {
        let worker = self.worker(name);
        worker.life.progress += u64::from(worker.moves);
        let life = worker.life.clone();
        self.tell(name, News::Alive(life));
    }

    // ---- time and restarts

    /// Time passes: who lives gives signs of life, and whatever has a deadline gets its tick.
    pub fn wait(&mut self, seconds: u64) {
        self.waits = true;
        for _ in 0..seconds {
            let second = self.now.plus(Duration::from_secs(1));
            while let Some(deadline) = self.cluster.deadline().filter(|deadline| *deadline <= second) {
                self.now = self.now.max(deadline);
                self.step(Event::Tick);
            }
            self.now = second;
            self.signs_of_life();
        }
        self.waits = false;
    }

    /// Time passes for all but the coordinator.
    pub fn sleep(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.step(Event::Tick);
    }

    fn signs_of_life(&mut self) {
        let speaks = |worker: &&Worker| worker.lives && worker.speaks && worker.connection.is_some();
        let names: Vec<String> =
            self.workers.iter().filter(|(_, worker)| speaks(worker)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.alive(name));
        let lively = |agent: &Agent| agent.connection.is_some() && agent.slots > 0;
        let agents: Vec<String> =
            self.agents.iter().filter(|(_, agent)| lively(agent)).map(|(name, _)| name.clone()).collect();
        agents.iter().for_each(|name| self.step(Event::AgentAlive { node: node(name) }));
    }

    pub fn copy_state(&mut self) {
        self.copy = self.memory.clone();
    }

    /// Another coordinator reads what is durable, or an older copy of it, or nothing. All streams are gone.
    pub fn restart(&mut self, copy: bool, empty: bool) {
        if copy {
            self.memory = self.copy.clone();
        }
        if empty {
            self.memory = Memory::default();
        }
        self.lives += 1;
        self.cluster = Cluster::new("/runs".into(), Entropy::new([self.lives; 32]));
        self.agents.values_mut().for_each(|agent| agent.connection = None);
        self.workers.values_mut().for_each(|worker| worker.connection = None);
        let now = self.now;
        let jobs = self.memory.jobs().into_iter().map(|restored| Job::restored(restored, now)).collect();
        for command in self.cluster.restore(jobs) {
            self.carry_out(command);
        }
    }

    fn connection(&mut self) -> Connection {
        self.connections += 1;
        Connection(self.connections)
    }

    // ---- names

    fn name_of(&self, job: &JobId) -> String {
        let found = self.jobs.iter().find(|(_, id)| *id == job);
        found.map(|(name, _)| name.clone()).expect("a job of the script")
    }

    fn job_of(&self, worker: &WorkerId) -> String {
        let found = self.workers.iter().find(|(_, known)| known.id == *worker);
        found.map(|(name, _)| job_name(name).to_owned()).expect("a worker of the script")
    }

    /// Names of the script instead of ids.
    fn readable(&self, mut line: String) -> String {
        for (name, worker) in &self.workers {
            line = line.replace(worker.id.as_str(), name);
        }
        for (name, id) in &self.jobs {
            line = line.replace(id.as_str(), name);
        }
        line
    }
}

fn job_name(worker: &str) -> &str {
    worker.split('.').next().unwrap_or(worker)
}

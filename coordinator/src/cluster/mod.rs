//! Decides everything, does nothing: `step(now, event)` → commands, each with its reason.
//!
//! On a control message's path this sits between `rpc`, which turns messages into events, and the keeper, which
//! carries commands out. No clock, no files, no network, no randomness but [`Entropy`]: the same events give the
//! same commands.

pub mod command;
pub mod deal;
pub mod entropy;
pub mod event;
pub mod facts;
pub mod job;
mod nodes;
pub mod record;
mod requests;
pub mod scheduler;
#[cfg(test)]
mod tests;
pub mod time;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;

use lockstep_proto::identity::{JobId, NodeId, WorkerId};

pub use command::{Begin, Command, Member, Refusal};
pub use entropy::Entropy;
pub use event::{AgentHello, Connection, Event, Exit, Submission, Ticket, WorkerHello};
pub use job::Job;
pub use time::Timestamp;

use job::{JobEvent, News, Sign, Told, Turn};
use nodes::Agent;
use scheduler::{Verdict, allot};
use workers::Process;

/// All jobs, agents and workers, and what to do about them.
pub struct Cluster {
    runs: PathBuf,
    entropy: Entropy,
    agents: BTreeMap<NodeId, Agent>,
    agents_joined: u64,
    workers: BTreeMap<WorkerId, Process>,
    jobs: BTreeMap<JobId, Job>,
    /// Jobs that have not ended, in the order of submission.
    open: Vec<JobId>,
}

impl Cluster {
    /// An empty cluster whose runs go to `runs`.
    pub fn new(runs: PathBuf, entropy: Entropy) -> Self {
        Self {
            runs,
            entropy,
            agents: BTreeMap::new(),
            agents_joined: 0,
            workers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            open: Vec::new(),
        }
    }

    /// Takes jobs of an earlier life in, in the order of submission; gives what to record about them.
    pub fn restore(&mut self, jobs: Vec<Job>) -> Vec<Command> {
        let mut commands = Vec::new();
        for job in jobs {
            if !job.state.name().ended() {
                self.open.push(job.id.clone());
            }
            commands.push(Command::SaveJob { record: Box::new(job.record()) });
            self.jobs.insert(job.id.clone(), job);
        }
        commands
    }

    /// A job by its id.
    pub fn job(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// All jobs by id, which is by time of submission.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// The job that a worker was started for.
    pub fn job_of(&self, worker: &WorkerId) -> Option<&JobId> {
        self.workers.get(worker).map(|process| &process.job)
    }

    /// Whether processes of a job may still write log lines.
    pub fn has_workers(&self, job: &JobId) -> bool {
        self.workers.values().any(|process| process.job == *job)
    }

    /// When a [`Event::Tick`] is wanted, if nothing else happens.
    pub fn deadline(&self) -> Option<Timestamp> {
        let jobs = self.open.iter().filter_map(|job| self.jobs.get(job)?.state.deadline());
        jobs.chain(self.workers.values().filter_map(Process::deadline)).min()
    }

    /// Lets something happen; gives what to do, in order.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        match event {
            Event::AgentJoined { connection, hello } => self.agent_joined(connection, hello, &mut out),
            Event::AgentLost { node, cause } => self.agent_lost(now, &node, &cause, &mut out),
            Event::WorkerStarted { node, worker, pid } => {
                self.worker_started(&node, &worker, pid, &mut out);
            }
            Event::WorkerExited { node, worker, exit } => {
                self.worker_exited(now, &node, worker, exit, &mut out);
            }
            Event::WorkerJoined { connection, hello } => {
                self.worker_joined(now, connection, hello, &mut out);
            }
            Event::WorkerLost { worker, cause } => {
                if let Some(process) = self.workers.get_mut(&worker) {
                    process.connected = false;
                }
                self.trouble(now, worker, Sign::Silent { cause }, &mut out);
            }
            Event::Ready { worker, generation, facts } => {
                let news = News::Ready(facts);
                self.told(now, Told { worker, generation, news }, &mut out);
            }
            Event::Reported { worker, generation, first, reports } => {
                let news = News::Reports { first, reports };
                self.told(now, Told { worker, generation, news }, &mut out);
            }
            Event::Finished { worker, generation, outcome } => {
                let news = News::Finished(outcome);
                self.told(now, Told { worker, generation, news }, &mut out);
            }
            Event::Failed { worker, generation, reason, bad_input } => {
                let failure = job::Failure { reason, bad_input };
                self.trouble(now, worker, Sign::Failed { generation, failure }, &mut out);
            }
            Event::FileStored { worker, sha256 } => {
                let event = JobEvent::Stored { worker: worker.clone(), sha256 };
                self.of_worker(now, &worker, event, &mut out);
            }
            Event::StorageFailed { job, cause } => {
                self.job_step(now, &job, JobEvent::StorageFailed { cause }, &mut out);
            }
            Event::Submitted { ticket, submission } => {
                self.submitted(now, ticket, *submission, &mut out);
            }
            Event::CancelRequested { ticket, job } => self.cancel(now, ticket, &job, &mut out),
            Event::Interrupted { reason } => self.interrupt(now, &reason, &mut out),
            Event::Tick => self.tick(now, &mut out),
        }
        self.schedule(now, &mut out);
        out
    }

    fn told(&mut self, now: Timestamp, told: Told, out: &mut Vec<Command>) {
        let worker = told.worker.clone();
        self.of_worker(now, &worker, JobEvent::Told(told), out);
    }

    fn trouble(&mut self, now: Timestamp, worker: WorkerId, sign: Sign, out: &mut Vec<Command>) {
        let event = JobEvent::Trouble { worker: worker.clone(), sign };
        self.of_worker(now, &worker, event, out);
    }

    fn of_worker(&mut self, now: Timestamp, worker: &WorkerId, event: JobEvent, out: &mut Vec<Command>) {
        match self.job_of(worker).cloned() {
            Some(job) => self.job_step(now, &job, event, out),
            None => out.push(Command::Ignore { reason: format!("worker {worker} is not known") }),
        }
    }

    fn job_step(&mut self, now: Timestamp, id: &JobId, event: JobEvent, out: &mut Vec<Command>) {
        let Some(job) = self.jobs.get_mut(id) else {
            out.push(Command::Ignore { reason: format!("job {id} is not known") });
            return;
        };
        let mut turn = Turn { now, entropy: &mut self.entropy, records: Vec::new(), orders: Vec::new() };
        job.step(&mut turn, event);
        let ended = job.state.name().ended();
        out.append(&mut turn.records);
        out.append(&mut turn.orders);
        if ended && let Some(position) = self.open.iter().position(|open| open == id) {
            self.open.remove(position);
            self.dismiss(now, id, out);
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        for job in self.open.clone() {
            self.job_step(now, &job, JobEvent::Tick, out);
        }
        self.stop_overdue(now, out);
    }

    /// Gives free slots to queued jobs; tells those that wait what they wait for.
    fn schedule(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        let queue = self.queue();
        if queue.is_empty() {
            return;
        }
        for (id, verdict) in allot(self.offers(), &queue) {
            match verdict {
                Verdict::Allotted(nodes) => {
                    let crew = self.crew(&id, nodes);
                    self.job_step(now, &id, JobEvent::Allotted(crew), out);
                }
                Verdict::Waits(reason) => {
                    if let Some(job) = self.jobs.get_mut(&id)
                        && job.reason != reason
                    {
                        job.reason = reason.clone();
                        out.push(Command::Notify { job: id, reason: Some(reason) });
                    }
                }
            }
        }
    }
}

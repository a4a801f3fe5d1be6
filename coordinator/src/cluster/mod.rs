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
pub mod timeouts;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;

use lockstep_proto::identity::{JobId, NodeId, WorkerId};

pub use command::{Begin, Command, Refusal};
pub use entropy::Entropy;
pub use event::{AgentHello, Connection, Event, Exit, Submission, Ticket, WorkerHello};
pub use job::Job;
pub use time::Timestamp;

use job::{JobEvent, State, Turn};
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
    /// Processes that agents run and nobody has spoken for: ended at this time, or told to end already.
    unclaimed: BTreeMap<WorkerId, (NodeId, Option<Timestamp>)>,
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
            unclaimed: BTreeMap::new(),
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
            for seat in job.state.team().iter().flat_map(|team| &team.seats) {
                self.workers.insert(seat.worker.clone(), Process::of_an_earlier_life(&job.id, &seat.node));
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
        let jobs = self.open.iter().filter_map(|job| self.jobs.get(job)?.deadline());
        let agents = self.agents.values().filter_map(Agent::deadline);
        let unclaimed = self.unclaimed.values().filter_map(|(_, until)| *until);
        jobs.chain(self.workers.values().filter_map(Process::deadline)).chain(agents).chain(unclaimed).min()
    }

    /// Lets something happen; gives what to do, in order.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Vec<Command> {
        let mut out = Vec::new();
        self.forgive_if_overslept(now);
        match event {
            Event::AgentJoined { connection, hello } => self.agent_joined(now, connection, hello, &mut out),
            Event::AgentAlive { node } => self.agent_alive(now, &node),
            Event::AgentLeaving { node, reason } => self.agent_leaving(now, &node, &reason, &mut out),
            Event::AgentLost { node, connection, cause } => self.agent_lost(now, &node, connection, &cause, &mut out),
            Event::WorkerStarted { node, worker, pid } => {
                self.worker_started(&node, &worker, pid, &mut out);
            }
            Event::WorkerExited { node, worker, exit } => {
                self.worker_exited(now, &node, worker, exit, &mut out);
            }
            Event::WorkerJoined { connection, hello } => self.worker_joined(now, connection, hello, &mut out),
            Event::WorkerLost { worker, connection, cause } => {
                self.worker_lost(now, worker, connection, cause, &mut out);
            }
            Event::Told { worker, news } => {
                let event = JobEvent::Told { worker: worker.clone(), news };
                self.of_worker(now, &worker, event, &mut out);
            }
            Event::FileStored { worker, sha256 } => {
                let event = JobEvent::Stored { worker: worker.clone(), sha256 };
                self.of_worker(now, &worker, event, &mut out);
            }
            Event::StorageFailed { job, cause, full } => {
                self.job_step(now, &job, JobEvent::StorageFailed { cause, full }, &mut out);
            }
            Event::Submitted { ticket, submission } => {
                self.submitted(now, ticket, *submission, &mut out);
            }
            Event::Asked { ticket, job, wish } => self.asked(now, ticket, &job, wish, &mut out),
            Event::Interrupted { reason } => self.interrupt(now, &reason, &mut out),
            Event::CheckpointsWanted => {
                let open = self.open.iter().filter_map(|id| self.jobs.get(id));
                open.for_each(|job| job.checkpoint_now(&mut out));
            }
            Event::Tick => self.tick(now, &mut out),
        }
        self.schedule(now, &mut out);
        out
    }

    /// If this coordinator was itself stopped for a while, nobody is judged by the time that it missed.
    fn forgive_if_overslept(&mut self, now: Timestamp) {
        if self.deadline().is_none_or(|deadline| now < deadline.plus(timeouts::OVERSLEPT)) {
            return;
        }
        self.agents.values_mut().for_each(|agent| agent.forgive(now));
        let unclaimed = self.unclaimed.values_mut().filter_map(|(_, until)| until.as_mut());
        unclaimed.for_each(|until| *until = now.plus(timeouts::REATTACH));
        self.jobs.values_mut().filter_map(|job| job.state.team_mut()).for_each(|team| team.forgive(now));
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
        let had_workers = job.state.team().is_some();
        let mut turn = Turn {
            now,
            entropy: &mut self.entropy,
            records: Vec::new(),
            orders: Vec::new(),
            dismissed: Vec::new(),
            stopped: Vec::new(),
        };
        job.step(&mut turn, event);
        let over = had_workers && job.state.team().is_none();
        let ended = job.state.name().ended();
        let Turn { mut records, mut orders, dismissed, stopped, .. } = turn;
        out.append(&mut records);
        out.append(&mut orders);
        for worker in dismissed {
            self.dismiss(now, &worker, out);
        }
        for (worker, reason) in stopped {
            self.stop(&worker, reason, out);
        }
        if ended && let Some(position) = self.open.iter().position(|open| open == id) {
            self.open.remove(position);
        }
        if over {
            self.dismiss_all(now, id, out);
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        for job in self.open.clone() {
            if matches!(self.jobs.get(&job), Some(Job { state: State::Active(_), .. })) {
                self.job_step(now, &job, JobEvent::Tick, out);
            }
        }
        self.stop_overdue(now, out);
        self.forget_agents(now, out);
    }

    /// Gives free slots to jobs that want some; tells those that wait what they wait for.
    fn schedule(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        let queue: Vec<_> = self.open.iter().filter_map(|id| self.jobs.get(id)?.want()).collect();
        if queue.is_empty() {
            return;
        }
        for (id, verdict) in allot(self.offers(now), &queue) {
            match verdict {
                Verdict::Allotted(nodes) => {
                    let seats = self.seats(now, &id, nodes);
                    self.job_step(now, &id, JobEvent::Allotted(seats), out);
                }
                Verdict::Waits(reason) => self.note_why_it_waits(id, reason, out),
            }
        }
    }

    fn note_why_it_waits(&mut self, id: JobId, reason: String, out: &mut Vec<Command>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let has_workers = job.state.team().is_some_and(|team| !team.seats.is_empty());
        if !has_workers && job.reason != reason {
            job.reason.clone_from(&reason);
            out.push(Command::Notify { job: id, reason: Some(reason) });
        }
    }
}

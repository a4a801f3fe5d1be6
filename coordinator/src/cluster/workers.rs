//! Worker processes, from the order to start until their agent says that they are gone. Each holds a slot.

use lockstep_proto::VERSION;
use lockstep_proto::identity::{JobId, NodeId, WorkerId};

use super::Cluster;
use super::command::Command;
use super::event::{Connection, Exit, WorkerHello};
use super::job::{Job, JobEvent, Seat, State};
use super::time::Timestamp;
use super::timeouts::LEAVE;

/// A worker process.
pub(super) struct Process {
    pub job: JobId,
    pub node: NodeId,
    /// Its stream, if it is open.
    pub connection: Option<Connection>,
    /// It has said hello to this coordinator or to an earlier one.
    joined: bool,
    leaving: Leaving,
}

/// Whether a process is to go.
enum Leaving {
    No,
    /// It was told to; its agent ends it at this time.
    Until(Timestamp),
    /// Its agent was told to end it.
    Stopped,
}

impl Process {
    fn new(job: &JobId, node: &NodeId) -> Self {
        Self { job: job.clone(), node: node.clone(), connection: None, joined: false, leaving: Leaving::No }
    }

    /// One that may come back.
    pub fn of_an_earlier_life(job: &JobId, node: &NodeId) -> Self {
        Self { joined: true, ..Self::new(job, node) }
    }

    /// When time alone ends it.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.leaving {
            Leaving::Until(deadline) => Some(deadline),
            Leaving::No | Leaving::Stopped => None,
        }
    }
}

impl Cluster {
    /// New workers for a job, one on each of these slots.
    pub(super) fn seats(&mut self, now: Timestamp, id: &JobId, nodes: Vec<NodeId>) -> Vec<Seat> {
        let asked = self.jobs.get(id).map_or(0, |job| job.spec.cluster.threads);
        let mut seats = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Some(agent) = self.agents.get(&node) else { continue };
            let threads = if asked == 0 { agent.hello.threads } else { asked };
            // No earlier coordinator has used it, whether remembered or not.
            let Ok(worker) = WorkerId::try_from(format!("{id}-{}", self.entropy.word())) else { continue };
            self.workers.insert(worker.clone(), Process::new(id, &node));
            seats.push(Seat::new(worker, node, agent.hello.host.clone(), threads, now));
        }
        seats
    }

    pub(super) fn worker_started(&mut self, node: &NodeId, worker: &WorkerId, pid: u32, out: &mut Vec<Command>) {
        if self.on_node(node, worker, out) {
            tracing::debug!(%worker, pid, "started");
        }
    }

    pub(super) fn worker_exited(
        &mut self,
        now: Timestamp,
        node: &NodeId,
        worker: WorkerId,
        exit: Exit,
        out: &mut Vec<Command>,
    ) {
        if self.unclaimed.get(&worker).is_some_and(|(other, _)| other == node) {
            self.unclaimed.remove(&worker);
            return;
        }
        if self.on_node(node, &worker, out) {
            self.gone(now, worker, exit, out);
        }
    }

    /// A process is gone: its slot is free, its job hears of it.
    pub(super) fn gone(&mut self, now: Timestamp, worker: WorkerId, exit: Exit, out: &mut Vec<Command>) {
        if let Some(process) = self.workers.remove(&worker) {
            self.job_step(now, &process.job, JobEvent::Gone { worker, exit }, out);
            self.dismiss_agent_without_workers(&process.node, out);
        }
    }

    /// Whether an agent speaks of a worker of its own.
    fn on_node(&self, node: &NodeId, worker: &WorkerId, out: &mut Vec<Command>) -> bool {
        let known = self.workers.get(worker).is_some_and(|process| process.node == *node);
        if !known {
            out.push(Command::Ignore { reason: format!("node {node} has no worker {worker}") });
        }
        known
    }

    pub(super) fn worker_joined(
        &mut self,
        now: Timestamp,
        connection: Connection,
        hello: Box<WorkerHello>,
        out: &mut Vec<Command>,
    ) {
        let worker = hello.worker.clone();
        if let Err(reason) = self.admit(now, connection, &hello, out) {
            out.push(Command::Refuse { connection, reason });
            return;
        }
        self.unclaimed.remove(&worker);
        out.push(Command::WelcomeWorker { connection, worker: worker.clone() });
        self.of_worker(now, &worker, JobEvent::Joined { connection, hello }, out);
    }

    /// Whether a worker may join: one that was asked for, one that comes back, or one whose job is taken over.
    fn admit(
        &mut self,
        now: Timestamp,
        connection: Connection,
        hello: &WorkerHello,
        out: &mut Vec<Command>,
    ) -> Result<(), String> {
        let worker = &hello.worker;
        if hello.version != VERSION {
            let theirs = &hello.version;
            return Err(format!(
                "worker {worker} is version {theirs}, this coordinator is version {VERSION}: use the same"
            ));
        }
        if !self.workers.contains_key(worker) {
            self.take_over(now, hello, out)?;
        }
        let Some(process) = self.workers.get_mut(worker) else { return Err(format!("no worker {worker} was started")) };
        match process.leaving {
            _ if process.node != hello.node => {
                return Err(format!("worker {worker} was started on node {}", process.node));
            }
            _ if process.joined && hello.attachment.is_none() => {
                return Err(format!("worker {worker} has joined already"));
            }
            Leaving::Until(_) | Leaving::Stopped => return Err(format!("job {} has no more use for it", process.job)),
            Leaving::No => {}
        }
        (process.joined, process.connection) = (true, Some(connection));
        Ok(())
    }

    /// A worker that this coordinator never started, or has forgotten: its job is taken over from it, unless the job
    /// is known to have gone on without it.
    fn take_over(&mut self, now: Timestamp, hello: &WorkerHello, out: &mut Vec<Command>) -> Result<(), String> {
        let worker = &hello.worker;
        let unknown = || format!("no worker {worker} was started");
        let attachment = hello.attachment.as_ref().ok_or_else(unknown)?;
        let assignment = attachment.assignment.as_ref().ok_or_else(unknown)?;
        if self.has_ended(&hello.node, worker) {
            return Err(format!("worker {worker} has ended, as its agent told"));
        }
        let members = attachment.generation.as_ref();
        let known = self.jobs.get(&assignment.job).map_or(0, Job::generation);
        match self.jobs.get(&assignment.job) {
            Some(job) if job.state.name().ended() => return Err(format!("job {} has ended", job.id)),
            // It has stopped for the pause, and was not told to leave.
            Some(Job { id, state: State::Paused, .. }) if attachment.highest_generation <= known => {
                return Err(format!("job {id} is paused"));
            }
            Some(job) => {
                let behind = attachment.highest_generation < known;
                let same = attachment.highest_generation == known;
                let waits_for_it = job.state.team().is_some_and(|team| team.seat(worker).is_some());
                if behind || (same && members.is_some() && !waits_for_it) {
                    return Err(format!("job {} went on without it", job.id));
                }
            }
            None => {
                let job = Job::adopted(assignment.clone(), now)?;
                let id = job.id.clone();
                out.push(Command::CreateRun { record: Box::new(job.record()), go_on: true });
                out.push(Command::SaveJob { record: Box::new(job.record()) });
                self.open.push(id.clone());
                self.jobs.insert(id, job);
            }
        }
        let others = members.into_iter().flat_map(|(_, members)| members);
        for member in others {
            let ids = (WorkerId::try_from(member.worker.as_str()), NodeId::try_from(member.node.as_str()));
            if let (Ok(other), Ok(node)) = ids {
                if other != *worker && !self.workers.contains_key(&other) && self.has_ended(&node, &other) {
                    continue;
                }
                let process = Process::of_an_earlier_life(&assignment.job, &node);
                self.unclaimed.remove(&other);
                self.workers.entry(other).or_insert(process);
            }
        }
        let process = Process::of_an_earlier_life(&assignment.job, &hello.node);
        self.workers.entry(worker.clone()).or_insert(process);
        Ok(())
    }

    /// Whether a worker that is not known has ended, as far as its agent tells: what an agent runs and nobody has
    /// spoken for is unclaimed.
    fn has_ended(&self, node: &NodeId, worker: &WorkerId) -> bool {
        let there = self.agents.get(node).is_some_and(super::nodes::Agent::is_connected);
        there && !self.unclaimed.contains_key(worker)
    }

    /// A worker's stream ended; the worker may come back.
    pub(super) fn worker_lost(
        &mut self,
        now: Timestamp,
        worker: WorkerId,
        connection: Connection,
        cause: String,
        out: &mut Vec<Command>,
    ) {
        let newest = self.workers.get_mut(&worker).filter(|process| process.connection == Some(connection));
        let Some(process) = newest else {
            out.push(Command::Ignore { reason: format!("a stream of worker {worker} that is not its newest ended") });
            return;
        };
        process.connection = None;
        self.of_worker(now, &worker, JobEvent::Disconnected { worker: worker.clone(), cause }, out);
    }

    /// A job has no more use for any of its workers.
    pub(super) fn dismiss_all(&mut self, now: Timestamp, id: &JobId, out: &mut Vec<Command>) {
        let workers = self.workers.iter().filter(|(_, process)| process.job == *id);
        let workers: Vec<WorkerId> = workers.map(|(worker, _)| worker.clone()).collect();
        workers.iter().for_each(|worker| self.dismiss(now, worker, out));
    }

    /// A worker leaves by itself, or is ended by its agent.
    pub(super) fn dismiss(&mut self, now: Timestamp, worker: &WorkerId, out: &mut Vec<Command>) {
        let Some(process) = self.workers.get_mut(worker).filter(|process| matches!(process.leaving, Leaving::No))
        else {
            return;
        };
        if process.connection.is_some() {
            process.leaving = Leaving::Until(now.plus(LEAVE));
            out.push(Command::Leave { worker: worker.clone() });
        } else {
            let reason = format!("job {} has no more use for it", process.job);
            self.stop(worker, reason, out);
        }
    }

    /// A process is ended by force.
    pub(super) fn stop(&mut self, worker: &WorkerId, reason: String, out: &mut Vec<Command>) {
        let Some(process) = self.workers.get_mut(worker) else { return };
        process.leaving = Leaving::Stopped;
        if self.agents.contains_key(&process.node) {
            out.push(Command::StopWorker { node: process.node.clone(), worker: worker.clone(), reason });
        } else {
            // Nobody would tell that it has ended. If an agent comes and runs it, it is one that nobody has use for.
            self.workers.remove(worker);
        }
    }

    /// A process that was to be ended still runs: its agent may not have heard.
    pub(super) fn stop_again(&mut self, worker: &WorkerId, out: &mut Vec<Command>) {
        if self.workers.get(worker).is_some_and(|process| matches!(process.leaving, Leaving::Stopped)) {
            self.stop(worker, "it was to be ended before".into(), out);
        }
    }

    /// Ends processes that were told to leave and did not, and those that nobody has spoken for.
    pub(super) fn stop_overdue(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        let overdue = |process: &Process| process.deadline().is_some_and(|deadline| now >= deadline);
        let workers: Vec<_> =
            self.workers.iter().filter(|(_, process)| overdue(process)).map(|(w, _)| w.clone()).collect();
        for worker in workers {
            self.stop(&worker, format!("it did not leave within {} s", LEAVE.as_secs()), out);
        }
        let orphans: Vec<_> =
            self.unclaimed.iter_mut().filter(|(_, (_, until))| until.is_some_and(|until| now >= until)).collect();
        for (worker, (node, until)) in orphans {
            // Its slot is free when it has ended.
            *until = None;
            let (node, reason) = (node.clone(), "no job here has use for it".to_owned());
            out.push(Command::StopWorker { node, worker: worker.clone(), reason });
        }
    }
}

//! Worker processes, from the order to start until their agent says that they are gone. Each holds a slot.

use std::time::Duration;

use lockstep_proto::VERSION;
use lockstep_proto::identity::{JobId, NodeId, WorkerId};

use super::Cluster;
use super::command::Command;
use super::event::{Connection, Exit, WorkerHello};
use super::job::{Crew, JobEvent, Seat, Sign};
use super::time::Timestamp;

/// How long a worker that was told to leave may take.
const LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// A worker process.
pub(super) struct Process {
    pub job: JobId,
    pub node: NodeId,
    /// It has said hello and its stream is open.
    pub connected: bool,
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
    /// When time alone ends it.
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.leaving {
            Leaving::Until(deadline) => Some(deadline),
            Leaving::No | Leaving::Stopped => None,
        }
    }
}

impl Cluster {
    /// New workers for a job, one on each of these slots; ranks in the order given.
    pub(super) fn crew(&mut self, id: &JobId, nodes: Vec<NodeId>) -> Crew {
        let job = self.jobs.get(id);
        let generation = job.map_or(1, |job| job.next_generation());
        let asked = job.map_or(0, |job| job.spec.cluster.threads);
        let mut seats = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.into_iter().enumerate() {
            let Some(agent) = self.agents.get(&node) else { continue };
            let threads = if asked == 0 { agent.hello.threads } else { asked };
            let Ok(worker) = WorkerId::try_from(format!("{id}-g{generation}-{index}")) else { continue };
            let process =
                Process { job: id.clone(), node: node.clone(), connected: false, joined: false, leaving: Leaving::No };
            self.workers.insert(worker.clone(), process);
            seats.push(Seat::new(worker, node, agent.hello.host.clone(), threads));
        }
        Crew { seats }
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
        if self.on_node(node, &worker, out) {
            self.gone(now, worker, exit, out);
        }
    }

    /// A process is gone: its slot is free, its job hears of it.
    pub(super) fn gone(&mut self, now: Timestamp, worker: WorkerId, exit: Exit, out: &mut Vec<Command>) {
        if let Some(process) = self.workers.remove(&worker) {
            let event = JobEvent::Trouble { worker, sign: Sign::Exited(exit) };
            self.job_step(now, &process.job, event, out);
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
        hello: WorkerHello,
        out: &mut Vec<Command>,
    ) {
        let worker = hello.worker.clone();
        let refusal = match self.workers.get_mut(&worker) {
            _ if hello.version != VERSION => Some(format!(
                "worker {worker} is version {}, this coordinator is version {VERSION}: use the same",
                hello.version
            )),
            None => Some(format!("no worker {worker} was started")),
            Some(process) if process.node != hello.node => {
                Some(format!("worker {worker} was started on node {}", process.node))
            }
            Some(process) if process.joined => Some(format!("worker {worker} has joined already")),
            Some(process) => match process.leaving {
                Leaving::Until(_) | Leaving::Stopped => Some(format!("job {} has ended", process.job)),
                Leaving::No => {
                    process.joined = true;
                    process.connected = true;
                    None
                }
            },
        };
        if let Some(reason) = refusal {
            out.push(Command::Refuse { connection, reason });
            return;
        }
        out.push(Command::WelcomeWorker { connection, worker: worker.clone() });
        self.of_worker(now, &worker, JobEvent::Joined(Box::new(hello)), out);
    }

    /// A job has ended: its workers leave by themselves, or are ended by their agents.
    pub(super) fn dismiss(&mut self, now: Timestamp, id: &JobId, out: &mut Vec<Command>) {
        for (worker, process) in self.workers.iter_mut().filter(|(_, process)| process.job == *id) {
            if process.connected {
                process.leaving = Leaving::Until(now.plus(LEAVE_LIMIT));
                out.push(Command::Leave { worker: worker.clone() });
            } else {
                process.leaving = Leaving::Stopped;
                let reason = format!("job {id} has ended");
                let (node, worker) = (process.node.clone(), worker.clone());
                out.push(Command::StopWorker { node, worker, reason });
            }
        }
    }

    /// Ends processes that were told to leave and did not.
    pub(super) fn stop_overdue(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        for (worker, process) in &mut self.workers {
            if process.deadline().is_some_and(|deadline| now >= deadline) {
                process.leaving = Leaving::Stopped;
                let reason = format!("it did not leave within {} s", LEAVE_LIMIT.as_secs());
                let (node, worker) = (process.node.clone(), worker.clone());
                out.push(Command::StopWorker { node, worker, reason });
            }
        }
    }
}

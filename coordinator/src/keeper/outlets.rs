//! Streams to agents and workers.

use std::collections::HashMap;

use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::wire::{self, agent_command, worker_command};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::cluster::Connection;

/// Where a stream's commands go.
pub type Sender<T> = mpsc::Sender<Result<T, Status>>;

/// A stream that has said hello and waits for the decision.
pub struct Outlet {
    /// Where to write.
    pub stream: Stream,
    /// Told whether it was let in.
    pub admitted: oneshot::Sender<bool>,
}

/// A stream by kind.
pub enum Stream {
    /// To an agent.
    Agent(Sender<wire::AgentCommand>),
    /// To a worker.
    Worker(Sender<wire::WorkerCommand>),
}

/// All streams.
#[derive(Default)]
pub struct Outlets {
    waiting: HashMap<Connection, Outlet>,
    /// With the connection's number: a newer stream may have taken an older one's place.
    agents: HashMap<NodeId, (Connection, Sender<wire::AgentCommand>)>,
    workers: HashMap<WorkerId, (Connection, Sender<wire::WorkerCommand>)>,
}

impl Outlets {
    /// A stream waits for the decision.
    pub fn connect(&mut self, connection: Connection, outlet: Outlet) {
        self.waiting.insert(connection, outlet);
    }

    /// Turns a stream away.
    pub fn refuse(&mut self, connection: Connection, reason: String) {
        let Some(Outlet { stream, admitted }) = self.waiting.remove(&connection) else { return };
        let refused = wire::Refused { reason };
        match stream {
            Stream::Agent(sender) => {
                write(&sender, agent_command::Command::Refused(refused).into_message());
            }
            Stream::Worker(sender) => {
                write(&sender, worker_command::Command::Refused(refused).into_message());
            }
        }
        // A handler that is gone needs no verdict.
        let _ = admitted.send(false);
    }

    /// Lets an agent in.
    pub fn welcome_agent(&mut self, connection: Connection, node: NodeId) {
        let Some(Outlet { stream: Stream::Agent(sender), admitted }) = self.waiting.remove(&connection) else {
            return;
        };
        self.agents.insert(node.clone(), (connection, sender));
        self.tell_agent(&node, agent_command::Command::Welcome(welcome()));
        let _ = admitted.send(true);
    }

    /// Lets a worker in.
    pub fn welcome_worker(&mut self, connection: Connection, worker: WorkerId) {
        let Some(Outlet { stream: Stream::Worker(sender), admitted }) = self.waiting.remove(&connection) else {
            return;
        };
        self.workers.insert(worker.clone(), (connection, sender));
        self.tell_worker(&worker, worker_command::Command::Welcome(welcome()));
        let _ = admitted.send(true);
    }

    /// Forgets an agent's stream.
    pub fn drop_agent(&mut self, node: &NodeId, connection: Connection) {
        if self.agents.get(node).is_some_and(|(newest, _)| *newest == connection) {
            self.agents.remove(node);
        }
    }

    /// Forgets a worker's stream.
    pub fn drop_worker(&mut self, worker: &WorkerId, connection: Connection) {
        if self.workers.get(worker).is_some_and(|(newest, _)| *newest == connection) {
            self.workers.remove(worker);
        }
    }

    /// Writes to an agent; one that doesn't read is cut off.
    pub fn tell_agent(&mut self, node: &NodeId, command: agent_command::Command) {
        let sender = self.agents.get(node);
        if sender.is_some_and(|(_, sender)| !write(sender, command.into_message())) {
            tracing::warn!(%node, "the agent does not read its commands: cut off");
            self.agents.remove(node);
        }
    }

    /// Writes to a worker; one that doesn't read is cut off.
    pub fn tell_worker(&mut self, worker: &WorkerId, command: worker_command::Command) {
        let sender = self.workers.get(worker);
        if sender.is_some_and(|(_, sender)| !write(sender, command.into_message())) {
            tracing::warn!(%worker, "the worker does not read its commands: cut off");
            self.workers.remove(worker);
        }
    }
}

fn welcome() -> wire::Welcome {
    wire::Welcome { version: lockstep_proto::VERSION.into() }
}

/// False where the stream is full.
fn write<T>(sender: &Sender<T>, message: T) -> bool {
    !matches!(sender.try_send(Ok(message)), Err(mpsc::error::TrySendError::Full(_)))
}

/// A command in its envelope.
trait IntoMessage {
    type Message;
    fn into_message(self) -> Self::Message;
}

impl IntoMessage for agent_command::Command {
    type Message = wire::AgentCommand;
    fn into_message(self) -> wire::AgentCommand {
        wire::AgentCommand { command: Some(self) }
    }
}

impl IntoMessage for worker_command::Command {
    type Message = wire::WorkerCommand;
    fn into_message(self) -> wire::WorkerCommand {
        wire::WorkerCommand { command: Some(self) }
    }
}

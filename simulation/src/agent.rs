//! A model of agents: they start and end worker processes, say who ended, and come back.

use lockstep_coordinator::cluster::{AgentHello, Event, Exit};
use lockstep_proto::VERSION;
use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::slot::SlotDevice;

use crate::network::{AgentOrder, Peer, Up};
use crate::world::{Action, World};

const ALIVE_EVERY: u64 = 2_000;
/// What a leaving agent waits for its workers to be taken out of their jobs.
const LEAVE_WITHIN: u64 = 20_000;

/// A machine, with at most one agent.
pub(crate) struct Node {
    pub id: NodeId,
    index: usize,
    pub slots: u32,
    /// Counts its agents.
    pub life: u32,
    pub agent: Option<Agent>,
    /// It and the coordinator don't hear each other before.
    pub cut_off_until: u64,
}

/// An agent's process.
pub(crate) struct Agent {
    connection: Option<usize>,
    welcomed: bool,
    /// Its processes.
    pub workers: Vec<usize>,
    /// What could not be said.
    backlog: Vec<Event>,
    leaves: bool,
}

impl Node {
    /// A node without an agent.
    pub fn new(index: usize, slots: u32) -> Self {
        Self { id: node_id(index, 0), index, slots, life: 0, agent: None, cut_off_until: 0 }
    }
}

fn node_id(index: usize, life: u32) -> NodeId {
    let text = if life == 0 { format!("n{index}") } else { format!("n{index}.{life}") };
    NodeId::try_from(text).unwrap_or_else(|_| unreachable!("plain characters"))
}

impl World {
    pub(crate) fn agent_starts(&mut self, node: usize) {
        let new_name = self.random.chance(50);
        let machine = &mut self.nodes[node];
        if machine.agent.is_some() {
            return;
        }
        machine.life += 1;
        if machine.life > 1 && new_name {
            machine.id = node_id(machine.index, machine.life);
        }
        let agent =
            Agent { connection: None, welcomed: false, workers: Vec::new(), backlog: Vec::new(), leaves: false };
        machine.agent = Some(agent);
        let peer = Peer::Agent { node, life: machine.life };
        self.trace.note(self.now, || format!("agent {} starts", self.nodes[node].id));
        self.later(1, Action::Connect(peer));
        self.later(ALIVE_EVERY, Action::Beat(peer));
    }

    fn agent_of(&mut self, node: usize, life: u32) -> Option<&mut Agent> {
        let machine = &mut self.nodes[node];
        machine.agent.as_mut().filter(|_| machine.life == life)
    }

    /// Whether a peer is there and has no stream.
    pub(crate) fn wants_stream(&mut self, peer: Peer) -> bool {
        match peer {
            Peer::Agent { node, life } => self.agent_of(node, life).is_some_and(|agent| agent.connection.is_none()),
            Peer::Worker(worker) => self.workers[worker].alive && self.workers[worker].connection.is_none(),
        }
    }

    /// Whether this is a peer's stream, as the peer sees it.
    pub(crate) fn has_stream(&mut self, peer: Peer, connection: usize) -> bool {
        match peer {
            Peer::Agent { node, life } => {
                self.agent_of(node, life).is_some_and(|agent| agent.connection == Some(connection))
            }
            Peer::Worker(worker) => self.workers[worker].alive && self.workers[worker].connection == Some(connection),
        }
    }

    pub(crate) fn agent_connected(&mut self, node: usize, connection: usize) {
        let machine = &mut self.nodes[node];
        let Some(agent) = &mut machine.agent else { return };
        agent.connection = Some(connection);
        let workers = agent.workers.iter().map(|&worker| self.workers[worker].id.clone()).collect();
        let hello = AgentHello {
            version: VERSION.into(),
            node: machine.id.clone(),
            process: format!("p{}", machine.life),
            host: format!("host-{}", machine.index),
            slots: machine.slots,
            threads: 1,
            device: SlotDevice::Cpu,
            workers,
            gpus: Vec::new(),
        };
        self.say(connection, Up::AgentHello(Box::new(hello)));
    }

    /// An agent's stream is gone; a leaving one does not wait for another.
    pub(crate) fn agent_loses(&mut self, node: usize) {
        let Some(agent) = &mut self.nodes[node].agent else { return };
        (agent.connection, agent.welcomed) = (None, false);
        if agent.leaves {
            self.agent_ends(node, 1_000);
        }
    }

    pub(crate) fn agent_beats(&mut self, node: usize, life: u32) {
        let Some(agent) = self.agent_of(node, life) else { return };
        if let Some(connection) = agent.connection {
            let node = self.nodes[node].id.clone();
            self.say(connection, Up::Agent(Box::new(Event::AgentAlive { node })));
        }
        self.later(ALIVE_EVERY, Action::Beat(Peer::Agent { node, life }));
    }

    /// What the coordinator says.
    pub(crate) fn agent_told(&mut self, node: usize, life: u32, connection: usize, order: AgentOrder) {
        let Some(agent) = self.agent_of(node, life).filter(|agent| agent.connection == Some(connection)) else {
            return;
        };
        match order {
            AgentOrder::Welcome => {
                agent.welcomed = true;
                for event in std::mem::take(&mut agent.backlog) {
                    self.say(connection, Up::Agent(Box::new(event)));
                }
            }
            AgentOrder::Start(worker) => self.process_starts(node, worker),
            AgentOrder::Stop(worker) => {
                let process = agent.workers.clone().into_iter().find(|&index| self.workers[index].id == worker);
                if let Some(worker) = process {
                    let takes = self.random.within(1, 50);
                    self.later(takes, Action::Kill { worker });
                }
            }
            AgentOrder::Refused => self.agent_ends(node, 1_500),
            AgentOrder::Dismissed => self.agent_ends(node, 3_000),
        }
    }

    /// A process for a worker, one a slot.
    fn process_starts(&mut self, node: usize, id: WorkerId) {
        if self.workers.iter().any(|known| known.id == id) {
            // An order that comes twice is obeyed once.
            return;
        }
        let worker = self.new_worker(node, id.clone());
        let machine = &mut self.nodes[node];
        let Some(agent) = &mut machine.agent else { return };
        agent.workers.push(worker);
        let (running, slots) = (agent.workers.len(), machine.slots as usize);
        if running > slots && !self.plan.hostile {
            self.violate(format!("node {} runs {running} processes in {slots} slots", self.nodes[node].id));
        }
        self.report(node, |node| Event::WorkerStarted { node, worker: id, pid: 1 });
    }

    /// Says something now, or when there is a coordinator.
    fn report(&mut self, node: usize, event: impl FnOnce(NodeId) -> Event) {
        let machine = &mut self.nodes[node];
        let Some(agent) = &mut machine.agent else { return };
        let event = event(machine.id.clone());
        match agent.connection.filter(|_| agent.welcomed) {
            Some(connection) => self.say(connection, Up::Agent(Box::new(event))),
            None => agent.backlog.push(event),
        }
    }

    pub(crate) fn agent_sees_exit(&mut self, node: usize, life: u32, worker: usize, clean: bool) {
        let Some(agent) = self.agent_of(node, life) else { return };
        agent.workers.retain(|&other| other != worker);
        let idle = agent.workers.is_empty() && agent.leaves;
        let id = self.workers[worker].id.clone();
        let cause = if clean { "exited with code 0" } else { "was killed" };
        let exit = Exit { cause: cause.into(), clean };
        self.report(node, |node| Event::WorkerExited { node, worker: id, exit });
        if idle {
            self.later(1_000, Action::AgentGivesUp { node, life });
        }
    }

    /// It was told to end in order.
    pub(crate) fn agent_leaves(&mut self, node: usize) {
        let life = self.nodes[node].life;
        let Some(agent) = self.agent_of(node, life) else { return };
        if !agent.welcomed {
            return self.agent_ends(node, 1_000);
        }
        agent.leaves = true;
        self.report(node, |node| Event::AgentLeaving { node, reason: "its agent was told to end".into() });
        self.later(LEAVE_WITHIN, Action::AgentGivesUp { node, life });
    }

    pub(crate) fn agent_gives_up(&mut self, node: usize, life: u32) {
        if self.agent_of(node, life).is_some_and(|agent| agent.leaves) {
            self.agent_ends(node, 1_000);
        }
    }

    /// It is gone, with all its processes; another is started after a while.
    pub(crate) fn agent_ends(&mut self, node: usize, back_after: u64) {
        let Some(agent) = self.nodes[node].agent.take() else { return };
        self.trace.note(self.now, || format!("agent {} is gone", self.nodes[node].id));
        for worker in agent.workers {
            self.process_ends(worker, false);
        }
        if let Some(connection) = agent.connection {
            self.close_stream(connection);
        }
        self.later(back_after, Action::AgentStarts { node });
    }
}

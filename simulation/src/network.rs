//! Streams between the coordinator and its peers: in order, each direction by itself, until one breaks.

use std::collections::VecDeque;

use lockstep_coordinator::cluster::{AgentHello, Event};
use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::wire;
use lockstep_worker::control;

use crate::world::{Action, World};

/// Who has a stream to the coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// The agent of a node, in one of its lives.
    Agent { node: usize, life: u32 },
    /// A worker.
    Worker(usize),
}

/// What a peer says.
#[derive(Clone, Debug)]
pub enum Up {
    /// An agent's first words.
    AgentHello(Box<AgentHello>),
    /// Whatever else an agent says.
    Agent(Box<Event>),
    /// A worker's first words.
    WorkerHello(Box<wire::WorkerHello>),
    /// Whatever else a worker says.
    Worker(Box<wire::worker_event::Event>),
}

/// What the coordinator says.
#[derive(Clone, Debug)]
pub enum Down {
    /// To an agent.
    Agent(AgentOrder),
    /// To a worker.
    Worker(Box<control::Event>),
}

/// What an agent is told.
#[derive(Clone, Debug)]
pub enum AgentOrder {
    /// It is let in.
    Welcome,
    /// It is not.
    Refused,
    /// A process is wanted.
    Start(WorkerId),
    /// A process is to be ended.
    Stop(WorkerId),
    /// It may end.
    Dismissed,
}

/// A stream.
#[derive(Debug)]
pub struct Connection {
    /// Whose.
    pub peer: Peer,
    /// The name of an agent's node then.
    pub node: NodeId,
    /// The coordinator's end is open.
    pub served: bool,
    /// The coordinator let the peer in.
    pub admitted: bool,
    /// Nothing comes through any more.
    pub broken: bool,
    up: VecDeque<Up>,
    down: VecDeque<Down>,
    up_last: u64,
    down_last: u64,
}

impl World {
    /// A peer tries to open a stream.
    pub(crate) fn connect(&mut self, peer: Peer) {
        if !self.wants_stream(peer) {
            return;
        }
        if self.coordinator.cluster.is_none() || self.is_cut_off(peer) {
            let again = self.random.within(50, 1_000);
            return self.later(again, Action::Connect(peer));
        }
        let connection = self.connections.len();
        let node = self.nodes[self.node_of(peer)].id.clone();
        self.connections.push(Connection {
            peer,
            node,
            served: true,
            admitted: false,
            broken: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            up_last: self.now,
            down_last: self.now,
        });
        match peer {
            Peer::Agent { node, .. } => self.agent_connected(node, connection),
            Peer::Worker(worker) => {
                self.workers[worker].connection = Some(connection);
                self.control(worker, control::Event::Connected);
            }
        }
    }

    /// Whether a node and the coordinator don't hear each other.
    fn is_cut_off(&self, peer: Peer) -> bool {
        self.now < self.nodes[self.node_of(peer)].cut_off_until
    }

    /// The node of a peer.
    pub(crate) fn node_of(&self, peer: Peer) -> usize {
        match peer {
            Peer::Agent { node, .. } => node,
            Peer::Worker(worker) => self.workers[worker].node,
        }
    }

    fn travel(&mut self) -> u64 {
        match self.random.draw() % 32 {
            0 => self.random.within(10, 400),
            1..4 => self.random.within(5, 40),
            _ => self.random.within(1, 4),
        }
    }

    /// A peer says something.
    pub(crate) fn say(&mut self, connection: usize, message: Up) {
        let arrives = self.now + self.travel();
        let stream = &mut self.connections[connection];
        if stream.broken {
            return;
        }
        stream.up_last = stream.up_last.max(arrives);
        stream.up.push_back(message);
        let at = stream.up_last;
        self.at(at, Action::Up { connection });
    }

    /// The coordinator says something.
    pub(crate) fn tell(&mut self, connection: usize, message: Down) {
        let arrives = self.now + self.travel();
        let stream = &mut self.connections[connection];
        if stream.broken || !stream.served {
            return;
        }
        stream.down_last = stream.down_last.max(arrives);
        stream.down.push_back(message);
        let at = stream.down_last;
        self.at(at, Action::Down { connection });
    }

    /// A message reaches the coordinator.
    pub(crate) fn arrives_up(&mut self, connection: usize) {
        if self.coordinator.cluster.is_none() {
            return;
        }
        let peer = self.connections[connection].peer;
        if self.is_cut_off(peer) && !self.connections[connection].broken {
            let until = self.nodes[self.node_of(peer)].cut_off_until;
            return self.at(until, Action::Up { connection });
        }
        let (place, twice) = self.mischief(self.connections[connection].up.len());
        let stream = &mut self.connections[connection];
        if !stream.served {
            return;
        }
        // A hello is the first on its stream, whatever happens.
        let place = if stream.admitted { place } else { 0 };
        let Some(message) = stream.up.get(place).cloned() else { return };
        let repeats = twice && stream.admitted;
        if !repeats {
            stream.up.remove(place);
        }
        if repeats {
            self.later(3, Action::Up { connection });
        }
        self.coordinator_receives(connection, message);
    }

    /// A message reaches a peer.
    pub(crate) fn arrives_down(&mut self, connection: usize) {
        let peer = self.connections[connection].peer;
        if self.is_cut_off(peer) && !self.connections[connection].broken {
            let until = self.nodes[self.node_of(peer)].cut_off_until;
            return self.at(until, Action::Down { connection });
        }
        let (place, twice) = self.mischief(self.connections[connection].down.len());
        let stream = &mut self.connections[connection];
        let Some(message) = stream.down.get(place).cloned() else { return };
        if twice {
            self.later(3, Action::Down { connection });
        } else {
            stream.down.remove(place);
        }
        match (peer, message) {
            (Peer::Agent { node, life }, Down::Agent(order)) => self.agent_told(node, life, connection, order),
            (Peer::Worker(worker), Down::Worker(event)) => self.worker_told(worker, connection, *event),
            (Peer::Agent { .. }, Down::Worker(_)) | (Peer::Worker(_), Down::Agent(_)) => {}
        }
    }

    /// Which of `waiting` messages comes next, and whether it comes again.
    fn mischief(&mut self, waiting: usize) -> (usize, bool) {
        if !self.plan.hostile || self.now >= self.plan.calm || waiting == 0 {
            return (0, false);
        }
        match self.random.draw() % 16 {
            0 => (self.random.index(waiting), false),
            1 => (0, true),
            _ => (0, false),
        }
    }

    /// A stream breaks: both ends notice, each in its time. `late`: what was on its way to the coordinator still comes.
    pub(crate) fn break_stream(&mut self, connection: usize, late: bool, notice: [u64; 2]) {
        let [peer, server] = notice;
        let stream = &mut self.connections[connection];
        stream.down.clear();
        if late {
            stream.up_last = stream.up_last.max(self.now + peer);
        } else {
            stream.broken = true;
            stream.up.clear();
        }
        self.later(peer, Action::PeerLoses { connection });
        self.later(server.max(if late { peer + 500 } else { 0 }), Action::CoordinatorLoses { connection });
    }

    /// A stream whose peer is gone: nothing more comes, and the coordinator notices.
    pub(crate) fn close_stream(&mut self, connection: usize) {
        let notices = self.random.within(1, 800);
        // What was said before may be read before the end is.
        self.connections[connection].down.clear();
        let last = self.connections[connection].up_last;
        self.at(last.max(self.now + notices), Action::CoordinatorLoses { connection });
    }

    /// A peer notices that its stream is gone; it tries to come back.
    pub(crate) fn peer_loses(&mut self, connection: usize) {
        let peer = self.connections[connection].peer;
        self.connections[connection].down.clear();
        if !self.has_stream(peer, connection) {
            return;
        }
        match peer {
            Peer::Agent { node, .. } => self.agent_loses(node),
            Peer::Worker(worker) => self.worker_loses(worker),
        }
        let again = self.random.within(40, 700);
        self.later(again, Action::Connect(peer));
    }
}

//! Agents and workers as a test plays them: what they know, and what they would tell when they come back.

use std::collections::BTreeSet;

use lockstep_proto::VERSION;
use lockstep_proto::identity::{Generation, NodeId, WorkerId};
use lockstep_proto::slot::SlotDevice;

use crate::cluster::event::{Assignment, Attachment, News, SignOfLife, Transport};
use crate::cluster::facts::{Fingerprint, Held, Prepared};
use crate::cluster::record::Member;
use crate::cluster::{AgentHello, Begin, Connection, WorkerHello};

/// An agent.
pub struct Agent {
    /// Its stream, if it is open.
    pub connection: Option<Connection>,
    /// Worker processes that it may run at once.
    pub slots: u32,
    /// What they compute with.
    pub device: SlotDevice,
    /// Processes that it runs.
    pub runs: BTreeSet<WorkerId>,
}

impl Agent {
    /// Its first words, or those after a broken stream.
    pub fn hello(&self, name: &str, version: &str, process: &str) -> AgentHello {
        AgentHello {
            version: version.into(),
            node: node(name),
            process: process.into(),
            host: format!("host-{name}"),
            slots: self.slots,
            threads: 1,
            device: self.device,
            workers: self.runs.iter().cloned().collect(),
            gpus: Vec::new(),
        }
    }
}

/// A worker.
pub struct Worker {
    /// Its id.
    pub id: WorkerId,
    /// Its node.
    pub node: NodeId,
    /// Its stream, if it is open.
    pub connection: Option<Connection>,
    /// The process is there.
    pub lives: bool,
    /// It gives signs of life.
    pub speaks: bool,
    /// It makes progress.
    pub moves: bool,
    /// What it does.
    pub life: SignOfLife,
    /// Digest of its fixed computation.
    pub canary: String,
    pub transport: Transport,
    /// Libraries that it found.
    pub libraries: String,
    /// It was welcomed before.
    pub joined: bool,
    assignment: Option<Assignment>,
    /// What it found.
    pub prepared: Option<Prepared>,
    /// The generation that it is in.
    pub generation: Option<(Generation, Vec<Member>)>,
    highest: u64,
    /// It said that the generation is ready.
    pub ready: Option<Held>,
    held: Option<Held>,
    last_word: Option<News>,
}

impl Worker {
    /// A process that was just started.
    pub fn new(id: WorkerId, node: NodeId) -> Self {
        Self {
            id,
            node,
            connection: None,
            lives: true,
            speaks: true,
            moves: true,
            life: SignOfLife { phase: "prepare".into(), ..SignOfLife::default() },
            canary: "00".into(),
            transport: Transport::default(),
            libraries: String::new(),
            joined: false,
            assignment: None,
            prepared: None,
            generation: None,
            highest: 0,
            ready: None,
            held: None,
            last_word: None,
        }
    }

    /// What it says when its stream opens.
    pub fn hello(&self) -> WorkerHello {
        WorkerHello {
            version: VERSION.into(),
            worker: self.id.clone(),
            node: self.node.clone(),
            data_address: "127.0.0.1:1".into(),
            unix_address: "u".into(),
            threads: 1,
            fingerprint: Fingerprint {
                build: "0.1.0-aa".into(),
                device: "cpu".into(),
                instruction_set: "avx2".into(),
                canary: self.canary.clone(),
                libraries: self.libraries.clone(),
            },
            transport: self.transport.clone(),
            attachment: self.joined.then(|| Attachment {
                assignment: self.assignment.clone(),
                highest_generation: self.highest,
                prepared: self.prepared.clone(),
                generation: self.generation.clone(),
                held: self.held.clone(),
            }),
        }
    }

    /// What it says again on a new stream.
    pub fn say_again(&self) -> Vec<News> {
        let prepared = self.prepared.clone().map(News::Prepared);
        let now = match (&self.generation, &self.ready) {
            (Some((generation, _)), Some(held)) => Some(News::Ready { generation: *generation, held: held.clone() }),
            (Some(_), None) => None,
            (None, _) => self.last_word.clone(),
        };
        prepared.into_iter().chain(now).collect()
    }

    /// It was told what it is for.
    pub fn assign(&mut self, assignment: Assignment) {
        self.assignment = Some(assignment);
    }

    /// It was told to take part in a generation.
    pub fn begin(&mut self, begin: &Begin) {
        if begin.generation.number > self.highest {
            self.highest = begin.generation.number;
            self.generation = Some((begin.generation, begin.members.clone()));
            (self.ready, self.last_word) = (None, None);
            self.life.phase = "start".into();
        }
    }

    /// It left its generation and says how.
    pub fn end(&mut self, held: Option<Held>, word: News) {
        (self.generation, self.ready, self.held) = (None, None, held);
        self.life.phase = "idle".into();
        self.last_word = Some(word);
    }
}

/// A node's id.
pub fn node(name: &str) -> NodeId {
    NodeId::try_from(name).expect("a node id")
}

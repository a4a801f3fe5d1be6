//! All that there is, and the order in which it happens: one queue of actions by simulated time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lockstep_worker::control::TrainerEvent;

use crate::agent::Node;
use crate::coordinator::Coordinator;
use crate::disk::Disk;
use crate::group::Group;
use crate::invariants::Watch;
use crate::network::{Connection, Peer};
use crate::plan::{Folder, KINDS, Plan};
use crate::random::Random;
use crate::trace::Trace;
use crate::trainer::Work;
use crate::worker::Worker;
use crate::{Bug, End, History, Options};

/// Simulated milliseconds after it is calm within which a job has to end.
const PATIENCE: u64 = 400_000;

/// Something that happens at its time.
#[derive(Debug)]
pub(crate) enum Action {
    /// The next message of a stream reaches the coordinator.
    Up { connection: usize },
    /// The next message of a stream reaches its peer.
    Down { connection: usize },
    /// The coordinator notices that a stream is gone.
    CoordinatorLoses { connection: usize },
    /// A peer notices that its stream is gone.
    PeerLoses { connection: usize },
    /// A peer tries to open a stream.
    Connect(Peer),
    /// It is time for signs of life.
    Beat(Peer),
    /// The coordinator's deadline.
    Tick,
    /// The coordinator comes back.
    CoordinatorStarts(Folder),
    /// A worker's weights reach the coordinator.
    Weights { worker: usize, connection: usize, attempt: u64, sha256: String },
    /// The coordinator's answer reaches the worker.
    WeightsAnswered { worker: usize, connection: usize, attempt: u64, denied: bool },
    /// A compute thread has got that far.
    Compute { worker: usize, part: u64, work: Work },
    /// A compute thread's word reaches control.
    Told { worker: usize, event: Box<TrainerEvent> },
    /// A checkpoint's writing is done, or tried.
    Writes { worker: usize },
    /// An agent sees a process end.
    Exited { node: usize, life: u32, worker: usize, clean: bool },
    /// An agent ends a process.
    Kill { worker: usize },
    /// An agent comes up.
    AgentStarts { node: usize },
    /// A leaving agent waits no longer.
    AgentGivesUp { node: usize, life: u32 },
    /// A stopped process goes on.
    Continues { worker: usize },
    /// Nodes hear each other again.
    NodesHeal,
    /// A fault of the plan.
    Fault(usize),
    /// The coordinator's disk has room again.
    CoordinatorDiskHeals,
    /// The checkpoints' disk has room again.
    CheckpointDiskHeals,
    /// Nothing goes wrong any more.
    Calm,
    /// A user looks whether the job is paused.
    UserLooks,
}

struct Due {
    time: u64,
    order: u64,
    action: Action,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.order).cmp(&(other.time, other.order))
    }
}

/// A history while it happens.
pub(crate) struct World {
    pub plan: Plan,
    pub bug: Option<Bug>,
    pub random: Random,
    /// Milliseconds.
    pub now: u64,
    queue: BinaryHeap<Reverse<Due>>,
    ordered: u64,
    pub trace: Trace,
    pub coordinator: Coordinator,
    pub nodes: Vec<Node>,
    pub workers: Vec<Worker>,
    pub connections: Vec<Connection>,
    pub groups: Vec<Group>,
    /// Nodes that don't hear each other, and until when.
    pub cuts: Vec<(usize, usize, u64)>,
    pub disk: Disk,
    pub watch: Watch,
    pub counts: Counts,
}

/// What a history had.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Decisions of coordinators and workers.
    pub decisions: u64,
    /// Things that happened.
    pub actions: u64,
    /// Generations that began.
    pub generations: u64,
    /// Steps committed by workers.
    pub commits: u64,
    /// Of these, by members of a generation that others had followed already.
    pub commits_of_forgotten: u64,
    /// Worker processes.
    pub processes: u64,
    /// Simulated milliseconds.
    pub time: u64,
    /// Faults by kind.
    pub faults: [u64; KINDS.len()],
}

impl World {
    /// The beginning of a plan's history.
    pub fn new(plan: Plan, options: &Options) -> Self {
        let random = Random::new(plan.seed ^ 0x51);
        let mut world = Self {
            bug: options.bug,
            random,
            now: 0,
            queue: BinaryHeap::new(),
            ordered: 0,
            trace: Trace::new(options.trace),
            coordinator: Coordinator::new(plan.seed),
            nodes: plan.slots.iter().enumerate().map(|(index, &slots)| Node::new(index, slots)).collect(),
            workers: Vec::new(),
            connections: Vec::new(),
            groups: Vec::new(),
            cuts: Vec::new(),
            disk: Disk::default(),
            watch: Watch::default(),
            counts: Counts::default(),
            plan,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.trace.note(0, || format!("{:?}", self.plan));
        self.coordinator_starts(Folder::Kept);
        self.submit();
        for node in 0..self.nodes.len() {
            let comes = self.random.within(1, 200);
            self.later(comes, Action::AgentStarts { node });
        }
        for index in 0..self.plan.faults.len() {
            self.at(self.plan.faults[index].0, Action::Fault(index));
        }
        self.at(self.plan.calm, Action::Calm);
        self.later(1_000, Action::UserLooks);
    }

    /// Something will happen in `delay` milliseconds.
    pub fn later(&mut self, delay: u64, action: Action) {
        self.at(self.now + delay, action);
    }

    /// Something will happen at a time.
    pub fn at(&mut self, time: u64, action: Action) {
        self.ordered += 1;
        self.queue.push(Reverse(Due { time: time.max(self.now), order: self.ordered, action }));
    }

    /// Lets all happen.
    pub fn run(mut self) -> History {
        let end = loop {
            let Some(Reverse(due)) = self.queue.pop() else { break End::Silence };
            self.now = due.time;
            self.counts.actions += 1;
            self.trace.mix(due.time);
            self.act(due.action);
            if self.watch.violation.is_some() {
                break End::Violated;
            }
            if self.now > self.plan.calm + PATIENCE {
                break End::Patience;
            }
            if let Some(end) = self.ended() {
                break end;
            }
        };
        self.judge(end);
        self.counts.time = self.now;
        let violation = self.watch.violation.take();
        History {
            seed: self.plan.seed,
            end,
            counts: self.counts,
            hash: self.trace.hash(),
            violation,
            lines: self.trace.into_lines(),
        }
    }

    fn act(&mut self, action: Action) {
        let Some(action) = self.postponed(action) else { return };
        match action {
            Action::Up { connection } => self.arrives_up(connection),
            Action::Down { connection } => self.arrives_down(connection),
            Action::CoordinatorLoses { connection } => self.coordinator_loses(connection),
            Action::PeerLoses { connection } => self.peer_loses(connection),
            Action::Connect(peer) => self.connect(peer),
            Action::Beat(Peer::Agent { node, life }) => self.agent_beats(node, life),
            Action::Beat(Peer::Worker(worker)) => self.worker_beats(worker),
            Action::Tick => self.tick(),
            Action::CoordinatorStarts(folder) => self.coordinator_starts(folder),
            Action::Weights { worker, connection, attempt, sha256 } => {
                self.weights_arrive(worker, connection, attempt, sha256);
            }
            Action::WeightsAnswered { worker, connection, attempt, denied } => {
                self.weights_answered(worker, connection, attempt, denied);
            }
            Action::Compute { worker, part, work } => self.compute(worker, part, work),
            Action::Told { worker, event } => self.trainer_told(worker, *event),
            Action::Writes { worker } => self.writes(worker),
            Action::Exited { node, life, worker, clean } => self.agent_sees_exit(node, life, worker, clean),
            Action::Kill { worker } => self.process_ends(worker, false),
            Action::AgentStarts { node } => self.agent_starts(node),
            Action::AgentGivesUp { node, life } => self.agent_gives_up(node, life),
            Action::Continues { worker } => self.continues(worker),
            Action::NodesHeal => self.nodes_heal(),
            Action::Fault(index) => self.strike(index),
            Action::CoordinatorDiskHeals => self.coordinator.disk_full = false,
            Action::CheckpointDiskHeals => self.disk.full = false,
            Action::Calm => self.calm(),
            Action::UserLooks => self.user_looks(),
        }
    }

    /// The action, if who it concerns is there to see it: the dead see nothing, and the stopped later.
    fn postponed(&mut self, action: Action) -> Option<Action> {
        match &action {
            Action::Up { .. } | Action::CoordinatorLoses { .. } | Action::Tick | Action::Weights { .. }
                if self.now < self.coordinator.asleep_until =>
            {
                self.at(self.coordinator.asleep_until, action);
                return None;
            }
            _ => {}
        }
        let Some(worker) = self.concerns(&action) else { return Some(action) };
        let process = &mut self.workers[worker];
        if process.alive && process.stopped {
            process.backlog.push(action);
            return None;
        }
        process.alive.then_some(action)
    }

    /// The worker that would have to do something.
    fn concerns(&self, action: &Action) -> Option<usize> {
        let of_peer = |peer: &Peer| match peer {
            Peer::Worker(worker) => Some(*worker),
            Peer::Agent { .. } => None,
        };
        match action {
            Action::Down { connection } | Action::PeerLoses { connection } => {
                of_peer(&self.connections[*connection].peer)
            }
            Action::Connect(peer) | Action::Beat(peer) => of_peer(peer),
            Action::WeightsAnswered { worker, .. }
            | Action::Compute { worker, .. }
            | Action::Told { worker, .. }
            | Action::Writes { worker } => Some(*worker),
            _ => None,
        }
    }

    /// Notes what must not be; the first time ends the history.
    pub fn violate(&mut self, what: String) {
        self.trace.note(self.now, || format!("VIOLATION {what}"));
        self.watch.violation.get_or_insert(what);
    }
}

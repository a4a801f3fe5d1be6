//! What a seed decides beforehand: the job, the nodes, and what goes wrong when.

use crate::model::Job;
use crate::random::Random;

/// A seed's history before it happens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The job.
    pub job: Job,
    /// Slots of each node.
    pub slots: Vec<u32>,
    /// Milliseconds that a worker's lanes take, from and to.
    pub lanes_take: (u64, u64),
    /// What goes wrong when, in milliseconds.
    pub faults: Vec<(u64, Fault)>,
    /// When nothing goes wrong any more.
    pub calm: u64,
    /// Messages of a stream may come twice and out of order until it is calm, which no network does.
    pub hostile: bool,
    /// Goes on after the job has ended, until it is calm.
    pub patient: bool,
}

/// What becomes of a coordinator's state folder while it is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Nothing.
    Kept,
    /// It is one of earlier.
    RolledBack,
    /// It is lost.
    Lost,
}

/// Something that goes wrong, or that a user wants. Times are in milliseconds; whom it hits is drawn when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A worker process is killed.
    WorkerDies,
    /// A worker process is stopped, for a while or for good.
    WorkerStops(Option<u64>),
    /// An agent is killed, and its workers with it; it comes back.
    AgentDies(u64),
    /// An agent is told to end; it comes back.
    AgentLeaves,
    /// The coordinator is killed, maybe between two commands of a decision; it comes back.
    CoordinatorDies {
        /// After how long it is back.
        down: u64,
        /// What it finds then.
        folder: Folder,
        /// Between two commands of a decision.
        midway: bool,
    },
    /// The coordinator does nothing for so long.
    CoordinatorSleeps(u64),
    /// The coordinator's clock goes on by so much at once.
    ClockJumps(u64),
    /// A stream breaks.
    StreamBreaks {
        /// What its peer said before still comes, maybe after its next hello.
        late: bool,
    },
    /// A node and the coordinator don't hear each other.
    NodeCutOff(u64),
    /// Two nodes don't hear each other.
    NodesCut(u64),
    /// The coordinator's disk is full.
    CoordinatorDiskFull(u64),
    /// The checkpoints' disk is full.
    CheckpointDiskFull(u64),
    /// The newest checkpoint can't be read any more.
    CheckpointDamaged,
    /// The newest checkpoint is gone.
    CheckpointLost,
    /// A worker's memory is wrong from now on.
    WorkerForgets,
    /// A worker's gradients are wrong from now on.
    WorkerMiscalculates,
    /// A user wants another number of workers.
    Scale(u32),
    /// A user wants a pause, and goes on later.
    Pause,
    /// A user wants a checkpoint.
    Checkpoint,
    /// A user ends the job.
    Cancel,
    /// A signal ends the job.
    Interrupt,
}

/// Names of [`Fault::kind`].
pub const KINDS: [&str; 23] = [
    "worker killed",
    "worker stopped",
    "agent killed",
    "agent leaves",
    "coordinator killed",
    "coordinator killed, state rolled back",
    "coordinator killed, state lost",
    "coordinator sleeps",
    "clock jumps",
    "stream breaks",
    "stream breaks, words come late",
    "node cut off",
    "nodes cut",
    "coordinator's disk full",
    "checkpoints' disk full",
    "checkpoint damaged",
    "checkpoint lost",
    "worker's memory wrong",
    "worker's gradients wrong",
    "scale",
    "pause",
    "checkpoint",
    "cancel or signal",
];

impl Fault {
    /// Its index among [`KINDS`].
    pub fn kind(self) -> usize {
        match self {
            Self::WorkerDies => 0,
            Self::WorkerStops(_) => 1,
            Self::AgentDies(_) => 2,
            Self::AgentLeaves => 3,
            Self::CoordinatorDies { folder: Folder::Kept, .. } => 4,
            Self::CoordinatorDies { folder: Folder::RolledBack, .. } => 5,
            Self::CoordinatorDies { folder: Folder::Lost, .. } => 6,
            Self::CoordinatorSleeps(_) => 7,
            Self::ClockJumps(_) => 8,
            Self::StreamBreaks { late: false } => 9,
            Self::StreamBreaks { late: true } => 10,
            Self::NodeCutOff(_) => 11,
            Self::NodesCut(_) => 12,
            Self::CoordinatorDiskFull(_) => 13,
            Self::CheckpointDiskFull(_) => 14,
            Self::CheckpointDamaged => 15,
            Self::CheckpointLost => 16,
            Self::WorkerForgets => 17,
            Self::WorkerMiscalculates => 18,
            Self::Scale(_) => 19,
            Self::Pause => 20,
            Self::Checkpoint => 21,
            Self::Cancel | Self::Interrupt => 22,
        }
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let nodes = random.within(1, 3) as usize;
        let slots: Vec<u32> = (0..nodes).map(|_| random.within(1, 3) as u32).collect();
        let all: u32 = slots.iter().sum();
        let workers = random.within(1, u64::from(all.min(4))) as u32;
        let epoch = random.within(4, 10);
        let steps = epoch * random.within(3, 6);
        let checkpoint_every = random.within(3, 15);
        let every = [random.within(1, 5), checkpoint_every, random.within(2, 6), random.within(2, 6)];
        let slow = random.within(20, 400);
        let count = random.within(2, 8);
        let last = random.within(2_000, 25_000);
        let corrupt = random.chance(20);
        let mut faults: Vec<(u64, Fault)> =
            (0..count).map(|_| (random.within(300, last), fault(&mut random, all, corrupt))).collect();
        faults.sort_by_key(|(time, _)| *time);
        Self {
            seed,
            job: Job::new(steps, epoch, workers, every),
            slots,
            lanes_take: (slow / 2 + 1, slow),
            faults,
            calm: last + 15_000,
            hostile: random.chance(12),
            patient: random.chance(10),
        }
    }

    /// Whether a fault of the plan is one of these.
    pub fn has(&self, which: impl Fn(Fault) -> bool) -> bool {
        self.faults.iter().any(|(_, fault)| which(*fault))
    }

    /// Whether the coordinator forgets what it had acknowledged.
    pub fn forgets(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::CoordinatorDies { folder: Folder::Lost | Folder::RolledBack, .. }))
    }

    /// Whether a worker computes or remembers wrongly.
    pub fn corrupts(&self) -> bool {
        self.has(|fault| matches!(fault, Fault::WorkerForgets | Fault::WorkerMiscalculates))
    }
}

/// A fault; short ones are as likely as long ones, since different limits are hit by them.
fn fault(random: &mut Random, slots: u32, corrupt: bool) -> Fault {
    let time = |random: &mut Random, longest: u64| match random.draw() % 3 {
        0 => random.within(1, 200),
        1 => random.within(200, 3_000.min(longest)),
        _ => random.within(200, longest),
    };
    match random.draw() % 100 {
        0..18 => Fault::WorkerDies,
        18..25 if random.chance(30) => Fault::WorkerStops(None),
        18..25 => Fault::WorkerStops(Some(time(random, 20_000))),
        25..31 => Fault::AgentDies(time(random, 14_000)),
        31..35 => Fault::AgentLeaves,
        35..50 => {
            let folder = match random.draw() % 6 {
                0 => Folder::RolledBack,
                1 => Folder::Lost,
                _ => Folder::Kept,
            };
            Fault::CoordinatorDies { down: time(random, 14_000), folder, midway: random.chance(60) }
        }
        50..53 => Fault::CoordinatorSleeps(time(random, 14_000)),
        53..55 if random.chance(30) => Fault::ClockJumps(random.within(60_000, 50_000_000)),
        53..55 => Fault::ClockJumps(time(random, 30_000)),
        55..66 => Fault::StreamBreaks { late: random.chance(40) },
        66..70 => Fault::NodeCutOff(time(random, 14_000)),
        70..73 => Fault::NodesCut(time(random, 14_000)),
        73..76 => Fault::CoordinatorDiskFull(time(random, 8_000)),
        76..79 => Fault::CheckpointDiskFull(time(random, 8_000)),
        79..82 => Fault::CheckpointDamaged,
        82..84 => Fault::CheckpointLost,
        84..88 if corrupt && random.chance(50) => Fault::WorkerForgets,
        84..88 if corrupt => Fault::WorkerMiscalculates,
        84..91 => Fault::Scale(random.within(1, u64::from(slots)) as u32),
        91..95 => Fault::Pause,
        95..98 => Fault::Checkpoint,
        98 => Fault::Interrupt,
        _ => Fault::Cancel,
    }
}

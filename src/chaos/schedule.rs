//! What happens when: a pure function of the seed.

use std::time::Duration;

/// A fault, with the number that chooses its victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A worker is killed.
    KillWorker(u64),
    /// A worker is stopped for this long; it is given up if that is longer than a worker may be silent.
    StopWorker(u64, Duration),
    /// An agent is killed, and its workers with it; another takes its place after this long.
    KillAgent(u64, Duration),
    /// An agent is stopped for this long.
    StopAgent(u64, Duration),
    /// An agent is asked to leave; another takes its place.
    RetireAgent(u64),
    /// The coordinator is killed and started again after this long.
    KillCoordinator(Duration),
    /// The coordinator is killed, and comes back without its memory.
    ForgetCoordinator(Duration),
    /// The coordinator is stopped for this long.
    StopCoordinator(Duration),
    /// All connections between an agent's node and the coordinator are cut.
    CutConnections(u64),
    /// Nothing passes between an agent's node and the coordinator for this long.
    StallConnections(u64, Duration),
    /// The quota for checkpoints is used up for this long.
    FillQuota(Duration),
    /// The newest checkpoint is damaged.
    DamageCheckpoint(u64),
}

/// A kind of fault, from two random numbers.
type Kind = fn(u64, u64) -> Fault;

/// Kinds with their weights: what is cheap to recover from comes often.
const KINDS: [(u64, Kind); 12] = [
    (24, |who, _| Fault::KillWorker(who)),
    (5, |who, time| Fault::StopWorker(who, millis(time, 200, 13_000))),
    (10, |who, time| Fault::KillAgent(who, millis(time, 0, 1500))),
    (4, |who, time| Fault::StopAgent(who, millis(time, 200, 4000))),
    (6, |who, _| Fault::RetireAgent(who)),
    (12, |_, time| Fault::KillCoordinator(millis(time, 0, 1500))),
    (5, |_, time| Fault::ForgetCoordinator(millis(time, 0, 1000))),
    (4, |_, time| Fault::StopCoordinator(millis(time, 200, 4000))),
    (12, |who, _| Fault::CutConnections(who)),
    (8, |who, time| Fault::StallConnections(who, millis(time, 200, 5000))),
    (4, |_, time| Fault::FillQuota(millis(time, 500, 3000))),
    (6, |who, _| Fault::DamageCheckpoint(who)),
];

fn millis(random: u64, from: u64, to: u64) -> Duration {
    Duration::from_millis(from + random % (to - from))
}

impl Fault {
    /// For the table at the end.
    pub fn kind(self) -> &'static str {
        match self {
            Self::KillWorker(_) => "worker killed",
            Self::StopWorker(..) => "worker stopped",
            Self::KillAgent(..) => "agent killed",
            Self::StopAgent(..) => "agent stopped",
            Self::RetireAgent(_) => "agent asked to leave",
            Self::KillCoordinator(_) => "coordinator killed",
            Self::ForgetCoordinator(_) => "coordinator killed, state lost",
            Self::StopCoordinator(_) => "coordinator stopped",
            Self::CutConnections(_) => "connections cut",
            Self::StallConnections(..) => "connections stalled",
            Self::FillQuota(_) => "quota used up",
            Self::DamageCheckpoint(_) => "checkpoint damaged",
        }
    }
}

/// An endless sequence of faults, each with the time since the one before.
pub struct Schedule(u64);

impl Schedule {
    /// The schedule of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    fn random(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Iterator for Schedule {
    type Item = (Duration, Fault);

    fn next(&mut self) -> Option<(Duration, Fault)> {
        let gap = millis(self.random(), 100, 2500);
        let total: u64 = KINDS.iter().map(|(weight, _)| weight).sum();
        let mut chosen = self.random() % total;
        let (who, time) = (self.random(), self.random());
        for (weight, kind) in KINDS {
            if chosen < weight {
                return Some((gap, kind(who, time)));
            }
            chosen -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_gives_one_schedule_and_all_kinds_come() {
        let faults = |seed| Schedule::new(seed).take(500).collect::<Vec<_>>();
        assert_eq!(faults(7), faults(7));
        assert_ne!(faults(7), faults(8));
        let kinds: BTreeSet<_> = faults(7).iter().map(|(_, fault)| fault.kind()).collect();
        assert_eq!(kinds.len(), KINDS.len());
    }
}

//! Silent corruption: digests of the state are compared over all ranks, lanes are computed a second time by other
//! workers. What can't be trusted any more is rolled back; who disagrees twice is excluded.

use std::collections::BTreeMap;

use lockstep_proto::identity::{Generation, WorkerId};

use super::team::{Seat, Team};
use super::told::is_current;
use super::{Job, Turn, settle};
use crate::cluster::deal::{deal_by_speed, deal_with_spares};

/// Disagreements after which a worker is excluded.
const STRIKES: u32 = 2;
/// Lanes are dealt anew when that makes a step this much faster.
const WORTH_REGROUPING: f64 = 0.9;

/// Tensors of a state: name, digest.
type Tensors = Vec<(String, String)>;

/// What is known of the correctness of a job's workers.
#[derive(Debug, Default)]
pub(super) struct Integrity {
    /// Digests of states in the current generation, by step: of each tensor, by worker.
    states: BTreeMap<u64, Vec<(WorkerId, Tensors)>>,
    /// Digests of a lane's gradient in the current generation, by step.
    lanes: BTreeMap<u64, Vec<Opinion>>,
    /// States up to this step are trusted; above only what was committed since. None: no doubt was cast.
    trusted: Option<u64>,
    /// Generations up to which, and steps above which, nothing is to be gone on from: what was being written when doubt
    /// was cast may come to disk later.
    doubts: Vec<(u64, u64)>,
    /// The newest step at which all states agreed.
    agreed: u64,
    /// By worker: how often it disagreed, and the newest step at which a lane of it was confirmed.
    records: BTreeMap<WorkerId, TrackRecord>,
    other_deal: bool,
}

/// Who says what of a lane's gradient.
#[derive(Debug)]
struct Opinion {
    worker: WorkerId,
    lane: u32,
    owner: bool,
    digest: String,
}

#[derive(Debug, Default)]
struct TrackRecord {
    strikes: u32,
    confirmed: u64,
}

impl Integrity {
    /// A new generation: what was half told of the last one will not be completed.
    /// What was said of steps that are committed anew says nothing of them.
    pub fn begin(&mut self, step: u64) {
        self.agreed = self.agreed.min(step);
        self.records.values_mut().for_each(|record| record.confirmed = record.confirmed.min(step));
        self.states.clear();
        self.lanes.clear();
        self.trusted = None;
        self.other_deal = false;
    }

    /// Whether a state of this step on disk may be gone on from.
    pub fn trusts(&self, step: u64) -> bool {
        self.trusted.is_none_or(|trusted| step <= trusted)
    }

    /// Whether a checkpoint of this name and step was written from a state that is in doubt.
    pub fn doubts(&self, name: &str, step: u64) -> bool {
        let generation = name.rsplit_once("-g").and_then(|(_, number)| number.parse::<u64>().ok());
        self.doubts.iter().any(|&(newest, agreed)| step > agreed && generation.is_some_and(|number| number <= newest))
    }

    /// Whether another deal of the lanes would be faster.
    pub fn wants_other_deal(&self) -> bool {
        self.other_deal
    }
}

impl Job {
    /// Digests of a member's state. When all have come they must be equal.
    pub(super) fn state_digest(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        (generation, step, tensors): (Generation, u64, Vec<(String, String)>),
        turn: &mut Turn<'_>,
    ) {
        if !is_current(team, worker, generation, "a digest", turn) {
            return;
        }
        let members = team.current.as_ref().map_or(0, |current| current.members.len());
        let told = self.integrity.states.entry(step).or_default();
        if told.iter().any(|(other, _)| other == worker) {
            return;
        }
        told.push((worker.clone(), tensors));
        if told.len() < members {
            return;
        }
        let told = self.integrity.states.remove(&step).unwrap_or_default();
        // Whoever is behind by more than this left the generation.
        self.integrity.states.retain(|known, _| *known > step);
        let all: Vec<(WorkerId, String)> =
            told.iter().map(|(worker, tensors)| (worker.clone(), format!("{tensors:?}"))).collect();
        let odd = minority(&all);
        let Some(first) = odd.first() else {
            self.integrity.agreed = step;
            self.look_at_the_deal(team);
            return;
        };
        let one = told.iter().find(|(worker, _)| worker == first).map(|(_, tensors)| tensors);
        let other = told.iter().map(|(_, tensors)| tensors).find(|tensors| Some(*tensors) != one);
        let tensor = one.zip(other).and_then(|(a, b)| a.iter().zip(b).find(|(a, b)| a != b));
        let tensor = tensor.map_or("?", |((name, _), _)| name.as_str()).to_owned();
        let who = who_differs(team, &odd, told.len());
        let reason = format!("after step {step} {who}, first in tensor {tensor}");
        self.disagreed(team, &odd, reason, self.integrity.agreed, turn);
    }

    /// A member's opinion on a lane. When owner and verifiers have told theirs they must be equal.
    pub(super) fn lane_digest(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        (generation, step, lane): (Generation, u64, u32),
        (owner, digest): (bool, String),
        turn: &mut Turn<'_>,
    ) {
        if !is_current(team, worker, generation, "a lane's digest", turn) {
            return;
        }
        let with_lanes =
            team.current.as_ref().map_or(0, |current| current.lanes.iter().filter(|&&held| held > 0).count());
        let told = self.integrity.lanes.entry(step).or_default();
        if told.iter().any(|opinion| opinion.worker == *worker) {
            return;
        }
        told.push(Opinion { worker: worker.clone(), lane, owner, digest });
        if told.len() < with_lanes.min(3) {
            return;
        }
        let told = self.integrity.lanes.remove(&step).unwrap_or_default();
        self.integrity.lanes.retain(|known, _| *known > step);
        let all: Vec<(WorkerId, String)> = told
            .iter()
            .map(|opinion| (opinion.worker.clone(), format!("{} {}", opinion.lane, opinion.digest)))
            .collect();
        let odd = minority(&all);
        if odd.is_empty() {
            for opinion in &told {
                // It was computed from the state before: what the step made of that is not known.
                let before = step.saturating_sub(1);
                self.integrity.records.entry(opinion.worker.clone()).or_default().confirmed = before;
            }
            return;
        }
        let owners = told.iter().filter(|opinion| opinion.owner).map(|opinion| team.name(&opinion.worker));
        let names: Vec<String> = odd.iter().map(|worker| team.name(worker)).collect();
        let reason = format!(
            "{} computed another gradient of lane {lane} at step {step} than others did (it is held by {})",
            names.join(" or "),
            owners.collect::<Vec<_>>().join(", ")
        );
        let confirmed =
            odd.iter().map(|worker| self.integrity.records.get(worker).map_or(0, |record| record.confirmed));
        let confirmed = confirmed.min().unwrap_or(0);
        self.disagreed(team, &odd, reason, confirmed, turn);
    }

    /// Somebody computes or remembers wrongly: all that was committed since the last agreement is in doubt.
    fn disagreed(&mut self, team: &mut Team, odd: &[WorkerId], reason: String, agreed: u64, turn: &mut Turn<'_>) {
        self.reason = format!("{reason}: goes back to what was in no doubt, up to step {agreed}");
        self.log(vec![self.reason.clone()], turn);
        settle::abort(team, self.reason.clone(), turn);
        // Whatever anybody holds is not to be gone on from.
        for seat in &mut team.seats {
            seat.doubted = true;
        }
        self.integrity.trusted = Some(agreed);
        self.integrity.doubts.push((self.highest_generation, agreed));
        self.integrity.agreed = self.integrity.agreed.min(agreed);
        self.doubt_checkpoints_above(team, agreed, turn);
        for worker in odd {
            let record = self.integrity.records.entry(worker.clone()).or_default();
            record.strikes += 1;
            if record.strikes < STRIKES {
                continue;
            }
            let cause = format!("excluded after {STRIKES} disagreements: {reason}");
            if let Some(seat) = team.seat(worker) {
                self.losses.exclude(seat.node.clone(), cause.clone());
            }
            turn.stopped.push((worker.clone(), cause.clone()));
            let lines = vec![format!("{}: {cause}", team.name(worker))];
            self.log(lines, turn);
            team.seats.retain(|seat| seat.worker != *worker);
        }
        // A node whose every worker is bad would leave the job without any.
        if team.seats.is_empty() {
            self.losses.readmit();
        }
    }

    /// Those who hold the same step in memory must hold the same bits.
    pub(super) fn see_whether_holders_agree(&mut self, team: &mut Team, turn: &mut Turn<'_>) {
        for seat in team.seats.iter_mut().filter(|seat| seat.doubted && !seat.member) {
            (seat.held, seat.doubted) = (None, false);
        }
        // A worker may tell once more what it holds, over another stream.
        let forget = |seat: &mut Seat| seat.held.take_if(|held| !self.integrity.trusts(held.step));
        team.seats.iter_mut().for_each(|seat| drop(forget(seat)));
        let held = |seat: &Seat| seat.held.clone().filter(|held| seat.able() && !held.digest.is_empty());
        let newest = team.seats.iter().filter_map(held).map(|held| held.step).max();
        let told: Vec<(WorkerId, String)> = team
            .seats
            .iter()
            .filter_map(|seat| Some((seat.worker.clone(), held(seat).filter(|held| Some(held.step) == newest)?.digest)))
            .collect();
        let odd = minority(&told);
        if odd.is_empty() {
            return;
        }
        let who = who_differs(team, &odd, told.len());
        let reason = format!("in memory after step {} {who}", newest.unwrap_or(0));
        self.disagreed(team, &odd, reason, self.integrity.agreed, turn);
        self.see_whether_holders_agree(team, turn);
    }

    /// Lanes of each of `members`; with `cluster.rebalance`, more for those that are faster.
    pub(super) fn deal(&self, team: &Team, members: &[usize]) -> Vec<u32> {
        let lanes = self.spec.batch.lanes();
        let workers = self.workers as usize;
        let seconds = lane_seconds(members.iter().map(|&index| &team.seats[index]));
        match seconds.filter(|_| self.spec.cluster.rebalance && members.len() <= workers) {
            Some(seconds) => deal_by_speed(lanes, &seconds),
            None => deal_with_spares(lanes, members.len(), workers),
        }
    }

    /// Whether lanes dealt by speed would make a step notably faster than now.
    fn look_at_the_deal(&mut self, team: &Team) {
        let Some(current) = team.current.as_ref().filter(|_| self.spec.cluster.rebalance) else { return };
        if current.members.len() > self.workers as usize {
            return;
        }
        let seats: Option<Vec<&Seat>> = current.members.iter().map(|worker| team.seat(worker)).collect();
        let Some(seconds) = seats.and_then(|seats| lane_seconds(seats.into_iter())) else { return };
        let slowest = |lanes: &[u32]| {
            let each = lanes.iter().zip(&seconds).map(|(lanes, seconds)| f64::from(*lanes) * seconds);
            each.fold(0.0, f64::max)
        };
        let better = deal_by_speed(self.spec.batch.lanes(), &seconds);
        self.integrity.other_deal = slowest(&better) < WORTH_REGROUPING * slowest(&current.lanes);
    }
}

/// Seconds that a lane takes each of these; nothing where one has not told.
fn lane_seconds<'a>(seats: impl Iterator<Item = &'a Seat>) -> Option<Vec<f64>> {
    seats.map(|seat| Some(seat.life.lane_seconds).filter(|seconds| *seconds > 0.0 && seconds.is_finite())).collect()
}

/// Whose states differ, in words; `all`: how many there are.
fn who_differs(team: &Team, odd: &[WorkerId], all: usize) -> String {
    let names: Vec<String> = odd.iter().map(|worker| team.name(worker)).collect();
    match odd.len() < all {
        true => format!("the state of {} is not that of the others", names.join(" and of ")),
        false => format!("the states of {} differ", names.join(" and ")),
    }
}

/// Those who do not say what most say; all, if no opinion has the most; nobody, if all agree.
fn minority(opinions: &[(WorkerId, String)]) -> Vec<WorkerId> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, opinion) in opinions {
        *counts.entry(opinion).or_default() += 1;
    }
    if counts.len() <= 1 {
        return Vec::new();
    }
    let most = counts.values().copied().max().unwrap_or(0);
    let leaders: Vec<&str> = counts.iter().filter(|(_, count)| **count == most).map(|(opinion, _)| *opinion).collect();
    let right = match leaders[..] {
        [only] if most * 2 > opinions.len() => Some(only),
        _ => None,
    };
    opinions.iter().filter(|(_, opinion)| Some(opinion.as_str()) != right).map(|(worker, _)| worker.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(opinions: &[&str]) -> Vec<String> {
        let named = opinions.iter().enumerate();
        let named = named.map(|(i, text)| (WorkerId::try_from(format!("w{i}")).unwrap(), (*text).to_owned()));
        minority(&named.collect::<Vec<_>>()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_minority_is_odd_and_without_a_majority_all_are() {
        assert_eq!(odd(&["a", "a", "a"]), [""; 0]);
        assert_eq!(odd(&["a", "b", "a"]), ["w1"]);
        assert_eq!(odd(&["a", "b"]), ["w0", "w1"]);
        assert_eq!(odd(&["a", "a", "b", "b"]), ["w0", "w1", "w2", "w3"]);
        assert_eq!(odd(&["a", "b", "c"]), ["w0", "w1", "w2"]);
    }
}

//! Workers go: their process ended, their stream closed, they said that they can't go on, or a watchdog gave them up.

use std::collections::BTreeMap;

use lockstep_proto::identity::{NodeId, WorkerId};

use super::team::{Link, Team};
use super::{Job, Turn, settle};
use crate::cluster::event::{Exit, Failure};
use crate::cluster::timeouts::RECONNECT;

/// Losses of one node without progress after which it is not used any more, if there is another.
const STRIKES: u32 = 3;
/// Steps after which losses are forgotten.
const PROGRESS: u64 = 100;

/// Losses since the job last made progress.
#[derive(Debug, Default)]
pub(super) struct Losses {
    count: u32,
    at_step: u64,
    /// The newest generation that was lost: what else it loses is the same loss.
    generation: u64,
    /// The step that a generation broke at without anybody being to blame.
    broke_at: Option<u64>,
    by_node: BTreeMap<NodeId, u32>,
    excluded: BTreeMap<NodeId, String>,
}

impl Losses {
    /// Nodes that are not used any more.
    pub fn excluded(&self) -> impl Iterator<Item = &NodeId> {
        self.excluded.keys()
    }

    /// A node is not used any more.
    pub fn exclude(&mut self, node: NodeId, reason: String) {
        self.excluded.insert(node, reason);
    }

    /// All nodes may be used again.
    pub fn readmit(&mut self) {
        self.excluded.clear();
    }

    /// Steps were committed: earlier losses are forgotten after enough of them.
    pub fn progressed(&mut self, step: u64) {
        if self.count > 0 && step >= self.at_step.saturating_add(PROGRESS) {
            (self.count, self.by_node) = (0, BTreeMap::new());
        }
    }

    /// One more, of a member of this generation or of a worker that was in none; gives how many there were without
    /// progress, on the whole and on this node.
    fn add(&mut self, node: &NodeId, step: u64, generation: Option<u64>) -> (u32, u32) {
        let strikes = self.by_node.entry(node.clone()).or_default();
        if generation.is_none_or(|generation| generation > self.generation) {
            self.count += 1;
            *strikes += 1;
        }
        self.at_step = step;
        self.generation = self.generation.max(generation.unwrap_or(0));
        (self.count, *strikes)
    }

    /// A generation broke at this step with nobody to blame; gives whether that is the first time there.
    fn breaks_at(&mut self, step: u64) -> bool {
        self.broke_at.replace(step) != Some(step)
    }
}

impl Job {
    /// A worker's stream ended. It may come back: the generation goes on meanwhile.
    pub(super) fn disconnected(&mut self, team: &mut Team, worker: &WorkerId, cause: &str, turn: &mut Turn<'_>) {
        let now = turn.now;
        if let Some(seat) = team.seat_mut(worker) {
            seat.link = Link::Down(now.plus(RECONNECT));
            seat.recorder.note(now, format!("disconnected: {cause}"));
        }
    }

    /// A worker's process ended.
    pub(super) fn gone(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        exit: &Exit,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        let cause = if exit.clean { format!("{} too early", exit.cause) } else { exit.cause.clone() };
        self.lose(team, worker, &cause, turn)
    }

    /// A worker says that it can't go on.
    pub(super) fn failed(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        failure: Failure,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        let reason = format!("{}: {}", team.name(worker), failure.reason);
        if failure.bad_input {
            return Some(Failure { reason, bad_input: true, diverged: None });
        }
        turn.dismissed.push(worker.clone());
        self.lose(team, worker, &failure.reason, turn)
    }

    /// A worker is lost. The generation that it took part in is over; the others go on in the next.
    pub(super) fn lose(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        cause: &str,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        let index = team.seats.iter().position(|seat| seat.worker == *worker)?;
        let name = team.name(worker);
        let generation = team.rank(worker).and(team.current.as_ref()).map(|current| current.generation.number);
        let reason = format!("{name}: {cause}");
        let mut lines = vec![format!("lost {reason}")];
        lines.extend(team.seats[index].recorder.lines(turn.now));
        self.log(lines, turn);
        let seat = team.seats.remove(index);
        if seat.member || seat.coming() || team.current.is_none() {
            self.reason.clone_from(&reason);
        }
        let has_finished = seat.outcome.is_some();
        let expected = seat.leaving.is_some() || has_finished;
        if seat.member {
            settle::abort(team, reason.clone(), turn);
        }
        if expected { None } else { self.charge(team, (&seat.node, generation), &reason, turn) }
    }

    /// Counts a loss against the job and the node; a failure when there were too many without progress.
    pub(super) fn charge(
        &mut self,
        team: &mut Team,
        (node, generation): (&NodeId, Option<u64>),
        reason: &str,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        let (count, strikes) = self.losses.add(node, self.progress.recorded_step, generation);
        if team.wish.is_some() && team.seats.is_empty() {
            // It is to end anyway.
            return None;
        }
        let budget = self.spec.cluster.max_restarts;
        if count > budget {
            let reason = match budget {
                0 => format!("{reason} (cluster.max_restarts is 0)"),
                _ => {
                    format!("{reason}: the last of {count} losses without progress (cluster.max_restarts is {budget})")
                }
            };
            return Some(Failure { reason, bad_input: false, diverged: None });
        }
        let elsewhere = team.seats.iter().any(|seat| seat.node != *node);
        if strikes >= STRIKES && elsewhere {
            self.exclude(team, node, format!("{strikes} losses without progress, the last: {reason}"), turn);
        }
        None
    }

    /// A node gets no more lanes of this job; workers that it has leave at the next step boundary.
    fn exclude(&mut self, team: &mut Team, node: &NodeId, reason: String, turn: &mut Turn<'_>) {
        let host = team.seats.iter().find(|seat| seat.node == *node).map_or(node.as_str(), |seat| seat.host.as_str());
        self.log(vec![format!("host {host} gets no more lanes of this job: {reason}")], turn);
        self.node_leaves(team, node, &reason);
        self.losses.exclude(node.clone(), reason);
    }

    /// A member left the generation because of a peer, or of itself, told to by nobody: the generation is over.
    ///
    /// A peer whose connection broke is expected to be found dead by other means. One that could not be reached at all,
    /// though it lives, is on a node that this one has no way to.
    pub(super) fn broke_by_itself(
        &mut self,
        team: &mut Team,
        worker: &WorkerId,
        lost_rank: Option<u32>,
        turn: &mut Turn<'_>,
    ) -> Option<Failure> {
        let ready = team.current.as_ref().is_some_and(|current| current.ready);
        let generation = team.current.as_ref().map(|current| current.generation.number);
        let (node, step) =
            team.seat(worker).map(|seat| (seat.node.clone(), seat.held.as_ref().map_or(0, |h| h.step)))?;
        let reason = self.reason.clone();
        let lost = lost_rank.and_then(|rank| team.current.as_ref()?.members.get(rank as usize).cloned());
        let lost = lost.and_then(|worker| team.seat(&worker)).map(|seat| (seat.node.clone(), seat.connected()));
        settle::abort(team, reason.clone(), turn);
        match lost {
            // That may happen once at a step; without progress it is as good as a loss.
            Some(_) if ready && self.losses.breaks_at(step) => None,
            Some((other, true)) if other != node => {
                self.exclude(team, &other, format!("not reached over the data plane: {reason}"), turn);
                self.charge(team, (&other, generation), &reason, turn)
            }
            // Generations that never become ready must not follow each other for ever.
            Some(_) => self.charge(team, (&node, generation), &reason, turn),
            None => {
                self.forget_unreadable(team, worker, turn);
                self.charge(team, (&node, generation), &reason, turn)
            }
        }
    }

    /// A node's agent wants to be rid of its workers: they are taken out at a step boundary.
    pub(super) fn node_leaves(&mut self, team: &mut Team, node: &NodeId, reason: &str) {
        for seat in team.seats.iter_mut().filter(|seat| seat.node == *node) {
            seat.leaving = Some(reason.to_owned());
        }
    }
}

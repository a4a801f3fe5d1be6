//! Lanes that are computed twice, on different workers: who computes wrongly is found by comparing digests.
//!
//! Which lane of which step, and by whom, are pure functions of seed and step.

use lockstep_kernels::device::Device;
use lockstep_proto::wire;

use super::Seat;
use super::crew::Crew;
use super::generation::Generation;
use super::lane::TrainStep;
use super::measures::sample_hash;
use super::progress::Phase;
use super::schedule::StepPlan;
use crate::control::TrainerEvent;

/// What this worker does for a step's replay.
#[derive(Debug)]
pub(super) struct Replay {
    pub(super) lane: u32,
    step: u64,
    part: Part,
    /// Of the lane's gradients in all passes of the step so far.
    digest: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Takes the digest of the lane that it contributes.
    Owner,
    /// Computes the lane again.
    Verifier,
}

impl<D: Device> Generation<'_, D> {
    /// This worker's part in the replay of a lane of this step, if there is one. Short batches have none.
    pub(super) fn replay(&self, plan: &StepPlan) -> Option<Replay> {
        let job = &self.trainer.job;
        // The step as it is counted when committed.
        let step = self.state.cursor.step + 1;
        let every = job.cluster.replay_every;
        let whole = plan.samples == u64::from(job.batch.size_at(plan.epoch));
        if every == 0 || !step.is_multiple_of(every) || !whole {
            return None;
        }
        let lane = (sample_hash(job.seed.order ^ sample_hash(step)) % u64::from(plan.lanes)) as u32;
        let owner = self.reduction.group.rank_of_lane(lane, plan.lanes)?;
        let part = part(&self.shares, owner, self.rank, sample_hash(step))?;
        Some(Replay { lane, step, part, digest: None })
    }
}

/// What `rank` does in the replay of a lane of `owner`. `shares`: lanes of the largest batch by rank. With three or more
/// workers that hold lanes two verify, so that the majority is right.
fn part(shares: &[u32], owner: u32, rank: u32, turn: u64) -> Option<Part> {
    let others: Vec<u32> = (0..shares.len() as u32).filter(|&r| shares[r as usize] > 0 && r != owner).collect();
    if others.is_empty() {
        return None;
    }
    if rank == owner {
        return Some(Part::Owner);
    }
    let place = others.iter().position(|&other| other == rank)?;
    let first = (turn % others.len() as u64) as usize;
    ((place + others.len() - first) % others.len() < 2).then_some(Part::Verifier)
}

impl Replay {
    /// Behind the worker's own lanes of a pass, before the parameters change.
    pub(super) fn carry_out<D: Device>(&mut self, crew: &mut Crew<D>, step: &TrainStep<'_, D>, seat: &Seat) {
        let digest = match self.part {
            Part::Owner => crew.lane_digest(),
            Part::Verifier => {
                seat.progress.enter(Phase::Replay, self.step - 1);
                let len = step.work.model.len();
                let runner = crew.first();
                let mut gradient = runner.device.zeros(len);
                runner.replay_lane(step, &mut D::view_mut(&mut gradient, 0..len))
            }
        };
        // None if the generation is aborted.
        let Some(digest) = digest else { return };
        self.digest = Some(match self.digest.take() {
            None => digest,
            Some(before) => blake3::hash(format!("{before} {digest}").as_bytes()).to_hex().to_string(),
        });
    }

    /// Behind the last pass.
    pub(super) fn tell(self, seat: &Seat, generation: &wire::GenerationId) {
        let Some(digest) = self.digest else { return };
        seat.tell(TrainerEvent::LaneDigest(Box::new(wire::LaneDigest {
            generation: Some(generation.clone()),
            step: self.step,
            lane: self.lane,
            owner: self.part == Part::Owner,
            digest,
        })));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts by rank: owner, verifier, or none.
    fn parts(shares: &[u32], owner: u32, turn: u64) -> String {
        let letter = |rank| match part(shares, owner, rank, turn) {
            Some(Part::Owner) => 'o',
            Some(Part::Verifier) => 'v',
            None => '-',
        };
        (0..shares.len() as u32).map(letter).collect()
    }

    #[test]
    fn others_that_hold_lanes_verify_in_turn() {
        assert_eq!(parts(&[4, 4], 0, 0), "ov");
        assert_eq!(parts(&[4, 4], 1, 7), "vo");
        assert_eq!(parts(&[2, 2, 0, 2], 3, 0), "vv-o");
        assert_eq!([0, 1, 2, 3].map(|turn| parts(&[1, 1, 1, 1, 1], 2, turn)), ["vvo--", "-vov-", "--ovv", "v-o-v"]);
    }

    #[test]
    fn a_worker_alone_is_not_verified() {
        assert_eq!(parts(&[4], 0, 0), "-");
        assert_eq!(parts(&[4, 0], 0, 0), "--");
    }
}

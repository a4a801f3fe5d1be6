//! Steps: lanes, reduction, commit, evaluation.

use lockstep_proto::wire;
use lockstep_worker::control::{StopReason, TrainerEvent};

use super::{COMMIT, EVALUATE, LANES_PHASE, Part, REDUCE, Stage, Work, Wrong};
use crate::group::Contribution;
use crate::model::LANES;
use crate::random::hash;
use crate::world::World;
use crate::{Bug, reports};

/// Least time between two batches of reports.
const HAND_OVER_EVERY: u64 = 100;

impl World {
    /// Between two steps.
    pub(super) fn boundary(&mut self, worker: usize) {
        self.obey_tasks(worker);
        if self.trainer(worker).step() == self.plan.job.steps {
            return self.complete(worker);
        }
        let now = self.now;
        let due = |part: &Part| part.changed.is_some() && now >= part.handed + HAND_OVER_EVERY;
        if self.trainer(worker).part.as_ref().is_some_and(due) {
            self.hand_over(worker);
        }
        self.phase(worker, LANES_PHASE);
        if let Some(part) = &mut self.trainer(worker).part {
            part.stage = Stage::Lanes(part.flags);
        }
        let (from, to) = self.plan.lanes_take;
        let takes = self.random.within(from, to);
        self.compute_later(worker, takes, Work::Lanes);
    }

    /// The lanes are done: they are contributed.
    pub(super) fn lanes_done(&mut self, worker: usize) {
        let trainer = &mut self.workers[worker].trainer;
        let Some(part) = &mut trainer.part else { return };
        let Stage::Lanes(flags) = part.stage else { return };
        let (group, rank) = (part.group, part.rank);
        part.stage = Stage::Reducing;
        if let Some(lost) = part.lost {
            return self.leave(worker, format!("rank {lost} is lost"), Some(lost));
        }
        let (step, wrong) = (trainer.step(), trainer.wrong);
        let own = trainer.state.as_ref().map_or(0, |state| state.taint);
        let taint = if wrong == Wrong::Gradients { hash(own ^ worker as u64) | 1 } else { own };
        self.replay(worker, step + 1, taint);
        self.phase(worker, REDUCE);
        let arrived = self.contribute(group, rank, Contribution { step, flags, taint });
        let all = (1u64 << self.groups[group].members.len()) - 1;
        if self.bug == Some(Bug::CommitsEarly) && arrived != all && self.random.chance(20) {
            self.apply(worker, flags, hash(arrived) | 1);
        }
    }

    /// A lane of a step that several compute, now and then.
    fn replay(&mut self, worker: usize, step: u64, taint: u64) {
        if !step.is_multiple_of(self.plan.job.replay_every) {
            return;
        }
        let Some(part) = &self.workers[worker].trainer.part else { return };
        let begin = &part.entry.begin;
        let shares: Vec<u32> = begin.members.iter().map(|member| member.lanes).collect();
        let lane = (hash(step) % u64::from(LANES)) as u32;
        let Some(owner) = plays(&shares, part.rank, lane, hash(step)) else { return };
        let digest = if taint == 0 { format!("l{step}") } else { format!("l{step}-{taint:x}") };
        let generation = begin.generation.clone();
        let said = wire::LaneDigest { generation, step, lane, owner, digest };
        self.says(worker, TrainerEvent::LaneDigest(Box::new(said)));
    }

    /// The reduction is whole.
    pub(super) fn commit(&mut self, worker: usize) {
        let trainer = &mut self.workers[worker].trainer;
        let step = trainer.step();
        let Some(part) = trainer.part.as_ref().filter(|part| matches!(part.stage, Stage::Reducing)) else { return };
        let Some(&reduction) = self.groups[part.group].reduction(step).filter(|reduction| reduction.done) else {
            return;
        };
        self.apply(worker, reduction.flags, reduction.taint);
    }

    /// The update, and what is told behind it.
    fn apply(&mut self, worker: usize, flags: u64, taint: u64) {
        let now = self.now;
        let trainer = &mut self.workers[worker].trainer;
        trainer.enter_phase(now, COMMIT);
        let wrong = trainer.wrong;
        let (Some(state), Some(part)) = (&mut trainer.state, &mut trainer.part) else { return };
        let number = self.groups[part.group].generation.number;
        if state.taint != 0 || taint != 0 {
            state.taint = hash(state.taint ^ hash(taint ^ state.step)) | 1;
        }
        if wrong == Wrong::Memory {
            state.taint = hash(state.taint ^ hash(worker as u64)) | 1;
        }
        // A step of one epoch follows the one before.
        let _ = state.ledger.add(self.plan.job.row(state.step, 1, number));
        state.step += 1;
        let last = state.ledger.rows().len() - 1;
        part.changed = Some(part.changed.map_or(last, |first| first.min(last)));
        let step = state.step;
        if self.plan.job.reports(step) {
            part.reports.push(reports::step(step, (step - 1) / self.plan.job.epoch));
        }
        let (rank, group, members) = (part.rank, part.group, part.entry.begin.members.len());
        if step.is_multiple_of(self.plan.job.digest_every) && members > 1 {
            self.tell_digest(worker);
        }
        self.inspect_commit(worker, group);
        if rank == 0 && step.is_multiple_of(self.plan.job.checkpoint_every) {
            self.write(worker, false);
        }
        self.evaluate_if_due(worker, flags);
    }

    /// The evaluation behind the newest step, if there is one, and what comes behind it.
    pub(super) fn evaluate_if_due(&mut self, worker: usize, flags: u64) {
        let step = self.trainer(worker).step();
        if !step.is_multiple_of(self.plan.job.epoch) {
            return self.stop_or_go_on(worker, flags);
        }
        self.phase(worker, EVALUATE);
        self.set_stage(worker, Stage::Evaluating(flags));
        let takes = self.random.within(1, 100);
        self.compute_later(worker, takes, Work::Evaluated);
    }

    /// The evaluation is done.
    pub(super) fn evaluated(&mut self, worker: usize) {
        let (epoch, trainer) = (self.plan.job.epoch, &mut self.workers[worker].trainer);
        let step = trainer.step();
        let Some(part) = &mut trainer.part else { return };
        let Stage::Evaluating(flags) = part.stage else { return };
        part.reports.push(reports::evaluation(step, step / epoch));
        part.reported = step;
        self.hand_over(worker);
        self.stop_or_go_on(worker, flags);
    }

    /// Behind a step and its evaluation.
    fn stop_or_go_on(&mut self, worker: usize, flags: u64) {
        let step = self.trainer(worker).step();
        if let Some(part) = &mut self.trainer(worker).part {
            part.reported = step;
        }
        match reports::stop_reason(flags) {
            Some(StopReason::Regrouped) if step == self.plan.job.steps => self.boundary(worker),
            Some(why) => self.stop(worker, why),
            None => self.boundary(worker),
        }
    }

    fn tell_digest(&mut self, worker: usize) {
        let trainer = &self.workers[worker].trainer;
        let (Some(state), Some(part)) = (&trainer.state, &trainer.part) else { return };
        let said = wire::StateDigest {
            generation: part.entry.begin.generation.clone(),
            step: state.step,
            names: vec!["weights".into()],
            digests: vec![state.digest()],
        };
        self.says(worker, TrainerEvent::StateDigest(Box::new(said)));
    }
}

/// Whether a rank holds the lane that several compute, or computes it a second time; nothing if neither.
fn plays(shares: &[u32], rank: usize, lane: u32, turn: u64) -> Option<bool> {
    let mut end = 0;
    let owner = shares.iter().position(|share| {
        end += share;
        lane < end
    })?;
    let others: Vec<usize> = (0..shares.len()).filter(|&other| shares[other] > 0 && other != owner).collect();
    if rank == owner {
        return (!others.is_empty()).then_some(true);
    }
    let place = others.iter().position(|&other| other == rank)?;
    let first = (turn % others.len() as u64) as usize;
    ((place + others.len() - first) % others.len() < 2).then_some(false)
}

//! Out of a generation: all steps are done, a stop is wanted, a member is lost.

use lockstep_proto::identity::Generation;
use lockstep_proto::wire;
use lockstep_worker::control::{StopReason, TrainerEvent};

use super::{CHECKPOINT, IDLE, Stage, Work};
use crate::model::{BATCH, State};
use crate::reports;
use crate::world::World;

impl World {
    /// All steps are done.
    pub(super) fn complete(&mut self, worker: usize) {
        self.hand_over(worker);
        self.save_and_end(worker, "completed");
    }

    /// A stop that was wanted: what is to be gone on with is on disk first.
    pub(super) fn stop(&mut self, worker: usize, why: StopReason) {
        let speaks = self.trainer(worker).part.as_ref().is_some_and(|part| part.rank == 0);
        if matches!(why, StopReason::Interrupted | StopReason::Paused) && speaks {
            self.hand_over(worker);
            self.write(worker, true);
            return self.save_and_end(worker, why.name());
        }
        self.set_stage(worker, Stage::Ending(why.name()));
        self.compute_later(worker, 1, Work::End);
    }

    fn save_and_end(&mut self, worker: usize, why: &'static str) {
        self.phase(worker, CHECKPOINT);
        self.set_stage(worker, Stage::Saving(why));
        self.end_if_saved(worker);
    }

    /// Ends a part that waited for its checkpoints; a completed one does not wait for room.
    pub(super) fn end_if_saved(&mut self, worker: usize) {
        let trainer = self.trainer(worker);
        let (saved, full) = (trainer.writes.is_empty(), trainer.full);
        let Some(Stage::Saving(why)) = trainer.stage() else { return };
        let why = *why;
        if saved || (full && why == "completed") {
            self.set_stage(worker, Stage::Ending(why));
            let takes = self.random.within(1, 40);
            self.compute_later(worker, takes, Work::End);
        }
    }

    /// The generation ended after a step, on all ranks alike.
    pub(super) fn finish(&mut self, worker: usize) {
        self.hand_over(worker);
        let epoch = self.plan.job.epoch;
        let trainer = &mut self.workers[worker].trainer;
        let (Some(state), Some(part)) = (&trainer.state, &trainer.part) else { return };
        let (Stage::Ending(why) | Stage::Saving(why)) = part.stage else { return };
        let completed = why == "completed";
        let sha256 = crate::model::weights(state);
        let outcome = wire::Outcome {
            stop_reason: why.into(),
            steps: state.step,
            epochs: state.step / epoch,
            samples: state.step * BATCH,
            seconds: 1.0,
            train_loss: state.step as f64 + state.taint as f64,
            weights_sha256: if completed { sha256.clone() } else { String::new() },
            ..Default::default()
        };
        let weights = (completed && part.rank == 0)
            .then(|| lockstep_worker::control::Weights(std::sync::Arc::new(sha256.into_bytes())));
        let held = state.held();
        self.part_is_over(worker);
        self.says(worker, TrainerEvent::Finished { held, outcome: Box::new(outcome), weights });
    }

    fn part_is_over(&mut self, worker: usize) {
        self.phase(worker, IDLE);
        let trainer = self.trainer(worker);
        trainer.parts += 1;
        trainer.part = None;
        self.obey_tasks(worker);
    }

    /// Out of the generation, without the others' consent.
    pub(super) fn leave(&mut self, worker: usize, cause: String, lost_rank: Option<u32>) {
        self.hand_over(worker);
        let Some(part) = &self.trainer(worker).part else { return };
        let (group, rank) = (part.group, part.rank);
        self.part_is_over(worker);
        self.gone_from_group(group, rank);
        let held = self.trainer(worker).state.as_ref().map(State::held);
        self.says(worker, TrainerEvent::Left { held, cause, lost_rank, recent: Vec::new() });
    }

    /// Its process is gone.
    pub(crate) fn drop_out(&mut self, worker: usize) {
        if let Some(part) = self.trainer(worker).part.take() {
            self.gone_from_group(part.group, part.rank);
        }
    }

    pub(super) fn peer_lost(&mut self, worker: usize, rank: u32) {
        let step = self.trainer(worker).step();
        let Some(part) = &mut self.workers[worker].trainer.part else { return };
        match part.stage {
            Stage::Lanes(_) => part.lost = Some(rank),
            Stage::Reducing => {
                let done = self.groups[part.group].reduction(step).is_some_and(|reduction| reduction.done);
                if done && self.random.chance(50) {
                    // It had all that it needs.
                    part.lost = Some(rank);
                    return self.commit(worker);
                }
                self.leave(worker, format!("rank {rank} is lost"), Some(rank));
            }
            // It had all that it needs.
            Stage::Evaluating(_) if self.random.chance(50) => part.lost = Some(rank),
            Stage::Evaluating(_) => self.leave(worker, format!("rank {rank} is lost"), Some(rank)),
            Stage::Meeting | Stage::Sharing(_) => self.leave(worker, format!("rank {rank} is lost"), Some(rank)),
            Stage::Saving(_) | Stage::Ending(_) => {}
        }
    }

    /// It sees that it is to leave.
    pub(super) fn aborted(&mut self, worker: usize) {
        let Some(part) = &self.workers[worker].trainer.part else { return };
        match part.stage {
            // What follows needs nobody.
            Stage::Saving(_) | Stage::Ending(_) => self.finish(worker),
            Stage::Reducing if self.random.chance(50) => {
                // It may have had all that it needs.
                self.commit(worker);
                match self.trainer(worker).stage() {
                    Some(Stage::Saving(_) | Stage::Ending(_)) => self.finish(worker),
                    _ => self.leave(worker, "aborted".into(), None),
                }
            }
            Stage::Meeting | Stage::Sharing(_) | Stage::Lanes(_) | Stage::Reducing | Stage::Evaluating(_) => {
                self.leave(worker, "aborted".into(), None);
            }
        }
    }

    /// Control wants this generation to be left at once.
    pub(crate) fn abort_trainer(&mut self, worker: usize, generation: Generation) {
        if self.is_in_generation(worker, generation) {
            let sees = self.random.within(1, 20);
            self.compute_later(worker, sees, Work::Abort);
        }
    }

    /// Control wants this generation to stop after a step.
    pub(crate) fn want_stop(&mut self, worker: usize, generation: Generation, why: StopReason) {
        if self.is_in_generation(worker, generation)
            && let Some(part) = &mut self.trainer(worker).part
        {
            part.flags |= reports::flag(why);
        }
    }

    fn is_in_generation(&self, worker: usize, generation: Generation) -> bool {
        let part = self.workers[worker].trainer.part.as_ref();
        part.is_some_and(|part| part.entry.generation == generation)
    }
}

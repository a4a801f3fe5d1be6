//! Into a generation and out of it.

use lockstep_proto::identity::Generation;
use lockstep_proto::wire::{self, worker_event::Event as Sent};

use super::command::Command;
use super::event::{Entry, Ready, StopReason, TrainerEvent, Weights};
use super::participation::{Participation, Stage};
use super::{Control, Ended, Phase, pass_over};

impl Control {
    pub(super) fn begin(&mut self, entry: Box<Entry>) -> Vec<Command> {
        let Entry { generation, .. } = *entry;
        if generation.number <= self.highest_generation {
            return pass_over(format!("{generation:?} begins, but {} was seen before", self.highest_generation));
        }
        if self.prepared.is_none() {
            return pass_over(format!("{generation:?} begins, but this worker is not prepared"));
        }
        self.highest_generation = generation.number;
        match &mut self.phase {
            Phase::Joining | Phase::Idle(_) => self.enter(entry),
            Phase::InGeneration(own) => {
                own.next = Some(entry);
                self.leave(format!("{generation:?} begins"))
            }
            Phase::Done(_) => pass_over(format!("{generation:?} begins, but this worker has failed")),
        }
    }

    fn enter(&mut self, mut entry: Box<Entry>) -> Vec<Command> {
        self.journal.begin(&entry.begin);
        entry.reports = self.journal.unrecorded();
        self.phase = Phase::InGeneration(Box::new(Participation::new(&entry)));
        vec![Command::Enter(entry)]
    }

    pub(super) fn stop(&mut self, generation: Generation, why: StopReason) -> Vec<Command> {
        match &self.phase {
            Phase::InGeneration(own) if own.generation == generation && own.trains() => {
                vec![Command::WantStop { generation, why }]
            }
            Phase::Joining | Phase::Idle(_) | Phase::InGeneration(_) | Phase::Done(_) => {
                pass_over(format!("a stop of {generation:?}, in which the trainer is not"))
            }
        }
    }

    pub(super) fn abort(&mut self, generation: Generation, reason: String) -> Vec<Command> {
        match &self.phase {
            Phase::InGeneration(own) if own.generation == generation => self.leave(reason),
            Phase::Joining | Phase::Idle(_) | Phase::InGeneration(_) | Phase::Done(_) => {
                pass_over(format!("an abort of {generation:?}, in which this worker is not"))
            }
        }
    }

    /// Leaves the generation: the trainer has to leave first, weights on their way don't matter any more.
    fn leave(&mut self, reason: String) -> Vec<Command> {
        let Phase::InGeneration(own) = &mut self.phase else { return Vec::new() };
        match &own.stage {
            Stage::Training => own.abort(reason),
            Stage::Storing { .. } => {
                own.aborted = Some(reason);
                self.end_with_left(self.held.clone(), "it was told to leave".into(), None, Vec::new())
            }
        }
    }

    /// What the trainer says.
    pub(super) fn trainer(&mut self, event: TrainerEvent) -> Vec<Command> {
        match event {
            TrainerEvent::Prepared(prepared) => {
                self.prepared = Some(prepared.clone());
                self.send(Sent::Prepared(*prepared))
            }
            TrainerEvent::Ready(ready) => self.ready(*ready),
            TrainerEvent::Committed(batch) => {
                self.journal.add(*batch);
                self.report()
            }
            TrainerEvent::Finished { held, outcome, weights } => self.finished(held, *outcome, weights),
            TrainerEvent::Left { held, cause, lost_rank, recent } => {
                self.held.clone_from(&held);
                self.end_with_left(held, cause, lost_rank, recent)
            }
            TrainerEvent::Failed { reason, bad_input } => self.fail(reason, bad_input),
            TrainerEvent::StateDigest(digest) => self.send(Sent::StateDigest(*digest)),
            TrainerEvent::LaneDigest(digest) => self.send(Sent::LaneDigest(*digest)),
            TrainerEvent::CheckpointWritten(written) => self.checkpoint_written(*written),
            TrainerEvent::CheckpointFailed(failed) => self.send(Sent::CheckpointFailed(*failed)),
        }
    }

    fn ready(&mut self, ready: Ready) -> Vec<Command> {
        let Phase::InGeneration(own) = &mut self.phase else { return Vec::new() };
        let said = wire::Ready { generation: Some(own.generation.into()), held: Some(ready.held.clone()) };
        self.held = Some(ready.held.clone());
        self.journal.adopt(ready, own.begin.recorded_step);
        if own.aborted.is_some() {
            return Vec::new();
        }
        own.ready = Some(said.clone());
        let mut commands = self.send(Sent::Ready(said));
        commands.extend(self.report());
        commands
    }

    fn finished(&mut self, held: wire::Held, outcome: wire::Outcome, weights: Option<Weights>) -> Vec<Command> {
        let Phase::InGeneration(own) = &mut self.phase else { return Vec::new() };
        self.held = Some(held.clone());
        if own.aborted.is_some() {
            return self.end_with_left(Some(held), "it was told to leave".into(), None, Vec::new());
        }
        let generation = Some(own.generation.into());
        let finished = wire::Finished { generation, held: Some(held), outcome: Some(outcome) };
        let Some(weights) = weights else { return self.end(Sent::Finished(finished)) };
        own.stage = Stage::Storing { attempt: 0, weights, finished: Box::new(finished) };
        // Without a stream it is done when there is one.
        let store = if self.is_welcomed() { self.store_weights() } else { None };
        let mut commands = self.report();
        commands.extend(store);
        commands
    }

    pub(super) fn store_weights(&mut self) -> Option<Command> {
        match &mut self.phase {
            Phase::InGeneration(own) => own.store_weights(&mut self.attempts),
            Phase::Joining | Phase::Idle(_) | Phase::Done(_) => None,
        }
    }

    pub(super) fn weights_stored(&mut self, stored: u64) -> Vec<Command> {
        match self.storing(stored) {
            Some(finished) => self.end(Sent::Finished(finished)),
            None => Vec::new(),
        }
    }

    /// A broken connection shows as the end of the stream as well; the weights are stored on the next.
    pub(super) fn weights_not_stored(&mut self, attempt: u64, reason: &str, lost: bool) -> Vec<Command> {
        match self.storing(attempt) {
            Some(_) if !lost => self.fail(format!("the coordinator did not store the weights: {reason}"), false),
            Some(_) | None => Vec::new(),
        }
    }

    /// What is to be said once the weights of this attempt are stored; nothing if another attempt is under way.
    fn storing(&self, tried: u64) -> Option<wire::Finished> {
        match &self.phase {
            Phase::InGeneration(own) => match &own.stage {
                Stage::Storing { attempt, finished, .. } if *attempt == tried => Some((**finished).clone()),
                Stage::Storing { .. } | Stage::Training => None,
            },
            Phase::Joining | Phase::Idle(_) | Phase::Done(_) => None,
        }
    }

    fn end_with_left(
        &mut self,
        held: Option<wire::Held>,
        cause: String,
        lost_rank: Option<u32>,
        recent: Vec<String>,
    ) -> Vec<Command> {
        let Phase::InGeneration(own) = &mut self.phase else { return Vec::new() };
        let generation = Some(own.generation.into());
        let cause = own.aborted.take().map_or(cause, |reason| format!("told to leave: {reason}"));
        self.end(Sent::Left(wire::Left { generation, held, cause, lost_rank, recent }))
    }

    /// The generation is over for this worker, as `word` says; the next may already wait.
    fn end(&mut self, word: Sent) -> Vec<Command> {
        let mut commands = self.report();
        let Phase::InGeneration(own) = &mut self.phase else { return commands };
        let next = own.next.take();
        let ended = Ended { generation: own.generation, spoke: own.speaks(), word: Box::new(word.clone()) };
        self.phase = Phase::Idle(Some(ended));
        commands.extend(self.send(word));
        commands.extend(next.map(|entry| self.enter(entry)).unwrap_or_default());
        commands
    }

    fn fail(&mut self, reason: String, bad_input: bool) -> Vec<Command> {
        let generation = match &self.phase {
            Phase::InGeneration(own) => Some(own.generation.into()),
            Phase::Joining | Phase::Idle(_) | Phase::Done(_) => None,
        };
        let failed = Sent::Failed(wire::Failed { generation, reason, bad_input });
        self.phase = Phase::Done(Box::new(failed.clone()));
        self.send(failed)
    }

    fn checkpoint_written(&mut self, written: wire::CheckpointWritten) -> Vec<Command> {
        if self.is_welcomed() {
            self.checkpoints.clear();
        }
        self.checkpoints.push(written.clone());
        self.send(Sent::CheckpointWritten(written))
    }
}

//! Checkpoints: written one after the other, again and again while the disk is full.

use lockstep_proto::wire;
use lockstep_worker::control::TrainerEvent;

use crate::world::{Action, World};

/// Between tries to write to a full disk.
const RETRY: u64 = 2_000;

impl World {
    /// Has the state written; one that does not have to be gives way to a newer one.
    pub(super) fn write(&mut self, worker: usize, wanted: bool) {
        let trainer = self.trainer(worker);
        let Some(state) = trainer.state.clone() else { return };
        let idle = trainer.writes.is_empty();
        let mut place = 0;
        trainer.writes.retain(|(_, wanted)| {
            place += 1;
            *wanted || place == 1
        });
        trainer.writes.push_back((state, wanted));
        if idle {
            let takes = self.random.within(5, 600);
            self.later(takes, Action::Writes { worker });
        }
    }

    /// The first of the writes is done, or finds no room.
    pub(crate) fn writes(&mut self, worker: usize) {
        if self.disk.full {
            let Some(step) = self.trainer(worker).writes.front().map(|(state, _)| state.step) else { return };
            if !std::mem::replace(&mut self.trainer(worker).full, true) {
                let failed = wire::CheckpointFailed { step, reason: "no space left on device".into(), full: true };
                self.says(worker, TrainerEvent::CheckpointFailed(Box::new(failed)));
            }
            self.later(RETRY, Action::Writes { worker });
            return self.end_if_saved(worker);
        }
        let Some((state, _)) = self.trainer(worker).writes.pop_front() else { return };
        self.trainer(worker).full = false;
        let wire::Held { step, digest } = state.held();
        let name = self.disk.write(state);
        let written = wire::CheckpointWritten { step, name, digest, bytes: 1, seconds: 0.1, dir: "c".into() };
        self.says(worker, TrainerEvent::CheckpointWritten(Box::new(written)));
        if !self.trainer(worker).writes.is_empty() {
            let takes = self.random.within(5, 600);
            self.later(takes, Action::Writes { worker });
        }
        self.end_if_saved(worker);
    }
}

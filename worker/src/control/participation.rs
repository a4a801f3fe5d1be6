//! A worker's part in one generation.

use lockstep_proto::identity::Generation;
use lockstep_proto::wire;

use super::command::Command;
use super::event::{Entry, Weights};

/// From the order to enter until the end has been said.
#[derive(Debug)]
pub(super) struct Participation {
    pub(super) generation: Generation,
    /// As dealt, without the secret.
    pub(super) begin: wire::Begin,
    /// What was said when the trainer had the state.
    pub(super) ready: Option<wire::Ready>,
    /// Why the trainer was told to leave.
    pub(super) aborted: Option<String>,
    /// To be entered as soon as this one is left.
    pub(super) next: Option<Box<Entry>>,
    pub(super) stage: Stage,
}

/// How far a participation is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The trainer is in it.
    Training,
    /// The trainer is done; the weights are on their way.
    Storing { attempt: u64, weights: Weights, finished: Box<wire::Finished> },
}

impl Participation {
    pub(super) fn new(entry: &Entry) -> Self {
        Self {
            generation: entry.generation,
            begin: wire::Begin { secret: Vec::new(), ..entry.begin.clone() },
            ready: None,
            aborted: None,
            next: None,
            stage: Stage::Training,
        }
    }

    /// Whether the trainer is in it.
    pub(super) fn trains(&self) -> bool {
        matches!(self.stage, Stage::Training)
    }

    /// Whether this worker speaks for the generation: rank 0, once it has the state.
    pub(super) fn speaks(&self) -> bool {
        self.begin.rank == 0 && self.ready.is_some()
    }

    /// Tells the trainer to leave, once.
    pub(super) fn abort(&mut self, reason: String) -> Vec<Command> {
        match self.aborted {
            Some(_) => Vec::new(),
            None => {
                self.aborted = Some(reason);
                vec![Command::AbortTrainer(self.generation)]
            }
        }
    }

    /// Stores the weights, or tries it again. `attempts`: of this process, so that the answer to one of an earlier
    /// generation is not taken for this one's.
    pub(super) fn store_weights(&mut self, attempts: &mut u64) -> Option<Command> {
        match &mut self.stage {
            Stage::Training => None,
            Stage::Storing { attempt, weights, .. } => {
                *attempts += 1;
                *attempt = *attempts;
                Some(Command::StoreWeights { attempt: *attempt, weights: weights.clone() })
            }
        }
    }
}

//! Stops before all steps are done: at a target, at a plateau, when time is over.
//!
//! The first two are functions of the committed state: evaluations are computed anew where a generation starts behind
//! one, and what they come to enters the state with the next step's commit; the training loss is in it already. Time is not; all ranks stop after the same
//! step because the wish is a bit in the reduction.

use lockstep_proto::job;

use super::epoch_loss::EpochLoss;
use super::measures::Score;
use super::schedule::Cursor;

/// Why a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    /// All steps are.
    AllSteps,
    /// An evaluation, or an epoch's training loss, reached the target.
    Target,
    /// Evaluations got no better.
    Plateau,
    /// Time is over.
    Time,
}

impl Completion {
    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllSteps => "completed",
            Self::Target => "target",
            Self::Plateau => "plateau",
            Self::Time => "time",
        }
    }
}

/// What the evaluations before the newest step came to; part of the state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluations {
    /// The lowest loss.
    pub lowest: f64,
    /// Evaluations since then.
    pub since: u64,
}

impl Default for Evaluations {
    fn default() -> Self {
        Self { lowest: f64::INFINITY, since: 0 }
    }
}

impl Evaluations {
    /// With one more.
    pub fn with(self, score: &Score) -> Self {
        if score.loss < self.lowest {
            Self { lowest: score.loss, since: 0 }
        } else {
            Self { since: self.since + 1, ..self }
        }
    }

    /// As words: part of what is shared and digested.
    pub fn words(&self) -> [u64; 2] {
        [self.lowest.to_bits(), self.since]
    }

    /// The inverse of [`Self::words`].
    pub fn from_words([lowest, since]: [u64; 2]) -> Self {
        Self { lowest: f64::from_bits(lowest), since }
    }
}

/// Whether the result depends on evaluations.
pub fn watches(keys: &job::Schedule) -> bool {
    keys.target_accuracy > 0.0 || keys.target_loss > 0.0 || keys.patience > 0
}

/// What an evaluation means for the job; `evaluations`: with it.
pub fn verdict(keys: &job::Schedule, evaluations: &Evaluations, score: &Score) -> Option<Completion> {
    let accurate = keys.target_accuracy > 0.0 && score.accuracy >= keys.target_accuracy;
    let low = keys.target_loss > 0.0 && score.loss <= keys.target_loss;
    let patient = keys.patience == 0 || evaluations.since < keys.patience.into();
    match (accurate || low, patient) {
        (true, _) => Some(Completion::Target),
        (false, false) => Some(Completion::Plateau),
        (false, true) => None,
    }
}

/// Whether the training loss is what the job was for. `epoch_loss`: of the committed state; at the end of an epoch it
/// holds the mean over that epoch, and nothing of the next.
pub fn train_loss_verdict(keys: &job::Schedule, cursor: &Cursor, epoch_loss: &EpochLoss) -> Option<Completion> {
    let epoch_ends = cursor.step > 0 && cursor.position == 0;
    let low = keys.target_train_loss > 0.0 && epoch_loss.mean() <= keys.target_train_loss;
    (epoch_ends && low).then_some(Completion::Target)
}

/// Whether so many seconds of training are all that the job may take.
pub fn time_is_over(keys: &job::Schedule, seconds: f64) -> bool {
    keys.max_minutes > 0.0 && seconds >= 60.0 * keys.max_minutes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(loss: f64, correct: u64) -> Score {
        Score { loss, accuracy: correct as f64 / 100.0, samples: 100, correct, correct_in_5: correct }
    }

    #[test]
    fn a_plateau_is_so_many_evaluations_without_a_lower_loss() {
        let keys = job::Schedule { patience: 2, ..Default::default() };
        let mut evaluations = Evaluations::default();
        let mut verdicts = Vec::new();
        for loss in [1.0, 0.5, 0.6, 0.4, 0.4, f64::NAN] {
            evaluations = evaluations.with(&score(loss, 0));
            verdicts.push(verdict(&keys, &evaluations, &score(loss, 0)));
            assert_eq!(Evaluations::from_words(evaluations.words()), evaluations);
        }
        assert_eq!(verdicts, [None, None, None, None, None, Some(Completion::Plateau)]);
    }

    #[test]
    fn targets_are_reached_from_either_side() {
        let keys = job::Schedule { target_accuracy: 0.9, target_loss: 0.1, ..Default::default() };
        let verdict = |loss, correct| verdict(&keys, &Evaluations::default(), &score(loss, correct));
        assert_eq!([verdict(0.2, 89), verdict(f64::NAN, 3)], [None; 2]);
        assert_eq!([verdict(0.2, 90), verdict(0.1, 0)], [Some(Completion::Target); 2]);
        assert!(watches(&keys) && !watches(&job::Schedule { max_minutes: 1.0, ..Default::default() }));
    }

    #[test]
    fn the_training_loss_counts_at_the_end_of_an_epoch_alone() {
        let keys = job::Schedule { target_train_loss: 0.5, ..Default::default() };
        let verdict = |step, position, losses: &[f64], ends| {
            let cursor = Cursor { epoch: 1, position, step, samples: 0 };
            let sums = losses.iter().enumerate();
            let sums = sums.fold(EpochLoss::default(), |sums, (at, loss)| {
                sums.with(&score(*loss, 0), ends && at + 1 == losses.len())
            });
            train_loss_verdict(&keys, &cursor, &sums)
        };
        assert_eq!(verdict(2, 0, &[0.25, 0.75], true), Some(Completion::Target));
        assert_eq!(verdict(2, 0, &[0.25, 0.875], true), None);
        assert_eq!(verdict(2, 0, &[0.25, f64::NAN], true), None);
        assert_eq!(verdict(2, 200, &[0.25, 0.25], false), None);
        // Before the first step there is no loss.
        assert_eq!(verdict(0, 0, &[], false), None);
        assert!(!watches(&keys), "no evaluation is needed for it");
    }

    #[test]
    fn time_is_in_minutes() {
        let keys = job::Schedule { max_minutes: 0.5, ..Default::default() };
        assert!(!time_is_over(&keys, 29.0) && time_is_over(&keys, 30.0));
        assert!(!time_is_over(&job::Schedule::default(), 1e9));
    }
}

//! Whether a job waits for its data.

use crate::cluster::facts::PhaseSeconds;

/// Seconds of training after which a share says something.
const ENOUGH: f64 = 20.0;
/// The share of the time that a job may wait for samples before it is told.
const MOST: f64 = 0.05;

/// Where the time of the worker that reports went.
#[derive(Debug, Default)]
pub struct Waits {
    data: f64,
    all: f64,
    told: bool,
}

impl Waits {
    /// Takes notice of a report. Gives what to tell the user, once a job.
    pub fn take_in(&mut self, seconds: &PhaseSeconds) -> Option<String> {
        let PhaseSeconds { data, forward, backward, reduce, commit } = *seconds;
        self.data += data;
        self.all += data + forward + backward + reduce + commit;
        if self.told || self.all < ENOUGH {
            return None;
        }
        let share = self.data / self.all;
        // The next stretch is looked at by itself: a start is slower than what follows.
        (self.data, self.all) = (0.0, 0.0);
        self.told = share > MOST;
        self.told.then(|| {
            format!(
                "waits for data {:.0}% of the time: give it more threads (--threads, or data.threads on GPUs), or smaller \
                 pictures (`lockstep data prepare --short-side`); `lockstep bench data JOB.toml` says what takes long",
                100.0 * share
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(data: f64, backward: f64) -> PhaseSeconds {
        PhaseSeconds { data, backward, ..PhaseSeconds::default() }
    }

    #[test]
    fn waiting_is_told_once_and_not_before_long() {
        let mut waits = Waits::default();
        assert_eq!(waits.take_in(&seconds(9.0, 10.0)), None);
        let told = waits.take_in(&seconds(1.0, 20.0)).unwrap();
        assert!(told.starts_with("waits for data 25% of the time"), "{told}");
        assert_eq!(waits.take_in(&seconds(90.0, 10.0)), None);
    }

    #[test]
    fn a_job_whose_data_comes_in_time_is_told_nothing() {
        let mut waits = Waits::default();
        assert!((0..100).all(|_| waits.take_in(&seconds(0.5, 12.0)).is_none()));
        assert!(waits.take_in(&seconds(f64::NAN, 30.0)).is_none());
        assert!((0..3).any(|_| waits.take_in(&seconds(3.0, 30.0)).is_some()), "later it is");
    }
}

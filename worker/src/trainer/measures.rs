//! What rides in the reduction beside the gradient: the tally's layout, and what is read from a reduced one.

use lockstep_collective::Tally;
use lockstep_kernels::device::LossSums;

use crate::control::StopReason;

/// The flag of a stop: all stop after committing the step in which anybody sets it.
pub fn flag(why: StopReason) -> u64 {
    match why {
        StopReason::Cancelled => 1,
        StopReason::Interrupted => 2,
        StopReason::Paused => 4,
        StopReason::Regrouped => 8,
    }
}

/// The flag of a job whose time is over; those of [`flag`] are below.
pub const TIME_IS_OVER: u64 = 16;

/// What reduced flags ask for. A signal goes before a cancellation, since it leaves the job to be gone on with; a mere
/// change of members comes last.
pub fn stop_reason(flags: u64) -> Option<StopReason> {
    let order = [StopReason::Interrupted, StopReason::Cancelled, StopReason::Paused, StopReason::Regrouped];
    order.into_iter().find(|&why| flags & flag(why) != 0)
}

/// Counts in a tally: samples, correct answers, sum of hashed sample ids, samples that were left out, samples whose class
/// is among the five best answers.
const COUNTS: usize = 5;
/// Place of the samples among the counts.
pub const SAMPLES: usize = 0;
/// Place of the sum of hashed sample ids.
pub const SAMPLE_HASHES: usize = 2;
/// Place of the samples that could not be decoded and were left out.
pub const SKIPPED: usize = 3;
/// Place of the correct answers.
const CORRECT: usize = 1;
/// Place of those that are right within five.
const CORRECT_IN_5: usize = 4;

/// Sums in a tally: the loss, and one squared gradient norm a layer that has parameters.
pub fn sums(layers: usize) -> usize {
    1 + layers
}

/// Counts in a tally: behind those that each has, where samples may be left out (`data.skip_bad`), a bit for each place in
/// the largest batch. A lane sets bits of its own places, so that their sum is all of them.
pub fn counts(skip_bad: u32, most_samples: u64) -> usize {
    if skip_bad == 0 { COUNTS } else { COUNTS + most_samples.div_ceil(u64::BITS.into()) as usize }
}

/// Places in the batch whose samples were left out, by a reduced tally of training, ascending.
pub fn skipped_places(tally: &Tally) -> impl Iterator<Item = u64> {
    let bits = tally.counts[COUNTS..].iter().zip((0..).step_by(u64::BITS as usize));
    bits.flat_map(|(word, first)| {
        (0..u64::from(u64::BITS)).filter(move |bit| word >> bit & 1 == 1).map(move |bit| first + bit)
    })
}

/// The samples of a lane.
#[derive(Clone, Debug)]
pub struct LaneSamples {
    /// How many.
    pub count: u64,
    /// Sum of their hashed ids.
    pub hashes: u64,
    /// Places of those that were left out, in the batch or split; they count in neither.
    pub skipped: Vec<u64>,
}

/// What one lane measured beside its gradient.
pub struct LaneMeasures<'a> {
    /// Loss and correct answers.
    pub sums: LossSums,
    /// The squared norm of each layer's part of the lane's gradient, where it has one.
    pub norms: &'a [f64],
    /// Its samples.
    pub samples: &'a LaneSamples,
    /// Counts that a tally has: [`counts`].
    pub counts: usize,
}

/// A training lane's contribution.
pub fn training_tally(measures: &LaneMeasures<'_>, flags: u64) -> Tally {
    let mut sums = Vec::with_capacity(sums(measures.norms.len()));
    sums.push(measures.sums.loss);
    sums.extend_from_slice(measures.norms);
    let (LossSums { correct, correct_in_5, .. }, LaneSamples { count, hashes, skipped }) =
        (measures.sums, measures.samples);
    let mut counts = vec![*count, correct, *hashes, skipped.len() as u64, correct_in_5];
    counts.resize(measures.counts, 0);
    for place in skipped {
        counts[COUNTS + (place / u64::from(u64::BITS)) as usize] |= 1 << (place % u64::from(u64::BITS));
    }
    Tally { sums, counts, flags }
}

/// A probe's lane of gradients: as an evaluation's, with the norms.
pub fn probe_tally(measures: &LaneMeasures<'_>, flags: u64) -> Tally {
    let mut tally = evaluation_tally(measures, flags);
    tally.sums[1..].copy_from_slice(measures.norms);
    tally
}

/// An evaluation lane's contribution: the same layout, without norms and sample ids.
pub fn evaluation_tally(measures: &LaneMeasures<'_>, flags: u64) -> Tally {
    let mut tally = curvature_tally(measures);
    tally.flags = flags;
    tally.sums[0] = measures.sums.loss;
    tally.counts[CORRECT] = measures.sums.correct;
    tally.counts[SKIPPED] = measures.samples.skipped.len() as u64;
    tally.counts[CORRECT_IN_5] = measures.sums.correct_in_5;
    tally
}

/// What a lane of second derivatives contributes: its samples.
pub fn curvature_tally(measures: &LaneMeasures<'_>) -> Tally {
    let mut tally = Tally::new(sums(measures.norms.len()), measures.counts);
    tally.counts[SAMPLES] = measures.samples.count;
    tally
}

/// What of a tally is not finite, if anything is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonfinite {
    /// The loss.
    Loss,
    /// The gradient of a layer; its place among those that have parameters, last layer first.
    Gradient(usize),
}

impl Nonfinite {
    /// Looks at a lane's tally, or at a reduced one. Squares of f32 and their sums are finite in f64.
    pub fn of(tally: &Tally) -> Option<Self> {
        let place = tally.sums.iter().position(|sum| !sum.is_finite())?;
        Some(place.checked_sub(1).map_or(Self::Loss, Self::Gradient))
    }
}

/// Mean loss and accuracy of what a reduced tally counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Mean over samples.
    pub loss: f64,
    /// Fraction of correct answers.
    pub accuracy: f64,
    /// Samples.
    pub samples: u64,
    /// Correct answers.
    pub correct: u64,
    /// Samples whose class is among the five best answers.
    pub correct_in_5: u64,
}

impl Score {
    /// Reads a reduced tally, training or evaluation alike.
    pub fn of(tally: &Tally) -> Self {
        let [samples, correct, correct_in_5] = [SAMPLES, CORRECT, CORRECT_IN_5].map(|place| tally.counts[place]);
        let accuracy = correct as f64 / samples as f64;
        Self { loss: tally.sums[0] / samples as f64, accuracy, samples, correct, correct_in_5 }
    }

    /// Fraction of wrong answers.
    pub fn error(&self) -> f64 {
        (self.samples - self.correct) as f64 / self.samples as f64
    }

    /// Fraction of samples whose class is among the five best answers.
    pub fn top5_accuracy(&self) -> f64 {
        self.correct_in_5 as f64 / self.samples as f64
    }

    /// Fraction of the others.
    pub fn top5_error(&self) -> f64 {
        (self.samples - self.correct_in_5) as f64 / self.samples as f64
    }
}

/// Hash of a sample id (the finaliser of SplitMix64), so that a sum of hashes tells sets of samples apart.
pub fn sample_hash(sample: u64) -> u64 {
    let mut z = sample.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_that_lanes_leave_out_add_up() {
        let lane = |skipped: &[u64]| {
            let samples = LaneSamples { count: 4 - skipped.len() as u64, hashes: 0, skipped: skipped.to_vec() };
            let sums = LossSums::default();
            training_tally(&LaneMeasures { sums, norms: &[], samples: &samples, counts: counts(1, 130) }, 0)
        };
        let mut tally = lane(&[0, 63]);
        [&[][..], &[64, 127], &[128, 129]].into_iter().for_each(|skipped| tally.add(&lane(skipped)));
        assert_eq!((tally.counts[SAMPLES], tally.counts[SKIPPED]), (10, 6));
        assert_eq!(Vec::from_iter(skipped_places(&tally)), [0, 63, 64, 127, 128, 129]);
        assert_eq!(counts(0, 130), COUNTS);
    }
}

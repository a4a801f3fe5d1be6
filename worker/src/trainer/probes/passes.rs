//! The two passes that measures are made of, at any weights: losses in evaluation mode, and the sum of gradients.
//!
//! Gradients are those of training mode, since batch normalisation has none in the other: each micro-batch is normalised
//! by its own statistics, and dropout's masks are those of (`seed.augment`, the epoch of the state's cursor, sample), the
//! same in all passes of a step's probes. The samples are as they lie, neither augmented nor mixed, and the gradient is the
//! loss's alone: clipping, weight decay, sharpness-aware minimisation and what else a step adds to it are left out.

use std::ops::Range;

use lockstep_collective::{Tag, Tally};
use lockstep_dataset::dataset::Split;
use lockstep_kernels::device::Device;

use super::breaks_off;
use super::probing::{Broken, Probing};
use super::samples::{MOST_LANES, Samples};
use crate::model::Weights;
use crate::trainer::TrainerError;
use crate::trainer::crew::Devices;
use crate::trainer::lane::{Change, Evaluation, Pass, TrainStep, Work};
use crate::trainer::measures::{self, Score};
use crate::trainer::progress::Phase;
use crate::trainer::schedule::StepPlan;
use crate::trainer::skipped;

/// The pass of a step that probes reduce in; 0 to 3 are those of the step and its evaluations.
const PROBE_PASS: u32 = 4;

impl<D: Device> Probing<'_, D> {
    /// Mean loss and accuracy at `flat` (parameters and statistics) over the probe's samples, in evaluation mode.
    ///
    /// # Errors
    /// If a stop or an abort has broken it off, a member is lost, or a sample can't be read.
    pub fn score(&mut self, flat: &[f32]) -> Result<Score, Broken> {
        self.score_over(self.samples, flat)
    }

    /// The same over other samples.
    ///
    /// # Errors
    /// As [`Probing::score`].
    pub fn score_over(&mut self, samples: Samples, flat: &[f32]) -> Result<Score, Broken> {
        self.evaluate(samples, None, flat)
    }

    /// The same over the probe's samples, with their images changed.
    ///
    /// # Errors
    /// As [`Probing::score`].
    pub fn score_changed(&mut self, change: Change, flat: &[f32]) -> Result<Score, Broken> {
        self.evaluate(self.samples, Some(change), flat)
    }

    fn evaluate(&mut self, samples: Samples, change: Option<Change>, flat: &[f32]) -> Result<Score, Broken> {
        self.go_to(flat);
        self.expect(samples.split, 0..samples.count);
        let lanes = samples.lanes(self.work.micro_batch);
        let evaluation = Evaluation {
            work: self.work,
            weights: place(self.work, self.scratch),
            split: samples.split,
            positions: 0..samples.count,
            change,
            flags: self.signals.stop_flags(),
            pulse: self.signals.pulse(self.progress),
        };
        let hands = self.reduction.group.tally_hands(lanes)?;
        self.crew.forget_unread();
        self.crew.run(hands, |runner, hand| runner.evaluate_hand(&evaluation, hand));
        self.check_aborted()?;
        self.crew.check_read()?;
        self.crew.first().device.health()?;
        let tally = self.reduction.group.reduce_tally(lanes, self.tag())?;
        let (score, tally) = (Score::of(tally), tally.clone());
        self.check(&tally)?;
        Ok(score)
    }

    /// Adds to `sum`, of as many elements as there are parameters, the gradients of the losses of the probe's samples at
    /// `flat`, in training mode; it is a sum, not a mean. Gives the tally, of which [`Score::of`] tells loss, accuracy and
    /// samples; behind the loss its sums are the squared norms of lanes' gradients, one a layer, summed over lanes.
    ///
    /// Lanes are added by the tree, [`MOST_LANES`] at a time, and what those come to in f64 and in order.
    ///
    /// # Errors
    /// As [`Probing::score`].
    ///
    /// # Panics
    /// If `flat` or `sum` is of another length.
    pub fn gradient(&mut self, flat: &[f32], sum: &mut [f64]) -> Result<Tally, Broken> {
        self.gradient_over(0..self.samples.count, flat, sum)
    }

    /// The same over some of the probe's samples.
    ///
    /// # Errors
    /// As [`Probing::score`].
    pub fn gradient_over(&mut self, positions: Range<u64>, flat: &[f32], sum: &mut [f64]) -> Result<Tally, Broken> {
        assert_eq!(sum.len(), self.parameters(), "a gradient is over the parameters");
        self.go_to(flat);
        self.sum_over(positions, None, sum)
    }

    /// Adds to `sum` the gradients of the losses at `positions`, or the products of their Hessians with `direction`, at the
    /// place gone to.
    pub(super) fn sum_over(
        &mut self,
        positions: Range<u64>,
        direction: Option<D::View<'_, f32>>,
        sum: &mut [f64],
    ) -> Result<Tally, Broken> {
        let mut total = Tally::new(measures::sums(self.work.layers.len()), self.work.counts);
        let mut chunk = vec![0.0; sum.len()];
        let step = usize::try_from(u64::from(MOST_LANES) * self.work.micro_batch).unwrap_or(usize::MAX);
        for first in positions.clone().step_by(step) {
            let end = positions.end.min(first.saturating_add(step as u64));
            total.add(&self.chunk(first..end, direction, &mut chunk)?);
            sum.iter_mut().zip(&chunk).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        self.check_samples(&total)?;
        Ok(total)
    }

    /// Overwrites `sum` with what positions in at most [`MOST_LANES`] lanes come to.
    fn chunk(
        &mut self,
        positions: Range<u64>,
        direction: Option<D::View<'_, f32>>,
        sum: &mut [f32],
    ) -> Result<Tally, Broken> {
        self.expect(self.samples.split, positions.clone());
        let samples = positions.end - positions.start;
        let lanes = samples.div_ceil(self.work.micro_batch) as u32;
        let plan = StepPlan { epoch: self.state.cursor.epoch, first: positions.start, samples, lanes };
        let pulse = self.signals.pulse(self.progress);
        let pass = TrainStep {
            flags: self.signals.stop_flags(),
            pass: if direction.is_some() { Pass::Product } else { Pass::Gradient },
            direction: direction.map(|direction| D::reborrow(direction)),
            ..TrainStep::probing(self.work, place(self.work, self.scratch), plan, self.samples.split, pulse)
        };
        self.crew.forget_unread();
        self.reduction.compute(self.crew, &pass, lanes)?;
        self.check_aborted()?;
        let tag = self.tag();
        let reduced = self.reduction.reduce(self.crew, lanes, tag)?;
        let made = D::slice(reduced.gradient, 0..sum.len());
        self.crew.first_device().read(made, sum);
        let tally = reduced.tally.clone();
        self.check_stops(&tally)?;
        Ok(tally)
    }

    /// Takes the device's copy of weights to `flat`.
    pub(super) fn go_to(&mut self, flat: &[f32]) {
        let device = self.crew.first_device();
        let scratch = self.scratch.get_or_insert_with(|| device.zeros(flat.len()));
        device.write(flat, D::view_mut(scratch, 0..flat.len()));
    }

    /// A pass begins: tells who reads ahead.
    pub(super) fn expect(&self, split: Split, positions: Range<u64>) {
        self.progress.enter(Phase::Probe, self.state.cursor.step);
        if let Some(foresight) = self.foresight {
            foresight.expect_evaluation(split, positions, self.work);
        }
    }

    pub(super) fn tag(&self) -> Tag {
        Tag { step: self.state.cursor.step, pass: PROBE_PASS }
    }

    /// Whether a pass can be used, by its reduced tally, which all ranks have.
    pub(super) fn check(&self, tally: &Tally) -> Result<(), Broken> {
        self.check_stops(tally)?;
        self.check_samples(tally)
    }

    fn check_stops(&self, tally: &Tally) -> Result<(), Broken> {
        breaks_off(tally.flags, self.is_done).map_or(Ok(()), |why| Err(Broken::Off(why)))
    }

    /// Whether there were samples, and no more were left out than may be.
    fn check_samples(&self, tally: &Tally) -> Result<(), Broken> {
        let (left_out, title) = (tally.counts[measures::SKIPPED], self.probe.title());
        if left_out > self.work.skip_bad {
            let problem = format!(
                "data.skip_bad = {}, but {left_out} samples of probe {title} can't be decoded; prepare the dataset \
                 without them, or raise data.skip_bad",
                self.work.skip_bad
            );
            return Err(TrainerError::Job(problem).into());
        }
        match tally.counts[measures::SAMPLES] {
            0 => Err(skipped::nothing_left(&format!("probe {title} is over")).into()),
            _ => Ok(()),
        }
    }
}

/// Where it was gone to.
pub(super) fn place<'s, D: Device>(work: &Work<D>, scratch: &'s Option<D::Buffer<f32>>) -> Weights<'s, D> {
    let (flat, len) = (scratch.as_ref().expect("gone to before each pass"), work.model.len());
    Weights::of_flat(D::view(flat, 0..len), work.model.parameters(), len)
}

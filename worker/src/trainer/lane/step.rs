//! What lanes are asked for.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use lockstep_kernels::device::Device;

use super::Work;
use crate::model::Weights;
use crate::trainer::ascent::Ascent;
use crate::trainer::lane_noise::LaneNoise;
use crate::trainer::progress::Progress;
use crate::trainer::schedule::StepPlan;
use lockstep_dataset::corruption::Corruption;
use lockstep_dataset::dataset::Split;
use lockstep_dataset::order::Order;

/// What is looked at and shown between one lane and the next.
#[derive(Clone, Copy)]
pub struct Pulse<'a> {
    /// Once set, no further lane is computed, and what was computed is of no use.
    pub abort: &'a AtomicBool,
    /// Grows with every lane: a phase of many may take long, and nobody shall think that it is stuck.
    pub progress: &'a Progress,
}

impl Pulse<'_> {
    /// Before a lane: whether it is wanted.
    pub(super) fn beats(&self) -> bool {
        self.progress.moves();
        !self.abort.load(Ordering::Relaxed)
    }
}

/// What lanes compute of their samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Gradients, the loss and its measures.
    Gradient,
    /// Second derivatives alone.
    Curvature,
    /// Products of the Hessian with the step's direction.
    Product,
}

/// Where a training pass has its samples from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// The positions of the epoch's order: augmented and mixed, as the job wants.
    Epoch(&'a Order),
    /// The positions of a split, for probes: neither augmented nor mixed, and with the gradient of the loss alone, whatever
    /// the job's steps add to it.
    AsTheyLie(Split),
}

/// What all lanes of one training step have in common.
pub struct TrainStep<'a, D: Device> {
    /// Network and data.
    pub work: &'a Work<D>,
    /// The committed parameters and running statistics.
    pub weights: Weights<'a, D>,
    /// The step's positions.
    pub plan: StepPlan,
    /// Which samples they are.
    pub source: Source<'a>,
    /// What is computed.
    pub pass: Pass,
    /// Of [`Pass::Product`]: v, as the parameters.
    pub direction: Option<D::View<'a, f32>>,
    /// Bits that this worker adds to the reduction, see [`crate::trainer::measures`].
    pub flags: u64,
    /// What lanes' gradients are multiplied by, once they are measured.
    pub noise: Option<&'a LaneNoise>,
    /// Between its lanes.
    pub pulse: Pulse<'a>,
    /// The lane whose gradient's digest is taken.
    pub replayed: Option<u32>,
    /// Whether this worker computes wrongly.
    #[cfg(feature = "fault-points")]
    pub spoilt: bool,
    /// How often the forward pass is made.
    #[cfg(feature = "fault-points")]
    pub times: u32,
}

impl<'a, D: Device> Evaluation<'a, D> {
    /// Of positions of a split as they lie, with nothing that this worker wishes.
    pub fn new(
        work: &'a Work<D>,
        weights: Weights<'a, D>,
        (split, positions): (Split, Range<u64>),
        pulse: Pulse<'a>,
    ) -> Self {
        Self { work, weights, split, positions, change: None, flags: 0, pulse }
    }
}

impl<'a, D: Device> TrainStep<'a, D> {
    /// A step that nobody wishes or checks anything in.
    pub fn new(work: &'a Work<D>, weights: Weights<'a, D>, plan: StepPlan, order: &'a Order, pulse: Pulse<'a>) -> Self {
        Self::of(work, weights, plan, Source::Epoch(order), pulse)
    }

    /// A pass of a probe over positions of `split`: no step comes of it. `plan.epoch` is that of dropout's masks.
    pub fn probing(work: &'a Work<D>, weights: Weights<'a, D>, plan: StepPlan, split: Split, pulse: Pulse<'a>) -> Self {
        Self::of(work, weights, plan, Source::AsTheyLie(split), pulse)
    }

    fn of(work: &'a Work<D>, weights: Weights<'a, D>, plan: StepPlan, source: Source<'a>, pulse: Pulse<'a>) -> Self {
        Self {
            work,
            weights,
            plan,
            source,
            pass: Pass::Gradient,
            direction: None,
            flags: 0,
            noise: None,
            pulse,
            replayed: None,
            #[cfg(feature = "fault-points")]
            spoilt: false,
            #[cfg(feature = "fault-points")]
            times: 1,
        }
    }
}

impl<D: Device> TrainStep<'_, D> {
    /// Whether it is a probe's.
    pub(super) fn is_probe(&self) -> bool {
        matches!(self.source, Source::AsTheyLie(_))
    }

    /// The second pass of its lanes, if each goes its own way up.
    pub(super) fn lane_ascent(&self) -> Option<&Ascent> {
        self.work.lane_ascent.as_ref().filter(|_| !self.is_probe())
    }

    /// Whether this worker is made to compute wrongly, or slowly.
    pub(super) fn is_faulty(&self) -> bool {
        #[cfg(feature = "fault-points")]
        return self.spoilt || self.times != 1;
        #[cfg(not(feature = "fault-points"))]
        false
    }

    /// Whether this worker is made to compute wrongly.
    pub(super) fn is_spoilt(&self) -> bool {
        #[cfg(feature = "fault-points")]
        return self.spoilt;
        #[cfg(not(feature = "fault-points"))]
        false
    }
}

/// What is done to the images of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// They are changed by themselves.
    Corruption(Corruption),
    /// They are changed by so much, in white, along the gradient of their loss.
    Attack(f64),
}

/// What all lanes of one evaluation have in common.
pub struct Evaluation<'a, D: Device> {
    /// Network and data.
    pub work: &'a Work<D>,
    /// The committed parameters and running statistics.
    pub weights: Weights<'a, D>,
    /// Over which samples.
    pub split: Split,
    /// Which of them.
    pub positions: Range<u64>,
    /// What is done to their images, if anything.
    pub change: Option<Change>,
    /// Bits that this worker adds to the reduction, see [`crate::trainer::measures`].
    pub flags: u64,
    /// Between its lanes.
    pub pulse: Pulse<'a>,
}

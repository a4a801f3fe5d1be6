//! Sharpness-aware minimisation over the batch (`optimizer.sam`; Foret et al. 2021): a step has a pass at the weights,
//! whose reduced gradient leads every worker to the same place above them, and a pass there, whose gradient updates.
//!
//! Loss, answers, sample counts, flags and running statistics are the first pass's: they are about the weights. Norms
//! of lanes' gradients are the second's: they belong to the gradient that they are reduced with. Nothing enters the
//! state before the second has arrived. Lanes that go up by themselves need none of this: see `lane/step_up.rs`.

use lockstep_collective::Tally;
use lockstep_kernels::device::Device;

use super::crew::Devices;
use super::generation::{FIRST_PASS, Generation};
use super::measures;
use super::passes::Batch;
use super::progress::Phase;
use super::skipped;
use super::state::{Sizes, State};
use super::{Trainer, TrainerError};
use crate::model::{Model, Weights};

/// The pass above the weights.
const SECOND_PASS: u32 = 2;

/// Where lanes take their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the committed parameters.
    Weights,
    /// Where `optimizer.sam` leads to.
    Above,
}

impl Place {
    /// The pass of the step.
    pub(super) fn pass(self) -> u32 {
        match self {
            Self::Weights => FIRST_PASS,
            Self::Above => SECOND_PASS,
        }
    }
}

/// The place above the weights of the step under way, and what the pass at the weights came to.
pub(super) struct Above<D: Device> {
    parameters: D::Buffer<f32>,
    statistics: D::Buffer<f32>,
    sizes: Sizes,
    tally: Tally,
}

impl<D: Device> Above<D> {
    fn new(device: &D, model: &Model<D>, counts: usize) -> Self {
        let sizes = Sizes { parameters: model.parameters(), statistics: model.statistics() };
        let (parameters, statistics) = (device.zeros(sizes.parameters), device.zeros(sizes.statistics));
        let tally = Tally::new(measures::sums(model.layer_ranges().len()), counts);
        Self { parameters, statistics, sizes, tally }
    }

    /// The reduced tally of the pass at the weights.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The reduced statistics of the pass at the weights.
    pub(super) fn statistics(&self) -> D::View<'_, f32> {
        D::view(&self.statistics, 0..self.sizes.statistics)
    }
}

/// The weights of a pass.
pub(super) fn weights_at<'a, D: Device>(
    place: Place,
    state: &'a State<D>,
    above: Option<&'a Above<D>>,
) -> Weights<'a, D> {
    match (place, above) {
        (Place::Above, Some(above)) => {
            Weights { parameters: D::view(&above.parameters, 0..above.sizes.parameters), ..state.weights() }
        }
        _ => state.weights(),
    }
}

impl<D: Device> Generation<'_, D> {
    /// The pass at the weights and the way up from them, if the job wants that. Gives where the step takes the gradient
    /// of its update; none if the pass is not finite and the job does not go on with such.
    pub(super) fn step_up_if_wanted(&mut self, batch: &mut Batch) -> Result<Option<Place>, TrainerError> {
        if !self.trainer.job.optimizer.goes_up_over_batch() {
            return Ok(Some(Place::Weights));
        }
        self.compute_lanes(batch, Place::Weights)?;
        let reduced = batch.reduce(Place::Weights, &mut self.reduction, self.trainer)?;
        if self.trainer.refuses(reduced.tally) {
            return Ok(None);
        }
        skipped::of_step(&self.trainer.work, batch, &self.state.ledger, reduced.tally)?;
        self.trainer.seat.progress.enter(Phase::Ascend, batch.step);
        let Trainer { above, crew, optimizer, work, .. } = &mut *self.trainer;
        let sums = self.state.sums(reduced.gradient);
        let above = above.get_or_insert_with(|| Above::new(crew.first_device(), &work.model, work.counts));
        above.tally.clear();
        above.tally.add(reduced.tally);
        let statistics = 0..work.model.statistics();
        crew.first_device().copy(sums.statistics, D::view_mut(&mut above.statistics, statistics));
        let (samples, parameters) = (reduced.tally.counts[measures::SAMPLES], self.state.weights().parameters);
        let up = D::view_mut(&mut above.parameters, 0..work.model.parameters());
        optimizer.step_up(crew, samples, sums.gradient, parameters, up);
        Ok(Some(Place::Above))
    }
}

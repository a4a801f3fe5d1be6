//! A second pass over the batch ([`super::ascent`]): a step has a pass at the weights, whose reduced gradient leads every
//! worker to the same place above them, and a pass there, whose reduced gradient is blended with the first as the job says.
//!
//! Loss, answers, sample counts, flags and running statistics are the first pass's: they are about the weights. Nothing
//! enters the state before the second has arrived. Lanes that go up by themselves need none of this: see
//! `lane/second_pass.rs`.
//!
//! One rule for norms: those in a tally are of the very gradients that the same reduction has added up. So whoever
//! compares lanes' norms with the norm of their sum takes both of one reduction. Over the batch a step has two such pairs.
//! The first is at the weights, of plain gradients: what the noise of the gradient is reckoned from. The second is above
//! them, and watched for numbers that are not finite. Over micro-batches there is one pair, of what lanes contribute:
//! gradients above the weights, or with the penalty's in them. Their plain gradients are not added up, and of noise nothing
//! is told. The one exception is `optimizer.noise_batch` ([`super::lane_noise`]), where norms are of gradients before they are multiplied.

use lockstep_collective::Tally;
use lockstep_kernels::device::Device;
use lockstep_kernels::moving_average::AverageStep;
use lockstep_proto::job::AscentOver;

use super::ascent::Ascent;
use super::crew::Devices;
use super::generation::{FIRST_PASS, Generation};
use super::measures;
use super::optimizer::average_of;
use super::passes::Batch;
use super::progress::Phase;
use super::skipped;
use super::state::{Sizes, State, Sums};
use super::{Trainer, TrainerError};
use crate::model::{Model, Weights};

/// The pass above the weights.
const SECOND_PASS: u32 = 2;

/// Where lanes take their gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the committed parameters.
    Weights,
    /// Where the gradient at them leads to.
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
    /// What the update takes of both gradients; none where it takes the second.
    blended: Option<Blended<D>>,
    sizes: Sizes,
    tally: Tally,
}

/// The reduced gradient at the weights, until the other is blended into it.
struct Blended<D: Device> {
    gradient: D::Buffer<f32>,
    /// Of the other.
    weight: f32,
}

impl<D: Device> Above<D> {
    fn new(device: &D, model: &Model<D>, counts: usize) -> Self {
        let sizes = Sizes { parameters: model.parameters(), statistics: model.statistics() };
        let (parameters, statistics) = (device.zeros(sizes.parameters), device.zeros(sizes.statistics));
        let tally = Tally::new(measures::sums(model.layer_ranges().len()), counts);
        Self { parameters, statistics, blended: None, sizes, tally }
    }

    /// Keeps the gradient at the weights, a sum, to be blended with weight c.
    fn keep(&mut self, device: &mut D, gradient: D::View<'_, f32>, weight: f32) {
        let len = self.sizes.parameters;
        let blended = self.blended.get_or_insert_with(|| Blended { gradient: device.zeros(len), weight });
        blended.weight = weight;
        device.copy(gradient, D::view_mut(&mut blended.gradient, 0..len));
    }

    /// What the step commits: the tally and the statistics of the pass at the weights, and of both gradients what the job
    /// says. `sums`: those above the weights.
    pub(super) fn blend<'a>(
        &'a mut self,
        crew: &mut impl Devices<D>,
        mut sums: Sums<'a, D>,
    ) -> (&'a Tally, Sums<'a, D>) {
        let Self { blended, statistics, sizes, tally, .. } = self;
        if let Some(Blended { gradient, weight }) = blended {
            let (len, step) = (sizes.parameters, AverageStep { scale: 1.0, weight: *weight });
            average_of(crew, &step, sums.gradient, D::view_mut(gradient, 0..len), len);
            sums.gradient = D::view(gradient, 0..len);
        }
        sums.statistics = D::view(statistics, 0..sizes.statistics);
        (tally, sums)
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
    /// The pass at the weights and the way up from them, if the job wants that. Gives where the step takes its last
    /// gradient; none if the pass is not finite and the job does not go on with such.
    pub(super) fn step_up_if_wanted(&mut self, batch: &mut Batch) -> Result<Option<Place>, TrainerError> {
        let Some(ascent) = Ascent::of(&self.trainer.job.optimizer, AscentOver::Batch) else {
            return Ok(Some(Place::Weights));
        };
        self.compute_lanes(batch, Place::Weights)?;
        let reduced = batch.reduce(Place::Weights, &mut self.reduction, self.trainer)?;
        if self.trainer.refuses(reduced.tally) {
            return Ok(None);
        }
        skipped::of_step(&self.trainer.work, batch, &self.state.ledger, reduced.tally)?;
        self.trainer.seat.progress.enter(Phase::Ascend, batch.step);
        let Trainer { above, by_products, crew, optimizer, work, .. } = &mut *self.trainer;
        let sums = self.state.sums(reduced.gradient);
        by_products.measure(crew, sums.gradient);
        let above = above.get_or_insert_with(|| Above::new(crew.first_device(), &work.model, work.counts));
        above.tally.clear();
        above.tally.add(reduced.tally);
        let statistics = 0..work.model.statistics();
        crew.first_device().copy(sums.statistics, D::view_mut(&mut above.statistics, statistics));
        let (samples, parameters) = (reduced.tally.counts[measures::SAMPLES], self.state.weights().parameters);
        let up = D::view_mut(&mut above.parameters, 0..work.model.parameters());
        let norm = optimizer.step_up(crew, (&ascent, samples), sums.gradient, parameters, up);
        if let Some(weight) = ascent.weight(norm) {
            above.keep(crew.first_device(), sums.gradient, weight);
        }
        Ok(Some(Place::Above))
    }
}

//! The state that a job carries from step to step: one named list of tensors, the cursor and the ledger. Digest,
//! checkpoint and sharing go by this list.
//!
//! The flat vector has two parts: the parameters, which the optimiser trains, and behind them the statistics, which
//! follow what the lanes measured. The optimiser's own vectors are over the parameters alone.

use lockstep_estimators::noise::{self, Window};
use lockstep_kernels::device::Device;
use lockstep_kernels::moving_average::AverageStep;
use lockstep_kernels::optimizer::MOST_VECTORS;
use lockstep_proto::ledger::{Gap, Ledger, LedgerRow};
use lockstep_proto::plans::Plans;

use super::crew::Devices;
use super::epoch_loss::EpochLoss;
use super::optimizer::{CURVATURE, Kept, Optimizer, Role, Step, Whole, average_of};
use super::schedule::Cursor;
use super::stops::Evaluations;
use super::weights_file::weights_file;
use crate::model::{Tensor, Weights};

/// Name of the statistics in the named list.
pub const STATISTICS: &str = "statistics";
/// Weight of a step's statistics in the running ones: PyTorch's default.
const STATISTICS_WEIGHT: f32 = 0.1;

/// Cursor, loss of the epoch, evaluations, seconds.
pub const WORDS: usize = 10;

/// Parameters, optimiser state, cursor, noise, ledger, plans. It changes only in [`State::commit`]; plans come before the
/// first.
pub struct State<D: Device> {
    vectors: Vec<Vector<D>>,
    sizes: Sizes,
    /// How far the job is.
    pub cursor: Cursor,
    /// The loss of the epoch so far.
    pub epoch_loss: EpochLoss,
    /// What evaluations came to.
    pub evaluations: Evaluations,
    /// How noisy the gradients of the newest steps were.
    pub noise: Window,
    /// Seconds of training until the newest step, as the worker that the state comes from counted them. Not in the
    /// digest: it differs from worker to worker.
    pub seconds: f64,
    /// Which positions are in which committed steps. Not in the digest: it tells who committed.
    pub ledger: Ledger,
    /// By which plans steps are computed, where the device has some. Not in the digest: what they come to is.
    pub plans: Plans,
}

/// Elements of the flat vector's two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// What is trained.
    pub parameters: usize,
    /// What follows the lanes' measures, such as running means.
    pub statistics: usize,
}

impl Sizes {
    /// Of the flat vector.
    pub fn flat(&self) -> usize {
        self.parameters + self.statistics
    }
}

/// A vector of the state. Parameters and their average have the statistics behind them.
struct Vector<D: Device> {
    kept: Kept,
    buffer: D::Buffer<f32>,
}

/// What all samples of a step have summed up to.
pub struct Sums<'a, D: Device> {
    /// Gradients of the parameters.
    pub gradient: D::View<'a, f32>,
    /// What running statistics follow.
    pub statistics: D::View<'a, f32>,
}

/// What a step changes beside the vectors.
pub struct Advance<'a, D: Device> {
    /// The cursor behind the step.
    pub cursor: Cursor,
    /// The loss of the epoch with the step.
    pub epoch_loss: EpochLoss,
    /// What evaluations before the step came to.
    pub evaluations: Evaluations,
    /// What the step tells of the gradient's noise, if the job's do.
    pub noise: Option<noise::Step<'a>>,
    /// Steps of which kind that may be averaged with.
    pub noise_kind: u64,
    /// Seconds of training with the step.
    pub seconds: f64,
    /// The step in the ledger.
    pub row: LedgerRow,
    /// Second derivatives that take the place of those before, from this step on.
    pub curvature: Option<D::View<'a, f32>>,
}

/// A tensor of the named list.
pub struct Named<'a, D: Device> {
    /// Such as `velocity/fc1.weight`.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: &'a [usize],
    /// Its elements.
    pub values: D::View<'a, f32>,
    /// Count of its elements.
    pub len: usize,
}

/// A state of another worker or from a disk does not fit the model.
#[derive(Debug, thiserror::Error)]
pub enum Misfit {
    /// It lacks a tensor.
    #[error("it has no tensor {0}: it is of another model or another optimizer")]
    Missing(String),
    /// A tensor's size is another.
    #[error("its tensor {name} has {theirs} elements, the model's {ours}")]
    Size {
        /// Which.
        name: String,
        /// What it has.
        theirs: usize,
        /// What is wanted.
        ours: usize,
    },
}

impl<D: Device> State<D> {
    /// The state before the first step, of the vectors in `kept`, of a model of so many `layers` with parameters.
    /// `initial`: the flat vector, parameters then statistics.
    ///
    /// # Panics
    /// If `initial` is not as long as `sizes` say.
    pub fn new(device: &mut D, kept: Vec<Kept>, sizes: Sizes, layers: usize, initial: &[f32]) -> Self {
        assert_eq!(initial.len(), sizes.flat(), "initial values for all of the flat vector");
        let mut vector = |kept: Kept| {
            let constants;
            let values = match kept.role {
                Role::Parameters | Role::Average => initial,
                Role::Rule { initial, .. } => {
                    constants = vec![initial; sizes.parameters];
                    &constants
                }
            };
            let mut buffer = device.zeros(values.len());
            device.write(values, D::view_mut(&mut buffer, 0..values.len()));
            Vector { kept, buffer }
        };
        Self {
            vectors: kept.into_iter().map(&mut vector).collect(),
            sizes,
            cursor: Cursor::default(),
            epoch_loss: EpochLoss::default(),
            evaluations: Evaluations::default(),
            noise: Window::new(layers),
            seconds: 0.0,
            ledger: Ledger::default(),
            plans: Plans::default(),
        }
    }

    /// The flat vector that is trained.
    pub fn parameters(&self) -> D::View<'_, f32> {
        D::view(&self.vectors[0].buffer, 0..self.sizes.flat())
    }

    /// What is trained, as the model computes with it.
    pub fn weights(&self) -> Weights<'_, D> {
        self.halves(self.parameters())
    }

    /// What is evaluated, as the model computes with it.
    pub fn averaged_weights(&self) -> Weights<'_, D> {
        self.halves(self.averaged())
    }

    fn halves<'a>(&self, flat: D::View<'a, f32>) -> Weights<'a, D> {
        Weights::of_flat(flat, self.sizes.parameters, self.sizes.flat())
    }

    /// The flat vector that is evaluated and exported: the average, if there is one.
    pub fn averaged(&self) -> D::View<'_, f32> {
        let average = self.vectors.iter().find(|vector| vector.kept.role == Role::Average);
        average.map_or_else(|| self.parameters(), |average| D::view(&average.buffer, 0..self.sizes.flat()))
    }

    /// What the state holds beside vectors, noise and ledger, as words: all of them are digested but for the last.
    pub fn words(&self) -> [u64; WORDS] {
        let ([a, b, c, d], [e, f, g], [h, i]) =
            (self.cursor.words(), self.epoch_loss.words(), self.evaluations.words());
        [a, b, c, d, e, f, g, h, i, self.seconds.to_bits()]
    }

    /// Overwrites what [`State::words`] gives.
    pub fn set_words(&mut self, [epoch, position, step, samples, e, f, g, h, i, seconds]: [u64; WORDS]) {
        self.cursor = Cursor { epoch, position, step, samples };
        self.epoch_loss = EpochLoss::from_words([e, f, g]);
        self.evaluations = Evaluations::from_words([h, i]);
        self.seconds = f64::from_bits(seconds);
    }

    /// Overwrites the noise with the words of another state's; none begin it anew, as in a state from before it was kept.
    ///
    /// # Errors
    /// In words, if they are not of this model.
    pub fn set_noise(&mut self, words: &[u64]) -> Result<(), String> {
        let layers = self.noise.layers();
        self.noise = match words {
            [] => Window::new(layers),
            words => Window::from_words(layers, words)
                .ok_or_else(|| format!("its measures of noise are not those of {layers} layers"))?,
        };
        Ok(())
    }

    /// Whether a tensor is trained.
    fn trains(&self, tensor: &Tensor) -> bool {
        tensor.range.end <= self.sizes.parameters
    }

    /// The named list over the `tensors` of the flat vector: the parameters of each vector, then the statistics.
    pub fn named<'a>(&'a self, tensors: &'a [Tensor]) -> impl Iterator<Item = Named<'a, D>> {
        let named = |vector: &'a Vector<D>, list: &'a str, tensor: &'a Tensor| Named {
            name: format!("{list}/{}", tensor.shape.name),
            shape: &tensor.shape.shape,
            values: D::view(&vector.buffer, tensor.range.clone()),
            len: tensor.range.len(),
        };
        let of_vector = move |vector: &'a Vector<D>| {
            let trained = tensors.iter().filter(|tensor| self.trains(tensor));
            trained.map(move |tensor| named(vector, vector.kept.name, tensor))
        };
        let statistics = tensors.iter().filter(|tensor| !self.trains(tensor));
        let statistics = statistics.map(move |tensor| named(&self.vectors[0], STATISTICS, tensor));
        self.vectors.iter().flat_map(of_vector).chain(statistics)
    }

    /// Overwrites the named list with what `values_of` gives for each name.
    ///
    /// # Errors
    /// If there are more or fewer values than elements.
    pub fn fill<'v>(
        &mut self,
        device: &mut D,
        tensors: &[Tensor],
        mut values_of: impl FnMut(&str) -> &'v [f32],
    ) -> Result<(), Misfit> {
        let mut values_of = |list: &str, tensor: &Tensor| {
            let name = format!("{list}/{}", tensor.shape.name);
            let values = values_of(&name);
            match (values.len(), tensor.range.len()) {
                (theirs, ours) if theirs == ours => Ok(values),
                (0, _) => Err(Misfit::Missing(name)),
                (theirs, ours) => Err(Misfit::Size { name, theirs, ours }),
            }
        };
        let (trained, statistics): (Vec<&Tensor>, Vec<&Tensor>) =
            tensors.iter().partition(|tensor| self.trains(tensor));
        for vector in &mut self.vectors {
            for tensor in &trained {
                let values = values_of(vector.kept.name, tensor)?;
                device.write(values, D::view_mut(&mut vector.buffer, tensor.range.clone()));
            }
        }
        for tensor in statistics {
            let values = values_of(STATISTICS, tensor)?;
            for vector in self.vectors.iter_mut().filter(|vector| vector.has_statistics()) {
                device.write(values, D::view_mut(&mut vector.buffer, tensor.range.clone()));
            }
        }
        Ok(())
    }

    /// The two parts of a reduced flat vector.
    pub fn sums<'a>(&self, flat: D::View<'a, f32>) -> Sums<'a, D> {
        let Weights { parameters, statistics } = self.halves(flat);
        Sums { gradient: parameters, statistics }
    }

    /// Applies one update to all of the state, each of the crew's devices to a part.
    ///
    /// # Errors
    /// If the step does not follow those in the ledger; nothing is changed then.
    pub fn commit(
        &mut self,
        crew: &mut impl Devices<D>,
        optimizer: &mut Optimizer<D>,
        step: &Step,
        sums: Sums<'_, D>,
        advance: Advance<'_, D>,
    ) -> Result<(), Gap> {
        self.ledger.add(advance.row)?;
        let len = self.sizes.parameters;
        let (mut parameters, mut average, mut rule) = (None, None, [const { None }; MOST_VECTORS]);
        for vector in &mut self.vectors {
            let mut view = D::view_mut(&mut vector.buffer, 0..len);
            if let (CURVATURE, Some(measured)) = (vector.kept.name, advance.curvature) {
                crew.first_device().copy(measured, D::slice_mut(&mut view, 0..len));
            }
            match vector.kept.role {
                Role::Parameters => parameters = Some(view),
                Role::Rule { place, .. } => rule[place] = Some(view),
                Role::Average => average = Some(view),
            }
        }
        let parameters = parameters.expect("every state has parameters");
        optimizer.update(crew, step, sums.gradient, Whole { parameters, state: rule, average });
        self.follow_statistics(crew, step, sums.statistics);
        (self.cursor, self.epoch_loss) = (advance.cursor, advance.epoch_loss);
        (self.evaluations, self.seconds) = (advance.evaluations, advance.seconds);
        if let Some(step) = &advance.noise {
            self.noise.turn_to(advance.noise_kind);
            self.noise.add(step);
        }
        Ok(())
    }

    /// Running statistics move towards those of the step: `running = (1 − m)·running + m·sum/count`.
    fn follow_statistics(&mut self, crew: &mut impl Devices<D>, step: &Step, sums: D::View<'_, f32>) {
        let part = self.sizes.parameters..self.sizes.flat();
        if part.is_empty() {
            return;
        }
        let average = AverageStep { scale: (1.0 / step.count as f64) as f32, weight: STATISTICS_WEIGHT };
        for vector in self.vectors.iter_mut().filter(|vector| vector.has_statistics()) {
            let running = D::view_mut(&mut vector.buffer, part.clone());
            average_of(crew, &average, sums, running, part.len());
        }
    }

    /// The flat vector of [`State::averaged`] as a safetensors file: tensors only, no metadata.
    ///
    /// # Errors
    /// If the format refuses a name or shape.
    pub fn to_safetensors(&self, device: &mut D, tensors: &[Tensor]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        weights_file(device, self.averaged(), tensors)
    }
}

impl<D: Device> Vector<D> {
    /// Whether it is a whole flat vector.
    fn has_statistics(&self) -> bool {
        matches!(self.kept.role, Role::Parameters | Role::Average)
    }
}

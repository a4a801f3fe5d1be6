//! The state that a job carries from step to step: one named list of tensors, the cursor and the ledger. Digest,
//! checkpoint and sharing go by this list.

use lockstep_kernels::device::Device;
use lockstep_kernels::optimizer::{Update, Vectors};
use lockstep_proto::ledger::{Gap, Ledger, LedgerRow};
use safetensors::tensor::{Dtype, TensorView};

use super::crew::Crew;
use super::epoch_loss::EpochLoss;
use super::schedule::Cursor;
use crate::model::{Tensor, Weights};

/// Elements below which waking another thread takes longer than updating them.
const WORTH_A_THREAD: usize = 1 << 16;

/// Vectors over all of the model's tensors, in the order of the named list.
const VECTORS: [&str; 2] = ["parameters", "velocity"];

/// Parameters, optimiser state, cursor, ledger. It changes only in [`State::commit`].
pub struct State<D: Device> {
    /// As [`VECTORS`].
    vectors: [D::Buffer<f32>; VECTORS.len()],
    len: usize,
    statistics: D::Buffer<f32>,
    /// How far the job is.
    pub cursor: Cursor,
    /// The loss of the epoch so far.
    pub epoch_loss: EpochLoss,
    /// Which positions are in which committed steps. Not in the digest: it tells who committed.
    pub ledger: Ledger,
}

/// What a step changes beside the vectors.
pub struct Advance {
    /// The cursor behind the step.
    pub cursor: Cursor,
    /// The loss of the epoch with the step.
    pub epoch_loss: EpochLoss,
    /// The step in the ledger.
    pub row: LedgerRow,
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
#[error("its tensor {name} has {theirs} elements, the model's {ours}")]
pub struct Misfit {
    name: String,
    theirs: usize,
    ours: usize,
}

impl<D: Device> State<D> {
    /// The state before the first step.
    pub fn new(device: &mut D, initial: &[f32]) -> Self {
        let len = initial.len();
        let mut parameters = device.zeros(len);
        device.write(initial, D::view_mut(&mut parameters, 0..len));
        Self {
            vectors: [parameters, device.zeros(len)],
            len,
            statistics: device.zeros(0),
            cursor: Cursor::default(),
            epoch_loss: EpochLoss::default(),
            ledger: Ledger::default(),
        }
    }

    /// The flat parameter vector.
    pub fn parameters(&self) -> D::View<'_, f32> {
        D::view(&self.vectors[0], 0..self.len)
    }

    /// What the model computes with.
    pub fn weights(&self) -> Weights<'_, D> {
        Weights { parameters: self.parameters(), statistics: D::view(&self.statistics, 0..0) }
    }

    /// The named list over the model's `tensors`.
    pub fn named<'a>(&'a self, tensors: &'a [Tensor]) -> impl Iterator<Item = Named<'a, D>> {
        let named = |(vector, buffer): (&'a str, &'a D::Buffer<f32>)| {
            tensors.iter().map(move |tensor| Named {
                name: format!("{vector}/{}", tensor.shape.name),
                shape: &tensor.shape.shape,
                values: D::view(buffer, tensor.range.clone()),
                len: tensor.range.len(),
            })
        };
        VECTORS.into_iter().zip(&self.vectors).flat_map(named)
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
        for (vector, buffer) in VECTORS.into_iter().zip(&mut self.vectors) {
            for tensor in tensors {
                let name = format!("{vector}/{}", tensor.shape.name);
                let values = values_of(&name);
                if values.len() != tensor.range.len() {
                    return Err(Misfit { name, theirs: values.len(), ours: tensor.range.len() });
                }
                device.write(values, D::view_mut(buffer, tensor.range.clone()));
            }
        }
        Ok(())
    }

    /// Applies one update to all of the state, each of the crew's devices to a part.
    ///
    /// # Errors
    /// If the step does not follow those in the ledger; nothing is changed then.
    pub fn commit(
        &mut self,
        crew: &mut Crew<D>,
        update: &Update,
        gradient: D::View<'_, f32>,
        advance: Advance,
    ) -> Result<(), Gap> {
        self.ledger.add(advance.row)?;
        // The update is element-wise: who does which part does not show in the result.
        let threads = crew.threads().min(self.len / WORTH_A_THREAD).max(1);
        let [parameters, velocity] = &mut self.vectors;
        let mut parameters = D::view_mut(parameters, 0..self.len);
        let mut velocity = D::view_mut(velocity, 0..self.len);
        let mut parts = Vec::with_capacity(threads);
        for thread in 0..threads {
            let (start, end) = (self.len * thread / threads, self.len * (thread + 1) / threads);
            let (part, rest) = D::split_mut(parameters, end - start);
            let (velocity_part, velocity_rest) = D::split_mut(velocity, end - start);
            parts.push((D::slice(gradient, start..end), velocity_part, part));
            (parameters, velocity) = (rest, velocity_rest);
        }
        crew.run(parts, |runner, (gradient, velocity, parameters)| {
            let state = [Some(velocity), None, None];
            runner.device.update(update, Vectors { gradient, parameters, state });
        });
        (self.cursor, self.epoch_loss) = (advance.cursor, advance.epoch_loss);
        Ok(())
    }

    /// The parameters as a safetensors file: tensors only, no metadata.
    ///
    /// # Errors
    /// If the format refuses a name or shape.
    pub fn to_safetensors(&self, device: &mut D, tensors: &[Tensor]) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let mut values = vec![0.0f32; self.len];
        device.read(self.parameters(), &mut values);
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let view = |tensor: &Tensor| {
            let data = &bytes[tensor.range.start * 4..tensor.range.end * 4];
            Ok((tensor.shape.name.clone(), TensorView::new(Dtype::F32, tensor.shape.shape.clone(), data)?))
        };
        let views = tensors.iter().map(view).collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        safetensors::serialize(views, None)
    }
}

//! The state that a job carries from step to step: one named list of tensors, and the cursor.

use lockstep_kernels::device::Device;
use lockstep_kernels::sgd::SgdStep;
use safetensors::tensor::{Dtype, TensorView};

use super::crew::Crew;
use super::schedule::Cursor;
use crate::model::Tensor;

/// Elements below which waking another thread takes longer than updating them.
const WORTH_A_THREAD: usize = 1 << 16;

/// Parameters, optimiser state and cursor. It changes only in [`State::commit`].
pub struct State<D: Device> {
    parameters: D::Buffer<f32>,
    velocity: D::Buffer<f32>,
    len: usize,
    /// How far the job is.
    pub cursor: Cursor,
}

impl<D: Device> State<D> {
    /// The state before the first step.
    pub fn new(device: &mut D, initial: &[f32]) -> Self {
        let len = initial.len();
        let mut parameters = device.zeros(len);
        device.write(initial, D::view_mut(&mut parameters, 0..len));
        Self { parameters, velocity: device.zeros(len), len, cursor: Cursor::default() }
    }

    /// The flat parameter vector.
    pub fn parameters(&self) -> D::View<'_, f32> {
        D::view(&self.parameters, 0..self.len)
    }

    /// Applies one update to all of the state, each of the crew's devices to a part, and moves the cursor.
    pub fn commit(&mut self, crew: &mut Crew<D>, step: &SgdStep, gradient: D::View<'_, f32>, cursor: Cursor) {
        // The update is element-wise: who does which part does not show in the result.
        let threads = crew.threads().min(self.len / WORTH_A_THREAD).max(1);
        let mut parameters = D::view_mut(&mut self.parameters, 0..self.len);
        let mut velocity = D::view_mut(&mut self.velocity, 0..self.len);
        let mut parts = Vec::with_capacity(threads);
        for thread in 0..threads {
            let (start, end) = (self.len * thread / threads, self.len * (thread + 1) / threads);
            let (part, rest) = D::split_mut(parameters, end - start);
            let (velocity_part, velocity_rest) = D::split_mut(velocity, end - start);
            parts.push((D::slice(gradient, start..end), velocity_part, part));
            (parameters, velocity) = (rest, velocity_rest);
        }
        crew.run(parts, |runner, (gradient, velocity, parameters)| {
            runner.device.sgd_update(step, gradient, velocity, parameters);
        });
        self.cursor = cursor;
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

//! Ops one by one, at sizes of ResNet-50's layers: what each achieves of what the GPU can do at most.
//!
//! `products` are those that a library may compute, `passes` those that go over memory once or a few times.

mod passes;
mod products;

use std::time::Duration;

use lockstep_kernels::cuda::{Buffer, Cuda, CudaError, View, ViewMut};
use lockstep_kernels::device::{ActivationShape, Memory};
use lockstep_worker::selftest::Effort;

use super::kernels::Kernels;
use super::timing::median_on;

/// What an op can't do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes that it reads and writes: each operand once, and again where a sum over all of it comes in between.
    pub bytes: usize,
    /// Operations of f32; a multiply-add is two. 0 where they don't count beside the bytes.
    pub operations: usize,
}

/// An op at one size.
pub struct OpRow {
    pub op: &'static str,
    /// In words.
    pub size: String,
    pub kernels: Kernels,
    pub cost: Cost,
    /// Median.
    pub time: Duration,
}

/// Ops that are measured one after the other.
pub struct OpBench<'g> {
    gpu: &'g mut Cuda,
    kernels: Kernels,
    sizes: Sizes,
    turns: usize,
    /// What came of them.
    pub rows: Vec<OpRow>,
}

impl<'g> OpBench<'g> {
    /// None yet.
    pub fn new(gpu: &'g mut Cuda, kernels: Kernels, effort: Effort, turns: usize) -> Self {
        Self { gpu, kernels, sizes: Sizes::of(effort), turns, rows: Vec::new() }
    }

    /// Times an op and notes it.
    fn measure(
        &mut self,
        op: &'static str,
        size: &str,
        cost: Cost,
        run: impl FnMut(&mut Cuda),
    ) -> Result<(), CudaError> {
        let time = median_on(self.gpu, self.turns, run)?;
        self.rows.push(OpRow { op, size: size.into(), kernels: self.kernels.clone(), cost, time });
        Ok(())
    }

    /// Of parameters and other vectors, between −1 and 1.
    fn numbers(&mut self, len: usize) -> Floats {
        Floats::numbers(self.gpu, len)
    }

    fn zeros(&mut self, len: usize) -> Floats {
        Floats::zeros(self.gpu, len)
    }

    /// An activation of so many values.
    fn activation(&mut self, values: usize) -> Floats {
        Floats::activation(self.gpu, values)
    }

    /// Bytes of an activation of so many values.
    fn values(&self, values: usize) -> usize {
        self.gpu.precision().bytes() * values
    }
}

/// Sizes of ResNet-50's layers, or slivers of them.
#[derive(Clone, Copy)]
struct Sizes {
    samples: usize,
    /// By what channels are divided.
    channels: usize,
    /// By what heights and widths are divided.
    sides: usize,
    /// Elements of the flat vector.
    parameters: usize,
}

impl Sizes {
    fn of(effort: Effort) -> Self {
        match effort {
            Effort::Small => Self { samples: 2, channels: 16, sides: 8, parameters: 10_000 },
            Effort::Full => Self { samples: 64, channels: 1, sides: 1, parameters: 25_557_032 },
        }
    }

    fn channels(&self, channels: usize) -> usize {
        channels.div_ceil(self.channels)
    }

    fn side(&self, side: usize) -> usize {
        side.div_ceil(self.sides)
    }
}

/// A vector or an activation in the GPU's memory.
pub struct Floats {
    buffer: Buffer<f32>,
    len: usize,
}

/// Words after which numbers come again.
const PERIOD: usize = 1 << 20;

impl Floats {
    fn zeros(gpu: &Cuda, len: usize) -> Self {
        Self { buffer: gpu.zeros(len), len }
    }

    /// A vector of numbers between −1 and 1: with zeros a GPU takes less power than at work.
    pub fn numbers(gpu: &mut Cuda, len: usize) -> Self {
        let mut pattern = Self::zeros(gpu, len.min(PERIOD));
        let numbers = scattered(pattern.len);
        gpu.write(&numbers, pattern.view_mut());
        pattern.repeated(gpu, len)
    }

    /// The same as an activation of so many values.
    pub fn activation(gpu: &mut Cuda, values: usize) -> Self {
        let some = values.min(PERIOD);
        let mut pattern = Self::zeros(gpu, gpu.activation_len(1, some));
        gpu.write_activation(&ActivationShape::flat(1, some), &scattered(some), pattern.view_mut());
        let len = gpu.activation_len(1, values);
        pattern.repeated(gpu, len)
    }

    fn repeated(self, gpu: &mut Cuda, len: usize) -> Self {
        let mut all = Self::zeros(gpu, len);
        for start in (0..len).step_by(self.len.max(1)) {
            let end = len.min(start + self.len);
            let to = Cuda::view_mut(&mut all.buffer, start..end);
            gpu.copy(Cuda::view(&self.buffer, 0..end - start), to);
        }
        all
    }

    pub fn view(&self) -> View<'_, f32> {
        Cuda::view(&self.buffer, 0..self.len)
    }

    pub fn view_mut(&mut self) -> ViewMut<'_, f32> {
        Cuda::view_mut(&mut self.buffer, 0..self.len)
    }
}

fn scattered(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Bytes of so many elements of f32.
fn floats(elements: usize) -> usize {
    size_of::<f32>() * elements
}

//! Ops one by one, at sizes of ResNet-50's layers: what each achieves of what the GPU can do at most.
//!
//! `products` are those that a library may compute, `passes` those that go over memory once or a few times.

mod passes;
mod products;

use std::time::Duration;

use lockstep_kernels::cuda::{Buffer, Cuda, CudaError, View, ViewMut};
use lockstep_kernels::device::Memory;
use lockstep_worker::selftest::Effort;

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
    /// Whose kernels compute what is large.
    pub kernels: String,
    pub cost: Cost,
    /// Median.
    pub time: Duration,
}

/// Ops that are measured one after the other.
pub struct OpBench<'g> {
    gpu: &'g mut Cuda,
    kernels: String,
    sizes: Sizes,
    turns: usize,
    /// What came of them.
    pub rows: Vec<OpRow>,
}

impl<'g> OpBench<'g> {
    /// None yet.
    pub fn new(gpu: &'g mut Cuda, kernels: String, effort: Effort, turns: usize) -> Self {
        Self { gpu, kernels, sizes: Sizes::of(effort), turns, rows: Vec::new() }
    }

    /// All ops.
    ///
    /// # Errors
    /// If the GPU fails.
    pub fn all(&mut self) -> Result<(), CudaError> {
        self.products()?;
        self.passes()
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

    /// Numbers between −1 and 1.
    fn numbers(&mut self, len: usize) -> Floats {
        let mut floats = Floats::zeros(self.gpu, len);
        scatter(self.gpu, &mut floats.buffer, len);
        floats
    }

    fn zeros(&mut self, len: usize) -> Floats {
        Floats::zeros(self.gpu, len)
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

/// A vector in the GPU's memory.
struct Floats {
    buffer: Buffer<f32>,
    len: usize,
}

impl Floats {
    fn zeros(gpu: &Cuda, len: usize) -> Self {
        Self { buffer: gpu.zeros(len), len }
    }

    fn view(&self) -> View<'_, f32> {
        Cuda::view(&self.buffer, 0..self.len)
    }

    fn view_mut(&mut self) -> ViewMut<'_, f32> {
        Cuda::view_mut(&mut self.buffer, 0..self.len)
    }
}

/// Bytes of so many elements of f32.
fn floats(elements: usize) -> usize {
    size_of::<f32>() * elements
}

/// Fills a buffer with numbers between −1 and 1: with zeros a GPU takes less power than at work.
pub fn scatter(gpu: &mut Cuda, to: &mut Buffer<f32>, len: usize) {
    const PERIOD: usize = 1 << 20;
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let first = len.min(PERIOD);
    let numbers: Vec<f32> = (0..first).map(|_| next()).collect();
    let mut pattern = gpu.zeros::<f32>(first);
    gpu.write(&numbers, Cuda::view_mut(&mut pattern, 0..first));
    for start in (0..len).step_by(PERIOD) {
        let end = len.min(start + PERIOD);
        gpu.copy(Cuda::view(&pattern, 0..end - start), Cuda::view_mut(to, start..end));
    }
}

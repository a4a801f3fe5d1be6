//! Norms of tensors: sums of squares over fixed blocks of 4,096 elements that start anew at each tensor, in f64, added
//! in the order of blocks.

use std::ops::Range;

use lockstep_kernels::device::Device;
use lockstep_kernels::fold::BLOCK;

use super::strips;
use crate::model::Tensor;
use crate::trainer::crew::Devices;

/// The blocks of a flat vector.
pub struct Blocks<D: Device> {
    /// Where each block's elements lie.
    ranges: Vec<Range<usize>>,
    /// Which blocks are a tensor's.
    tensors: Vec<Range<usize>>,
    /// Elements of all.
    len: usize,
    sums: Vec<f64>,
    /// What each thread has for its blocks since it was first asked.
    shares: Vec<Option<Share<D>>>,
}

/// A thread's blocks, and where its device writes their sums.
struct Share<D: Device> {
    parts: D::Parts,
    sums: D::Buffer<f64>,
}

impl<D: Device> Share<D> {
    fn new(device: &mut D, blocks: &[Range<usize>]) -> Self {
        Self { parts: device.parts(blocks), sums: device.zeros(blocks.len()) }
    }

    /// Σ x² of each block.
    fn read(&mut self, device: &mut D, vector: D::View<'_, f32>, sums: &mut [f64]) {
        device.squared_norms(&self.parts, vector, D::view_mut(&mut self.sums, 0..sums.len()));
        device.read(D::view(&self.sums, 0..sums.len()), sums);
    }
}

impl<D: Device> Blocks<D> {
    /// The blocks of `tensors`.
    pub fn new(tensors: &[Tensor]) -> Self {
        let (mut ranges, mut of_tensors) = (Vec::new(), Vec::new());
        for tensor in tensors {
            let first = ranges.len();
            let Range { start, end } = tensor.range;
            ranges.extend((start..end).step_by(BLOCK).map(|block| block..(block + BLOCK).min(end)));
            of_tensors.push(first..ranges.len());
        }
        let (sums, len) = (vec![0.0; ranges.len()], tensors.last().map_or(0, |tensor| tensor.range.end));
        Self { ranges, tensors: of_tensors, len, sums, shares: Vec::new() }
    }

    /// The norm of each tensor's part of `vector`.
    pub fn norms(&mut self, crew: &mut impl Devices<D>, vector: D::View<'_, f32>) -> Vec<f64> {
        let mut sums = self.sums.as_mut_slice();
        let mut blocks = self.ranges.as_slice();
        let threads = strips::ranges(self.len, crew.threads()).count();
        self.shares.resize_with(threads, || None);
        let mut parts = Vec::new();
        for (thread, share) in self.shares.iter_mut().enumerate() {
            let count = blocks.len() / (threads - thread);
            let (part, of_thread);
            (part, sums) = sums.split_at_mut(count);
            (of_thread, blocks) = blocks.split_at(count);
            parts.push((share, of_thread, part));
        }
        crew.each_device(parts, |device, (share, blocks, sums)| {
            share.get_or_insert_with(|| Share::new(device, blocks)).read(device, vector, sums);
        });
        self.tensors.iter().map(|blocks| self.sums[blocks.clone()].iter().sum::<f64>().sqrt()).collect()
    }
}

/// The norm of all tensors together.
pub fn of_all(norms: &[f64]) -> f64 {
    norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt()
}

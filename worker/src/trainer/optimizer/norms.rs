//! Norms of tensors or layers: sums of squares over fixed blocks of 4,096 elements that start anew at each, in f64, added
//! in the order of blocks.

use std::ops::Range;

use lockstep_kernels::device::Device;
use lockstep_kernels::fold::BLOCK;

use super::strips;
use crate::trainer::crew::Devices;

/// The blocks of a flat vector.
pub struct Blocks<D: Device> {
    /// Where each block's elements lie.
    ranges: Vec<Range<usize>>,
    /// Which blocks are a part's.
    parts: Vec<Range<usize>>,
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
    /// The blocks of `parts`, a tensor or a layer each, in the order of the vector.
    pub fn new(parts: impl IntoIterator<Item = Range<usize>>) -> Self {
        let (mut ranges, mut of_parts, mut len) = (Vec::new(), Vec::new(), 0);
        for Range { start, end } in parts {
            let first = ranges.len();
            ranges.extend((start..end).step_by(BLOCK).map(|block| block..(block + BLOCK).min(end)));
            of_parts.push(first..ranges.len());
            len = end;
        }
        let sums = vec![0.0; ranges.len()];
        Self { ranges, parts: of_parts, len, sums, shares: Vec::new() }
    }

    /// The norm of each part of `vector`.
    pub fn norms(&mut self, crew: &mut impl Devices<D>, vector: D::View<'_, f32>) -> Vec<f64> {
        self.squared_norms(crew, vector).map(f64::sqrt).collect()
    }

    /// `Σ x²` of each part of `vector`.
    pub fn squared_norms(&mut self, crew: &mut impl Devices<D>, vector: D::View<'_, f32>) -> impl Iterator<Item = f64> {
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
        self.parts.iter().map(|blocks| self.sums[blocks.clone()].iter().sum())
    }
}

/// The norm of all tensors together.
pub fn of_all(norms: &[f64]) -> f64 {
    norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt()
}

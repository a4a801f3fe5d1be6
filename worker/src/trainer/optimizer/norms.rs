//! Norms of tensors: sums of squares over fixed blocks of 4,096 elements that start anew at each tensor, in f64, added
//! in the order of blocks.

use std::ops::Range;

use lockstep_kernels::device::Device;
use lockstep_kernels::fold::BLOCK;

use super::strips;
use crate::model::Tensor;
use crate::trainer::crew::Devices;

/// The blocks of a flat vector.
pub struct Blocks {
    /// Where each block's elements lie.
    ranges: Vec<Range<usize>>,
    /// Which blocks are a tensor's.
    tensors: Vec<Range<usize>>,
    /// Elements of all.
    len: usize,
    sums: Vec<f64>,
}

impl Blocks {
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
        Self { ranges, tensors: of_tensors, len, sums }
    }

    /// The norm of each tensor's part of `vector`.
    pub fn norms<D: Device>(&mut self, crew: &mut impl Devices<D>, vector: D::View<'_, f32>) -> Vec<f64> {
        let mut sums = self.sums.as_mut_slice();
        let mut blocks = self.ranges.as_slice();
        let threads = strips::ranges(self.len, crew.threads()).count();
        let mut parts = Vec::new();
        for thread in 0..threads {
            let count = blocks.len() / (threads - thread);
            let part;
            (part, sums) = sums.split_at_mut(count);
            parts.push((part, &blocks[..count]));
            blocks = &blocks[count..];
        }
        crew.each_device(parts, |device, (sums, blocks)| {
            for (sum, block) in sums.iter_mut().zip(blocks) {
                device.squared_block_norms(D::slice(vector, block.clone()), std::slice::from_mut(sum));
            }
        });
        self.tensors.iter().map(|blocks| self.sums[blocks.clone()].iter().sum::<f64>().sqrt()).collect()
    }
}

/// The norm of all tensors together.
pub fn of_all(norms: &[f64]) -> f64 {
    norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt()
}

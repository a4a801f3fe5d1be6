//! Folds on a GPU.

use std::ops::Range;

use super::{BLOCK, Fold};
use crate::cuda::launch::{Grid, narrow};
use crate::cuda::{Buffer, Cuda, View, ViewMut, assert_len};
use crate::device::Memory;

/// Threads that sum a block.
const LANES: usize = 16;

/// Parts of a vector, cut into blocks: a table in the GPU's memory.
pub struct Parts {
    /// First element and end of each block.
    ranges: Buffer<u32>,
    blocks: usize,
    /// First block of each part, and behind the last the number of all.
    firsts: Buffer<u32>,
    count: usize,
    /// Elements that a vector has at least.
    end: usize,
}

impl Fold for Cuda {
    type Parts = Parts;

    fn fold_add(&mut self, sum: ViewMut<'_, f32>, value: View<'_, f32>) {
        assert_len("value", value.len(), sum.len());
        self.launch("fold_add", Grid::elements(sum.len()), &[(&sum).into(), value.into(), sum.len().into()]);
    }

    fn parts(&mut self, parts: &[Range<usize>]) -> Parts {
        let (mut ranges, mut firsts) = (Vec::new(), vec![0]);
        for part in parts {
            let blocks = part.clone().step_by(BLOCK);
            ranges.extend(blocks.flat_map(|start| [start, (start + BLOCK).min(part.end)]).map(narrow));
            firsts.push(narrow(ranges.len() / 2));
        }
        let mut table = |values: &[u32]| {
            let mut buffer = self.zeros(values.len());
            self.write(values, Cuda::view_mut(&mut buffer, 0..values.len()));
            buffer
        };
        Parts {
            blocks: ranges.len() / 2,
            ranges: table(&ranges),
            firsts: table(&firsts),
            count: parts.len(),
            end: parts.iter().map(|part| part.end).max().unwrap_or(0),
        }
    }

    fn squared_norms(&mut self, parts: &Parts, x: View<'_, f32>, norms: ViewMut<'_, f64>) {
        let Parts { ranges, blocks, firsts, count, end } = parts;
        assert!(*end <= x.len(), "a part reaches to element {end} of {}", x.len());
        assert_len("norms", norms.len(), *count);
        let sums = self.scratch(2 * blocks);
        let arguments = [x.into(), Cuda::view(ranges, 0..2 * blocks).into(), sums.into(), (*blocks).into()];
        self.launch("fold_squared_block_norms", Grid::elements(blocks * LANES), &arguments);
        let arguments = [sums.into(), Cuda::view(firsts, 0..count + 1).into(), (&norms).into()];
        self.launch("fold_squared_norms", Grid::blocks([*count, 1, 1]), &arguments);
    }
}

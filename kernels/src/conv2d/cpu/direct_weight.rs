//! Gradient of the weight with the 16 samples in the lanes: each of its elements is a vector of 16 sums, over pixels
//! and groups of samples. For few channels in; many are better in the lanes (`channel_weight`).

use std::array::from_fn;
use std::ops::Range;

use super::axis::Axis;
use super::strip::StripLayout;
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH, horizontal_sums};

pub(super) struct DirectWeight<'a> {
    pub size: &'a Conv2dSize,
    pub x: &'a [Pack],
    pub d_y: &'a [Pack],
    pub d_weight: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for DirectWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let DirectWeight { size, x, d_y, d_weight, scratch } = self;
        let sums = scratch.sums.packs(d_weight.len());
        sums.fill([0.0; WIDTH]);
        let rows = Axis::of_forward(size, size.height, size.out_height());
        let columns = Axis::of_forward(size, size.width, size.out_width());
        let (in_channels, out_channels) = (size.in_channels / size.groups, size.out_channels / size.groups);
        let layout = StripLayout::new(rows, columns, in_channels);
        let taps = size.kernel * size.kernel;
        let offsets = &mut scratch.offsets;
        offsets.clear();
        offsets.extend((0..taps).map(|tap| layout.offset(tap / size.kernel, tap % size.kernel)));
        let parts = x.chunks_exact(in_channels * size.height * size.width);
        let parts = parts.zip(d_y.chunks_exact(out_channels * rows.results * columns.results));
        for (part, (x, d_y)) in parts.enumerate() {
            let weights = out_channels * in_channels * taps;
            let sums = &mut sums[part % size.groups * weights..][..weights];
            let mut row = 0;
            while row < rows.results {
                let results = layout.results.min(rows.results - row);
                let x = layout.fill(x, row, results, &mut scratch.input);
                let strip = Strip { size, layout: &layout, offsets, x, d_y, rows: row..row + results };
                for c in 0..in_channels {
                    let mut tap = 0;
                    while tap < taps {
                        tap += match taps - tap {
                            5.. => strip.all_outputs::<S, 5>(s, c, tap, sums),
                            4 => strip.all_outputs::<S, 4>(s, c, tap, sums),
                            3 => strip.all_outputs::<S, 3>(s, c, tap, sums),
                            2 => strip.all_outputs::<S, 2>(s, c, tap, sums),
                            _ => strip.all_outputs::<S, 1>(s, c, tap, sums),
                        };
                    }
                }
                row += results;
            }
        }
        reduce(s, sums, d_weight);
    }
}

/// Rows of one group's results, and the input that they saw.
struct Strip<'a> {
    size: &'a Conv2dSize,
    layout: &'a StripLayout,
    /// Of each tap, from a window's corner.
    offsets: &'a [usize],
    x: &'a [Pack],
    d_y: &'a [Pack],
    rows: Range<usize>,
}

impl Strip<'_> {
    /// `V` neighbouring weights of channel `c`, from `tap` on, of every output channel. Returns `V`.
    #[inline(always)]
    fn all_outputs<S: Simd, const V: usize>(&self, s: S, c: usize, tap: usize, sums: &mut [Pack]) -> usize {
        let out_channels = self.size.out_channels / self.size.groups;
        let mut o = 0;
        while o < out_channels {
            o += match out_channels - o {
                4.. if S::MANY_REGISTERS => self.block::<S, 4, V>(s, (o, c, tap), sums),
                3.. if S::MANY_REGISTERS => self.block::<S, 3, V>(s, (o, c, tap), sums),
                2.. if S::MANY_REGISTERS => self.block::<S, 2, V>(s, (o, c, tap), sums),
                _ => self.block::<S, 1, V>(s, (o, c, tap), sums),
            };
        }
        V
    }

    /// `O` output channels × `V` weights in registers, over all pixels. Returns `O`.
    #[inline(always)]
    fn block<S: Simd, const O: usize, const V: usize>(
        &self,
        s: S,
        (o, c, tap): (usize, usize, usize),
        sums: &mut [Pack],
    ) -> usize {
        let (out_height, out_width) = (self.size.out_height(), self.size.out_width());
        let mut total = [[s.splat(0.0); V]; O];
        let x = &self.x[c * self.layout.plane()..];
        for (i, row) in self.rows.clone().enumerate() {
            let corner = i * self.layout.result_row();
            let x: [&[Pack]; V] = from_fn(|v| &x[corner + self.offsets[tap + v]..][..out_width]);
            let d: [&[Pack]; O] = from_fn(|k| &self.d_y[((o + k) * out_height + row) * out_width..][..out_width]);
            for j in 0..out_width {
                let mut packs = [s.splat(0.0); V];
                for v in 0..V {
                    packs[v] = s.load(&x[v][j]);
                }
                for k in 0..O {
                    let d = s.load(&d[k][j]);
                    for v in 0..V {
                        total[k][v] = s.fma(d, packs[v], total[k][v]);
                    }
                }
            }
        }
        let in_channels = self.size.in_channels / self.size.groups;
        for k in 0..O {
            let sums = &mut sums[((o + k) * in_channels + c) * self.offsets.len() + tap..][..V];
            for v in 0..V {
                let sum = s.add(s.load(&sums[v]), total[k][v]);
                s.store(&mut sums[v], sum);
            }
        }
        O
    }
}

/// The sum over the lanes of each pack.
#[inline(always)]
pub(crate) fn reduce<S: Simd>(s: S, sums: &[Pack], to: &mut [f32]) {
    for (sums, to) in sums.chunks(WIDTH).zip(to.chunks_mut(WIDTH)) {
        let mut block = [[0.0; WIDTH]; WIDTH];
        block[..sums.len()].copy_from_slice(sums);
        let mut total = [0.0; WIDTH];
        s.store(&mut total, horizontal_sums(s, &block));
        to.copy_from_slice(&total[..to.len()]);
    }
}

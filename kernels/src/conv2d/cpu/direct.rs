//! Direct convolution of planes: a block of channels × neighbouring pixels in registers, sums over (channel, row,
//! column) of the kernel in that order.

use std::ops::Range;

use super::axis::Axis;
use super::strip::StripLayout;
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Register, Simd, WIDTH};

/// A convolution of planes of packs: the forward pass, or a part of the input's gradient seen as one.
#[derive(Clone, Copy)]
pub(crate) struct Geometry {
    pub rows: Axis,
    pub columns: Axis,
    /// Channels summed over, of one group of channels.
    from_channels: usize,
    /// Channels produced, of one group of channels.
    to_channels: usize,
    channel_groups: usize,
    kernel: usize,
    /// The result's planes.
    to_height: usize,
    to_width: usize,
    /// Whether the weight is stored (from, to, K, K).
    transposed: bool,
}

impl Geometry {
    pub(crate) fn of_forward(size: &Conv2dSize) -> Self {
        let (to_height, to_width) = (size.out_height(), size.out_width());
        Geometry {
            rows: Axis::of_forward(size, size.height, to_height),
            columns: Axis::of_forward(size, size.width, to_width),
            from_channels: size.in_channels / size.groups,
            to_channels: size.out_channels / size.groups,
            channel_groups: size.groups,
            kernel: size.kernel,
            to_height,
            to_width,
            transposed: false,
        }
    }

    /// The gradient of the input's pixels (i, j) with i ≡ `phases.0`, j ≡ `phases.1` modulo the stride.
    pub(super) fn of_backward(size: &Conv2dSize, phases: (usize, usize)) -> Self {
        Geometry {
            rows: Axis::of_backward(size, size.height, size.out_height(), phases.0),
            columns: Axis::of_backward(size, size.width, size.out_width(), phases.1),
            from_channels: size.out_channels / size.groups,
            to_channels: size.in_channels / size.groups,
            channel_groups: size.groups,
            kernel: size.kernel,
            to_height: size.height,
            to_width: size.width,
            transposed: true,
        }
    }

    fn taps(&self) -> usize {
        self.rows.taps * self.columns.taps
    }

    /// Numbers that the weights in reading order take, in blocks of `channels`.
    pub(crate) fn packed_weights(&self, channels: usize) -> usize {
        self.channel_groups * self.to_channels.next_multiple_of(channels) * self.from_channels * self.taps()
    }

    /// Where the kernel of (to, from) of a group of channels begins in the canonical array.
    fn filter(&self, group: usize, to: usize, from: usize) -> usize {
        let (all_from, all_to) = (self.from_channels, self.to_channels);
        let filter = match self.transposed {
            false => (group * all_to + to) * all_from + from,
            true => (group * all_from + from) * all_to + to,
        };
        filter * self.kernel * self.kernel
    }
}

/// Terms that are added one after the other: longer sums are made of such runs, which halves the error of 1,000 terms.
const TERMS_IN_A_RUN: usize = 256;

/// Channels of a run whose rows are too many streams.
const MANY_CHANNELS: usize = 16;

pub(super) struct Direct<'a> {
    pub geometry: Geometry,
    pub x: &'a [Pack],
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [Pack],
    pub accumulation: Accumulation,
    pub scratch: &'a mut Scratch,
}

impl Kernel for Direct<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let g = &self.geometry;
        let (to, width) = (g.to_channels, g.columns.results);
        // Blocks of 6 channels cost the fewest loads; others where 6 would compute too many that do not exist.
        let by_6 = to.next_multiple_of(6) * 8 < to.next_multiple_of(4) * 9;
        // Channels × pixels in registers: up to 24 sums of 32 registers, 6 of 8 virtual ones.
        match (S::MANY_REGISTERS, to) {
            (false, 1) => self.planes::<S, 1, 5>(s),
            (false, _) => self.planes::<S, 6, 1>(s),
            (true, 1) => self.planes::<S, 1, 8>(s),
            (true, _) if by_6 => self.planes::<S, 6, 4>(s),
            (true, _) if width.is_multiple_of(5) => self.planes::<S, 4, 5>(s),
            (true, _) => self.planes::<S, 4, 6>(s),
        }
    }
}

impl Direct<'_> {
    #[inline(always)]
    fn planes<S: Simd, const C: usize, const P: usize>(self, s: S) {
        let Direct { geometry: g, x, weight, bias, y, accumulation, scratch } = self;
        let weights = pack_weights::<C>(&g, weight, scratch.weights.numbers(g.packed_weights(C)));
        let taps = g.taps();
        let channels = TERMS_IN_A_RUN.checked_div(taps).unwrap_or(g.from_channels).clamp(1, g.from_channels);
        let layout = StripLayout::new(g.rows, g.columns, channels);
        let offsets = &mut scratch.offsets;
        offsets.clear();
        offsets.extend((0..taps).map(|tap| layout.offset(tap / g.columns.taps, tap % g.columns.taps)));
        let (plane, to) = (g.rows.source * g.columns.source, g.to_height * g.to_width);
        // One group of channels of one group of samples at a time.
        let parts = x.chunks_exact(g.from_channels * plane).zip(y.chunks_exact_mut(g.to_channels * to));
        for (part, (x, y)) in parts.enumerate() {
            let channel_group = part % g.channel_groups;
            let (window, blocks) = (g.from_channels * taps, g.to_channels.div_ceil(C));
            let weights = &weights[channel_group * blocks * window..][..blocks * window];
            let bias = bias.map_or(&[][..], |bias| &bias[channel_group * g.to_channels..][..g.to_channels]);
            let mut row = 0;
            while row < g.rows.results {
                let rows = row..g.rows.results.min(row + layout.results);
                row = rows.end;
                // A run of terms at a time: its part of the input stays in the second-level cache.
                let (mut bias, mut accumulation) = (bias, accumulation);
                for (run, x) in x.chunks(channels * plane).enumerate() {
                    let x = layout.fill(x, rows.start, rows.len(), &mut scratch.input);
                    let place = (run * channels * taps, window);
                    let strip = Strip { g: &g, layout: &layout, offsets, x, rows: rows.clone() };
                    strip.run::<S, C, P>(s, Run { weights, place, bias, accumulation }, y);
                    (bias, accumulation) = (&[], Accumulation::Add);
                }
            }
        }
    }
}

/// Weights in reading order: (group, block of `C` channels, from, tap, channel); channels that do not exist get zeros.
pub(crate) fn pack_weights<'a, const C: usize>(g: &Geometry, weight: &[f32], packed: &'a mut [f32]) -> &'a [[f32; C]] {
    let packed = packed.as_chunks_mut::<C>().0;
    let (taps, blocks) = (g.taps(), g.to_channels.div_ceil(C));
    if taps == 0 {
        return packed;
    }
    for (part, packed) in packed.chunks_exact_mut(g.from_channels * taps).enumerate() {
        let (group, block) = (part / blocks, part % blocks);
        for (from, packed) in packed.chunks_exact_mut(taps).enumerate() {
            for c in 0..C {
                let to = block * C + c;
                let filter = (to < g.to_channels).then(|| &weight[g.filter(group, to, from)..]);
                for u in 0..g.rows.taps {
                    let row = g.rows.kernel(u) * g.kernel;
                    for v in 0..g.columns.taps {
                        packed[u * g.columns.taps + v][c] = filter.map_or(0.0, |w| w[row + g.columns.kernel(v)]);
                    }
                }
            }
        }
    }
    packed
}

/// Rows of results of one group, and what they are computed from: the channels of a run of terms.
struct Strip<'a> {
    g: &'a Geometry,
    layout: &'a StripLayout,
    /// Of each tap, from a window's corner.
    offsets: &'a [usize],
    x: &'a [Pack],
    rows: Range<usize>,
}

/// The weights of a run of terms, and what happens with their sum.
#[derive(Clone, Copy)]
struct Run<'a, const C: usize> {
    /// Of all terms, block of channels by block.
    weights: &'a [[f32; C]],
    /// The run's first term, and the terms of a block.
    place: (usize, usize),
    /// Where sums start: at 0 for channels that it lacks.
    bias: &'a [f32],
    accumulation: Accumulation,
}

/// Of a block of channels.
#[derive(Clone, Copy)]
struct Sums<'a, const C: usize> {
    weights: &'a [[f32; C]],
    start: [f32; C],
    accumulation: Accumulation,
}

impl Strip<'_> {
    /// All its pixels, of all channels.
    #[inline(always)]
    fn run<S: Simd, const C: usize, const P: usize>(&self, s: S, run: Run<C>, y: &mut [Pack]) {
        let width = self.g.columns.results;
        // Of many channels a pixel's window stays in the first-level cache for all blocks of results. Few are few streams
        // along a row, which the processor fetches ahead.
        let many = self.x.len() >= MANY_CHANNELS * self.layout.plane();
        let at_once = if many { P } else { width.max(1) };
        for row in self.rows.clone() {
            for first in (0..width).step_by(at_once) {
                let columns = first..width.min(first + at_once);
                self.blocks::<S, C, P>(s, row, columns, run, y);
            }
        }
    }

    /// Some columns of a row, block of channels by block.
    #[inline(always)]
    fn blocks<S: Simd, const C: usize, const P: usize>(
        &self,
        s: S,
        row: usize,
        columns: Range<usize>,
        run: Run<C>,
        y: &mut [Pack],
    ) {
        let (first, window) = run.place;
        for (block, y) in y.chunks_mut(C * self.g.to_height * self.g.to_width).enumerate() {
            let mut start = [0.0; C];
            if let Some(bias) = run.bias.get(block * C..) {
                start.iter_mut().zip(bias).for_each(|(start, bias)| *start = *bias);
            }
            let weights = &run.weights[block * window..][..window][first..];
            let sums = Sums { weights, start, accumulation: run.accumulation };
            let mut j = columns.start;
            while j < columns.end {
                j += match columns.end - j {
                    rest if rest >= P => self.pixels::<S, C, P>(s, (row, j), sums, y),
                    4.. => self.pixels::<S, C, 4>(s, (row, j), sums, y),
                    3 => self.pixels::<S, C, 3>(s, (row, j), sums, y),
                    2 => self.pixels::<S, C, 2>(s, (row, j), sums, y),
                    _ => self.pixels::<S, C, 1>(s, (row, j), sums, y),
                };
            }
        }
    }

    /// `P` neighbouring pixels of `C` channels. Returns `P`.
    #[inline(always)]
    fn pixels<S: Simd, const C: usize, const P: usize>(
        &self,
        s: S,
        (row, column): (usize, usize),
        of: Sums<C>,
        y: &mut [Pack],
    ) -> usize {
        let g = self.g;
        let at = (g.rows.to_first + row * g.rows.to_step, g.columns.to_first + column * g.columns.to_step);
        let y = &mut y[at.0 * g.to_width + at.1..];
        // What will be written lies in planes too far apart to be fetched ahead.
        for c in 0..C {
            for p in 0..P {
                if let Some(y) = y.get(c * g.to_height * g.to_width + p * g.columns.to_step) {
                    s.register().prefetch(&y[0]);
                }
            }
        }
        let mut sums = [[s.splat(0.0); P]; C];
        for c in 0..C {
            sums[c] = [s.splat(of.start[c]); P];
        }
        // Kernel rows that meet only zeros are left out: for the gradient of LeNet-5's second input, 20 of 70.
        let rows = g.rows.taps_inside(row);
        let taps = rows.start * g.columns.taps..rows.end * g.columns.taps;
        let offsets = &self.offsets[taps.clone()];
        let corner = (row - self.rows.start) * self.layout.result_row() + column;
        let channels = self.x.chunks_exact(self.layout.plane().max(1));
        for (x, weights) in channels.zip(of.weights.chunks_exact(self.offsets.len().max(1))) {
            let (x, weights) = (&x[corner..], &weights[taps.clone()]);
            for (offset, weights) in offsets.iter().zip(weights) {
                let x: &[Pack; P] = x[*offset..].first_chunk().expect("a window lies in its strip");
                let mut packs = [s.splat(0.0); P];
                for p in 0..P {
                    packs[p] = s.load(&x[p]);
                }
                for c in 0..C {
                    let weight = s.splat(weights[c]);
                    for p in 0..P {
                        sums[c][p] = s.fma(weight, packs[p], sums[c][p]);
                    }
                }
            }
        }
        write(s, sums, y, (g.to_height * g.to_width, g.columns.to_step), of.accumulation);
        P
    }
}

/// Writes the channels that exist.
#[inline(always)]
fn write<S: Simd, const C: usize, const P: usize>(
    s: S,
    sums: [[S::Vector; P]; C],
    y: &mut [Pack],
    (plane, step): (usize, usize),
    accumulation: Accumulation,
) {
    if step == 1 && accumulation == Accumulation::Overwrite {
        for c in 0..C {
            if let Some(y) = y.get_mut(c * plane..).and_then(|y| y.first_chunk_mut::<P>()) {
                for p in 0..P {
                    s.store(&mut y[p], sums[c][p]);
                }
            }
        }
        return;
    }
    // By way of memory: sums with a variable index would not stay in registers where they are made.
    let mut packs = [[[0.0; WIDTH]; P]; C];
    for c in 0..C {
        for p in 0..P {
            s.store(&mut packs[c][p], sums[c][p]);
        }
    }
    for (c, packs) in packs.iter().enumerate() {
        let channel = y.get_mut(c * plane..).unwrap_or_default();
        for (y, sum) in channel.iter_mut().step_by(step).zip(packs) {
            match accumulation {
                Accumulation::Overwrite => *y = *sum,
                Accumulation::Add => {
                    let sum = s.add(s.load(y), s.load(sum));
                    s.store(y, sum);
                }
            }
        }
    }
}

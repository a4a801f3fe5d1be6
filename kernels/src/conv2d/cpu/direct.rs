//! Direct convolution of planes: a block of channels × neighbouring pixels in registers, sums over (channel, row, column)
//! of the kernel in that order.

use std::ops::Range;

use super::axis::Axis;
use super::strip::StripLayout;
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd};

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

    /// Weight of (to, from, tap) of a group of channels in the canonical array.
    fn weight_index(&self, group: usize, to: usize, from: usize, tap: usize) -> usize {
        let (all_from, all_to) = (self.from_channels, self.to_channels);
        let filter = match self.transposed {
            false => (group * all_to + to) * all_from + from,
            true => (group * all_from + from) * all_to + to,
        };
        let (u, v) = (self.rows.kernel(tap / self.columns.taps), self.columns.kernel(tap % self.columns.taps));
        (filter * self.kernel + u) * self.kernel + v
    }
}

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
        let by_6 = to.next_multiple_of(6) * 8 <= to.next_multiple_of(4) * 9;
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
        let layout = StripLayout::new(g.rows, g.columns, g.from_channels);
        let offsets = &mut scratch.offsets;
        offsets.clear();
        offsets.extend((0..g.taps()).map(|tap| layout.offset(tap / g.columns.taps, tap % g.columns.taps)));
        let (from, to) = (g.from_channels * g.rows.source * g.columns.source, g.to_height * g.to_width);
        // One group of channels of one group of samples at a time.
        let parts = x.chunks_exact(from).zip(y.chunks_exact_mut(g.to_channels * to));
        for (part, (x, y)) in parts.enumerate() {
            let channel_group = part % g.channel_groups;
            let window = g.from_channels * g.taps();
            let blocks = g.to_channels.div_ceil(C);
            let weights = &weights[channel_group * blocks * window..][..blocks * window];
            let bias = bias.map(|bias| &bias[channel_group * g.to_channels..][..g.to_channels]);
            let mut row = 0;
            while row < g.rows.results {
                let results = layout.results.min(g.rows.results - row);
                let x = layout.fill(x, row, results, &mut scratch.input);
                let strip = Strip { g: &g, layout: &layout, offsets, x, rows: row..row + results };
                for (block, y) in y.chunks_mut(C * to).enumerate() {
                    let mut start = [0.0; C];
                    if let Some(bias) = bias {
                        start.iter_mut().zip(&bias[block * C..]).for_each(|(start, bias)| *start = *bias);
                    }
                    let weights = &weights[block * window..][..window];
                    strip.channels::<S, C, P>(s, (weights, start), y, accumulation);
                }
                row += results;
            }
        }
    }
}

/// Weights in reading order: (group, block of `C` channels, from, tap, channel); channels that do not exist get zeros.
pub(crate) fn pack_weights<'a, const C: usize>(g: &Geometry, weight: &[f32], packed: &'a mut [f32]) -> &'a [[f32; C]] {
    let packed = packed.as_chunks_mut::<C>().0;
    let mut places = packed.iter_mut();
    for group in 0..g.channel_groups {
        for block in 0..g.to_channels.div_ceil(C) {
            for from in 0..g.from_channels {
                for tap in 0..g.taps() {
                    let place = places.next().expect("as many places as weights");
                    for (c, place) in place.iter_mut().enumerate() {
                        let to = block * C + c;
                        *place = if to < g.to_channels { weight[g.weight_index(group, to, from, tap)] } else { 0.0 };
                    }
                }
            }
        }
    }
    packed
}

/// Rows of results of one group, and what they are computed from.
struct Strip<'a> {
    g: &'a Geometry,
    layout: &'a StripLayout,
    /// Of each tap, from a window's corner.
    offsets: &'a [usize],
    x: &'a [Pack],
    rows: Range<usize>,
}

impl Strip<'_> {
    /// All its pixels of a block of channels.
    #[inline(always)]
    fn channels<S: Simd, const C: usize, const P: usize>(
        &self,
        s: S,
        weights: (&[[f32; C]], [f32; C]),
        y: &mut [Pack],
        accumulation: Accumulation,
    ) {
        let width = self.g.columns.results;
        for row in self.rows.clone() {
            let mut j = 0;
            while j < width {
                let place = Place { row, column: j, accumulation };
                j += match width - j {
                    rest if rest >= P => self.pixels::<S, C, P>(s, place, weights, y),
                    4.. => self.pixels::<S, C, 4>(s, place, weights, y),
                    3 => self.pixels::<S, C, 3>(s, place, weights, y),
                    2 => self.pixels::<S, C, 2>(s, place, weights, y),
                    _ => self.pixels::<S, C, 1>(s, place, weights, y),
                };
            }
        }
    }

    /// `P` neighbouring pixels of `C` channels. Returns `P`.
    #[inline(always)]
    fn pixels<S: Simd, const C: usize, const P: usize>(
        &self,
        s: S,
        place: Place,
        (weights, start): (&[[f32; C]], [f32; C]),
        y: &mut [Pack],
    ) -> usize {
        let g = self.g;
        let mut sums = [[s.splat(0.0); P]; C];
        for c in 0..C {
            sums[c] = [s.splat(start[c]); P];
        }
        // Kernel rows that meet only zeros are left out: for the gradient of LeNet-5's second input, 20 of 70.
        let rows = g.rows.taps_inside(place.row);
        let taps = rows.start * g.columns.taps..rows.end * g.columns.taps;
        let offsets = &self.offsets[taps.clone()];
        if !offsets.is_empty() {
            let corner = (place.row - self.rows.start) * self.layout.result_row() + place.column;
            let channels = self.x.chunks_exact(self.layout.plane()).zip(weights.chunks_exact(self.offsets.len()));
            for (x, weights) in channels {
                for (offset, weights) in offsets.iter().zip(&weights[taps.clone()]) {
                    let x: &[Pack; P] = x[corner + offset..].first_chunk().expect("a window lies in its strip");
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
        }
        let to = (g.rows.to_first + place.row * g.rows.to_step) * g.to_width
            + g.columns.to_first
            + place.column * g.columns.to_step;
        write(s, sums, &mut y[to..], (g.to_height * g.to_width, g.columns.to_step), place.accumulation);
        P
    }
}

/// Where a block's pixels are, and how they are written.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
    accumulation: Accumulation,
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
    for c in 0..C {
        if c * plane >= y.len() {
            return;
        }
        for p in 0..P {
            let y = &mut y[c * plane + p * step];
            let sum = match accumulation {
                Accumulation::Overwrite => sums[c][p],
                Accumulation::Add => s.add(s.load(y), sums[c][p]),
            };
            s.store(y, sum);
        }
    }
}

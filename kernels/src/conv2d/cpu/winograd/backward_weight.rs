//! The gradient of the weight, with 16 channels in in the lanes of the sums.

use std::ops::Range;

use super::super::Lanes;
use super::super::channel_weight::channels_to_lanes;
use super::super::outer::{Columns, Rows, add_outer, column_stride};
use super::passes::{Forth, HalfWay, LONGEST, half_way};
use super::tiles::{Planes, Tiles};
use super::transforms::{Input, OutputGradient, WeightGradient, both_ways};
use super::{ELEMENTS, INPUTS, apart};
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Register, Simd, WIDTH};

/// Packs of transformed inputs and gradients that go at once (4 MiB): sums are read and written once for each.
const PACKS_AT_ONCE: usize = 65_536;
/// Seats whose inputs are transformed before they are transposed.
const SEATS_STAGED: usize = 2;
/// Channels out whose sums go at once where all tiles do.
const CHANNELS_AT_ONCE: usize = 64;

pub(in super::super) struct BackwardWeight<'a> {
    pub size: &'a Conv2dSize,
    pub lanes: Lanes,
    pub x: &'a [f32],
    pub d_y: &'a [f32],
    pub d_weight: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for BackwardWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardWeight { size, lanes, x, d_y, d_weight, scratch } = self;
        let (from, to) = (Planes::of_input(size, lanes), Planes::of_output(size, lanes));
        let tiles = Tiles::new(to, size.samples);
        let lanes = from.channels.div_ceil(WIDTH);
        let at_once = PACKS_AT_ONCE / (ELEMENTS * (lanes * WIDTH + to.channels));
        let at_once = at_once.max(4).min(tiles.seats()).max(1);
        // Where all tiles go at once, the sums of a block of channels are finished before the next ones begin.
        let block = if at_once == tiles.seats() { CHANNELS_AT_ONCE.min(to.channels) } else { to.channels };
        let stride = column_stride(at_once * WIDTH);
        let between = apart(lanes * stride);
        let inputs = scratch.input.packs(ELEMENTS * between);
        let between_gradients = apart(block * at_once);
        let gradients = scratch.gradient.packs(ELEMENTS * between_gradients);
        let between_sums = apart(block * lanes);
        let sums = scratch.sums.packs(ELEMENTS * between_sums);
        let between_staged = apart(WIDTH * SEATS_STAGED);
        let inputs_forth = Forth { planes: &from, halo: size.padding as isize, between: between_staged };
        let gradients_forth = Forth { planes: &to, halo: 0, between: between_gradients };
        let mut half_way = half_way();
        for first_channel in (0..to.channels).step_by(block) {
            let channels = first_channel..to.channels.min(first_channel + block);
            sums.fill([0.0; WIDTH]);
            for first in (0..tiles.seats()).step_by(at_once) {
                let count = at_once.min(tiles.seats() - first);
                if first_channel == 0 {
                    let staging = scratch.products.packs(ELEMENTS * between_staged);
                    for seat in (first..first + count).step_by(SEATS_STAGED) {
                        let seats = seat..(seat + SEATS_STAGED).min(first + count);
                        let to = Transposed { packs: &mut inputs[(seat - first) * WIDTH..], stride, between };
                        transform_inputs(s, x, (&inputs_forth, &tiles), seats, (staging, &mut half_way), to);
                    }
                }
                for (k, channel) in channels.clone().enumerate() {
                    let (d_y, to) = (&d_y[channel * to.plane()..], &mut gradients[k * count..]);
                    for run in tiles.runs(first..first + count, LONGEST) {
                        gradients_forth.run::<OutputGradient, _, 4>(s.register(), &run, d_y, &mut half_way, to);
                    }
                }
                for element in 0..ELEMENTS {
                    let numbers = gradients[element * between_gradients..].as_flattened();
                    let terms = count * WIDTH;
                    let d = Rows { numbers, stride: terms, rows: channels.len(), terms };
                    let x = Columns { packs: &inputs[element * between..], stride, columns: lanes };
                    add_outer(s, d, x, &mut sums[element * between_sums..]);
                }
            }
            let d_weight = &mut d_weight[first_channel * from.channels * 9..][..channels.len() * from.channels * 9];
            finish(s, sums, between_sums, from.channels, d_weight);
        }
    }
}

/// `[elements][channels / 16][seats][16 samples]`: elements `between` packs apart, blocks of channels `stride`.
struct Transposed<'a> {
    packs: &'a mut [Pack],
    stride: usize,
    between: usize,
}

/// Transformed tiles from planes.
#[inline(always)]
fn transform_inputs<S: Simd>(
    s: S,
    x: &[f32],
    (forth, tiles): (&Forth, &Tiles),
    seats: Range<usize>,
    (staging, half_way): (&mut [Pack], &mut HalfWay),
    to: Transposed,
) {
    let (channels, count) = (forth.planes.channels, seats.len());
    let lanes = channels.div_ceil(WIDTH);
    for block in 0..lanes {
        let here = WIDTH.min(channels - block * WIDTH);
        for c in 0..here {
            let x = &x[(block * WIDTH + c) * forth.planes.plane()..];
            for run in tiles.runs(seats.clone(), LONGEST) {
                forth.run::<Input, _, 6>(s.register(), &run, x, half_way, &mut staging[c * count..]);
            }
        }
        for (element, staging) in staging.chunks_exact(forth.between).enumerate() {
            for seat in 0..count {
                let to = &mut to.packs[element * to.between + block * to.stride + seat * WIDTH..];
                channels_to_lanes(s, &staging[seat..here * count], count, to);
            }
        }
    }
}

/// `[elements][channels out][channels in / 16]` to (channel out, channel in, 3, 3).
#[inline(always)]
fn finish<S: Simd>(s: S, sums: &[Pack], between: usize, in_channels: usize, d_weight: &mut [f32]) {
    let lanes = in_channels.div_ceil(WIDTH);
    for (o, d_weight) in d_weight.chunks_exact_mut(in_channels * 9).enumerate() {
        for (block, d_weight) in d_weight.chunks_mut(9 * WIDTH).enumerate() {
            let r = s.register();
            let mut taps = [[0.0; WIDTH]; 9];
            for part in 0..S::Register::PARTS {
                let mut tile = [[r.splat(0.0); INPUTS]; INPUTS];
                for element in 0..ELEMENTS {
                    let sum = &sums[element * between + o * lanes + block];
                    tile[element / INPUTS][element % INPUTS] = r.load_part(sum, part);
                }
                let kernel = both_ways::<WeightGradient, _, 6, 3>(r, tile);
                for tap in 0..9 {
                    r.store_part(&mut taps[tap], part, kernel[tap / 3][tap % 3]);
                }
            }
            for (c, d_weight) in d_weight.as_chunks_mut::<9>().0.iter_mut().enumerate() {
                for tap in 0..9 {
                    d_weight[tap] = taps[tap][c];
                }
            }
        }
    }
}

//! The gradient of the weight, with 16 channels in in the lanes of the sums.

use super::super::Lanes;
use super::super::outer::{Columns, Rows, add_outer, column_stride};
use super::passes::{Forth, LONGEST, half_way};
use super::tiles::{Planes, Tiles};
use super::transforms::{OutputGradient, WeightGradient, both_ways};
use super::turned::{self, Places, Turned};
use super::{ELEMENTS, INPUTS, apart};
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Register, Simd, WIDTH};

/// Packs of transformed inputs and gradients that go at once (4 MiB): sums are read and written once for each.
const PACKS_AT_ONCE: usize = 65_536;
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
        let rows = scratch.products.packs(turned::packs(&from, &tiles));
        let gradients_forth = Forth { planes: &to, halo: 0, between: between_gradients };
        let (mut half_way, mut half_way_turned) = (half_way(), turned::half_way());
        for first_channel in (0..to.channels).step_by(block) {
            let channels = first_channel..to.channels.min(first_channel + block);
            sums.fill([0.0; WIDTH]);
            for first in (0..tiles.seats()).step_by(at_once) {
                let count = at_once.min(tiles.seats() - first);
                if first_channel == 0 {
                    for block in 0..lanes {
                        let x = &x[block * WIDTH * from.plane()..];
                        let channels = WIDTH.min(from.channels - block * WIDTH);
                        let mut turned = Turned::new(&from, size.padding, &tiles, rows, &mut half_way_turned);
                        let mut to = Places { packs: &mut inputs[block * stride..], between };
                        for run in tiles.runs(first..first + count, turned::LONGEST) {
                            turned.transform(s, x, channels, &run, &mut to);
                        }
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

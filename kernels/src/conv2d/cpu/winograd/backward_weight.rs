//! The gradient of the weight, with 16 channels in in the lanes of the sums.

use super::super::channel_weight::channels_to_lanes;
use super::super::outer::{Rows, add_outer};
use super::tiles::{Planes, Seat, Tiles, load_seat};
use super::transforms::{Input, OutputGradient, WeightGradient, both_ways};
use super::{ELEMENTS, INPUTS, apart};
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// Packs of transformed inputs and gradients that go at once (4 MiB): sums are read and written once for each.
const PACKS_AT_ONCE: usize = 65_536;
/// Channels out whose sums go at once where all tiles do.
const CHANNELS_AT_ONCE: usize = 64;

pub(in super::super) struct BackwardWeight<'a> {
    pub size: &'a Conv2dSize,
    pub x: &'a [Pack],
    pub d_y: &'a [Pack],
    pub d_weight: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for BackwardWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let BackwardWeight { size, x, d_y, d_weight, scratch } = self;
        let from = Planes { channels: size.in_channels, height: size.height, width: size.width };
        let to = Planes { channels: size.out_channels, height: size.out_height(), width: size.out_width() };
        let tiles = Tiles::new(to, size.samples);
        let lanes = from.channels.div_ceil(WIDTH);
        let at_once = PACKS_AT_ONCE / (ELEMENTS * (lanes * WIDTH + to.channels));
        let at_once = at_once.max(4).min(tiles.seats()).max(1);
        // Where all tiles go at once, the sums of a block of channels are finished before the next ones begin.
        let block = if at_once == tiles.seats() { CHANNELS_AT_ONCE.min(to.channels) } else { to.channels };
        let between = apart(at_once * WIDTH * lanes);
        let inputs = scratch.input.packs(ELEMENTS * between);
        let between_gradients = apart(block * at_once);
        let gradients = scratch.gradient.packs(ELEMENTS * between_gradients);
        let between_sums = apart(block * lanes);
        let sums = scratch.sums.packs(ELEMENTS * between_sums);
        for first_channel in (0..to.channels).step_by(block) {
            let channels = first_channel..to.channels.min(first_channel + block);
            sums.fill([0.0; WIDTH]);
            for first in (0..tiles.seats()).step_by(at_once) {
                let count = at_once.min(tiles.seats() - first);
                if first_channel == 0 {
                    let staging = scratch.products.packs(ELEMENTS * WIDTH);
                    let seats = tiles.range(first, count);
                    transform_inputs(s, x, (from, size.padding as isize), seats, staging, (inputs, between));
                }
                for (k, channel) in channels.clone().enumerate() {
                    let seats = tiles.range(first, count);
                    let d_y = &d_y[channel * to.plane()..];
                    transform_gradients(s, d_y, to, seats, &mut gradients[k * count..], between_gradients);
                }
                for element in 0..ELEMENTS {
                    let numbers = gradients[element * between_gradients..].as_flattened();
                    let terms = count * WIDTH;
                    let d = Rows { numbers, stride: terms, rows: channels.len(), terms };
                    let x = &inputs[element * between..];
                    add_outer(s, d, x, lanes, &mut sums[element * between_sums..]);
                }
            }
            let d_weight = &mut d_weight[first_channel * from.channels * 9..][..channels.len() * from.channels * 9];
            finish(s, sums, between_sums, from.channels, d_weight);
        }
    }
}

/// `[elements][tiles][16 samples][channels / 16]` from planes.
#[inline(always)]
fn transform_inputs<S: Simd>(
    s: S,
    x: &[Pack],
    (from, halo): (Planes, isize),
    seats: impl Iterator<Item = Seat> + Clone,
    staging: &mut [Pack],
    (to, between): (&mut [Pack], usize),
) {
    let lanes = from.channels.div_ceil(WIDTH);
    for block in 0..lanes {
        let here = WIDTH.min(from.channels - block * WIDTH);
        for (t, seat) in seats.clone().enumerate() {
            for c in 0..here {
                let x = &x[(block * WIDTH + c) * from.plane()..];
                let inputs = both_ways::<Input, S, 6, 6>(s, load_seat(s, x, &from, seat, halo));
                for element in 0..ELEMENTS {
                    s.store(&mut staging[element * WIDTH + c], inputs[element / INPUTS][element % INPUTS]);
                }
            }
            for (element, staging) in staging.chunks_exact(WIDTH).enumerate() {
                let to = &mut to[element * between + t * WIDTH * lanes + block..];
                channels_to_lanes(s, &staging[..here], 1, to, lanes);
            }
        }
    }
}

/// `[elements][tiles]` of one channel, from its planes: `d_y` begins with the first.
#[inline(always)]
fn transform_gradients<S: Simd>(
    s: S,
    d_y: &[Pack],
    planes: Planes,
    seats: impl Iterator<Item = Seat>,
    to: &mut [Pack],
    between: usize,
) {
    for (t, seat) in seats.enumerate() {
        let results = load_seat(s, d_y, &planes, seat, 0);
        let gradients = both_ways::<OutputGradient, S, 4, 6>(s, results);
        for element in 0..ELEMENTS {
            s.store(&mut to[element * between + t], gradients[element / INPUTS][element % INPUTS]);
        }
    }
}

/// `[elements][channels out][channels in / 16]` to (channel out, channel in, 3, 3).
#[inline(always)]
fn finish<S: Simd>(s: S, sums: &[Pack], between: usize, in_channels: usize, d_weight: &mut [f32]) {
    let lanes = in_channels.div_ceil(WIDTH);
    for (o, d_weight) in d_weight.chunks_exact_mut(in_channels * 9).enumerate() {
        for (block, d_weight) in d_weight.chunks_mut(9 * WIDTH).enumerate() {
            let mut tile = [[s.splat(0.0); INPUTS]; INPUTS];
            for element in 0..ELEMENTS {
                tile[element / INPUTS][element % INPUTS] = s.load(&sums[element * between + o * lanes + block]);
            }
            let kernel = both_ways::<WeightGradient, S, 6, 3>(s, tile);
            let mut taps = [[0.0; WIDTH]; 9];
            for tap in 0..9 {
                s.store(&mut taps[tap], kernel[tap / 3][tap % 3]);
            }
            for (c, d_weight) in d_weight.as_chunks_mut::<9>().0.iter_mut().enumerate() {
                for tap in 0..9 {
                    d_weight[tap] = taps[tap][c];
                }
            }
        }
    }
}

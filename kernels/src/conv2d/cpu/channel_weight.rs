//! Gradient of the weight with 16 channels in in the lanes: no sum over lanes is left to be made, whatever the image's
//! size. For 16 channels in and more.

use super::axis::Axis;
use super::outer::{Columns, Rows, TERMS_AT_ONCE, add_outer, column_stride};
use super::strip::StripLayout;
use crate::conv2d::Conv2dSize;
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

pub(super) struct ChannelWeight<'a> {
    pub size: &'a Conv2dSize,
    pub x: &'a [Pack],
    pub d_y: &'a [Pack],
    pub d_weight: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

impl Kernel for ChannelWeight<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ChannelWeight { size, x, d_y, d_weight, scratch } = self;
        let rows = Axis::of_forward(size, size.height, size.out_height());
        let columns = Axis::of_forward(size, size.width, size.out_width());
        let (in_channels, out_channels) = (size.in_channels / size.groups, size.out_channels / size.groups);
        let lanes = in_channels.div_ceil(WIDTH);
        let taps = size.kernel * size.kernel;
        let layout = StripLayout::in_pieces(rows, columns, lanes * WIDTH);
        // [channels in / 16][places][16 samples]
        let stride = column_stride(layout.plane() * WIDTH);
        let strip = scratch.input.packs(lanes * stride);
        // (group of channels, tap, channel out, channels in)
        let sums = scratch.sums.packs(size.out_channels * taps * lanes);
        sums.fill([0.0; WIDTH]);
        let plane = size.height * size.width;
        let parts = x.chunks_exact(in_channels * plane);
        let parts = parts.zip(d_y.chunks_exact(out_channels * rows.results * columns.results));
        for (part, (x, d_y)) in parts.enumerate() {
            let weights = out_channels * taps * lanes;
            let sums = &mut sums[part % size.groups * weights..][..weights];
            let mut row = 0;
            while row < rows.results {
                let results = layout.results.min(rows.results - row);
                // Sixteen planes at a time are read row by row: all at once would be too many streams for the cache.
                for (x, strip) in x.chunks(WIDTH * plane).zip(strip.chunks_exact_mut(stride)) {
                    for (place, source) in layout.places(row, results) {
                        let x = source.map_or(&x[..0], |position| &x[position..]).as_flattened();
                        channels_to_lanes(s, x, plane * WIDTH, &mut strip[place * WIDTH..][..WIDTH]);
                    }
                }
                for i in 0..results {
                    let d_y = &d_y.as_flattened()[(row + i) * columns.results * WIDTH..];
                    let packs = &strip[i * layout.result_row() * WIDTH..];
                    row_of_results(s, size, &layout, (Columns { packs, stride, columns: lanes }, d_y), sums);
                }
                row += results;
            }
        }
        let sums = sums
            .chunks_exact(out_channels * taps * lanes)
            .zip(d_weight.chunks_exact_mut(out_channels * in_channels * taps));
        for (sums, d_weight) in sums {
            write(sums, (taps, lanes), d_weight, in_channels);
        }
    }
}

/// Adds one row of results to all weights.
#[inline(always)]
fn row_of_results<S: Simd>(
    s: S,
    size: &Conv2dSize,
    layout: &StripLayout,
    (x, d_y): (Columns, &[f32]),
    sums: &mut [Pack],
) {
    let out_channels = size.out_channels / size.groups;
    let terms = size.out_width() * WIDTH;
    let stride = size.out_height() * terms;
    // The same pixels for all taps: what one tap reads the next ones read again.
    for first in (0..terms).step_by(TERMS_AT_ONCE) {
        let d = Rows { numbers: &d_y[first..], stride, rows: out_channels, terms: TERMS_AT_ONCE.min(terms - first) };
        for (tap, sums) in sums.chunks_exact_mut(out_channels * x.columns).enumerate() {
            let offset = layout.offset(tap / size.kernel, tap % size.kernel) * WIDTH + first;
            add_outer(s, d, Columns { packs: &x.packs[offset..], ..x }, sums);
        }
    }
}

/// 16 numbers of each of up to 16 channels, which are `plane` numbers apart, become packs of 16 channels, number by
/// number, as many as there are places. Channels that do not exist are zeros.
#[inline(always)]
pub(super) fn channels_to_lanes<S: Simd>(s: S, x: &[f32], plane: usize, to: &mut [Pack]) {
    let mut square = [s.splat(0.0); WIDTH];
    for c in 0..WIDTH {
        let Some(x) = x.get(c * plane..) else { continue };
        square[c] = match x.first_chunk() {
            Some(pack) => s.load(pack),
            None => s.load(&padded(x)),
        };
    }
    let square = s.transpose(square);
    for (to, numbers) in to.iter_mut().zip(square) {
        s.store(to, numbers);
    }
}

/// The last numbers of the last channel.
fn padded(x: &[f32]) -> Pack {
    let mut pack = [0.0; WIDTH];
    pack[..x.len()].copy_from_slice(x);
    pack
}

/// (tap, channel out, channels in) to (channel out, channel in, tap).
fn write(sums: &[Pack], (taps, lanes): (usize, usize), d_weight: &mut [f32], in_channels: usize) {
    let out_channels = d_weight.len() / (in_channels * taps);
    for (o, d_weight) in d_weight.chunks_exact_mut(in_channels * taps).enumerate() {
        for (tap, sums) in sums.chunks_exact(out_channels * lanes).enumerate() {
            let sums = sums[o * lanes..][..lanes].as_flattened();
            for (d_weight, sum) in d_weight.chunks_exact_mut(taps).zip(sums) {
                d_weight[tap] = *sum;
            }
        }
    }
}

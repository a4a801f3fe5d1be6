//! Transformed inputs with 16 channels in the lanes, for the gradient of the weight. Pixels are turned around before they
//! are transformed: 16 of them to a tile, where its transform has 36 elements.

use std::ops::Range;

use super::super::channel_weight::channels_to_lanes;
use super::passes::inside;
use super::tiles::{Planes, Run, Tiles};
use super::transforms::{Input, Transform};
use super::{INPUTS, RESULTS};
use crate::simd::{HALF, Pack, Register, Simd, WIDTH};

/// Tiles of the longest run, and samples that go at once: what is transformed one way stays in the first-level cache.
pub(super) const LONGEST: usize = 4;
const SAMPLES: usize = 4;
/// Columns of the longest run, with those that its last tile shares with the next.
const COLUMNS: usize = LONGEST * RESULTS + INPUTS - RESULTS;
/// A row outside of the plane.
const ZEROS: &[Pack] = &[[0.0; WIDTH]; COLUMNS * WIDTH];

/// Samples of a run that are transformed one way: `[elements][columns][samples]`.
type HalfWay = [[[Pack; SAMPLES]; COLUMNS]; INPUTS];

/// The rows of 16 channels' planes that were turned around last: `[rows % 6][columns][samples]`.
pub(super) struct Turned<'a> {
    planes: &'a Planes,
    /// Zeros around the planes.
    halo: usize,
    /// Samples of a tile: 16, or 8 where two tiles share a seat.
    samples: usize,
    rows: &'a mut [Pack],
    /// Group of samples and row.
    held: [Option<(usize, usize)>; INPUTS],
    half_way: &'a mut HalfWay,
}

/// `[elements][seats][16]`, elements `between` packs apart; of two tiles in a seat the second one's samples come behind
/// the first one's.
pub(super) struct Places<'a> {
    pub packs: &'a mut [Pack],
    pub between: usize,
}

/// Nothing yet.
pub(super) fn half_way() -> HalfWay {
    [[[[0.0; WIDTH]; SAMPLES]; COLUMNS]; INPUTS]
}

/// Packs that a [`Turned`] needs.
pub(super) fn packs(planes: &Planes, tiles: &Tiles) -> usize {
    INPUTS * planes.width * samples(tiles)
}

fn samples(tiles: &Tiles) -> usize {
    if tiles.paired { HALF } else { WIDTH }
}

impl<'a> Turned<'a> {
    /// With no rows yet.
    pub fn new(
        planes: &'a Planes,
        halo: usize,
        tiles: &Tiles,
        rows: &'a mut [Pack],
        half_way: &'a mut HalfWay,
    ) -> Turned<'a> {
        Turned { planes, halo, samples: samples(tiles), rows, held: [None; INPUTS], half_way }
    }

    /// Transforms a run of at most [`LONGEST`] tiles of the channels whose planes, of all groups of samples, begin at `x`.
    #[inline(always)]
    pub fn transform<S: Simd>(&mut self, s: S, x: &[f32], channels: usize, run: &Run, to: &mut Places) {
        let top = run.row as isize - self.halo as isize;
        let rows = (top.max(0) as usize)..((top + INPUTS as isize).max(0) as usize).min(self.planes.height);
        for row in rows.clone() {
            self.turn(s, x, channels, run.group, row);
        }
        for first in (0..self.samples).step_by(SAMPLES) {
            self.down(s.register(), run, top, &rows, first);
            self.along(s.register(), run, first, to);
        }
    }

    /// Turns a row around, unless it is there.
    #[inline(always)]
    fn turn<S: Simd>(&mut self, s: S, x: &[f32], channels: usize, group: usize, row: usize) {
        let Planes { width, lanes, .. } = *self.planes;
        let slot = row % INPUTS;
        if self.held[slot].replace((group, row)) == Some((group, row)) {
            return;
        }
        let plane = self.planes.plane();
        let to = &mut self.rows[slot * width * self.samples..][..width * self.samples];
        let x = &x[group * self.planes.group() + row * width * lanes..];
        let x = &x[..(channels - 1) * plane + width * lanes];
        // A pack has one pixel, or two of 8 samples each.
        let to = to.chunks_mut(self.samples * WIDTH / lanes);
        for (place, to) in to.enumerate() {
            let x = &x[place * WIDTH..];
            channels_to_lanes(s, x, plane, to);
        }
    }

    /// The pass down the columns, of some samples.
    #[inline(always)]
    fn down<R: Register>(&mut self, r: R, run: &Run, top: isize, inside_rows: &Range<usize>, first: usize) {
        let columns = run.tiles * RESULTS + INPUTS - RESULTS;
        let left = run.column as isize - self.halo as isize;
        let inside = inside(left, columns, self.planes.width);
        let row = self.planes.width * self.samples;
        let source = (left + inside.start as isize) as usize * self.samples;
        let mut rows = [ZEROS; INPUTS];
        for (i, from) in rows.iter_mut().enumerate() {
            match usize::try_from(top + i as isize) {
                Ok(y) if inside_rows.contains(&y) => *from = &self.rows[y % INPUTS * row + source..],
                _ => {}
            }
        }
        for line in self.half_way.iter_mut() {
            line[..inside.start].fill([[0.0; WIDTH]; SAMPLES]);
            line[inside.end..columns].fill([[0.0; WIDTH]; SAMPLES]);
        }
        for c in 0..inside.len() {
            let mut pixels = [&ZEROS[..SAMPLES]; INPUTS];
            for i in 0..INPUTS {
                pixels[i] = &rows[i][c * self.samples + first..][..SAMPLES];
            }
            for n in 0..SAMPLES {
                for part in 0..R::PARTS {
                    let mut column = [r.splat(0.0); INPUTS];
                    for i in 0..INPUTS {
                        column[i] = r.load_part(&pixels[i][n], part);
                    }
                    let column = Input::apply(r, column);
                    for i in 0..INPUTS {
                        r.store_part(&mut self.half_way[i][inside.start + c][n], part, column[i]);
                    }
                }
            }
        }
    }

    /// The pass along the rows, of some samples.
    #[inline(always)]
    fn along<R: Register>(&self, r: R, run: &Run, first: usize, to: &mut Places) {
        for (i, line) in self.half_way.iter().enumerate() {
            let mut elements = to.packs[i * INPUTS * to.between..].chunks_mut(to.between);
            // Loops: `array::from_fn` stays a function of its own, through memory.
            let mut seats: [&mut [Pack]; INPUTS] = Default::default();
            for seats in &mut seats {
                *seats = elements.next().expect("an element");
            }
            for (t, window) in line.windows(INPUTS).step_by(RESULTS).enumerate().take(run.tiles) {
                let window: &[[Pack; SAMPLES]; INPUTS] = window.first_chunk().expect("a window");
                let (seat, half) = run.seat(t);
                let place = seat * WIDTH + half * HALF + first;
                let mut places: [&mut [Pack]; INPUTS] = Default::default();
                for (places, seats) in places.iter_mut().zip(&mut seats) {
                    if run.paired && half == 0 {
                        // Until the next tile comes, if there is one.
                        seats[place + HALF..][..SAMPLES].fill([0.0; WIDTH]);
                    }
                    *places = &mut seats[place..][..SAMPLES];
                }
                for n in 0..SAMPLES {
                    for part in 0..R::PARTS {
                        let mut row = [r.splat(0.0); INPUTS];
                        for j in 0..INPUTS {
                            row[j] = r.load_part(&window[j][n], part);
                        }
                        let row = Input::apply(r, row);
                        for j in 0..INPUTS {
                            r.store_part(&mut places[j][n], part, row[j]);
                        }
                    }
                }
            }
        }
    }
}

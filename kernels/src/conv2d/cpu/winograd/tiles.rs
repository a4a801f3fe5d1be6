//! The tiles of all groups of samples, and their seats: places among transformed tiles.

use std::ops::Range;

use super::super::Lanes;
use super::RESULTS;
use crate::conv2d::Conv2dSize;
use crate::simd::{HALF, WIDTH};

/// Planes of pixels of samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    /// Samples that lie abreast: 16, or 8.
    pub lanes: usize,
}

impl Planes {
    pub fn of_input(size: &Conv2dSize, lanes: Lanes) -> Planes {
        Planes { channels: size.in_channels, height: size.height, width: size.width, lanes: lanes.inside }
    }

    pub fn of_output(size: &Conv2dSize, lanes: Lanes) -> Planes {
        let (height, width) = (size.out_height(), size.out_width());
        Planes { channels: size.out_channels, height, width, lanes: lanes.outside }
    }

    /// Numbers of a plane.
    pub fn plane(&self) -> usize {
        self.height * self.width * self.lanes
    }

    /// Numbers of a group of samples.
    pub fn group(&self) -> usize {
        self.channels * self.plane()
    }
}

/// The tiles of `to`'s planes, group by group, row by row.
///
/// Up to 8 samples fill half of a pack: then two tiles share a pack, which halves the work.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    rows: usize,
    columns: usize,
    groups: usize,
    pub paired: bool,
}

/// Neighbouring tiles of one row of tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Of samples.
    pub group: usize,
    /// Of the first tile's first result.
    pub row: usize,
    /// Of the first tile's first result.
    pub column: usize,
    pub tiles: usize,
    /// The first tile's place among those of a range of seats.
    pub place: usize,
    /// Whether two tiles share a seat.
    pub paired: bool,
}

impl Run {
    /// The seat of tile `tile`, and which half of it.
    #[inline(always)]
    pub fn seat(&self, tile: usize) -> (usize, usize) {
        let place = self.place + tile;
        if self.paired { (place / 2, place % 2) } else { (place, 0) }
    }

    /// Seats from that of the first tile on to that of the last.
    pub fn seats(&self) -> Range<usize> {
        self.seat(0).0..self.seat(self.tiles - 1).0 + 1
    }
}

impl Tiles {
    pub fn new(to: Planes, samples: usize) -> Tiles {
        let (rows, columns) = (to.height.div_ceil(RESULTS), to.width.div_ceil(RESULTS));
        Tiles { rows, columns, groups: samples.div_ceil(WIDTH), paired: samples <= HALF }
    }

    fn all(&self) -> usize {
        self.groups * self.rows * self.columns
    }

    /// Packs that hold them.
    pub fn seats(&self) -> usize {
        if self.paired { self.all().div_ceil(2) } else { self.all() }
    }

    /// The tiles of `seats`, at most `longest` in a run.
    pub fn runs(&self, seats: Range<usize>, longest: usize) -> impl Iterator<Item = Run> + Clone + use<> {
        let Tiles { rows, columns, paired, .. } = *self;
        let each = if paired { 2 } else { 1 };
        let (begin, end) = (seats.start * each, (seats.end * each).min(self.all()));
        let mut next = begin;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let (row, column) = (next / columns, next % columns);
            let run = Run {
                group: row / rows,
                row: row % rows * RESULTS,
                column: column * RESULTS,
                tiles: longest.min(columns - column).min(end - next),
                place: next - begin,
                paired,
            };
            next += run.tiles;
            Some(run)
        })
    }
}

//! The tiles of all groups of samples, and their way to and from planes.

use super::RESULTS;
use crate::simd::{Pack, Simd, WIDTH};

/// Planes of packs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Planes {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Planes {
    /// Packs of a plane.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Packs of a group of samples.
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
    paired: bool,
}

/// A tile: its group of samples, and the row and column of its first result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub group: usize,
    pub row: usize,
    pub column: usize,
}

/// The tiles of a pack: the second, if there is one, has the upper half.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub tile: Tile,
    pub second: Option<Tile>,
}

impl Tiles {
    pub fn new(to: Planes, samples: usize) -> Tiles {
        let (rows, columns) = (to.height.div_ceil(RESULTS), to.width.div_ceil(RESULTS));
        Tiles { rows, columns, groups: samples.div_ceil(WIDTH), paired: samples <= WIDTH / 2 }
    }

    fn all(&self) -> usize {
        self.groups * self.rows * self.columns
    }

    /// Packs that hold them.
    pub fn seats(&self) -> usize {
        if self.paired { self.all().div_ceil(2) } else { self.all() }
    }

    fn at(&self, index: usize) -> Tile {
        Tile {
            group: index / self.columns / self.rows,
            row: index / self.columns % self.rows * RESULTS,
            column: index % self.columns * RESULTS,
        }
    }

    fn behind(&self, tile: Tile) -> Tile {
        let Tile { group, row, column } = tile;
        if column + RESULTS < self.columns * RESULTS {
            Tile { column: column + RESULTS, ..tile }
        } else if row + RESULTS < self.rows * RESULTS {
            Tile { group, row: row + RESULTS, column: 0 }
        } else {
            Tile { group: group + 1, row: 0, column: 0 }
        }
    }

    /// `count` seats from `first` on.
    pub fn range(&self, first: usize, count: usize) -> impl Iterator<Item = Seat> + Clone + use<> {
        let tiles = *self;
        let step = if tiles.paired { 2 } else { 1 };
        let mut next = tiles.at(first * step);
        (first..first + count).map(move |seat| {
            let tile = next;
            next = tiles.behind(next);
            let second = (tiles.paired && seat * 2 + 1 < tiles.all()).then_some(next);
            if second.is_some() {
                next = tiles.behind(next);
            }
            Seat { tile, second }
        })
    }
}

/// The inputs of a seat's tiles, whose results' windows begin `halo` before them: of the plane that begins `x` in a
/// group of samples; zeros outside it.
#[inline(always)]
pub(super) fn load_seat<S: Simd, const N: usize>(
    s: S,
    x: &[Pack],
    planes: &Planes,
    seat: Seat,
    halo: isize,
) -> [[S::Vector; N]; N] {
    let mut inputs = load_tile(s, x, planes, seat.tile, halo);
    if let Some(second) = seat.second {
        let upper: [[S::Vector; N]; N] = load_tile(s, x, planes, second, halo);
        for i in 0..N {
            for j in 0..N {
                inputs[i][j] = s.join(inputs[i][j], upper[i][j]);
            }
        }
    }
    inputs
}

#[inline(always)]
fn load_tile<S: Simd, const N: usize>(
    s: S,
    x: &[Pack],
    planes: &Planes,
    tile: Tile,
    halo: isize,
) -> [[S::Vector; N]; N] {
    let x = &x[tile.group * planes.group()..][..planes.plane()];
    load(s, x, planes, tile.row as isize - halo, tile.column as isize - halo)
}

/// The `N`×`N` packs of a plane from (`top`, `left`) on; zeros outside it.
#[inline(always)]
fn load<S: Simd, const N: usize>(s: S, x: &[Pack], planes: &Planes, top: isize, left: isize) -> [[S::Vector; N]; N] {
    let (height, width) = (planes.height as isize, planes.width as isize);
    let mut tile = [[s.splat(0.0); N]; N];
    if top >= 0 && left >= 0 && top + N as isize <= height && left + N as isize <= width {
        for i in 0..N {
            let row: &[Pack; N] = x[(top as usize + i) * planes.width + left as usize..].first_chunk().expect("inside");
            for j in 0..N {
                tile[i][j] = s.load(&row[j]);
            }
        }
        return tile;
    }
    for i in 0..N {
        let row = top + i as isize;
        if row < 0 || row >= height {
            continue;
        }
        let x = &x[row as usize * planes.width..][..planes.width];
        for j in 0..N {
            let column = left + j as isize;
            if column >= 0 && column < width {
                tile[i][j] = s.load(&x[column as usize]);
            }
        }
    }
    tile
}

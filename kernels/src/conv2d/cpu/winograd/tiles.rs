//! The tiles of all groups of samples, and their way to and from planes.

use super::{INPUTS, RESULTS};
use crate::simd::{Pack, Simd};

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    rows: usize,
    columns: usize,
    groups: usize,
}

/// A tile: its group of samples, and the row and column of its first result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub group: usize,
    pub row: usize,
    pub column: usize,
}

impl Tiles {
    pub fn new(to: Planes, groups: usize) -> Tiles {
        Tiles { rows: to.height.div_ceil(RESULTS), columns: to.width.div_ceil(RESULTS), groups }
    }

    pub fn count(&self) -> usize {
        self.groups * self.rows * self.columns
    }

    /// `count` tiles from `first` on.
    pub fn range(&self, first: usize, count: usize) -> impl Iterator<Item = Tile> + Clone + use<> {
        let Tiles { rows, columns, .. } = *self;
        let of = move |index: usize| Tile {
            group: index / columns / rows,
            row: index / columns % rows * RESULTS,
            column: index % columns * RESULTS,
        };
        let mut tile = of(first);
        (first..first + count).map(move |_| {
            let this = tile;
            tile.column += RESULTS;
            if tile.column == columns * RESULTS {
                tile = Tile { group: tile.group, row: tile.row + RESULTS, column: 0 };
            }
            if tile.row == rows * RESULTS {
                tile = Tile { group: tile.group + 1, row: 0, column: 0 };
            }
            this
        })
    }
}

/// The inputs of a tile, whose results' windows begin `halo` before them; zeros outside the plane.
#[inline(always)]
pub(super) fn load_inputs<S: Simd>(
    s: S,
    x: &[Pack],
    planes: &Planes,
    tile: Tile,
    halo: isize,
) -> [[S::Vector; INPUTS]; INPUTS] {
    load(s, x, planes, tile.row as isize - halo, tile.column as isize - halo)
}

/// The `N`×`N` packs of a plane from (`top`, `left`) on; zeros outside it.
#[inline(always)]
pub(super) fn load<S: Simd, const N: usize>(
    s: S,
    x: &[Pack],
    planes: &Planes,
    top: isize,
    left: isize,
) -> [[S::Vector; N]; N] {
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

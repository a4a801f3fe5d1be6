//! Products of matrices whose right side has 16 samples in each element: a weight times a pack.

use std::ops::Range;

use crate::conv2d::Accumulation;
use crate::simd::{Pack, Register, Simd, WIDTH};

/// Weights of 16 results for each term: `[⌈results/16⌉][terms][16]`, zeros for results that do not exist.
pub(super) type Panels<'a> = &'a [[f32; WIDTH]];

/// Packs `[rows][columns]`, with `stride` packs from row to row.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub packs: &'a [Pack],
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
}

/// Where a product goes: row `r` starts at `packs[r · stride]`.
pub(super) struct Target<'a> {
    pub packs: &'a mut [Pack],
    pub stride: usize,
    pub rows: usize,
    /// Where the sums start: at 0 if absent.
    pub start: Option<&'a [f32]>,
    pub accumulation: Accumulation,
}

/// Terms that are added one after the other. With shorter runs weights come from memory in pieces that are too short.
const TERMS_AT_ONCE: usize = 256;

/// `to[r][p] = start[r] + Σ_t w(r, t) · x[t][p]`, terms in order. Runs of [`TERMS_AT_ONCE`] terms have sums of their
/// own.
#[inline(always)]
pub(super) fn product<S: Simd>(s: S, panels: Panels, x: Matrix, to: &mut Target) {
    for first in (0..x.rows).step_by(TERMS_AT_ONCE) {
        let terms = first..x.rows.min(first + TERMS_AT_ONCE);
        let mut column = 0;
        while column < x.columns {
            let place = Place { terms: terms.clone(), column };
            // Up to 24 sums of 32 registers, 6 of 8 virtual ones. Results outnumber columns: packs of `x` come from
            // farther away than weights.
            column += match (S::MANY_REGISTERS, x.columns - column) {
                (true, 4) => columns::<S, 4, 4>(s, panels, x, place, to),
                (true, 3..) => columns::<S, 8, 3>(s, panels, x, place, to),
                (true, 2) => columns::<S, 8, 2>(s, panels, x, place, to),
                (true, _) => columns::<S, 16, 1>(s, panels, x, place, to),
                (false, _) => columns::<S, 6, 1>(s, panels, x, place, to),
            };
        }
    }
}

/// Some columns of a run of terms.
struct Place {
    terms: Range<usize>,
    column: usize,
}

/// `P` columns of all results. Returns `P`.
#[inline(always)]
fn columns<S: Simd, const R: usize, const P: usize>(
    s: S,
    panels: Panels,
    x: Matrix,
    place: Place,
    to: &mut Target,
) -> usize {
    let Place { terms, column } = place;
    let packs = &x.packs[terms.start * x.stride + column..];
    let (start, accumulation) = match terms.start {
        0 => (to.start, to.accumulation),
        _ => (None, Accumulation::Add),
    };
    for (index, panel) in panels.chunks_exact(x.rows).enumerate() {
        let panel = &panel[terms.clone()];
        let results = (to.rows - index * WIDTH).min(WIDTH);
        let mut first = 0;
        while first < results {
            let block = Block { panel, row: index * WIDTH + first, first, results, start, accumulation };
            // 16 are not a multiple of 6.
            first += match WIDTH - first {
                4 if R > 4 => block.compute::<S, 4, P>(s, (packs, x.stride), column, to),
                _ => block.compute::<S, R, P>(s, (packs, x.stride), column, to),
            };
        }
    }
    P
}

/// Results of a panel from `first` on, the first of them in row `row`, where there are `results` in it.
struct Block<'a> {
    panel: &'a [[f32; WIDTH]],
    row: usize,
    first: usize,
    results: usize,
    start: Option<&'a [f32]>,
    accumulation: Accumulation,
}

impl Block<'_> {
    /// `R` results × `P` columns in registers. Returns `R`.
    #[inline(always)]
    fn compute<S: Simd, const R: usize, const P: usize>(
        &self,
        s: S,
        x: (&[Pack], usize),
        column: usize,
        to: &mut Target,
    ) -> usize {
        let Block { panel, row, first, results, start, accumulation } = *self;
        // Rows of results lie too far apart to be fetched ahead.
        for r in 0..R.min(results - first) {
            s.register().prefetch(&to.packs[(row + r) * to.stride + column][0]);
        }
        let mut sums = [[s.splat(0.0); P]; R];
        if let Some(start) = start {
            for r in 0..R.min(results - first) {
                sums[r] = [s.splat(start[row + r]); P];
            }
        }
        multiply_add(s, panel, first, x, &mut sums);
        for r in 0..R {
            if first + r < results {
                write(s, sums[r], &mut to.packs[(row + r) * to.stride + column..], accumulation);
            }
        }
        R
    }
}

/// Adds all terms to `R` results × `P` columns in registers.
#[inline(always)]
fn multiply_add<S: Simd, const R: usize, const P: usize>(
    s: S,
    panel: &[[f32; WIDTH]],
    first: usize,
    (x, stride): (&[Pack], usize),
    sums: &mut [[S::Vector; P]; R],
) {
    let mut total = *sums;
    for (x, weights) in x.chunks(stride).zip(panel) {
        let x: &[Pack; P] = x.first_chunk().expect("a row has its columns");
        let weights: &[f32; R] = weights[first..].first_chunk().expect("a panel has all its results");
        let mut packs = [s.splat(0.0); P];
        for p in 0..P {
            packs[p] = s.load(&x[p]);
        }
        for r in 0..R {
            let weight = s.splat(weights[r]);
            for p in 0..P {
                total[r][p] = s.fma(weight, packs[p], total[r][p]);
            }
        }
    }
    *sums = total;
}

#[inline(always)]
fn write<S: Simd, const P: usize>(s: S, sums: [S::Vector; P], to: &mut [Pack], accumulation: Accumulation) {
    let to: &mut [Pack; P] = to.first_chunk_mut().expect("a row has its columns");
    for p in 0..P {
        let sum = match accumulation {
            Accumulation::Overwrite => sums[p],
            Accumulation::Add => s.add(s.load(&to[p]), sums[p]),
        };
        s.store(&mut to[p], sum);
    }
}

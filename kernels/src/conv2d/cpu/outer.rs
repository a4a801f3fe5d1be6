//! Sums of outer products over samples and pixels, with 16 channels in each element of the result: the gradient of a
//! weight is `d_w[o][c] = Σ_l d[o][l] · x[l][c]`, l over pixels and their samples.

use crate::simd::{Pack, Simd};

/// Terms whose packs stay in the first-level cache while all rows use them: 128 of 64 channels are 32 KiB.
pub(super) const TERMS_AT_ONCE: usize = 128;

/// Numbers `[rows][terms]`, with `stride` numbers from row to row.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub numbers: &'a [f32],
    pub stride: usize,
    pub rows: usize,
    pub terms: usize,
}

/// Packs `[columns][terms]`, with `stride` packs from column to column.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub packs: &'a [Pack],
    pub stride: usize,
    pub columns: usize,
}

/// Packs from column to column for `terms` terms: odd, since columns a power of two apart would share a set of the
/// first-level cache.
pub(super) fn column_stride(terms: usize) -> usize {
    terms | 1
}

/// `sums[r][c] += Σ_l d[r][l] · x[c][l]` with as many packs in a row of `sums` as `x` has columns. Runs of
/// [`TERMS_AT_ONCE`] terms have sums of their own.
#[inline(always)]
pub(super) fn add_outer<S: Simd>(s: S, d: Rows, x: Columns, sums: &mut [Pack]) {
    for first in (0..d.terms).step_by(TERMS_AT_ONCE) {
        let terms = TERMS_AT_ONCE.min(d.terms - first);
        let d = Rows { numbers: &d.numbers[first..], terms, ..d };
        let x = Columns { packs: &x.packs[first..], ..x };
        let mut column = 0;
        while column < x.columns {
            // Rows × packs in registers: up to 24 sums of 32 registers, 6 of 8 virtual ones. Not more than 8 rows:
            // where planes have a power of two for a size, all rows share a set of the first-level cache.
            column += match (S::MANY_REGISTERS, x.columns - column) {
                (true, 4..) => all_rows::<S, 6, 4>(s, d, x, column, sums),
                (true, 3) => all_rows::<S, 8, 3>(s, d, x, column, sums),
                (true, 2) => all_rows::<S, 8, 2>(s, d, x, column, sums),
                (true, _) => all_rows::<S, 8, 1>(s, d, x, column, sums),
                (false, _) => all_rows::<S, 6, 1>(s, d, x, column, sums),
            };
        }
    }
}

/// `C` packs of every row. Returns `C`.
#[inline(always)]
fn all_rows<S: Simd, const R: usize, const C: usize>(
    s: S,
    d: Rows,
    x: Columns,
    column: usize,
    sums: &mut [Pack],
) -> usize {
    let mut row = 0;
    while row < d.rows {
        row += match d.rows - row {
            rest if rest >= R => block::<S, R, C>(s, d, row, x, column, sums),
            8.. if R > 8 => block::<S, 8, C>(s, d, row, x, column, sums),
            4.. if R > 4 => block::<S, 4, C>(s, d, row, x, column, sums),
            2.. if R > 2 => block::<S, 2, C>(s, d, row, x, column, sums),
            _ => block::<S, 1, C>(s, d, row, x, column, sums),
        };
    }
    C
}

/// `R` rows × `C` packs in registers. Returns `R`.
#[inline(always)]
fn block<S: Simd, const R: usize, const C: usize>(
    s: S,
    d: Rows,
    row: usize,
    x: Columns,
    column: usize,
    sums: &mut [Pack],
) -> usize {
    let terms = d.terms;
    // Loops: `array::from_fn` stays a function of its own, through memory.
    let mut rows: [&[f32]; R] = [&[]; R];
    for r in 0..R {
        rows[r] = &d.numbers[(row + r) * d.stride..][..terms];
    }
    let mut columns: [&[Pack]; C] = [&[]; C];
    for c in 0..C {
        columns[c] = &x.packs[(column + c) * x.stride..];
    }
    let mut total = [[s.splat(0.0); C]; R];
    // With indices that it can't prove the compiler does not unroll the loop, which would take too many registers.
    for (l, x) in columns[0].iter().enumerate().take(terms) {
        let mut packs = [s.load(x); C];
        for c in 1..C {
            packs[c] = s.load(&columns[c][l]);
        }
        for r in 0..R {
            let d = s.splat(rows[r][l]);
            for c in 0..C {
                total[r][c] = s.fma(d, packs[c], total[r][c]);
            }
        }
    }
    for r in 0..R {
        let sums = &mut sums[(row + r) * x.columns + column..][..C];
        for c in 0..C {
            let sum = s.add(s.load(&sums[c]), total[r][c]);
            s.store(&mut sums[c], sum);
        }
    }
    R
}

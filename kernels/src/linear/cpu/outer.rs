//! Gradient of the weight: a sum of outer products, 16 inputs a vector.
//!
//! `x` is first turned into rows of inputs, in tiles of 64 inputs × all samples: 64 samples' tile is 16 KiB
//! and stays in the first-level cache while all outputs use it.

use std::array::from_fn;

use crate::cpu::{Scratch, samples_in_group};
use crate::linear::LinearSize;
use crate::simd::{Kernel, Pack, Simd, WIDTH, horizontal_sums};

pub(super) struct Outer<'a> {
    pub size: &'a LinearSize,
    pub x: &'a [Pack],
    pub d_y: &'a [Pack],
    pub d_weight: &'a mut [f32],
    pub d_bias: &'a mut [f32],
    pub scratch: &'a mut Scratch,
}

/// Vectors of inputs in a tile.
const TILE: usize = 4;

impl Kernel for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let LinearSize { samples, inputs, outputs, .. } = *self.size;
        bias_gradient(s, outputs, self.d_y, self.d_bias);
        let tile = self.scratch.input.packs(samples * TILE);
        let factors = self.scratch.gradient.numbers(samples * outputs);
        factors_in_order(s, self.size, self.d_y, factors);
        let mut product = Product { size: self.size, factors, d_weight: self.d_weight };
        let mut first = 0;
        while first < inputs.div_ceil(WIDTH) {
            match inputs.div_ceil(WIDTH) - first {
                TILE.. => {
                    turn::<S, TILE>(s, self.size, self.x, first, tile);
                    product.tile::<S, TILE>(s, first, tile);
                    first += TILE;
                }
                2.. => {
                    turn::<S, 2>(s, self.size, self.x, first, tile);
                    product.tile::<S, 2>(s, first, tile);
                    first += 2;
                }
                _ => {
                    turn::<S, 1>(s, self.size, self.x, first, tile);
                    product.tile::<S, 1>(s, first, tile);
                    first += 1;
                }
            }
        }
    }
}

/// Turns the packs of `V` vectors of inputs, from vector `first` on, into rows: `tile[n·V + v][i]`. Inputs that
/// do not exist become 0.
#[inline(always)]
fn turn<S: Simd, const V: usize>(s: S, size: &LinearSize, x: &[Pack], first: usize, tile: &mut [Pack]) {
    for (group, x) in x.chunks_exact(size.inputs).enumerate() {
        let samples = samples_in_group(size.samples, group);
        for v in 0..V {
            let x = &x[(first + v) * WIDTH..];
            let mut columns = [s.splat(0.0); WIDTH];
            for (column, x) in columns.iter_mut().zip(x) {
                *column = s.load(x);
            }
            let rows = s.transpose(columns);
            let tile = &mut tile[group * WIDTH * V..];
            for (n, row) in rows.into_iter().enumerate().take(samples) {
                s.store(&mut tile[n * V + v], row);
            }
        }
    }
}

/// Outputs of the next block, when `rest` are left.
fn outputs_at_once<S: Simd>(rest: usize) -> usize {
    match rest {
        6.. if S::MANY_REGISTERS => 6,
        4.. if S::MANY_REGISTERS => 4,
        2.. if S::MANY_REGISTERS => 2,
        _ => 1,
    }
}

/// Copies `d_y`, so that the inner loop reads one run of numbers: reading a column of packs needs so many addresses
/// that sums were spilled to memory, at half the speed.
#[inline(always)]
fn factors_in_order<S: Simd>(_: S, size: &LinearSize, d_y: &[Pack], factors: &mut [f32]) {
    let mut output = 0;
    while output < size.outputs {
        let factors = &mut factors[output * size.samples..];
        output += match outputs_at_once::<S>(size.outputs - output) {
            6 => copy_block::<6>(size, &d_y[output..], factors),
            4 => copy_block::<4>(size, &d_y[output..], factors),
            2 => copy_block::<2>(size, &d_y[output..], factors),
            _ => copy_block::<1>(size, &d_y[output..], factors),
        };
    }
}

/// Copies the block of the first `O` outputs of each group. Returns `O`.
#[inline(always)]
fn copy_block<const O: usize>(size: &LinearSize, d_y: &[Pack], factors: &mut [f32]) -> usize {
    let factors = &mut factors.as_chunks_mut::<O>().0[..size.samples];
    for (factors, d_y) in factors.chunks_mut(WIDTH).zip(d_y.chunks(size.outputs)) {
        let d_y: &[Pack; O] = d_y.first_chunk().expect("a block lies within its outputs");
        for (n, factors) in factors.iter_mut().enumerate().take(WIDTH) {
            *factors = from_fn(|o| d_y[o][n]);
        }
    }
    O
}

struct Product<'a> {
    size: &'a LinearSize,
    /// `d_y` as a block reads it: for each block of outputs, sample by sample.
    factors: &'a [f32],
    d_weight: &'a mut [f32],
}

impl Product<'_> {
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(&mut self, s: S, first: usize, tile: &[Pack]) {
        let mut output = 0;
        while output < self.size.outputs {
            output += match outputs_at_once::<S>(self.size.outputs - output) {
                6 => self.block::<S, V, 6>(s, first, output, tile),
                4 => self.block::<S, V, 4>(s, first, output, tile),
                2 => self.block::<S, V, 2>(s, first, output, tile),
                _ => self.block::<S, V, 1>(s, first, output, tile),
            };
        }
    }

    /// `O` outputs × `V` vectors of inputs in registers. Returns `O`.
    #[inline(always)]
    fn block<S: Simd, const V: usize, const O: usize>(
        &mut self,
        s: S,
        first: usize,
        output: usize,
        tile: &[Pack],
    ) -> usize {
        let LinearSize { samples, inputs, .. } = *self.size;
        let mut sums = [[s.splat(0.0); V]; O];
        let rows = tile.as_chunks::<V>().0[..samples].iter();
        let factors = self.factors[output * samples..].as_chunks::<O>().0[..samples].iter();
        for (row, factors) in rows.zip(factors) {
            let mut x = [s.splat(0.0); V];
            for v in 0..V {
                x[v] = s.load(&row[v]);
            }
            for o in 0..O {
                let factor = s.splat(factors[o]);
                for v in 0..V {
                    sums[o][v] = s.fma(factor, x[v], sums[o][v]);
                }
            }
        }
        let (from, to) = (first * WIDTH, inputs.min((first + V) * WIDTH));
        let rows: [usize; O] = from_fn(|o| (output + o) * inputs);
        for o in 0..O {
            let row = &mut self.d_weight[rows[o] + from..rows[o] + to];
            for (to, sum) in row.chunks_mut(WIDTH).zip(sums[o]) {
                store_part(s, to, sum);
            }
        }
        O
    }
}

/// Stores the first `to.len()` numbers.
#[inline(always)]
fn store_part<S: Simd>(s: S, to: &mut [f32], value: S::Vector) {
    match to.first_chunk_mut() {
        Some(pack) => s.store(pack, value),
        None => {
            let mut pack = [0.0; WIDTH];
            s.store(&mut pack, value);
            to.copy_from_slice(&pack[..to.len()]);
        }
    }
}

#[inline(always)]
fn bias_gradient<S: Simd>(s: S, outputs: usize, d_y: &[Pack], d_bias: &mut [f32]) {
    for (block, d_bias) in d_bias.chunks_mut(WIDTH).enumerate() {
        let mut sums = [[0.0; WIDTH]; WIDTH];
        for (o, to) in sums.iter_mut().enumerate().take(d_bias.len()) {
            let mut sum = s.splat(0.0);
            for d_y in d_y.chunks_exact(outputs) {
                sum = s.add(sum, s.load(&d_y[block * WIDTH + o]));
            }
            s.store(to, sum);
        }
        store_part(s, d_bias, horizontal_sums(s, &sums));
    }
}

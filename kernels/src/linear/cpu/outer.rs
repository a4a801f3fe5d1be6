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
        let LinearSize { samples, inputs, outputs } = *self.size;
        bias_gradient(s, outputs, self.d_y, self.d_bias);
        let tile = self.scratch.input.packs(samples * TILE);
        let mut product = Product { size: self.size, d_y: self.d_y, d_weight: self.d_weight };
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

struct Product<'a> {
    size: &'a LinearSize,
    d_y: &'a [Pack],
    d_weight: &'a mut [f32],
}

impl Product<'_> {
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(&mut self, s: S, first: usize, tile: &[Pack]) {
        let mut output = 0;
        while output < self.size.outputs {
            output += match self.size.outputs - output {
                6.. if S::MANY_REGISTERS => self.block::<S, V, 6>(s, first, output, tile),
                4.. if S::MANY_REGISTERS => self.block::<S, V, 4>(s, first, output, tile),
                2.. if S::MANY_REGISTERS || V == 1 => self.block::<S, V, 2>(s, first, output, tile),
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
        let LinearSize { samples, inputs, outputs } = *self.size;
        let mut sums = [[s.splat(0.0); V]; O];
        let mut rows = tile.as_chunks::<V>().0[..samples].iter();
        for d_y in self.d_y.chunks_exact(outputs) {
            let d_y: &[Pack; O] = d_y[output..].first_chunk().expect("a block lies within its outputs");
            for (n, row) in rows.by_ref().take(WIDTH).enumerate() {
                let mut x = [s.splat(0.0); V];
                for v in 0..V {
                    x[v] = s.load(&row[v]);
                }
                for o in 0..O {
                    let d = s.splat(d_y[o][n]);
                    for v in 0..V {
                        sums[o][v] = s.fma(d, x[v], sums[o][v]);
                    }
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

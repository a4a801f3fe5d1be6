//! The forward pass, and the gradient of the input seen as one.

use super::super::panels::PanelSize;
use super::super::product::{Matrix, Target, product};
use super::tiles::{Planes, Tile, Tiles, load_seat};
use super::transforms::{Input, Output, Weight, both_ways};
use super::{ELEMENTS, INPUTS, RESULTS, apart};
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Simd, WIDTH};

/// Packs of transformed inputs that go at once: they stay in the second-level cache (768 KiB) …
const PACKS_AT_ONCE: usize = 12_288;
/// … unless that were fewer tiles than these, which would read the weights from memory too often.
const LEAST_TILES: usize = 6;
/// Panels of results that go at once.
const PANELS_AT_ONCE: usize = 4;

/// A 3×3 convolution of planes.
#[derive(Clone, Copy)]
pub(in super::super) struct Geometry {
    from: Planes,
    to: Planes,
    /// Zeros around the source.
    halo: isize,
    /// Whether the weight is stored (from, to, 3, 3) and used turned around.
    transposed: bool,
}

impl Geometry {
    pub(in super::super) fn of_forward(size: &Conv2dSize) -> Geometry {
        Geometry {
            from: Planes { channels: size.in_channels, height: size.height, width: size.width },
            to: Planes { channels: size.out_channels, height: size.out_height(), width: size.out_width() },
            halo: size.padding as isize,
            transposed: false,
        }
    }

    pub(in super::super) fn of_backward(size: &Conv2dSize) -> Geometry {
        let Geometry { from, to, .. } = Self::of_forward(size);
        Geometry { from: to, to: from, halo: 2 - size.padding as isize, transposed: true }
    }
}

pub(in super::super) struct Forward<'a> {
    pub geometry: Geometry,
    pub samples: usize,
    pub x: &'a [Pack],
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [Pack],
    pub accumulation: Accumulation,
    pub scratch: &'a mut Scratch,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { geometry: g, samples, x, weight, bias, y, accumulation, scratch } = self;
        let tiles = Tiles::new(g.to, samples);
        let at_once = (PACKS_AT_ONCE / (ELEMENTS * g.from.channels) / 3 * 3).max(LEAST_TILES).min(tiles.seats()).max(1);
        let weights = PanelSize { results: g.to.channels, terms: g.from.channels, taps: 9, transposed: g.transposed };
        // Blocks of panels: `[blocks][elements][panels][terms]`.
        let blocks = weights.panels().div_ceil(PANELS_AT_ONCE);
        let between_weights = apart(PANELS_AT_ONCE.min(weights.panels()) * g.from.channels);
        // Where all tiles go at once, a block of transformed weights is used once and makes room for the next.
        let stored = if at_once == tiles.seats() { 1 } else { blocks };
        let transformed = scratch.weights.packs(stored * ELEMENTS * between_weights);
        let between = apart(g.from.channels * at_once);
        let inputs = scratch.input.packs(ELEMENTS * between);
        let between_products = apart(PANELS_AT_ONCE * WIDTH * at_once);
        let products = scratch.products.packs(ELEMENTS * between_products);
        for first in (0..tiles.seats()).step_by(at_once) {
            let count = at_once.min(tiles.seats() - first);
            transform_inputs(s, &g, (x, tiles), (first, count), inputs, between);
            for block in 0..blocks {
                let panels = block * PANELS_AT_ONCE..weights.panels().min((block + 1) * PANELS_AT_ONCE);
                let place = block % stored * ELEMENTS * between_weights;
                let transformed = &mut transformed[place..][..ELEMENTS * between_weights];
                if first == 0 {
                    for (index, panel) in panels.clone().enumerate() {
                        let to = &mut transformed[index * g.from.channels..];
                        transform_weights(s, &weights, weight, panel, (to, between_weights));
                    }
                }
                let channels = panels.start * WIDTH..g.to.channels.min(panels.end * WIDTH);
                for element in 0..ELEMENTS {
                    let packs = &inputs[element * between..][..g.from.channels * count];
                    let x = Matrix { packs, stride: count, rows: g.from.channels, columns: count };
                    let packs = &mut products[element * between_products..][..channels.len() * count];
                    let accumulation = Accumulation::Overwrite;
                    let mut to = Target { packs, stride: count, rows: channels.len(), start: None, accumulation };
                    let panels = &transformed[element * between_weights..][..panels.len() * g.from.channels];
                    product(s, panels, x, &mut to);
                }
                let write = Write { to: g.to, tiles, range: (first, count), channels, bias, accumulation };
                write.run(s, products, between_products, y);
            }
        }
    }
}

/// `[elements][channels][tiles]` from planes.
#[inline(always)]
fn transform_inputs<S: Simd>(
    s: S,
    g: &Geometry,
    (x, tiles): (&[Pack], Tiles),
    (first, count): (usize, usize),
    to: &mut [Pack],
    between: usize,
) {
    for channel in 0..g.from.channels {
        let x = &x[channel * g.from.plane()..];
        for (t, seat) in tiles.range(first, count).enumerate() {
            let inputs = both_ways::<Input, S, 6, 6>(s, load_seat(s, x, &g.from, seat, g.halo));
            let to = &mut to[channel * count + t..];
            for i in 0..INPUTS {
                for j in 0..INPUTS {
                    s.store(&mut to[(i * INPUTS + j) * between], inputs[i][j]);
                }
            }
        }
    }
}

/// A panel of weights: `[elements][terms]`, elements `between` packs apart.
#[inline(always)]
fn transform_weights<S: Simd>(
    s: S,
    size: &PanelSize,
    weight: &[f32],
    panel: usize,
    (to, between): (&mut [Pack], usize),
) {
    let mut raw = [[0.0; WIDTH]; 9 * WIDTH];
    for first in (0..size.terms).step_by(WIDTH) {
        let terms = first..size.terms.min(first + WIDTH);
        size.pack(s, weight, panel, terms.clone(), &mut raw);
        for (raw, term) in raw.as_chunks::<9>().0.iter().zip(terms) {
            let mut kernel = [[s.splat(0.0); 3]; 3];
            for tap in 0..9 {
                kernel[tap / 3][tap % 3] = s.load(&raw[tap]);
            }
            let kernel = both_ways::<Weight, S, 3, 6>(s, kernel);
            for element in 0..ELEMENTS {
                s.store(&mut to[element * between + term], kernel[element / INPUTS][element % INPUTS]);
            }
        }
    }
}

/// Sums of products on their way to planes.
struct Write<'a> {
    to: Planes,
    tiles: Tiles,
    range: (usize, usize),
    channels: std::ops::Range<usize>,
    bias: Option<&'a [f32]>,
    accumulation: Accumulation,
}

impl Write<'_> {
    /// From `[elements][channels][tiles]`.
    #[inline(always)]
    fn run<S: Simd>(&self, s: S, products: &[Pack], between: usize, y: &mut [Pack]) {
        let (first, count) = self.range;
        for (k, channel) in self.channels.clone().enumerate() {
            let bias = s.splat(self.bias.map_or(0.0, |bias| bias[channel]));
            for (t, seat) in self.tiles.range(first, count).enumerate() {
                let products = &products[k * count + t..];
                let mut sums = [[s.splat(0.0); INPUTS]; INPUTS];
                for i in 0..INPUTS {
                    for j in 0..INPUTS {
                        sums[i][j] = s.load(&products[(i * INPUTS + j) * between]);
                    }
                }
                let mut results = both_ways::<Output, S, 6, 4>(s, sums);
                for row in &mut results {
                    for result in row {
                        *result = s.add(*result, bias);
                    }
                }
                if let Some(second) = seat.second {
                    let mut upper = results;
                    for i in 0..RESULTS {
                        for j in 0..RESULTS {
                            upper[i][j] = s.upper(results[i][j]);
                            results[i][j] = s.lower(results[i][j]);
                        }
                    }
                    self.tile(s, upper, second, &mut y[channel * self.to.plane()..]);
                }
                self.tile(s, results, seat.tile, &mut y[channel * self.to.plane()..]);
            }
        }
    }

    /// Writes the results of a tile that lie in its plane: of the channel that begins `y` in a group of samples.
    #[inline(always)]
    fn tile<S: Simd>(&self, s: S, results: [[S::Vector; RESULTS]; RESULTS], tile: Tile, y: &mut [Pack]) {
        let plane = &mut y[tile.group * self.to.group()..][..self.to.plane()];
        for i in 0..RESULTS.min(self.to.height - tile.row) {
            let row = &mut plane[(tile.row + i) * self.to.width..][..self.to.width];
            for (j, y) in row[tile.column..].iter_mut().take(RESULTS).enumerate() {
                let sum = match self.accumulation {
                    Accumulation::Overwrite => results[i][j],
                    Accumulation::Add => s.add(s.load(y), results[i][j]),
                };
                s.store(y, sum);
            }
        }
    }
}

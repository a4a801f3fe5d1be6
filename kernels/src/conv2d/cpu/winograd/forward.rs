//! The forward pass, and the gradient of the input seen as one.

use super::super::Lanes;
use super::super::panels::PanelSize;
use super::super::product::{Matrix, Target, product};
use super::passes::{Back, Forth, LONGEST, half_way};
use super::tiles::{Planes, Tiles};
use super::transforms::{Input, Weight, both_ways};
use super::{ELEMENTS, INPUTS, apart};
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cpu::Scratch;
use crate::simd::{Kernel, Pack, Register, Simd, WIDTH};

/// Packs of transformed inputs that go at once: they stay in the second-level cache with as many products (512 KiB) …
const PACKS_AT_ONCE: usize = 4_096;
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
    pub(in super::super) fn of_forward(size: &Conv2dSize, lanes: Lanes) -> Geometry {
        Geometry {
            from: Planes::of_input(size, lanes),
            to: Planes::of_output(size, lanes),
            halo: size.padding as isize,
            transposed: false,
        }
    }

    pub(in super::super) fn of_backward(size: &Conv2dSize, lanes: Lanes) -> Geometry {
        let Geometry { from, to, .. } = Self::of_forward(size, lanes);
        Geometry { from: to, to: from, halo: 2 - size.padding as isize, transposed: true }
    }
}

pub(in super::super) struct Forward<'a> {
    pub geometry: Geometry,
    pub samples: usize,
    pub x: &'a [f32],
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub y: &'a mut [f32],
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
        // Two of them: what comes back keeps zeros where a pack has no samples.
        let (mut half_way_forth, mut half_way_back) = (half_way(), half_way());
        let forth = Forth { planes: &g.from, halo: g.halo, between };
        let back = Back { planes: &g.to, between: between_products, accumulation };
        for first in (0..tiles.seats()).step_by(at_once) {
            let count = at_once.min(tiles.seats() - first);
            let runs = tiles.runs(first..first + count, LONGEST);
            for channel in 0..g.from.channels {
                let (x, to) = (&x[channel * g.from.plane()..], &mut inputs[channel * count..]);
                for run in runs.clone() {
                    forth.run::<Input, _, 6>(s.register(), &run, x, &mut half_way_forth, to);
                }
            }
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
                for (k, channel) in channels.enumerate() {
                    let bias = bias.map_or(0.0, |bias| bias[channel]);
                    let (products, y) = (&products[k * count..], &mut y[channel * g.to.plane()..]);
                    for run in runs.clone() {
                        back.run(s.register(), &run, products, bias, &mut half_way_back, y);
                    }
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
            let r = s.register();
            for part in 0..S::Register::PARTS {
                let mut kernel = [[r.splat(0.0); 3]; 3];
                for tap in 0..9 {
                    kernel[tap / 3][tap % 3] = r.load_part(&raw[tap], part);
                }
                let kernel = both_ways::<Weight, _, 3, 6>(r, kernel);
                for element in 0..ELEMENTS {
                    let value = kernel[element / INPUTS][element % INPUTS];
                    r.store_part(&mut to[element * between + term], part, value);
                }
            }
        }
    }
}

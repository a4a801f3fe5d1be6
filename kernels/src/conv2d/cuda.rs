//! The convolution on a GPU: sums of products as the formula has them, (row, column, channel) of the kernel upwards,
//! the bias last. `Algorithm` makes no difference to them.

use super::{Accumulation, Conv2d, Conv2dSize};
use crate::activation::{Activate, Activation};
use crate::cuda::cudnn::Behind;
use crate::cuda::launch::{Argument, Grid};
use crate::cuda::scratch::Part;
use crate::cuda::{Cuda, View, ViewMut, assert_len};
use crate::device::Memory;

/// Terms that a tile has at once, as in matrix.cuh.
const TILE_K: usize = 16;
/// Columns of the matrices of which a block turns a tile.
const TURNED: usize = 32;

/// The shape of a product's tiles: by it one of a kernel's two versions is taken. It makes no difference to the bits.
#[derive(Clone, Copy)]
enum Tile {
    Square,
    Narrow,
}

impl Tile {
    /// Of a matrix of this size. One that fits into a single tile of either shape has a square, which loads less.
    fn of(rows: usize, columns: usize) -> Self {
        if columns <= 32 && (rows > 64 || columns > 16) { Tile::Narrow } else { Tile::Square }
    }

    /// Tiles of a matrix.
    fn count(self, rows: usize, columns: usize) -> usize {
        let (tall, wide) = match self {
            Tile::Square => (64, 64),
            Tile::Narrow => (256, 16),
        };
        rows.div_ceil(tall) * columns.div_ceil(wide)
    }
}

/// A long sum cut into parts, a function of sizes alone.
struct Parts {
    count: usize,
    length: usize,
}

impl Parts {
    /// Blocks that keep a large GPU busy.
    const BLOCKS: usize = 512;
    /// Terms of a part that are worth a block, where the sum has as many.
    const TERMS: usize = 512;

    /// Of a sum of `terms`, where each part is the work of `blocks`.
    fn new(terms: usize, blocks: usize) -> Self {
        let wanted = Self::BLOCKS.div_ceil(blocks).min(terms / Self::TERMS).max(1);
        let length = terms.div_ceil(wanted).next_multiple_of(TILE_K).max(TILE_K);
        Self { count: terms.div_ceil(length).max(1), length }
    }
}

impl Conv2dSize {
    /// As the kernels take it.
    fn argument(&self) -> Argument {
        let Conv2dSize { in_channels, out_channels, height, width, kernel, .. } = *self;
        let Conv2dSize { stride, padding, dilation, groups, .. } = *self;
        let common = greatest_common_divisor(stride, dilation);
        [
            in_channels,
            out_channels,
            groups,
            in_channels / groups,
            out_channels / groups,
            height,
            width,
            self.out_height(),
            self.out_width(),
            kernel,
            stride,
            padding,
            dilation,
            stride / common,
            dilation / common,
        ]
        .into()
    }

    /// Terms of an output.
    fn terms(&self) -> usize {
        self.in_channels / self.groups * self.kernel * self.kernel
    }

    fn places(&self) -> usize {
        self.samples * self.out_height() * self.out_width()
    }

    /// Of y, with a group's inputs.
    #[track_caller]
    fn index(&self) -> Argument {
        index([self.samples, self.out_height(), self.out_width()], self.in_channels / self.groups)
    }

    fn weight_tiles(&self) -> usize {
        let outputs = self.out_channels / self.groups;
        self.groups * self.weight_tile().count(self.terms(), outputs)
    }

    fn weight_tile(&self) -> Tile {
        Tile::of(self.terms(), self.out_channels / self.groups)
    }

    fn weight_parts(&self) -> Parts {
        Parts::new(self.places(), self.weight_tiles())
    }

    fn bias_parts(&self) -> Parts {
        Parts::new(self.places(), self.out_channels.div_ceil(TURNED))
    }

    /// Words of scratch memory for the gradients of weight and bias.
    pub(crate) fn gradient_words(&self) -> usize {
        (self.weight_parts().count * self.weights()).max(self.bias_words())
    }

    /// The same for the gradient of the bias alone.
    pub(crate) fn bias_words(&self) -> usize {
        self.bias_parts().count * self.out_channels
    }

    /// # Panics
    /// If pixels are more than the kernels count.
    #[track_caller]
    fn check_pixels(&self) {
        let pixels = self.samples * (self.height * self.width).max(self.out_height() * self.out_width());
        assert!(pixels < 1 << 31, "{pixels} pixels are more than a kernel can count");
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Places of a grid and the divisor that tells a term's channel, as the kernels take them.
#[track_caller]
fn index([samples, height, width]: [usize; 3], channels: usize) -> Argument {
    let mut words = [samples * height * width; 10];
    for (to, by) in words[1..].chunks_exact_mut(3).zip([height, width, channels]) {
        to.copy_from_slice(&divisor(by));
    }
    words.into()
}

/// A divisor, factor and shift: n / divisor = (⌊n · factor / 2³²⌋ + n) / 2^shift for n below 2³¹.
fn divisor(by: usize) -> [usize; 3] {
    let shift = by.next_power_of_two().trailing_zeros();
    let factor = (((1u64 << shift) - by as u64) << 32) / by as u64 + 1;
    [by, factor as usize, shift as usize]
}

/// What both passes over activations need beside their operands.
impl Cuda {
    /// `turned` takes the weight, as many words.
    pub(crate) fn convolution_forward(&mut self, size: &Conv2dSize, [x, weight, bias, y]: [Argument; 4], turned: Part) {
        size.check_pixels();
        self.turn_weight(size, weight, turned);
        let outputs = size.out_channels / size.groups;
        let tile = Tile::of(size.places(), outputs);
        let kernel = match tile {
            Tile::Square => "conv2d_forward_square",
            Tile::Narrow => "conv2d_forward_narrow",
        };
        let grid = Grid::blocks([size.groups * tile.count(size.places(), outputs), 1, 1]);
        self.launch(kernel, grid, &[size.argument(), size.index(), x, turned.into(), bias, y]);
    }

    /// `turned` takes the weight, as many words.
    pub(crate) fn convolution_backward_input(
        &mut self,
        size: &Conv2dSize,
        [weight, d_y, d_x]: [Argument; 3],
        accumulation: Accumulation,
        turned: Part,
    ) {
        size.check_pixels();
        self.turn_weight(size, weight, turned);
        // Pixels go by their remainders by the stride: those of one remainder meet the same elements of the kernel.
        let Conv2dSize { samples, height, width, stride, groups, .. } = *size;
        let (inputs, outputs) = (size.in_channels / groups, size.out_channels / groups);
        let phases = stride.min(height) * stride.min(width);
        let places = [samples, height.div_ceil(stride), width.div_ceil(stride)];
        let tile = Tile::of(places.iter().product(), inputs);
        let kernel = match tile {
            Tile::Square => "conv2d_backward_input_square",
            Tile::Narrow => "conv2d_backward_input_narrow",
        };
        let grid = Grid::blocks([groups * phases * tile.count(places.iter().product(), inputs), 1, 1]);
        let add = (accumulation == Accumulation::Add).into();
        self.launch(kernel, grid, &[size.argument(), index(places, outputs), turned.into(), d_y, d_x, add]);
    }

    /// `parts` has [`Conv2dSize::bias_words`], if there is a bias.
    pub(crate) fn convolution_backward_weight(
        &mut self,
        size: &Conv2dSize,
        [x, d_y, d_weight]: [Argument; 3],
        d_bias: Option<Argument>,
        parts: Part,
    ) {
        size.check_pixels();
        let Parts { count, length } = size.weight_parts();
        let kernel = match size.weight_tile() {
            Tile::Square => "conv2d_backward_weight_square",
            Tile::Narrow => "conv2d_backward_weight_narrow",
        };
        let sums = if count == 1 { d_weight } else { parts.into() };
        let grid = Grid::blocks([count * size.weight_tiles(), 1, 1]);
        self.launch(kernel, grid, &[size.argument(), size.index(), length.into(), x, d_y, sums]);
        if count > 1 {
            self.column_sums("conv2d_sum_parts", [count, size.weights()], count, [sums, d_weight]);
        }
        self.convolution_backward_bias(size, d_y, d_bias, parts);
    }

    /// `parts` has [`Conv2dSize::gradient_words`].
    fn convolution_backward_bias(&mut self, size: &Conv2dSize, d_y: Argument, d_bias: Option<Argument>, parts: Part) {
        let Some(d_bias) = d_bias else { return };
        let Parts { count, length } = size.bias_parts();
        let columns = size.out_channels;
        self.column_sums("conv2d_sum_places", [size.places(), columns], length, [d_y, parts.into()]);
        self.column_sums("conv2d_sum_parts", [count, columns], count, [parts.into(), d_bias]);
    }

    fn turn_weight(&mut self, size: &Conv2dSize, weight: Argument, turned: Part) {
        let grid = Grid::blocks([size.terms().div_ceil(TURNED), size.out_channels.div_ceil(TURNED), 1]);
        self.launch("conv2d_turn_weight", grid, &[size.argument(), weight, turned.into()]);
    }

    /// Of each `length` rows; at least of one part.
    fn column_sums(&mut self, kernel: &str, [rows, columns]: [usize; 2], length: usize, [matrix, sums]: [Argument; 2]) {
        // A column has several threads where rows are many, and more where columns are few.
        let lanes = if length < 64 { 1 } else { 256 / columns.next_power_of_two().clamp(8, 32) };
        let grid = Grid::blocks([columns.div_ceil(256 / lanes), rows.div_ceil(length).max(1), 1]);
        let arguments = [rows.into(), columns.into(), length.into(), lanes.into(), matrix, sums];
        self.launch(kernel, grid, &arguments);
    }
}

impl Cuda {
    #[track_caller]
    fn check_forward(
        &self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: Option<View<'_, f32>>,
        y: &ViewMut<'_, f32>,
    ) {
        size.check();
        assert_len("weight", weight.len(), size.weights());
        assert_len("bias", bias.map_or(size.out_channels, |bias| bias.len()), size.out_channels);
        self.assert_activation("x", x.len(), size.samples, size.in_features());
        self.assert_activation("y", y.len(), size.samples, size.out_features());
    }
}

impl Conv2d for Cuda {
    fn conv2d_forward(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: Option<View<'_, f32>>,
        y: ViewMut<'_, f32>,
    ) {
        self.check_forward(size, x, weight, bias, &y);
        if self.takes(size) {
            return self.dnn_forward(size, x, weight, bias, &y);
        }
        let turned = self.scratch(size.weights());
        self.convolution_forward(size, [x.into(), weight.into(), bias.into(), (&y).into()], turned);
    }

    fn conv2d_relu_forward(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        weight: View<'_, f32>,
        bias: Option<View<'_, f32>>,
        mut y: ViewMut<'_, f32>,
    ) {
        if let Some(bias) = bias.filter(|_| self.takes(size)) {
            self.check_forward(size, x, weight, Some(bias), &y);
            return self.dnn_forward_and(size, Behind::BiasRelu, [x, weight, bias], &y);
        }
        let all = 0..y.len();
        self.conv2d_forward(size, x, weight, bias, Self::slice_mut(&mut y, all));
        self.activation_forward(&size.outputs(), Activation::Relu, y);
    }

    fn conv2d_backward_input(
        &mut self,
        size: &Conv2dSize,
        weight: View<'_, f32>,
        d_y: View<'_, f32>,
        d_x: ViewMut<'_, f32>,
        accumulation: Accumulation,
    ) {
        size.check();
        assert_len("weight", weight.len(), size.weights());
        self.assert_activation("d_y", d_y.len(), size.samples, size.out_features());
        self.assert_activation("d_x", d_x.len(), size.samples, size.in_features());
        if self.takes(size) {
            return self.dnn_backward_input(size, weight, d_y, d_x, accumulation);
        }
        let turned = self.scratch(size.weights());
        self.convolution_backward_input(size, [weight.into(), d_y.into(), (&d_x).into()], accumulation, turned);
    }

    fn conv2d_backward_weight(
        &mut self,
        size: &Conv2dSize,
        x: View<'_, f32>,
        d_y: View<'_, f32>,
        d_weight: ViewMut<'_, f32>,
        d_bias: Option<ViewMut<'_, f32>>,
    ) {
        size.check();
        assert_len("d_weight", d_weight.len(), size.weights());
        self.assert_activation("x", x.len(), size.samples, size.in_features());
        self.assert_activation("d_y", d_y.len(), size.samples, size.out_features());
        assert_len("d_bias", d_bias.as_ref().map_or(size.out_channels, ViewMut::len), size.out_channels);
        if self.takes(size) {
            self.dnn_backward_weight(size, x, d_y, d_weight);
            let words = if d_bias.is_some() { size.bias_words() } else { 0 };
            let parts = self.scratch(words);
            return self.convolution_backward_bias(size, d_y.into(), d_bias.as_ref().map(Argument::from), parts);
        }
        let parts = self.scratch(size.gradient_words());
        let operands = [x.into(), d_y.into(), (&d_weight).into()];
        self.convolution_backward_weight(size, operands, d_bias.as_ref().map(Argument::from), parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_division_is_a_multiplication() {
        let numbers = |by: u64| {
            let near = [0, by, 7 * by, (1 << 31) / by * by, (1 << 31) / 3 / by * by, 1 << 31];
            near.into_iter().flat_map(|n| n.saturating_sub(1)..=n + 1).filter(|n| *n < 1 << 31)
        };
        for by in (1..300).chain([1023, 1024, 1025, 65_537, 1 << 20, 12_345_678, (1 << 30) + 1, (1 << 31) - 1]) {
            let [_, factor, shift] = divisor(by).map(|word| u64::from(u32::try_from(word).expect("a word")));
            for n in numbers(by as u64) {
                assert_eq!((((n * factor) >> 32) + n) >> shift, n / by as u64, "{n} / {by}");
            }
        }
    }

    /// No term is lost, none is there twice, and a part begins where a tile does.
    #[test]
    fn parts_make_up_the_sum() {
        for (terms, blocks) in [(0, 1), (1, 1), (511, 3), (1024, 1), (1200, 2), (100_352, 9), (131_072, 1), (5000, 600)]
        {
            let Parts { count, length } = Parts::new(terms, blocks);
            assert!(count * length >= terms && (count - 1) * length < terms.max(1), "{terms}");
            assert!(length % TILE_K == 0 && (count == 1 || count * blocks < 2 * Parts::BLOCKS), "{terms}");
        }
    }
}

//! What a device is: typed buffers, views of them, and the ops that the models need.

use std::ops::Range;

use crate::{
    activation, addition, batch_norm, binary_cross_entropy, concatenate, conv2d, conv2d_max_pool2d, cross_entropy,
    curvature, dropout, exchange, fold, group_norm, linear, local_response_norm, map_loss, moving_average, optimizer,
    perturb, pixels, plans, pool2d, radial_basis, repeat, squared_error, subsample2d, tangent, upload,
};

/// A number type that buffers hold.
pub trait Element: Copy + Default + Send + Sync + 'static {}
/// Values, parameters, gradients.
impl Element for f32 {}
/// Sums that reach the host.
impl Element for f64 {}
/// Pixels, and what layers note.
impl Element for u8 {}
/// Labels.
impl Element for u16 {}
/// Places in a vector.
impl Element for u32 {}
/// Keys of random numbers.
impl Element for u64 {}

/// Numbers in memory. What is computed of them is computed in f32 either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32 bits, of which 24 of precision.
    F32,
    /// The upper half of them: as large and as small numbers, with 8 bits of precision.
    Bf16,
}

impl Precision {
    /// Bytes of a value.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// Words of 32 bits that so many values take.
    pub fn words(self, values: usize) -> usize {
        (values * self.bytes()).div_ceil(size_of::<u32>())
    }

    /// What is left of a number: rounded to nearest, ties to even.
    pub fn round(self, x: f32) -> f32 {
        match self {
            Self::Bf16 if x.is_nan() => f32::NAN,
            Self::Bf16 => {
                let bits = x.to_bits();
                f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
            }
            Self::F32 => x,
        }
    }
}

/// Bytes of a device's own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// That nobody has.
    pub free: usize,
    /// All of them.
    pub total: usize,
}

/// A device has failed; in words, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Shape of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationShape {
    /// Samples in the micro-batch, N.
    pub samples: usize,
    /// Channels, C; features where there is no plane.
    pub channels: usize,
    /// Values of a channel of one sample, H · W; 1 where there is no plane.
    pub plane: usize,
}

impl ActivationShape {
    /// Features without a plane.
    pub fn flat(samples: usize, features: usize) -> Self {
        Self { samples, channels: features, plane: 1 }
    }

    /// Values a sample, C · H · W.
    pub fn features(&self) -> usize {
        self.channels * self.plane
    }

    /// Values of all samples.
    pub fn values(&self) -> usize {
        self.samples * self.features()
    }
}

/// Memory of a device: buffers (which carry their element type) and views of parts of them.
///
/// Activation layout is the device's secret, and so is what its words hold (see [`Precision`]): ask
/// [`Memory::activation_len`] for the length of an activation buffer and pass it only to ops. Parameters and gradients
/// are canonical: f32, row-major in the shape that the tensor's name has in PyTorch.
pub trait Memory: Sized {
    /// An owned, zero-initialised run of elements.
    type Buffer<T: Element>: Send + Sync;
    /// A shared view of a run of elements.
    type View<'a, T: Element>: Copy + Send + Sync;
    /// An exclusive view of a run of elements.
    type ViewMut<'a, T: Element>: Send;

    /// Allocates `len` zeroed elements.
    fn zeros<T: Element>(&self, len: usize) -> Self::Buffer<T>;
    /// The device's own memory; none of one that computes in the host's, or has failed.
    fn room(&self) -> Option<Room>;
    /// Bytes of the device's own memory that the ops of `work` would take for themselves; 0 of one that computes in the
    /// host's. Nothing is done: what is asked for meanwhile is left out, and buffers have no memory. What a library wants
    /// beside is not reckoned, which depends on its plans.
    fn scratch_of(&mut self, work: impl FnOnce(&mut Self)) -> usize;
    /// What activations are in memory.
    fn precision(&self) -> Precision {
        Precision::F32
    }
    /// Words that an activation of `features` values for each of `samples` samples occupies, padding included.
    fn activation_len(&self, samples: usize, features: usize) -> usize;
    /// Elements of what is noted beside an activation of such sizes, one for each of its values, of a type of its own.
    fn note_len(&self, samples: usize, features: usize) -> usize;
    /// Shared view of `range`.
    fn view<T: Element>(buffer: &Self::Buffer<T>, range: Range<usize>) -> Self::View<'_, T>;
    /// Exclusive view of `range`.
    fn view_mut<T: Element>(buffer: &mut Self::Buffer<T>, range: Range<usize>) -> Self::ViewMut<'_, T>;
    /// Narrows a view, for as long as is wanted.
    fn slice<'short, 'long: 'short, T: Element>(
        view: Self::View<'long, T>,
        range: Range<usize>,
    ) -> Self::View<'short, T>;
    /// Narrows an exclusive view for as long as the borrow lasts.
    fn slice_mut<'a, T: Element>(view: &'a mut Self::ViewMut<'_, T>, range: Range<usize>) -> Self::ViewMut<'a, T>;
    /// The same view, for as long as is wanted.
    fn reborrow<'short, 'long: 'short, T: Element>(view: Self::View<'long, T>) -> Self::View<'short, T>;
    /// Gives up exclusiveness.
    fn shared<'a, T: Element>(view: Self::ViewMut<'a, T>) -> Self::View<'a, T>;
    /// Splits an exclusive view at `middle`.
    fn split_mut<'a, T: Element>(
        view: Self::ViewMut<'a, T>,
        middle: usize,
    ) -> (Self::ViewMut<'a, T>, Self::ViewMut<'a, T>);
    /// The host's memory as the device's, if it computes there.
    fn host_view<T: Element>(host: &[T]) -> Option<Self::View<'_, T>>;
    /// The same, exclusive; else the host's memory again.
    fn host_view_mut(host: &mut [f32]) -> Result<Self::ViewMut<'_, f32>, &mut [f32]>;
    /// Waits for what was asked for.
    ///
    /// # Errors
    /// If any of it has failed: ops have given nothing since, and never will again.
    fn health(&mut self) -> Result<(), Failure>;
    /// Copies host values into `to` (equal lengths).
    fn write<T: Element>(&mut self, from: &[T], to: Self::ViewMut<'_, T>);
    /// Copies `from` to the host (equal lengths).
    fn read<T: Element>(&mut self, from: Self::View<'_, T>, to: &mut [T]);
    /// Copies an activation to the host: `to` (N, C, H · W).
    ///
    /// # Panics
    /// If a length is not that of the shape.
    fn read_activation(&mut self, shape: &ActivationShape, from: Self::View<'_, f32>, to: &mut [f32]);
    /// Copies `from` (N, C, H · W) to an activation, whose padding samples become 0.
    ///
    /// # Panics
    /// If a length is not that of the shape.
    fn write_activation(&mut self, shape: &ActivationShape, from: &[f32], to: Self::ViewMut<'_, f32>);
    /// Copies `from` to `to` (equal lengths).
    fn copy<T: Element>(&mut self, from: Self::View<'_, T>, to: Self::ViewMut<'_, T>);
    /// Overwrites all elements with one value.
    fn fill(&mut self, value: f32, to: Self::ViewMut<'_, f32>);
}

/// A device: its memory and every op. Ops take `&mut self` because a device owns its scratch memory;
/// on the CPU every lane thread has a device of its own. Operands and results are in the device's memory, so that no op
/// waits: who wants a result on the host reads it.
pub trait Device:
    Memory
    + pixels::Pixels
    + linear::Linear
    + conv2d::Conv2d
    + conv2d_max_pool2d::Conv2dMaxPool2d
    + pool2d::Pool2d
    + subsample2d::Subsample2d
    + activation::Activate
    + batch_norm::BatchNorm
    + group_norm::GroupNorm
    + local_response_norm::LocalResponseNorm
    + dropout::Dropout
    + addition::Addition
    + concatenate::Concatenate
    + radial_basis::RadialBasis
    + cross_entropy::CrossEntropy
    + binary_cross_entropy::BinaryCrossEntropy
    + squared_error::SquaredError
    + map_loss::MapLoss
    + curvature::Curvature
    + tangent::Tangent
    + optimizer::Optimize
    + moving_average::MovingAverage
    + perturb::Perturb
    + fold::Fold
    + exchange::Exchange
    + upload::Upload
    + repeat::Repeat
    + plans::Plans
    + Send
    + 'static
{
}

/// What a loss over classes overwrites.
pub struct LossOutput<'a, M: Memory> {
    /// The gradient of the sum of losses, as `x`.
    pub d_x: M::ViewMut<'a, f32>,
    /// [`LossSums::LEN`] numbers, see [`LossSums::of`].
    pub sums: M::ViewMut<'a, f64>,
}

/// Sums over one lane's samples that a loss yields beside the gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossSums {
    /// Sum of the samples' losses, added in sample order.
    pub loss: f64,
    /// Samples whose best output (the largest, unless the loss says otherwise; the first on a tie) is the label's.
    pub correct: u64,
    /// Samples whose label's output is among the five best (of equal ones the first are better).
    pub correct_in_5: u64,
}

impl LossSums {
    /// Numbers of them in a device's memory.
    pub const LEN: usize = 3;

    /// As a loss writes them: loss, correct, correct within five. Counts are exact in f64.
    pub fn of([loss, correct, correct_in_5]: [f64; Self::LEN]) -> Self {
        Self { loss, correct: correct as u64, correct_in_5: correct_in_5 as u64 }
    }

    pub(crate) fn numbers(self) -> [f64; Self::LEN] {
        [self.loss, self.correct as f64, self.correct_in_5 as f64]
    }
}

#[track_caller]
pub(crate) fn assert_len(name: &str, len: usize, expected: usize) {
    assert!(len == expected, "{name} holds {len} elements where its shape has {expected}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_is_the_nearest_of_two_and_the_even_one_between_them() {
        // A number in [1, 2) has steps of 1/128.
        for (x, nearest) in [
            (1.0, 1.0),
            (1.0 + 0.4 / 128.0, 1.0),
            (1.0 + 0.5 / 128.0, 1.0),
            (1.0 + 0.6 / 128.0, 1.0 + 1.0 / 128.0),
            (1.0 + 1.5 / 128.0, 1.0 + 2.0 / 128.0),
            (-1.0 - 1.5 / 128.0, -1.0 - 2.0 / 128.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (-0.0, -0.0),
        ] {
            assert_eq!(Precision::Bf16.round(x).to_bits(), f32::to_bits(nearest), "{x}");
            assert_eq!(Precision::F32.round(x).to_bits(), x.to_bits());
        }
        assert!(Precision::Bf16.round(f32::from_bits(0x7f80_0001)).is_nan());
    }

    #[test]
    fn halves_fill_whole_words() {
        assert_eq!([0, 1, 2, 3].map(|values| Precision::Bf16.words(values)), [0, 1, 1, 2]);
        assert_eq!([0, 1, 2, 3].map(|values| Precision::F32.words(values)), [0, 1, 2, 3]);
    }
}

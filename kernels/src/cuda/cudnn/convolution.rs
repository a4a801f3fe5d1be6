//! A convolution as a graph of cuDNN's operations.

use std::fmt;

use cudarc::cudnn::sys::{self, cudnnBackendAttributeName_t as Name, cudnnBackendDescriptorType_t as Kind};
use sys::cudnnDataType_t::{CUDNN_DATA_BFLOAT16, CUDNN_DATA_FLOAT};

use super::Target;
use super::descriptor::{Descriptor, Draft};
use crate::conv2d::{Accumulation, Conv2dSize};
use crate::cuda::{Arithmetic, CudaError};

/// A pass of a convolution.
///
/// Activations are `[N][H · W][C]`, weights (O, C / groups, K, K), both as everywhere in this crate; all are elements of
/// the arithmetic, also the gradient of a bf16 weight, for which no engine gives f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// Which way.
    pub pass: Pass,
    /// Sizes.
    pub size: Conv2dSize,
    /// In which numbers.
    pub arithmetic: Arithmetic,
}

/// Ways through a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// `y` of `x` and the weight.
    Forward(Behind),
    /// `x`'s gradient, in the place of `x`, of `y`'s and the weight.
    BackwardInput(Accumulation),
    /// The weight's gradient, in its place, of `x` and `y`'s gradient.
    BackwardWeight,
}

/// What is done to a convolution's outputs on their way to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Behind {
    /// Nothing.
    Nothing,
    /// The channel's bias is added.
    Bias,
    /// And what is negative then is 0; a NaN stays one.
    BiasRelu,
}

/// What a plan reads and writes. All begin at multiples of [`Convolution::alignment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i64)]
pub enum Operand {
    /// Activation before it, or its gradient.
    X = 1,
    /// (O, C / groups, K, K), or its gradient.
    Weight,
    /// Activation behind it, or its gradient.
    Y,
    /// (O).
    Bias,
}

/// Between operations, never in memory.
const CONVOLVED: i64 = 101;
const BIASED: i64 = 102;

impl Convolution {
    /// Bytes of which an operand's address is a multiple. f32 weights lie anywhere in the flat vector of parameters;
    /// tensor cores want theirs on 16 bytes.
    pub fn alignment(&self, operand: Operand) -> u64 {
        match (operand, self.arithmetic) {
            (Operand::X | Operand::Y, _) | (_, Arithmetic::Tf32 | Arithmetic::Bf16) => 16,
            _ => 4,
        }
    }

    /// Its operations.
    pub(super) fn graph(&self, target: Target<'_>) -> Result<Descriptor, CudaError> {
        let operations = match self.pass {
            Pass::Forward(behind) => self.forward(behind)?,
            Pass::BackwardInput(accumulation) => vec![self.backward_input(accumulation)?],
            Pass::BackwardWeight => vec![self.backward_weight()?],
        };
        let draft = Draft::new(Kind::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?;
        target
            .of(draft, Some(Name::CUDNN_ATTR_OPERATIONGRAPH_HANDLE), None)?
            .link(Name::CUDNN_ATTR_OPERATIONGRAPH_OPS, &operations.iter().collect::<Vec<_>>())?
            .finalized()
    }

    fn forward(&self, behind: Behind) -> Result<Vec<Descriptor>, CudaError> {
        let y = self.tensor(Operand::Y)?;
        Ok(match behind {
            Behind::Nothing => vec![self.convolved(&y)?],
            Behind::Bias => {
                let convolved = self.passing(CONVOLVED)?;
                let bias = self.tensor(Operand::Bias)?;
                vec![self.convolved(&convolved)?, add(&convolved, &bias, &y)?]
            }
            Behind::BiasRelu => {
                let (convolved, biased) = (self.passing(CONVOLVED)?, self.passing(BIASED)?);
                let bias = self.tensor(Operand::Bias)?;
                vec![self.convolved(&convolved)?, add(&convolved, &bias, &biased)?, relu(&biased, &y)?]
            }
        })
    }

    fn convolved(&self, y: &Descriptor) -> Result<Descriptor, CudaError> {
        Draft::new(Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, &[&self.windows()?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, &[&self.tensor(Operand::X)?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, &[&self.tensor(Operand::Weight)?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, &[y])?
            .set(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, &[1f32])?
            .set(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, &[0f32])?
            .finalized()
    }

    fn backward_input(&self, accumulation: Accumulation) -> Result<Descriptor, CudaError> {
        // Times what is there.
        let beta = match accumulation {
            Accumulation::Overwrite => 0f32,
            Accumulation::Add => 1f32,
        };
        Draft::new(Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, &[&self.windows()?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, &[&self.tensor(Operand::X)?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, &[&self.tensor(Operand::Weight)?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, &[&self.tensor(Operand::Y)?])?
            .set(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, &[1f32])?
            .set(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, &[beta])?
            .finalized()
    }

    fn backward_weight(&self) -> Result<Descriptor, CudaError> {
        Draft::new(Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, &[&self.windows()?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, &[&self.tensor(Operand::X)?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, &[&self.tensor(Operand::Weight)?])?
            .link(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, &[&self.tensor(Operand::Y)?])?
            .set(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, &[1f32])?
            .set(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, &[0f32])?
            .finalized()
    }

    fn windows(&self) -> Result<Descriptor, CudaError> {
        let Conv2dSize { stride, padding, dilation, .. } = self.size;
        let both = |pixels: usize| [pixels as i64; 2];
        Draft::new(Kind::CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)?
            .set(Name::CUDNN_ATTR_CONVOLUTION_COMP_TYPE, &[CUDNN_DATA_FLOAT])?
            .set(Name::CUDNN_ATTR_CONVOLUTION_CONV_MODE, &[sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION])?
            .set(Name::CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, &[2i64])?
            .set(Name::CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, &both(padding))?
            .set(Name::CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, &both(padding))?
            .set(Name::CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, &both(stride))?
            .set(Name::CUDNN_ATTR_CONVOLUTION_DILATIONS, &both(dilation))?
            .finalized()
    }

    fn element(&self) -> sys::cudnnDataType_t {
        match self.arithmetic {
            Arithmetic::F32 | Arithmetic::Tf32 => CUDNN_DATA_FLOAT,
            Arithmetic::Bf16 => CUDNN_DATA_BFLOAT16,
        }
    }

    fn y(&self) -> [usize; 4] {
        [self.size.samples, self.size.out_channels, self.size.out_height(), self.size.out_width()]
    }

    fn tensor(&self, operand: Operand) -> Result<Descriptor, CudaError> {
        let Conv2dSize { samples, in_channels, out_channels, height, width, kernel, groups, .. } = self.size;
        let sizes = match operand {
            Operand::X => [samples, in_channels, height, width],
            Operand::Weight => [out_channels, in_channels / groups, kernel, kernel],
            Operand::Y => self.y(),
            Operand::Bias => [1, out_channels, 1, 1],
        };
        let strides = if operand == Operand::Weight { channels_first(sizes) } else { channels_last(sizes) };
        tensor(operand as i64, [sizes, strides], self.element(), self.alignment(operand))?.finalized()
    }

    /// As `y`, in f32, between two operations.
    fn passing(&self, id: i64) -> Result<Descriptor, CudaError> {
        tensor(id, [self.y(), channels_last(self.y())], CUDNN_DATA_FLOAT, 16)?
            .set(Name::CUDNN_ATTR_TENSOR_IS_VIRTUAL, &[true])?
            .finalized()
    }
}

/// With sizes and strides in the order (N, C, H, W).
fn tensor(
    id: i64,
    [sizes, strides]: [[usize; 4]; 2],
    element: sys::cudnnDataType_t,
    alignment: u64,
) -> Result<Draft, CudaError> {
    let numbers = |all: [usize; 4]| all.map(|number| number as i64);
    Draft::new(Kind::CUDNN_BACKEND_TENSOR_DESCRIPTOR)?
        .set(Name::CUDNN_ATTR_TENSOR_UNIQUE_ID, &[id])?
        .set(Name::CUDNN_ATTR_TENSOR_DATA_TYPE, &[element])?
        .set(Name::CUDNN_ATTR_TENSOR_DIMENSIONS, &numbers(sizes))?
        .set(Name::CUDNN_ATTR_TENSOR_STRIDES, &numbers(strides))?
        .set(Name::CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, &[alignment as i64])
}

fn channels_last([_, channels, height, width]: [usize; 4]) -> [usize; 4] {
    [height * width * channels, 1, width * channels, channels]
}

fn channels_first([_, channels, height, width]: [usize; 4]) -> [usize; 4] {
    [channels * height * width, height * width, width, 1]
}

fn add(x: &Descriptor, bias: &Descriptor, y: &Descriptor) -> Result<Descriptor, CudaError> {
    pointwise(sys::cudnnPointwiseMode_t::CUDNN_POINTWISE_ADD, x, y)?
        .link(Name::CUDNN_ATTR_OPERATION_POINTWISE_BDESC, &[bias])?
        .finalized()
}

fn relu(x: &Descriptor, y: &Descriptor) -> Result<Descriptor, CudaError> {
    pointwise(sys::cudnnPointwiseMode_t::CUDNN_POINTWISE_RELU_FWD, x, y)?.finalized()
}

fn pointwise(mode: sys::cudnnPointwiseMode_t, x: &Descriptor, y: &Descriptor) -> Result<Draft, CudaError> {
    let formula = Draft::new(Kind::CUDNN_BACKEND_POINTWISE_DESCRIPTOR)?
        .set(Name::CUDNN_ATTR_POINTWISE_MODE, &[mode])?
        .set(Name::CUDNN_ATTR_POINTWISE_MATH_PREC, &[CUDNN_DATA_FLOAT])?
        .set(Name::CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, &[sys::cudnnNanPropagation_t::CUDNN_PROPAGATE_NAN])?
        .finalized()?;
    Draft::new(Kind::CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)?
        .link(Name::CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, &[&formula])?
        .link(Name::CUDNN_ATTR_OPERATION_POINTWISE_XDESC, &[x])?
        .link(Name::CUDNN_ATTR_OPERATION_POINTWISE_YDESC, &[y])
}

/// As people read it: `forward, bias 64×3×224×224 → 64×112×112, 7×7/2 f32`.
impl fmt::Display for Convolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conv2dSize { samples, in_channels, out_channels, height, width, kernel, stride, groups, .. } = self.size;
        let (down, across) = (self.size.out_height(), self.size.out_width());
        write!(f, "{} {samples}×{in_channels}×{height}×{width} → {out_channels}×{down}×{across}, ", self.pass)?;
        write!(f, "{kernel}×{kernel}/{stride}")?;
        if groups > 1 {
            write!(f, " in {groups} groups")?;
        }
        write!(f, " {}", self.arithmetic)
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward(Behind::Nothing) => "forward",
            Self::Forward(Behind::Bias) => "forward, bias",
            Self::Forward(Behind::BiasRelu) => "forward, bias, relu",
            Self::BackwardInput(Accumulation::Overwrite) => "backward, input",
            Self::BackwardInput(Accumulation::Add) => "backward, added to input",
            Self::BackwardWeight => "backward, weight",
        })
    }
}

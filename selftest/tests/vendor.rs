//! Large convolutions and linear layers by cuDNN and cuBLASLt: the host's code as it is, over emulated libraries, beside
//! the CPU's kernels.

use lockstep_emulation::{libraries, or_skip, vendor_libraries};
use lockstep_kernels::conv2d::{Accumulation, Conv2d, Conv2dSize};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cuda::{Arithmetic, Cuda, CudaError, Libraries, Places, libraries_found};
use lockstep_kernels::device::{ActivationShape, Memory, Precision};
use lockstep_kernels::linear::{Linear, LinearSize};
use lockstep_kernels::plans::{Plan, Plans, Rest};
use lockstep_kernels::repeat::Repeat;
use lockstep_selftest::array::Array;
use lockstep_selftest::check::relative_error;
use lockstep_selftest::numbers::{noise, wide};

/// 2²⁸ multiplications and more: a plain one, and one with groups and strides.
const CONVOLUTIONS: [Conv2dSize; 2] = [
    Conv2dSize {
        samples: 2,
        in_channels: 64,
        out_channels: 64,
        height: 64,
        width: 60,
        kernel: 3,
        padding: 1,
        ..Conv2dSize::PLAIN
    },
    Conv2dSize {
        samples: 4,
        in_channels: 96,
        out_channels: 128,
        height: 80,
        width: 82,
        kernel: 3,
        stride: 2,
        padding: 1,
        groups: 2,
        ..Conv2dSize::PLAIN
    },
];
/// The same, without a plane before it and with one.
const LINEARS: [LinearSize; 2] = [
    LinearSize { samples: 65, inputs: 2052, plane: 1, outputs: 2050 },
    LinearSize { samples: 64, inputs: 2064, plane: 16, outputs: 2048 },
];

/// An operand as activations hold it.
fn operand(precision: Precision, len: usize, seed: u64) -> Vec<f32> {
    noise(len, seed).into_iter().map(|x| precision.round(x)).collect()
}

/// Forward with a bias, with a ReLU behind it, and without both, the input's gradient written and added, and the
/// gradients of weight and bias.
fn convolution<D: Conv2d>(device: &mut D, precision: Precision, size: &Conv2dSize) -> Vec<Vec<f32>> {
    let shape = |channels, plane| ActivationShape { samples: size.samples, channels, plane };
    let before = shape(size.in_channels, size.height * size.width);
    let behind = shape(size.out_channels, size.out_height() * size.out_width());
    let x = Array::activation(device, &before, &operand(precision, before.values(), 1));
    let weight = Array::tensor(device, &operand(precision, size.weights(), 2));
    let bias = Array::tensor(device, &operand(precision, size.out_channels, 3));
    let d_y = Array::activation(device, &behind, &operand(precision, behind.values(), 4));
    let mut results = Vec::new();
    for bias in [Some(bias.view()), None] {
        let mut y = Array::unwritten_activation(device, &behind);
        device.conv2d_forward(size, x.view(), weight.view(), bias, y.view_mut());
        results.push(y.rows(device, &behind));
    }
    let mut y = Array::unwritten_activation(device, &behind);
    device.conv2d_relu_forward(size, x.view(), weight.view(), Some(bias.view()), y.view_mut());
    results.push(y.rows(device, &behind));
    let mut d_x = Array::unwritten_activation(device, &before);
    for accumulation in [Accumulation::Overwrite, Accumulation::Add] {
        device.conv2d_backward_input(size, weight.view(), d_y.view(), d_x.view_mut(), accumulation);
        results.push(d_x.rows(device, &before));
    }
    let mut d_weight = Array::unwritten(device, size.weights());
    let mut d_bias = Array::unwritten(device, size.out_channels);
    device.conv2d_backward_weight(size, x.view(), d_y.view(), d_weight.view_mut(), Some(d_bias.view_mut()));
    results.extend([d_weight.read(device), d_bias.read(device)]);
    results
}

/// Forward, and the gradients of input, weight and bias.
fn linear<D: Linear>(device: &mut D, precision: Precision, size: &LinearSize) -> Vec<Vec<f32>> {
    let LinearSize { samples, inputs, plane, outputs } = *size;
    let before = ActivationShape { samples, channels: inputs / plane, plane };
    let behind = ActivationShape::flat(samples, outputs);
    let x = Array::activation(device, &before, &operand(precision, before.values(), 1));
    let weight = Array::tensor(device, &operand(precision, inputs * outputs, 2));
    let bias = Array::tensor(device, &operand(precision, outputs, 3));
    let d_y = Array::activation(device, &behind, &operand(precision, behind.values(), 4));
    let mut y = Array::unwritten_activation(device, &behind);
    device.linear_forward(size, x.view(), weight.view(), bias.view(), y.view_mut());
    let mut d_x = Array::unwritten_activation(device, &before);
    device.linear_backward_input(size, weight.view(), d_y.view(), d_x.view_mut());
    let (mut d_weight, mut d_bias) = (Array::unwritten(device, inputs * outputs), Array::unwritten(device, outputs));
    device.linear_backward_weight(size, x.view(), d_y.view(), d_weight.view_mut(), d_bias.view_mut());
    vec![y.rows(device, &behind), d_x.rows(device, &before), d_weight.read(device), d_bias.read(device)]
}

/// Whether the libraries are there; else a test has to be skipped.
fn found() -> bool {
    let (Some(emulated), Some(vendors)) = (or_skip(libraries()), or_skip(vendor_libraries())) else { return false };
    Places { libraries: [emulated, vendors].into(), cache: None }.set();
    true
}

/// A GPU that computes in these numbers.
fn device(arithmetic: Arithmetic) -> Cuda {
    Cuda::open(0, Libraries::Auto, arithmetic).unwrap_or_else(|error| panic!("{error}"))
}

/// Holds all results of a GPU against the CPU's.
fn compare(gpu: &mut Cuda, convolutions: &[Conv2dSize], linears: &[LinearSize], bound: f64) {
    let precision = gpu.precision();
    let mut cpu = Cpu::new(InstructionSet::detect());
    let mut found: Vec<_> = convolutions.iter().map(|size| convolution(gpu, precision, size)).collect();
    found.extend(linears.iter().map(|size| linear(gpu, precision, size)));
    gpu.finish().unwrap_or_else(|error| panic!("{error}"));
    let mut expected: Vec<_> = convolutions.iter().map(|size| convolution(&mut cpu, precision, size)).collect();
    expected.extend(linears.iter().map(|size| linear(&mut cpu, precision, size)));
    for (layer, (found, expected)) in found.iter().zip(&expected).enumerate() {
        for (result, (found, expected)) in found.iter().zip(expected).enumerate() {
            let error = relative_error(found, &wide(expected));
            assert!(error < bound, "result {result} of layer {layer} is off by {error}");
        }
    }
}

#[test]
fn what_is_large_is_the_libraries_and_agrees_with_the_cpu() {
    if !found() {
        return;
    }
    assert_eq!(libraries_found(), "cuDNN 9.21.1, cuBLASLt 13.0.2");
    let mut gpu = device(Arithmetic::F32);
    compare(&mut gpu, &CONVOLUTIONS, &LINEARS, 2e-5);
    plans_go_from_device_to_device(&gpu);
}

/// Operands that a library wants in bf16, or where tensor cores can take them, are not those of the flat vector.
#[test]
fn other_numbers_take_tensor_cores_and_agree_with_the_cpu() {
    if !found() {
        return;
    }
    for (arithmetic, bound) in [(Arithmetic::Tf32, 2e-5), (Arithmetic::Bf16, 0.01)] {
        let mut gpu = device(arithmetic);
        compare(&mut gpu, &CONVOLUTIONS[1..], &LINEARS[1..], bound);
        let plans = gpu.tell_plans();
        assert_eq!(plans.len(), 9);
        for Plan { work, text } in plans {
            if work.starts_with("Convolution") {
                assert_eq!(text, "cuDNN 9.21.1, engine 1, knobs 2=6");
            } else {
                assert!(text.starts_with("cuBLASLt 13.0.2, algorithm 0000000000000002 "), "{text}");
            }
        }
    }
}

/// Plans of all passes: those that keep the rules, and the same where they are dealt.
fn plans_go_from_device_to_device(gpu: &Cuda) {
    let plans = gpu.tell_plans();
    assert_eq!(plans.len(), 6 * CONVOLUTIONS.len() + 3 * LINEARS.len());
    for Plan { work, text } in &plans {
        if work.starts_with("Convolution") {
            assert_eq!(text, "cuDNN 9.21.1, engine 2, knobs 2=7");
        } else {
            assert!(text.starts_with("cuBLASLt 13.0.2, algorithm 0000000000000003 "), "{text}");
        }
    }
    let mut other = opened(1, Libraries::Auto);
    other.take_plans(&plans, Rest::Refused);
    assert_eq!((convolve(&mut other), multiply(&mut other)), (Ok(()), Ok(())));
    let made = other.tell_plans();
    assert!(made.len() == 2 && made.iter().all(|plan| plans.contains(plan)), "only what is needed: {made:?}");
    other.take_plans(&made[..1], Rest::Refused);
    assert_eq!(other.tell_plans(), made[..1], "one that is dealt no more is gone");
    drop(other);

    let mut own = opened(1, Libraries::Own);
    own.take_plans(&[], Rest::Refused);
    assert_eq!((own.uses_plans(), multiply(&mut own)), (false, Ok(())), "kernels of this crate need none");
}

fn opened(index: usize, libraries: Libraries) -> Cuda {
    Cuda::open(index, libraries, Arithmetic::F32).unwrap_or_else(|error| panic!("{error}"))
}

/// What comes of a bias that is no number.
#[test]
fn a_relu_behind_a_convolution_leaves_what_is_not_a_number() {
    if !found() {
        return;
    }
    let (size, mut gpu) = (&CONVOLUTIONS[0], device(Arithmetic::F32));
    let behind =
        ActivationShape { samples: size.samples, channels: size.out_channels, plane: size.height * size.width };
    let x = Array::zeros(&gpu, size.samples * size.in_channels * size.height * size.width);
    let weight = Array::zeros(&gpu, size.weights());
    let mut bias = vec![-1.0; size.out_channels];
    bias[1] = f32::NAN;
    let (bias, mut y) = (Array::tensor(&mut gpu, &bias), Array::unwritten_activation(&mut gpu, &behind));
    gpu.conv2d_relu_forward(size, x.view(), weight.view(), Some(bias.view()), y.view_mut());
    let y = y.rows(&mut gpu, &behind);
    assert!(gpu.tell_plans()[0].work.contains("BiasRelu"));
    for (channel, plane) in y.chunks(behind.plane).enumerate() {
        let is_kept = |y: &f32| if channel % behind.channels == 1 { y.is_nan() } else { *y == 0.0 };
        assert!(plane.iter().all(is_kept), "channel {channel}");
    }
}

/// The first convolution's way forward.
fn convolve(gpu: &mut Cuda) -> Result<(), CudaError> {
    let size = &CONVOLUTIONS[0];
    let (before, behind) = (size.height * size.width, size.out_height() * size.out_width());
    let x = Array::unwritten(gpu, size.samples * size.in_channels * before);
    let weight = Array::unwritten(gpu, size.weights());
    let mut y = Array::unwritten(gpu, size.samples * size.out_channels * behind);
    gpu.conv2d_forward(size, x.view(), weight.view(), None, y.view_mut());
    gpu.finish()
}

/// The first linear layer's way forward.
fn multiply(gpu: &mut Cuda) -> Result<(), CudaError> {
    let size = &LINEARS[0];
    let (x, weight) =
        (Array::unwritten(gpu, size.samples * size.inputs), Array::unwritten(gpu, size.inputs * size.outputs));
    let (bias, mut y) = (Array::unwritten(gpu, size.outputs), Array::unwritten(gpu, size.samples * size.outputs));
    gpu.linear_forward(size, x.view(), weight.view(), bias.view(), y.view_mut());
    gpu.finish()
}

#[test]
fn a_dealt_plan_that_does_not_do_is_refused_by_name() {
    if !found() {
        return;
    }
    let algorithm = |version: &str, number: u64| {
        format!("cuBLASLt {version}, algorithm {number:016x}") + &format!(" {:016x}", 0).repeat(7)
    };
    // No plan at all, of another version, one that adds in changing orders, one on tensor cores, one that is not there.
    let of_cudnn = [
        ("", "it is not of the form"),
        ("cuDNN 9.21.2, engine 2, knobs 2=7", "this is cuDNN 9.21.1"),
        ("cuDNN 9.21.1, engine 0, knobs 2=5", "engine 0 has numerical note 4"),
        ("cuDNN 9.21.1, engine 1, knobs 2=6", "engine 1 has numerical note 0"),
        ("cuDNN 9.21.1, engine 9, knobs 2=7", "there is no such engine"),
        ("cuDNN 9.21.1, engine 2, knobs 3=7", "there is no such knob"),
    ];
    let of_cublaslt = [
        (String::new(), "it is not of the form"),
        (algorithm("13.0.1", 3), "this is cuBLASLt 13.0.2"),
        (algorithm("13.0.2", 1), "it adds by scheme 1"),
        (algorithm("13.0.2", 2), "it computes in other numbers"),
        (algorithm("13.0.2", 9), "not supported"),
    ];
    let of_cudnn = of_cudnn.map(|(text, why)| (text.to_owned(), why));
    is_refused(convolve, "Convolution", "the convolution forward 2×64×64×60", &of_cudnn);
    is_refused(multiply, "Product", "the product 65×2050 of 2052 terms", &of_cublaslt);
    let mut gpu = opened(2, Libraries::Auto);
    gpu.take_plans(&[], Rest::Refused);
    assert!(convolve(&mut gpu).is_err_and(|error| matches!(error, CudaError::NoPlan { .. })));
}

/// `compute` with each of the texts in place of the plan that was chosen, each time on a GPU that is opened anew: a
/// failure is for good. `name`: what people are told.
fn is_refused(compute: fn(&mut Cuda) -> Result<(), CudaError>, kind: &str, name: &str, texts: &[(String, &str)]) {
    let mut chooser = opened(2, Libraries::Auto);
    assert_eq!(compute(&mut chooser), Ok(()));
    let plans = chooser.tell_plans();
    assert!(plans.len() == 1 && plans[0].work.starts_with(kind), "{plans:?}");
    drop(chooser);
    for (text, why) in texts {
        let mut gpu = opened(2, Libraries::Auto);
        gpu.take_plans(&[Plan { text: text.clone(), ..plans[0].clone() }], Rest::Refused);
        let error = compute(&mut gpu).expect_err(text);
        assert!(matches!(error, CudaError::UnfitPlan { .. }), "{error:?}");
        let told = error.to_string();
        for words in [name, why, &format!("{text:?}"), "of one kind, with the same cuDNN and cuBLASLt"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}

/// A convolution and a linear layer whose operands stay where they are.
struct Layers {
    gpu: Cuda,
    x: [Array<Cuda>; 2],
    weight: [Array<Cuda>; 2],
    bias: [Array<Cuda>; 2],
    y: [Array<Cuda>; 2],
}

impl Layers {
    fn new(mut gpu: Cuda) -> Self {
        let (convolution, linear) = (&CONVOLUTIONS[0], &LINEARS[0]);
        let mut tensors = |lens: [usize; 2], seed| lens.map(|len| Array::tensor(&mut gpu, &noise(len, seed)));
        let outputs =
            convolution.samples * convolution.out_channels * convolution.out_height() * convolution.out_width();
        Self {
            x: tensors(Self::inputs(), 0),
            weight: tensors([convolution.weights(), linear.inputs * linear.outputs], 1),
            bias: tensors([convolution.out_channels, linear.outputs], 2),
            y: tensors([outputs, linear.samples * linear.outputs], 3),
            gpu,
        }
    }

    fn inputs() -> [usize; 2] {
        let (convolution, linear) = (&CONVOLUTIONS[0], &LINEARS[0]);
        let before = convolution.samples * convolution.in_channels * convolution.height * convolution.width;
        [before, linear.samples * linear.inputs]
    }

    fn convolve(&mut self) {
        let Self { gpu, x: [x, _], weight: [weight, _], bias: [bias, _], y: [y, _] } = self;
        gpu.conv2d_forward(&CONVOLUTIONS[0], x.view(), weight.view(), Some(bias.view()), y.view_mut());
    }

    fn multiply(&mut self) {
        let Self { gpu, x: [_, x], weight: [_, weight], bias: [_, bias], y: [_, y] } = self;
        gpu.linear_forward(&LINEARS[0], x.view(), weight.view(), bias.view(), y.view_mut());
    }

    /// Whether both are done by a record.
    fn repeat(&mut self) -> bool {
        self.gpu.repeat(1, &[], &[self.y[0].view(), self.y[1].view()])
    }

    /// The way forward of inputs of this seed, as repeated work where the GPU has such.
    fn forward(&mut self, seed: u64) -> [Vec<f32>; 2] {
        for (x, len) in self.x.iter_mut().zip(Self::inputs()) {
            self.gpu.write(&noise(len, seed), x.view_mut());
        }
        let repeats = self.gpu.repeats();
        if !(repeats && self.repeat()) {
            self.convolve();
            self.multiply();
        }
        if repeats {
            self.gpu.asked();
        }
        let Self { gpu, y, .. } = self;
        y.each_ref().map(|y| y.read(gpu))
    }

    /// Ways forward, half of them by plans that were dealt, and how many were launched as a whole.
    fn all(mut self) -> (Vec<[Vec<f32>; 2]>, u64) {
        let mut all: Vec<_> = (10..13).map(|seed| self.forward(seed)).collect();
        let plans = self.gpu.tell_plans();
        assert_eq!(plans.len(), 2);
        self.gpu.take_plans(&plans, Rest::Refused);
        all.extend((13..16).map(|seed| self.forward(seed)));
        assert_eq!(self.gpu.finish(), Ok(()));
        (all, self.gpu.graphs())
    }
}

#[test]
fn calls_that_are_repeated_as_a_whole_have_the_same_bits() {
    if !found() {
        return;
    }
    let (repeated, graphs) = Layers::new(opened(3, Libraries::Auto)).all();
    assert_eq!(graphs, 4, "all but the first, before the deal and behind it");
    let (asked, graphs) = Layers::new(opened(3, Libraries::Auto).without_graphs()).all();
    assert_eq!(graphs, 0);
    assert!(repeated == asked, "bits differ");
    assert!(repeated[1] != repeated[2], "inputs differ");
    no_plan_is_made_while_calls_are_recorded();
}

/// As no memory is asked for: plans are there since the first time, or the recording fails.
fn no_plan_is_made_while_calls_are_recorded() {
    for (ask, why) in [
        (Layers::convolve as fn(&mut Layers), "no plan is made while a stream records"),
        (Layers::multiply, "cublasLtMatmulAlgoGetHeuristic"),
    ] {
        let mut layers = Layers::new(opened(3, Libraries::Auto));
        assert!(!layers.repeat());
        layers.gpu.asked();
        assert!(!layers.repeat());
        ask(&mut layers);
        let error = layers.gpu.finish().expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}

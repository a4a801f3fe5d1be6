//! Every layer, value and gradients, against its formula in f64: the whole list.

use lockstep_kernels::activation::Activation::{self as Function, Relu, ScaledTanh, Sigmoid, Tanh};
use lockstep_kernels::batch_norm::BatchNormSize;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::dropout::DropoutSize;
use lockstep_kernels::group_norm::GroupNormSize;
use lockstep_kernels::linear::LinearSize;
use lockstep_kernels::local_response_norm::LocalResponseNormSize;
use lockstep_kernels::pool2d::{AdaptivePool2dSize, Pool2dSize};
use lockstep_kernels::radial_basis::RadialBasisSize;
use lockstep_kernels::subsample2d::Subsample2dSize;
use lockstep_worker::layers::{
    Activation, AdaptiveAveragePool2d, Add, AveragePool2d, BatchNorm, Concatenate, Conv2d, Conv2dMaxPool2d, Dropout,
    GroupNorm, Layer, Linear, LocalResponseNorm, MaxPool2d, MicroBatch, PadChannels, PartialConv2d, RadialBasis,
    Subsample2d,
};
use lockstep_worker::model::Shape;

use super::alone::{Alone, Operands};
use super::tangents::{self, Samples};
use crate::gradient_check::gradient_check;
use crate::layout::{assert_padding_is_zero, lanes, to_activation, to_rows};
use lockstep_selftest::formulas::{self, Pooling};
use lockstep_selftest::numbers::numbers;

const SAMPLES: usize = 5;
/// Of two streams, of which a layer takes the second.
const KEYS: [u64; 2 * SAMPLES] = [0, 0, 0, 0, 0, 11 << 40, 5, 0x9E37_79B9_7F4A_7C15, 3, u64::MAX];

/// Checks a layer. `sizes`: values a sample of each input, elements of its parameters, values a sample behind it. The
/// formula gets the inputs, the parameters and the gradient behind.
#[track_caller]
fn check<const N: usize>(
    name: &str,
    layer: &dyn Layer<Cpu>,
    sizes: [usize; N],
    formula: impl Fn([&[f64]; N]) -> Vec<f64>,
) {
    let len = |place: usize| if place == N - 2 { sizes[place] } else { SAMPLES * sizes[place] };
    let rows = std::array::from_fn(|place| numbers(len(place), place + 1));
    gradient_check(name, &rows, &formula, |device, rows| both_passes(name, layer, device, sizes, rows), 2e-6);
    tangents::check(name, layer, &Samples { count: SAMPLES, keys: &KEYS }, sizes, formula);
}

fn both_passes<const N: usize>(
    name: &str,
    layer: &dyn Layer<Cpu>,
    device: &Cpu,
    sizes: [usize; N],
    rows: &[Vec<f32>; N],
) -> [Vec<f32>; N] {
    let (inputs, outputs) = (&sizes[..N - 2], sizes[N - 1]);
    let values = rows.iter().zip(inputs).map(|(x, features)| to_activation(device, x, *features, 3.0));
    let operands = Operands { inputs: values.collect(), parameters: rows[N - 2].clone() };
    let batch = MicroBatch::<Cpu> { samples: SAMPLES, keys: &KEYS };
    let mut alone = Alone::new(layer, alike(device), batch, operands, outputs);
    let d_y = to_activation(device, &rows[N - 1], outputs, 0.0);
    let back = alone.back(d_y.clone());
    let there: Vec<Vec<f32>> =
        inputs.iter().map(|f| to_activation(device, &numbers(SAMPLES * f, 9), *f, 0.0)).collect();
    if let Some(added) = alone.back_onto(d_y, there.clone()) {
        for (place, (added, there)) in added.inputs.iter().zip(&there).enumerate() {
            if layer.passes_on() != Some(place) {
                let [added, there, back] =
                    [added, there, &back.inputs[place]].map(|d_x| to_rows(device, d_x, SAMPLES, inputs[place]));
                let sums: Vec<f32> = there.iter().zip(&back).map(|(a, b)| a + b).collect();
                assert!(added == sums, "{name}: the gradient of input {place}, added to another, is not their sum");
            }
        }
    }
    for (d_x, features) in back.inputs.iter().zip(inputs) {
        assert_padding_is_zero(device, name, d_x, SAMPLES, *features);
    }
    std::array::from_fn(|place| match place {
        0 => to_rows(device, &alone.y, SAMPLES, outputs),
        _ if place == N - 1 => back.parameters.clone(),
        _ => to_rows(device, &back.inputs[place - 1], SAMPLES, sizes[place - 1]),
    })
}

/// Another device of the same kind.
fn alike(device: &Cpu) -> Cpu {
    match lanes(device, 1, 1) {
        8 => Cpu::halved(device.instruction_set()),
        _ => Cpu::new(device.instruction_set()),
    }
}

fn applied(function: Option<Function>, y: Vec<f64>) -> Vec<f64> {
    y.into_iter().map(|y| function.map_or(y, |function| formulas::activation(function, y))).collect()
}

#[test]
fn linear() {
    let size = LinearSize { samples: SAMPLES, inputs: 7, plane: 1, outputs: 4 };
    for activation in [None, Some(Relu), Some(Sigmoid)] {
        let layer = Linear { name: "linear".into(), inputs: 7, plane: 1, outputs: 4, activation };
        check(&format!("linear {activation:?}"), &layer, [7, 28 + 4, 4], |[x, own, _]| {
            applied(activation, formulas::linear(&size, x, &own[..28], &own[28..]))
        });
    }
}

/// 3×3 kernels over 2 channels of 6×5 pixels.
fn three() -> Conv2dSize {
    Conv2dSize { in_channels: 2, out_channels: 4, height: 6, width: 5, kernel: 3, ..size_of(SAMPLES) }
}

fn size_of(samples: usize) -> Conv2dSize {
    Conv2dSize { samples, ..Conv2dSize::PLAIN }
}

#[test]
fn conv2d() {
    let plain = three();
    for size in [
        plain,
        Conv2dSize { padding: 1, ..plain },
        Conv2dSize { padding: 1, stride: 2, ..plain },
        Conv2dSize { padding: 2, dilation: 2, ..plain },
        Conv2dSize { padding: 1, groups: 2, ..plain },
        Conv2dSize { kernel: 1, stride: 2, ..plain },
    ] {
        let (weights, outputs) = (size.weights(), 4 * size.out_height() * size.out_width());
        for (bias, relu) in [(true, false), (false, false), (true, true), (false, true)] {
            let layer = Conv2d { name: "conv".into(), size, bias, relu };
            let own = weights + if bias { 4 } else { 0 };
            check(&format!("{size:?} bias: {bias}, relu: {relu}"), &layer, [60, own, outputs], |[x, own, _]| {
                let (weight, own) = own.split_at(weights);
                let y = formulas::conv2d(&size, x, weight, if bias { own } else { &[0.0; 4] });
                applied(relu.then_some(Relu), y)
            });
        }
    }
}

#[test]
fn conv2d_max_pool2d() {
    let size = Conv2dSize { padding: 1, ..three() };
    let weights = size.weights();
    let pool = Pool2dSize { samples: SAMPLES, channels: 4, height: 6, width: 5, window: 2, stride: 2, padding: 0 };
    for activation in [None, Some(Tanh)] {
        let conv = Conv2d { name: "conv".into(), size, bias: true, relu: false };
        let layer = Conv2dMaxPool2d { conv, activation };
        check(&format!("pooled {activation:?}"), &layer, [60, weights + 4, 4 * 3 * 2], |[x, own, _]| {
            let y = formulas::conv2d(&size, x, &own[..weights], &own[weights..]);
            applied(activation, formulas::pool2d(Pooling::Max, &pool, &y))
        });
    }
}

#[test]
fn partial_conv2d() {
    let size = three();
    let table = vec![vec![0], vec![0, 1], vec![1], vec![0, 1]];
    let connections: Vec<(usize, usize)> =
        table.iter().enumerate().flat_map(|(to, row)| row.iter().map(move |from| (to, *from))).collect();
    let weights = connections.len() * 9;
    let layer = PartialConv2d { name: "conv".into(), size, table };
    check("partial conv2d", &layer, [60, weights + 4, 4 * 4 * 3], |[x, own, _]| {
        let mut dense = vec![0.0; size.weights()];
        for ((to, from), window) in connections.iter().zip(own[..weights].chunks(9)) {
            dense[(to * 2 + from) * 9..][..9].copy_from_slice(window);
        }
        formulas::conv2d(&size, x, &dense, &own[weights..])
    });
}

/// (K, s, p): side by side, overlapping, padded, with gaps.
const WINDOWS: [[usize; 3]; 4] = [[2, 2, 0], [3, 2, 0], [3, 2, 1], [2, 3, 0]];

fn pooled([window, stride, padding]: [usize; 3]) -> (Pool2dSize, usize) {
    let size = Pool2dSize { samples: SAMPLES, channels: 2, height: 7, width: 6, window, stride, padding };
    (size, 2 * size.out_height() * size.out_width())
}

#[test]
fn max_pool2d() {
    for (size, outputs) in WINDOWS.map(pooled) {
        check(&format!("{size:?}"), &MaxPool2d { size }, [84, 0, outputs], |[x, ..]| {
            formulas::pool2d(Pooling::Max, &size, x)
        });
    }
}

#[test]
fn average_pool2d() {
    for (size, outputs) in WINDOWS.map(pooled) {
        for activation in [None, Some(ScaledTanh)] {
            let layer = AveragePool2d { size, activation };
            check(&format!("{size:?} {activation:?}"), &layer, [84, 0, outputs], |[x, ..]| {
                applied(activation, formulas::pool2d(Pooling::Average, &size, x))
            });
        }
    }
}

/// One cell, and cells that overlap.
#[test]
fn adaptive_average_pool2d() {
    for (out_height, out_width) in [(1, 1), (3, 4)] {
        let size = AdaptivePool2dSize { samples: SAMPLES, channels: 2, height: 7, width: 6, out_height, out_width };
        let layer = AdaptiveAveragePool2d { size };
        check(&format!("{size:?}"), &layer, [84, 0, 2 * out_height * out_width], |[x, ..]| {
            formulas::adaptive_average_pool2d(&size, x)
        });
    }
}

#[test]
fn subsample2d() {
    let size = Subsample2dSize { samples: SAMPLES, channels: 2, height: 4, width: 6 };
    let layer = Subsample2d { name: "s2".into(), size, activation: ScaledTanh };
    check("sub-sampling", &layer, [48, 4, 12], |[x, own, _]| {
        applied(Some(ScaledTanh), formulas::subsample2d(&size, x, &own[..2], &own[2..]))
    });
}

#[test]
fn activation() {
    for function in [Relu, Function::LeakyRelu { slope: 0.2 }, Sigmoid, Tanh, ScaledTanh] {
        check(&format!("{function:?}"), &Activation { function, features: 11 }, [11, 0, 11], |[x, ..]| {
            applied(Some(function), x.to_vec())
        });
    }
}

#[test]
fn batch_norm() {
    for relu in [false, true] {
        let size = BatchNormSize { samples: SAMPLES, channels: 3, plane: 4, epsilon: 1e-5, relu };
        let layer = |residual| BatchNorm { name: "bn".into(), size, residual, ends_block: false };
        check(&format!("batch norm, relu: {relu}"), &layer(false), [12, 6, 12], |[x, own, _]| {
            formulas::batch_norm(&size, [x, &own[..3], &own[3..], &[]], None)
        });
        check(&format!("batch norm of a sum, relu: {relu}"), &layer(true), [12, 12, 6, 12], |[x, r, own, _]| {
            formulas::batch_norm(&size, [x, &own[..3], &own[3..], r], None)
        });
    }
}

/// One group is layer norm.
#[test]
fn group_norm() {
    for groups in [1, 2, 4] {
        let size = GroupNormSize { samples: SAMPLES, channels: 4, groups, plane: 5, epsilon: 1e-5 };
        let layer = GroupNorm { name: "gn".into(), size, ends_block: false };
        check(&format!("group norm of {groups}"), &layer, [20, 8, 20], |[x, own, _]| {
            formulas::group_norm(&size, x, &own[..4], &own[4..])
        });
    }
}

#[test]
fn local_response_norm() {
    let size =
        LocalResponseNormSize { samples: SAMPLES, channels: 7, plane: 3, size: 5, alpha: 1.5, beta: 0.75, k: 2.0 };
    check("local response norm", &LocalResponseNorm { size }, [21, 0, 21], |[x, ..]| {
        formulas::local_response_norm(&size, x)
    });
}

/// The masks are those of its own stream.
#[test]
fn dropout() {
    let size = DropoutSize { samples: SAMPLES, features: 23, plane: 1, probability: 0.4 };
    check("dropout", &Dropout { size, stream: 1 }, [23, 0, 23], |[x, ..]| {
        formulas::dropout(&size, &KEYS[SAMPLES..], x)
    });
}

#[test]
fn add() {
    for relu in [false, true] {
        check(&format!("add, relu: {relu}"), &Add { features: 13, relu }, [13, 13, 0, 13], |[a, b, ..]| {
            applied(relu.then_some(Relu), a.iter().zip(b).map(|(a, b)| a + b).collect())
        });
    }
}

#[test]
fn concatenate() {
    let layer = Concatenate { parts: vec![3, 1, 5], plane: 1 };
    check("concatenate", &layer, [3, 1, 5, 0, 9], |[a, b, c, ..]| formulas::concatenate(&[3, 1, 5], &[a, b, c]));
}

#[test]
fn pad_channels() {
    let shape = Shape { channels: 2, height: 2, width: 3 };
    let layer = PadChannels { before: 1, shape, channels: 5 };
    let zeros = [0.0; SAMPLES * 12];
    check("padded channels", &layer, [12, 0, 30], |[x, ..]| {
        formulas::concatenate(&[6, 12, 12], &[&zeros[..SAMPLES * 6], x, &zeros])
    });
}

#[test]
fn radial_basis() {
    let size = RadialBasisSize { samples: SAMPLES, inputs: 9, outputs: 4 };
    let centres = numbers(36, 8);
    let wide: Vec<f64> = centres.iter().map(|c| f64::from(*c)).collect();
    check("radial basis", &RadialBasis { size, centres }, [9, 0, 4], |[x, ..]| formulas::radial_basis(&size, x, &wide));
}

/// A layer that is new comes here too.
#[test]
fn every_layer_is_in_the_list() {
    let exported = include_str!("../../src/layers/mod.rs").lines().filter_map(|line| line.strip_prefix("pub use "));
    let layers =
        exported.filter_map(|path| path.split("::").nth(1)?.strip_suffix(';')).filter(|name| !name.contains('{'));
    let layers: Vec<&str> = layers.collect();
    assert!(layers.len() >= 17, "{layers:?}");
    let list: String = include_str!("gradients.rs").split("#[test]").skip(1).collect();
    for layer in layers {
        let begins = |at: usize| !list[..at].ends_with(char::is_alphanumeric);
        let found = list.match_indices(&format!("{layer} {{")).any(|(at, _)| begins(at));
        assert!(found, "layer {layer} has no check of its gradients");
    }
}

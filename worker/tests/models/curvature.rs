//! Second derivatives of layers and networks: the recursion of LeCun et al. 1998, appendix C, in f64.

use lockstep_kernels::activation;
use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::curvature::Criterion;
use lockstep_kernels::device::{LossOutput, LossSums, Memory};
use lockstep_kernels::pool2d::Pool2dSize;
use lockstep_kernels::squared_error::SquaredError;
use lockstep_kernels::subsample2d::Subsample2dSize;
use lockstep_proto::job;
use lockstep_worker::layers::{
    Activation, AveragePool2d, Conv2d, Conv2dMaxPool2d, Layer, Linear, MaxPool2d, MicroBatch, PartialConv2d,
    Subsample2d,
};
use lockstep_worker::model::{Activations, CurvatureMemory, Model, SampleShape, Weights, build};

use super::alone::{Alone, Operands};

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.3 - 1.0).collect()
}

/// Place of a sample's value in an activation.
fn place(sample: usize, feature: usize, features: usize) -> usize {
    ((sample / 16) * features + feature) * 16 + sample % 16
}

/// The layer's second derivatives are Σ J²·h over the rows of its Jacobian, which its way back gives one by one.
fn check(name: &str, layer: &dyn Layer<Cpu>, features: [usize; 2]) {
    for samples in [1, 3, 17] {
        let [inputs, outputs] = features;
        let device = Cpu::new(InstructionSet::detect());
        let parameters: usize = layer.parameters().iter().map(|tensor| tensor.len()).sum();
        let inputs = vec![numbers(device.activation_len(samples, inputs), 2)];
        let operands = Operands { inputs, parameters: numbers(parameters, 1) };
        let mut alone = Alone::new(layer, device, MicroBatch::<Cpu> { samples, keys: &[] }, operands, outputs);
        let mut h_y = vec![0.0; alone.y.len()];
        let mut expected = [vec![0.0; alone.operands.inputs[0].len()], vec![0.0; parameters]];
        for sample in 0..samples {
            for output in 0..outputs {
                let at = place(sample, output, outputs);
                h_y[at] = numbers(1, sample * outputs + output)[0].abs();
                let mut row = vec![0.0; h_y.len()];
                row[at] = 1.0;
                let Operands { inputs, parameters } = alone.back(row);
                for (sums, row) in expected.iter_mut().zip(inputs.iter().chain([&parameters])) {
                    let terms = sums.iter_mut().zip(row);
                    terms.for_each(|(sum, j)| *sum += f64::from(*j).powi(2) * f64::from(h_y[at]));
                }
            }
        }
        let Operands { inputs, parameters } = alone.curvature(h_y);
        let found = inputs.iter().chain([&parameters]);
        for (what, (found, expected)) in ["inputs", "parameters"].iter().zip(found.zip(&expected)) {
            close(&format!("{name}, {samples} samples: {what}"), found, expected);
            assert!(found.iter().all(|h| *h >= 0.0), "{name}: {what} below zero");
        }
    }
}

fn close(name: &str, found: &[f32], expected: &[f64]) {
    let largest = expected.iter().fold(1e-30, |most: f64, h| most.max(*h));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(*found) - expected).abs() / largest;
        assert!(error < 3e-6, "{name} [{i}]: {found} where {expected} is expected");
    }
}

#[test]
fn layers_pass_squares_on() {
    let name = String::new;
    let tanh = Some(activation::Activation::Tanh);
    let function = activation::Activation::ScaledTanh;
    check("activation", &Activation { function, features: 5 }, [5, 5]);
    check("linear", &Linear { name: name(), inputs: 7, plane: 1, outputs: 5, activation: tanh }, [7, 5]);
    check("linear alone", &Linear { name: name(), inputs: 3, plane: 1, outputs: 2, activation: None }, [3, 2]);
    let size = Conv2dSize { in_channels: 2, out_channels: 3, height: 6, width: 5, kernel: 3, ..Conv2dSize::PLAIN };
    let conv = |size| Conv2d { name: name(), size, bias: true, relu: false };
    check("conv2d", &conv(size), [60, 3 * 4 * 3]);
    check("conv2d and a relu", &Conv2d { relu: true, ..conv(size) }, [60, 3 * 4 * 3]);
    check("padded conv2d", &conv(Conv2dSize { padding: 1, ..size }), [60, 90]);
    let pooled = Conv2dMaxPool2d { conv: conv(size), activation: tanh };
    check("conv2d and max-pooling", &pooled, [60, 3 * 2]);
    let table = vec![vec![0], vec![0, 1], vec![1]];
    check("partial conv2d", &PartialConv2d { name: name(), size, table }, [60, 3 * 4 * 3]);
    let size = Subsample2dSize { samples: 0, channels: 3, height: 4, width: 6 };
    check("sub-sampling", &Subsample2d { name: name(), size, activation: function }, [72, 18]);
    let size = Pool2dSize { samples: 0, channels: 2, height: 5, width: 5, window: 3, stride: 2, padding: 0 };
    check("average pooling", &AveragePool2d { size, activation: tanh }, [50, 8]);
    check("max-pooling", &MaxPool2d { size }, [50, 8]);
}

fn tanh_network(hidden: &[u32]) -> job::Model {
    job::Model { hidden: hidden.to_vec(), activation: job::Activation::Tanh, ..job::Model::default() }
}

/// Second derivatives of a network under the squared error.
fn of_network(
    names: &job::Model,
    [inputs, classes, samples]: [usize; 3],
) -> (Model<Cpu>, Vec<f32>, Vec<f32>, Vec<f32>) {
    let shape = SampleShape { channels: 1, height: 1, width: inputs, classes };
    let (mut device, model) = (Cpu::new(InstructionSet::detect()), build::<Cpu>(names, shape).unwrap());
    model.check_curvature().unwrap();
    let (parameters, x) = (numbers(model.parameters(), 3), numbers(samples * inputs, 4));
    let mut activations = Activations::new(&device, &model, samples);
    let mut memory = CurvatureMemory::new(&device, &model, samples);
    let input = activations.input(&device, &model, samples);
    for sample in 0..samples {
        for feature in 0..inputs {
            input[place(sample, feature, inputs)] = x[sample * inputs + feature];
        }
    }
    let weights = Weights::<Cpu> { parameters: &parameters, statistics: &[] };
    let batch = MicroBatch::<Cpu> { samples, keys: &[] };
    model.forward(&mut device, batch, weights, &mut activations, &mut []);
    let (outputs, d_x) = activations.output(&device, &model, samples);
    let (labels, mut sums) = (vec![0; samples], [0.0; LossSums::LEN]);
    let loss = LossOutput::<Cpu> { d_x, sums: &mut sums };
    device.squared_error(&ClassesSize { samples, classes }, outputs, &labels, loss);
    let mut second = vec![7.0; model.parameters()];
    let criterion = Criterion::Quadratic { curvature: 2.0 / classes as f32 };
    model.curvature(&mut device, batch, weights, criterion, (&mut activations, &mut memory), &mut second);
    (model, parameters, x, second)
}

/// The outputs of a fully connected tanh network in f64. `layers`: (weights, biases, inputs), first to last.
fn outputs(layers: &[(Vec<f64>, Vec<f64>)], x: &[f64]) -> Vec<f64> {
    let mut values = x.to_vec();
    for (index, (weight, bias)) in layers.iter().enumerate() {
        let row = |(row, bias): (&[f64], &f64)| row.iter().zip(&values).map(|(w, x)| w * x).sum::<f64>() + bias;
        let linear: Vec<f64> = weight.chunks(values.len()).zip(bias).map(row).collect();
        let last = index + 1 == layers.len();
        values = linear.into_iter().map(|a| if last { a } else { a.tanh() }).collect();
    }
    values
}

/// The layers' tensors, first to last, of a flat vector that has the last layer first, each weight then bias.
fn layers_of(model: &Model<Cpu>, parameters: &[f64]) -> Vec<(Vec<f64>, Vec<f64>)> {
    let tensors: Vec<Vec<f64>> =
        model.tensors().iter().map(|tensor| parameters[tensor.range.clone()].to_vec()).collect();
    let mut layers: Vec<_> = tensors.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    layers.reverse();
    layers
}

/// Where each hidden layer has one unit, no term is off the diagonal: the recursion is the diagonal of the Gauss–Newton
/// matrix itself, `Σ_k 2/K · (∂y_k/∂w)²`.
#[test]
fn a_network_of_single_units_has_the_exact_diagonal() {
    let [inputs, classes, samples] = [6, 4, 5];
    let (model, parameters, x, second) = of_network(&tanh_network(&[1, 1]), [inputs, classes, samples]);
    let parameters: Vec<f64> = parameters.iter().map(|w| f64::from(*w)).collect();
    let step = 1e-5;
    let mut expected = vec![0.0; parameters.len()];
    for x in x.chunks(inputs) {
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        for (i, expected) in expected.iter_mut().enumerate() {
            let moved = |by: f64| {
                let mut parameters = parameters.clone();
                parameters[i] += by;
                outputs(&layers_of(&model, &parameters), &x)
            };
            let slopes = moved(step).into_iter().zip(moved(-step)).map(|(a, b)| (a - b) / (2.0 * step));
            *expected += slopes.map(|slope| 2.0 / classes as f64 * slope * slope).sum::<f64>();
        }
    }
    close("single units", &second, &expected);
}

/// A wide network follows the recursion, in f64.
#[test]
fn a_wide_network_follows_the_recursion() {
    let [inputs, classes, samples] = [9, 4, 19];
    let (model, parameters, x, second) = of_network(&tanh_network(&[13, 7]), [inputs, classes, samples]);
    let parameters: Vec<f64> = parameters.iter().map(|w| f64::from(*w)).collect();
    let layers = layers_of(&model, &parameters);
    let mut sums: Vec<(Vec<f64>, Vec<f64>)> =
        layers.iter().map(|(w, b)| (vec![0.0; w.len()], vec![0.0; b.len()])).collect();
    for x in x.chunks(inputs) {
        let mut values = vec![x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>()];
        for count in 1..layers.len() {
            // The values behind hidden layer `count`: outputs without a last tanh, with it put on.
            let linear = outputs(&layers[..count], &values[0]);
            values.push(linear.into_iter().map(f64::tanh).collect());
        }
        let mut h = vec![2.0 / classes as f64; classes];
        for (index, (weight, _)) in layers.iter().enumerate().rev() {
            let before = &values[index];
            let (h_weight, h_bias) = &mut sums[index];
            let mut h_before = vec![0.0; before.len()];
            for (o, h) in h.iter().enumerate() {
                h_bias[o] += h;
                for (i, x) in before.iter().enumerate() {
                    h_weight[o * before.len() + i] += x * x * h;
                    h_before[i] += weight[o * before.len() + i].powi(2) * h;
                }
            }
            if index > 0 {
                h_before.iter_mut().zip(before).for_each(|(h, y)| *h *= (1.0 - y * y).powi(2));
            }
            h = h_before;
        }
    }
    let expected: Vec<f64> = sums.into_iter().rev().flat_map(|(w, b)| [w, b].concat()).collect();
    close("wide network", &second, &expected);
}

#[test]
fn layers_that_run_again_change_no_bit() {
    let (hidden, sizes) = ([7, 30, 30, 30, 9, 30, 5, 30], [6, 4, 5]);
    let (_, _, _, second) = of_network(&tanh_network(&hidden), sizes);
    let (model, _, _, again) = of_network(&job::Model { recompute: true, ..tanh_network(&hidden) }, sizes);
    assert!(model.operations_again() > 0);
    assert_eq!(again, second);
}

#[test]
fn a_layer_without_second_derivatives_is_named() {
    let names = job::Model { name: job::ModelName::Resnet20, ..job::Model::default() };
    let shape = SampleShape { channels: 3, height: 32, width: 32, classes: 10 };
    let model = build::<Cpu>(&names, shape).unwrap();
    let line = model.check_curvature().unwrap_err().to_string();
    assert!(line.contains("which layer bn1 has not"), "{line}");
    let names = job::Model { name: job::ModelName::Lenet5Of1998, ..job::Model::default() };
    let shape = SampleShape { channels: 1, ..shape };
    build::<Cpu>(&names, shape).unwrap().check_curvature().unwrap();
}

//! Every op gives the same bits with every instruction set, and a sample's bits depend on that sample alone.

use std::collections::HashMap;

use lockstep_kernels::activation::ActivationSize;
use lockstep_kernels::conv2d::{Conv2d, Conv2dSize};
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::device::Memory;
use lockstep_kernels::fold::Fold;
use lockstep_kernels::linear::{Linear, LinearSize};
use lockstep_kernels::moving_average::{AverageStep, MovingAverage};
use lockstep_kernels::optimizer::{
    Adagrad, Adam, Decay, Lamb, Lars, Optimize, Rmsprop, Rule, Scaling, Sgd, Update, Vectors,
};
use lockstep_kernels::perturb::{Perturb, PerturbStep};
use lockstep_kernels::pixels::{Levels, Pixels, PixelsSize};

use crate::activations::ACTIVATIONS;
use crate::fold::squared_norm;
use crate::layout::{bits, devices, to_activation, to_rows, unwritten};
use crate::losses::{self, LOSSES};
use crate::passes;
use lockstep_selftest::numbers::numbers;

/// Numbers whose sums round: thirds.
pub fn rounding(len: usize, seed: usize) -> Vec<f32> {
    numbers(len, seed).into_iter().map(|x| x / 3.0).collect()
}

fn operands<const N: usize>(lengths: [usize; N]) -> [Vec<f32>; N] {
    std::array::from_fn(|i| rounding(lengths[i], i + 1))
}

/// # Panics
/// If `run` gives two devices whose samples lie alike different bits.
#[track_caller]
pub fn check(name: &str, run: impl Fn(&mut Cpu) -> Vec<f32>) {
    let mut first: HashMap<usize, (String, Vec<u32>)> = HashMap::new();
    for mut device in devices() {
        let result = bits(&run(&mut device));
        let set = device.instruction_set().to_string();
        let abreast = device.activation_len(1, 2) / 2;
        let (other, expected) = first.entry(abreast).or_insert_with(|| (set.clone(), result.clone()));
        assert!(*expected == result, "{name}: {set} differs from {other}, {abreast} samples abreast");
    }
}

#[test]
fn linear_layers() {
    for [samples, inputs, outputs] in [[64, 784, 100], [64, 100, 10], [37, 131, 23], [1, 3, 5], [128, 84, 10]] {
        let size = LinearSize { samples, inputs, plane: 1, outputs };
        let rows = operands([samples * inputs, outputs * inputs, outputs, samples * outputs]);
        check(&format!("{size:?}"), |device| passes::linear(device, &size, &rows).concat());
    }
}

/// (N, C, O, H, W, K, p): LeNet-5's two, and odd ones.
const CONVOLUTIONS: [[usize; 7]; 5] = [
    [20, 1, 6, 28, 28, 5, 2],
    [20, 6, 16, 14, 14, 5, 0],
    [17, 3, 5, 9, 7, 3, 1],
    [3, 2, 7, 6, 11, 4, 3],
    [1, 1, 1, 2, 2, 2, 0],
];

fn conv2d_size([samples, in_channels, out_channels, height, width, kernel, padding]: [usize; 7]) -> Conv2dSize {
    Conv2dSize { samples, in_channels, out_channels, height, width, kernel, padding, ..Conv2dSize::PLAIN }
}

#[test]
fn convolutions() {
    for size in CONVOLUTIONS.map(conv2d_size) {
        let inside = size.samples * size.in_channels * size.height * size.width;
        let planes = size.samples * size.out_channels;
        let (height, width) = (size.out_height(), size.out_width());
        let rows = |outside| operands([inside, size.weights(), size.out_channels, planes * outside]);
        let whole = rows(height * width);
        check(&format!("{size:?}"), |device| passes::conv2d(device, &size, &whole).concat());
        let pooled = rows((height / 2) * (width / 2));
        check(&format!("pooled {size:?}"), |device| passes::conv2d_max_pool2d(device, &size, &pooled).concat());
    }
}

#[test]
fn activations() {
    let size = ActivationSize { samples: 50, features: 7 };
    let x: Vec<f32> = rounding(350, 1).into_iter().map(|x| 20.0 * x).collect();
    let rows = [x, rounding(350, 2)];
    for function in ACTIVATIONS {
        check(&format!("{function:?}"), |device| passes::activation(device, &size, function, &rows).concat());
    }
}

#[test]
fn losses() {
    let size = ClassesSize { samples: 50, classes: 10 };
    let x: Vec<f32> = rounding(500, 1).into_iter().map(|x| 20.0 * x).collect();
    let labels: Vec<u16> = (0..50).map(|n| n * 7 % 10).collect();
    for (name, loss, _) in LOSSES {
        check(name, |device| {
            let x = to_activation(device, &x, 10, 0.0);
            let mut d_x = unwritten(device, 50, 10);
            let sums = losses::sums(&mut d_x, |out| loss(device, &size, &x, &labels, out)).loss.to_bits();
            let halves = [(sums >> 32) as u32, sums as u32].map(f32::from_bits);
            [d_x, halves.to_vec()].concat()
        });
    }
}

#[test]
fn element_wise_ops() {
    let pixels: Vec<u8> = (0..35 * 50).map(|i| (i * 37 % 256) as u8).collect();
    let size = PixelsSize { samples: 35, features: 50, plane: 1, image: 50, levels: Levels::of_all(0.012_73, -0.424) };
    check("element-wise", |device| {
        let mut y = unwritten(device, 35, 50);
        device.pixels_forward(&size, &pixels, &mut y);
        let (mut sum, value) = (rounding(9001, 1), rounding(9001, 2));
        device.fold_add(&mut sum, &value);
        device.moving_average(&AverageStep { scale: 0.3, weight: 0.1 }, &value, &mut sum);
        let mut up = vec![0.0; 9001];
        device.perturb(&PerturbStep { count: 3, scale: 0.7 }, &value, &sum, &mut up);
        device.descend(0.3, &value, &mut up);
        let norm = squared_norm(device, &sum).to_bits();
        [y, sum, up, vec![f32::from_bits((norm >> 32) as u32), f32::from_bits(norm as u32)]].concat()
    });
}

#[test]
fn updates() {
    let (learning_rate, momentum, steps) = (0.1, 0.9, 3);
    let (beta1, beta2, epsilon) = (0.9, 0.999, 1e-8);
    let rules = [
        Rule::Sgd(Sgd { learning_rate, momentum, dampening: 0.1, nesterov: true, steps }),
        Rule::Adagrad(Adagrad { learning_rate, learning_rate_decay: 0.1, epsilon, steps }),
        Rule::Rmsprop(Rmsprop { learning_rate, alpha: 0.99, epsilon, momentum, centered: true }),
        Rule::Adam(Adam { learning_rate, beta1, beta2, epsilon, steps }),
        Rule::Lars(Lars { learning_rate, momentum, trust_ratio: 0.7 }),
        Rule::Lamb(Lamb { learning_rate, beta1, beta2, epsilon, weight_decay: 0.1, steps }),
    ];
    for rule in rules {
        for decay in [Decay::None, Decay::Coupled(5e-4), Decay::Decoupled(0.01)] {
            let scaling = Scaling { count: 48, factor: 0.7, limit: 0.01 };
            check(&format!("{rule:?} {decay:?}"), |device| {
                let positive = |seed| rounding(1003, seed).into_iter().map(f32::abs).collect::<Vec<_>>();
                let [mut a, mut b, mut c, mut parameters] = [positive(4), positive(5), rounding(1003, 6), positive(7)];
                let state = [Some(a.as_mut_slice()), Some(b.as_mut_slice()), Some(c.as_mut_slice())];
                let gradient = rounding(1003, 3);
                let vectors = Vectors::<Cpu> { gradient: &gradient, parameters: &mut parameters, state };
                device.update(&Update { scaling, decay, rule }, vectors);
                [a, b, c, parameters].concat()
            });
        }
    }
}

/// The same sample at another place, among others, in a smaller batch.
#[test]
fn a_samples_values_depend_on_that_sample_alone() {
    let rows = rounding(40 * 30, 1);
    let (w, b) = (rounding(30 * 11, 3), rounding(11, 4));
    for mut device in devices() {
        let mut forward = |rows: &[f32]| {
            let size = LinearSize { samples: rows.len() / 30, inputs: 30, plane: 1, outputs: 11 };
            let mut y = unwritten(&device, size.samples, 11);
            device.linear_forward(&size, &to_activation(&device, rows, 30, 0.0), &w, &b, &mut y);
            to_rows(&device, &y, size.samples, 11)
        };
        let all = forward(&rows);
        let one = forward(&rows[37 * 30..38 * 30]);
        assert_eq!(bits(&one), bits(&all[37 * 11..38 * 11]));
    }
}

/// What padding samples hold reaches no weight: only their zero gradients count.
#[test]
fn padding_never_reaches_a_weight() {
    let size = LinearSize { samples: 19, inputs: 21, plane: 1, outputs: 7 };
    let conv = conv2d_size([3, 2, 3, 6, 6, 3, 1]);
    for mut device in devices() {
        let mut gradients = |padding: f32| {
            let x = to_activation(&device, &rounding(19 * 21, 1), 21, padding);
            let d_y = to_activation(&device, &rounding(19 * 7, 2), 7, 0.0);
            let (mut d_w, mut d_b) = (vec![0.0; 147], vec![0.0; 7]);
            device.linear_backward_weight(&size, &x, &d_y, &mut d_w, &mut d_b);
            let x = to_activation(&device, &rounding(3 * 72, 1), 72, padding);
            let d_y = to_activation(&device, &rounding(3 * 108, 2), 108, 0.0);
            let (mut d_v, mut d_c) = (vec![0.0; 54], vec![0.0; 3]);
            device.conv2d_backward_weight(&conv, &x, &d_y, &mut d_v, Some(&mut d_c));
            bits(&[d_w, d_b, d_v, d_c].concat())
        };
        assert_eq!(gradients(0.0), gradients(123.5));
    }
}

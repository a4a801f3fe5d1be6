//! What the ops refuse, with the same words on every device.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lockstep_emulation::{device, libraries};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::{LossOutput, LossSums};
use lockstep_kernels::fold::Fold;
use lockstep_kernels::optimizer::{Decay, Optimize, Rule, Scaling, Sgd, Update, Vectors};
use lockstep_selftest::array::Array;

#[test]
fn of_the_cpu() {
    let mut device = Cpu::new(InstructionSet::Portable);
    refusals(&mut device);
    refuses("label 3 of 3 classes", || _ = entropy(&mut device, 0.1, &[1, 3]));
}

#[test]
fn of_the_emulated_gpu() {
    let Some(mut device) = device(libraries()) else { return };
    refusals(&mut device);
    // It sees labels too late to refuse one; it goes beyond no buffer and gives nothing that could be taken for a result.
    let (sums, d_x) = entropy(&mut device, 0.1, &[1, 3]);
    assert!(sums.loss.is_nan());
    assert_eq!((sums.correct, sums.correct_in_5), (0, 1), "of the first sample alone");
    assert!(d_x[..3].iter().all(|d| d.is_finite()) && d_x[3..].iter().all(|d| d.is_nan()), "{d_x:?}");
    device.finish().unwrap_or_else(|error| panic!("{error}"));
}

fn refusals<D: CrossEntropy + Optimize + Fold>(device: &mut D) {
    refuses("smoothing 1.5 is not in [0, 1]", || _ = entropy(device, 1.5, &[1, 2]));
    refuses("labels holds 1 elements where its shape has 2", || _ = entropy(device, 0.1, &[1]));
    refuses("gradient holds 3 elements where its shape has 4", || step(device, 0.0, 3));
    refuses("the rule needs vector 0 of the state", || step(device, 0.9, 4));
    refuses("norms holds 1 elements where its shape has 2", || {
        let (x, mut norms) = (Array::<D>::zeros(device, 4), Array::<D, f64>::zeros(device, 1));
        let parts = device.parts(&[0..4, 1..2]);
        device.squared_norms(&parts, x.view(), norms.view_mut());
    });
}

/// # Panics
/// If it does not panic with these words.
#[track_caller]
fn refuses(words: &str, op: impl FnOnce()) {
    let panic = catch_unwind(AssertUnwindSafe(op)).expect_err("refused");
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(words));
}

/// Of two samples; gives the gradient as it lies.
fn entropy<D: CrossEntropy>(device: &mut D, smoothing: f32, labels: &[u16]) -> (LossSums, Vec<f32>) {
    let len = device.activation_len(2, 3);
    let (x, mut d_x) = (Array::<D>::zeros(device, len), Array::<D>::zeros(device, len));
    let (labels, mut sums) = (Array::tensor(device, labels), Array::zeros(device, LossSums::LEN));
    let size = ClassesSize { samples: 2, classes: 3 };
    let output = LossOutput { d_x: d_x.view_mut(), sums: sums.view_mut() };
    device.smoothed_cross_entropy(&size, smoothing, x.view(), labels.view(), output);
    let mut found = [0.0; LossSums::LEN];
    device.read(sums.view(), &mut found);
    (LossSums::of(found), d_x.read(device))
}

fn step<D: Optimize>(device: &mut D, momentum: f64, gradient: usize) {
    let rule = Rule::Sgd(Sgd { learning_rate: 0.1, momentum, dampening: 0.0, nesterov: false, steps: 0 });
    let (gradient, mut parameters) = (Array::<D>::zeros(device, gradient), Array::<D>::zeros(device, 4));
    let state = [None, None, None];
    let vectors = Vectors { gradient: gradient.view(), parameters: parameters.view_mut(), state };
    device.update(&Update { scaling: Scaling::mean(1), decay: Decay::None, rule }, vectors);
}

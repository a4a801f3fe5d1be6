//! What the ops refuse, with the same words on every device.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lockstep_emulation::{device, libraries};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::fold::Fold;
use lockstep_kernels::optimizer::{Decay, Optimize, Rule, Scaling, Sgd, Update, Vectors};
use lockstep_selftest::array::Array;

#[test]
fn of_the_cpu() {
    refusals(&mut Cpu::new(InstructionSet::Portable));
}

#[test]
fn of_the_emulated_gpu() {
    let Some(mut device) = device(libraries()) else { return };
    refusals(&mut device);
}

fn refusals<D: CrossEntropy + Optimize + Fold>(device: &mut D) {
    refuses("label 3 of 3 classes", || entropy(device, 0.1, &[1, 3]));
    refuses("smoothing 1.5 is not in [0, 1]", || entropy(device, 1.5, &[1, 2]));
    refuses("labels holds 1 elements where its shape has 2", || entropy(device, 0.1, &[1]));
    refuses("gradient holds 3 elements where its shape has 4", || step(device, 0.0, 3));
    refuses("the rule needs vector 0 of the state", || step(device, 0.9, 4));
    refuses("sums holds 2 elements where its shape has 1", || {
        let x = Array::<D>::zeros(device, 4);
        device.squared_block_norms(x.view(), &mut [0.0; 2]);
    });
}

/// # Panics
/// If it does not panic with these words.
#[track_caller]
fn refuses(words: &str, op: impl FnOnce()) {
    let panic = catch_unwind(AssertUnwindSafe(op)).expect_err("refused");
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some(words));
}

fn entropy<D: CrossEntropy>(device: &mut D, smoothing: f32, labels: &[u8]) {
    let len = device.activation_len(2, 3);
    let (x, mut d_x) = (Array::<D>::zeros(device, len), Array::<D>::zeros(device, len));
    let size = ClassesSize { samples: 2, classes: 3 };
    device.smoothed_cross_entropy(&size, smoothing, x.view(), labels, d_x.view_mut());
}

fn step<D: Optimize>(device: &mut D, momentum: f64, gradient: usize) {
    let rule = Rule::Sgd(Sgd { learning_rate: 0.1, momentum, dampening: 0.0, nesterov: false, steps: 0 });
    let (gradient, mut parameters) = (Array::<D>::zeros(device, gradient), Array::<D>::zeros(device, 4));
    let state = [None, None, None];
    let vectors = Vectors { gradient: gradient.view(), parameters: parameters.view_mut(), state };
    device.update(&Update { scaling: Scaling::mean(1), decay: Decay::None, rule }, vectors);
}

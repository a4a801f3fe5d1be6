//! After the first step the CPU device allocates nothing.

use lockstep_kernels::allocations::Counted;
use lockstep_kernels::conv2d::{Accumulation, Conv2d, Conv2dSize};
use lockstep_kernels::conv2d_max_pool2d::{Conv2dMaxPool2d, Pooled, PooledMut};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::device::Memory;
use lockstep_kernels::fold::Fold;
use lockstep_kernels::group_norm::{GroupNorm, GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};
use lockstep_kernels::linear::{Linear, LinearSize};
use lockstep_kernels::local_response_norm::{LocalResponseNorm, LocalResponseNormSize};
use lockstep_kernels::optimizer::{Adam, Decay, Optimize, Rule, Scaling, Update, Vectors};

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// The ops that use scratch memory, each at two sizes.
fn step(device: &mut Cpu, samples: usize, values: &mut [Vec<f32>; 6], choice: &mut [u8]) {
    let [x, y, d_x, weight, d_weight, bias] = values;
    for (out_channels, padding) in [(6, 2), (4, 0)] {
        let plain = Conv2dSize { height: 12, width: 12, kernel: 5, padding, ..Conv2dSize::PLAIN };
        let size = Conv2dSize { samples, in_channels: 2, out_channels, ..plain };
        let features = out_channels * size.out_height() * size.out_width();
        let (inside, outside) = (device.activation_len(samples, 288), device.activation_len(samples, features));
        let weights = 50 * out_channels;
        let (x, w, d_w) = (&x[..inside], &weight[..weights], &mut d_weight[..weights]);
        let b = &mut bias[..out_channels];
        device.conv2d_forward(&size, x, w, Some(b), &mut y[..outside]);
        device.conv2d_backward_input(&size, w, &y[..outside], &mut d_x[..inside], Accumulation::Overwrite);
        device.conv2d_backward_weight(&size, x, &y[..outside], d_w, Some(b));
        let outside = outside / 4;
        let pooled = PooledMut { values: &mut y[..outside], choice: &mut choice[..outside] };
        device.conv2d_max_pool2d_forward(&size, x, w, b, pooled);
        let pooled = || Pooled { values: &y[..outside], choice: &choice[..outside] };
        device.conv2d_max_pool2d_backward_input(&size, w, pooled(), &mut d_x[..inside]);
        device.conv2d_max_pool2d_backward_weight(&size, x, pooled(), d_w, b);
    }
    // Winograd, a strided kernel, and 1×1 kernels: channels in the lanes, and scattered gradients.
    for (kernel, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 1, 0), (1, 2, 0)] {
        let plain = Conv2dSize { height: 8, width: 8, kernel, stride, padding, ..Conv2dSize::PLAIN };
        let size = Conv2dSize { samples, in_channels: 16, out_channels: 17, ..plain };
        let outside = device.activation_len(samples, 17 * size.out_height() * size.out_width());
        let inside = device.activation_len(samples, 16 * 64);
        let (x, w, d_w) = (&x[..inside], &weight[..size.weights()], &mut d_weight[..size.weights()]);
        let b = &mut bias[..17];
        device.conv2d_forward(&size, x, w, Some(b), &mut y[..outside]);
        device.conv2d_backward_input(&size, w, &y[..outside], &mut d_x[..inside], Accumulation::Add);
        device.conv2d_backward_weight(&size, x, &y[..outside], d_w, Some(b));
    }
    for samples in [samples, samples + 10] {
        let size = LinearSize { samples, inputs: 25, plane: 1, outputs: 7 };
        let (inside, outside) = (device.activation_len(samples, 25), device.activation_len(samples, 7));
        device.linear_backward_weight(&size, &x[..inside], &y[..outside], &mut d_weight[..175], &mut bias[..7]);
    }
    for channels in [8, 4] {
        normalise(device, samples, channels, [x, y, d_x, weight, d_weight, bias]);
    }
}

/// The normalisations that use scratch memory.
fn normalise(device: &mut Cpu, samples: usize, channels: usize, values: [&mut Vec<f32>; 6]) {
    let [x, y, d_x, weight, d_weight, bias] = values;
    let size = GroupNormSize { samples, channels, groups: 2, plane: 9, epsilon: 1e-5 };
    let len = device.activation_len(samples, channels * 9);
    let (weight, moments) = weight.split_at_mut(channels);
    let moments = &mut moments[..device.activation_len(samples, size.moments_features())];
    let (x, weight, bias) = (&x[..len], &*weight, &mut bias[..channels]);
    device.group_norm_forward(&size, x, weight, bias, GroupNormOutput { y: &mut y[..len], moments });
    let (d_weight, d_bias) = (&mut d_weight[..channels], bias);
    let gradients = GroupNormGradients { d_y: &y[..len], d_x: &mut d_x[..len], d_weight, d_bias };
    device.group_norm_backward(&size, GroupNormSaved { x, weight, moments }, gradients);
    let size = LocalResponseNormSize { samples, channels, plane: 9, size: 5, alpha: 1.0, beta: 0.75, k: 2.0 };
    device.local_response_norm_backward(&size, x, &y[..len], &mut d_x[..len]);
}

/// Norms and an update.
fn update(device: &mut Cpu, parts: &<Cpu as Fold>::Parts, values: &mut [Vec<f32>; 6]) {
    let mut norms = [0.0; 10];
    device.squared_norms(parts, &values[0], &mut norms);
    let rule = Rule::Adam(Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, steps: 0 });
    let factor = Scaling::factor_of_norm(norms.iter().sum::<f64>().sqrt(), 1.0);
    let update = Update { scaling: Scaling { factor, ..Scaling::mean(3) }, decay: Decay::None, rule };
    let [gradient, parameters, m, v, ..] = values;
    device.update(&update, Vectors { gradient, parameters, state: [Some(m), Some(v), None] });
}

#[test]
fn a_second_step_allocates_nothing() {
    let set = InstructionSet::detect();
    for (mut device, samples) in [(Cpu::new(set), 20), (Cpu::halved(set), 7)] {
        let mut values = [(); 6].map(|()| vec![0.5; 40_000]);
        let mut choice = vec![0; 40_000];
        let ranges: Vec<_> = (0..10).map(|part| part * 4000..(part + 1) * 4000).collect();
        let parts = device.parts(&ranges);
        let mut whole = || {
            step(&mut device, samples, &mut values, &mut choice);
            update(&mut device, &parts, &mut values);
        };
        whole();
        let before = Counted::count();
        whole();
        assert_eq!(Counted::count(), before, "{samples} samples");
    }
}

//! Both passes of ops over rows of samples: value, then the gradients of the operands in their order.

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::addition::Addition;
use lockstep_kernels::concatenate::{Concatenate, ConcatenateSize};
use lockstep_kernels::conv2d::{Accumulation, Conv2d, Conv2dSize};
use lockstep_kernels::conv2d_max_pool2d::{Conv2dMaxPool2d, Pooled, PooledMut};
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::linear::{Linear, LinearSize};

use crate::layout::{assert_padding_is_zero, to_activation, to_rows, unwritten};

// Padding of values may be any finite number, of gradients it is zero.
const PADDING: f32 = 3.0;
const NO_GRADIENT: f32 = 0.0;

/// Of x, weight, bias, d_y.
pub fn linear(device: &mut Cpu, size: &LinearSize, [x, w, b, d_y]: &[Vec<f32>; 4]) -> [Vec<f32>; 4] {
    let LinearSize { samples, inputs, outputs, .. } = *size;
    let (x, d_y) = (to_activation(device, x, inputs, PADDING), to_activation(device, d_y, outputs, NO_GRADIENT));
    let (mut y, mut d_x) = (unwritten(device, samples, outputs), unwritten(device, samples, inputs));
    let (mut d_w, mut d_b) = (vec![7.0; w.len()], vec![7.0; b.len()]);
    device.linear_forward(size, &x, w, b, &mut y);
    device.linear_backward_input(size, w, &d_y, &mut d_x);
    device.linear_backward_weight(size, &x, &d_y, &mut d_w, &mut d_b);
    assert_padding_is_zero(device, "d_x", &d_x, samples, inputs);
    [to_rows(device, &y, samples, outputs), to_rows(device, &d_x, samples, inputs), d_w, d_b]
}

/// Of x, weight, bias, d_y.
pub fn conv2d(device: &mut Cpu, size: &Conv2dSize, [x, w, b, d_y]: &[Vec<f32>; 4]) -> [Vec<f32>; 4] {
    let samples = size.samples;
    let inside = size.in_channels * size.height * size.width;
    let outside = size.out_channels * size.out_height() * size.out_width();
    let (x, d_y) = (to_activation(device, x, inside, PADDING), to_activation(device, d_y, outside, NO_GRADIENT));
    let (mut y, mut d_x) = (unwritten(device, samples, outside), unwritten(device, samples, inside));
    let (mut d_w, mut d_b) = (vec![7.0; w.len()], vec![7.0; b.len()]);
    device.conv2d_forward(size, &x, w, Some(b), &mut y);
    device.conv2d_backward_input(size, w, &d_y, &mut d_x, Accumulation::Overwrite);
    device.conv2d_backward_weight(size, &x, &d_y, &mut d_w, Some(&mut d_b));
    assert_padding_is_zero(device, "d_x", &d_x, samples, inside);
    [to_rows(device, &y, samples, outside), to_rows(device, &d_x, samples, inside), d_w, d_b]
}

/// Of x, weight, bias, d_y: the convolution and the 2×2 max-pooling behind it.
pub fn conv2d_max_pool2d(device: &mut Cpu, size: &Conv2dSize, [x, w, b, d_y]: &[Vec<f32>; 4]) -> [Vec<f32>; 4] {
    let samples = size.samples;
    let inside = size.in_channels * size.height * size.width;
    let outside = size.out_channels * (size.out_height() / 2) * (size.out_width() / 2);
    let (x, d_y) = (to_activation(device, x, inside, PADDING), to_activation(device, d_y, outside, NO_GRADIENT));
    let (mut y, mut d_x) = (unwritten(device, samples, outside), unwritten(device, samples, inside));
    let mut choice = vec![99; y.len()];
    device.conv2d_max_pool2d_forward(size, &x, w, b, PooledMut { values: &mut y, choice: &mut choice });
    let d_y = || Pooled { values: d_y.as_slice(), choice: choice.as_slice() };
    let (mut d_w, mut d_b) = (vec![7.0; w.len()], vec![7.0; b.len()]);
    device.conv2d_max_pool2d_backward_input(size, w, d_y(), &mut d_x);
    device.conv2d_max_pool2d_backward_weight(size, &x, d_y(), &mut d_w, &mut d_b);
    assert_padding_is_zero(device, "d_x", &d_x, samples, inside);
    [to_rows(device, &y, samples, outside), to_rows(device, &d_x, samples, inside), d_w, d_b]
}

/// Of x, d_y.
pub fn activation(
    device: &mut Cpu,
    size: &ActivationSize,
    function: Activation,
    [x, d_y]: &[Vec<f32>; 2],
) -> [Vec<f32>; 2] {
    let ActivationSize { samples, features } = *size;
    let (mut y, mut d) =
        (to_activation(device, x, features, PADDING), to_activation(device, d_y, features, NO_GRADIENT));
    device.activation_forward(size, function, &mut y);
    device.activation_backward(size, function, &y, &mut d);
    [y, d].map(|activation| to_rows(device, &activation, samples, features))
}

/// Of a, b, d_y, where `b` passes `d_y` on and `a` has it added to zeros.
pub fn addition(device: &mut Cpu, [a, b, d_y]: &[Vec<f32>; 3]) -> [Vec<f32>; 3] {
    let (mut y, mut d_a) = (vec![7.0; a.len()], vec![0.0; a.len()]);
    device.add(a, b, &mut y);
    device.accumulate(&mut d_a, d_y);
    [y, d_a, d_y.clone()]
}

/// Of three parts of these widths, d_y.
pub fn concatenate(device: &mut Cpu, widths: [usize; 3], [a, b, c, d_y]: &[Vec<f32>; 4]) -> [Vec<f32>; 4] {
    let (samples, features) = (a.len() / widths[0], widths.iter().sum());
    let d_y = to_activation(device, d_y, features, NO_GRADIENT);
    let mut y = unwritten(device, samples, features);
    let mut gradients = [a, b, c].map(Vec::clone);
    let mut first = 0;
    for (part, width) in gradients.iter_mut().zip(widths) {
        let size = ConcatenateSize { samples, features, first, part: width, plane: 1 };
        device.concatenate_forward(&size, &to_activation(device, part, width, PADDING), &mut y);
        let mut d = unwritten(device, samples, width);
        device.concatenate_backward(&size, &d_y, &mut d);
        assert_padding_is_zero(device, "d_x", &d, samples, width);
        *part = to_rows(device, &d, samples, width);
        first += width;
    }
    let [d_a, d_b, d_c] = gradients;
    [to_rows(device, &y, samples, features), d_a, d_b, d_c]
}

//! Values and gradients of the layers against the plain f64 formulas and their finite differences.

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::conv2d::{Accumulation, Conv2d, Conv2dSize};
use lockstep_kernels::conv2d_max_pool2d::{Conv2dMaxPool2d, Pooled, PooledMut};
use lockstep_kernels::linear::{Linear, LinearSize};
use lockstep_kernels::pool2d::{Pool2d, Pool2dSize};

use crate::layout::{assert_close, devices, numbers, to_activation, to_rows, unwritten, wide};
use crate::reference;

fn check_linear(samples: usize, inputs: usize, outputs: usize) {
    let size = LinearSize { samples, inputs, outputs };
    let (x, w) = (numbers(samples * inputs, 1), numbers(outputs * inputs, 2));
    let (b, d_y) = (numbers(outputs, 3), numbers(samples * outputs, 4));
    let y = reference::linear(&size, &wide(&x), &wide(&w), &wide(&b));
    let d_x = reference::gradient(&x, |x| reference::dot(&reference::linear(&size, x, &wide(&w), &wide(&b)), &d_y));
    let d_w = reference::gradient(&w, |w| reference::dot(&reference::linear(&size, &wide(&x), w, &wide(&b)), &d_y));
    let d_b = reference::gradient(&b, |b| reference::dot(&reference::linear(&size, &wide(&x), &wide(&w), b), &d_y));
    for mut device in devices() {
        let name = |part: &str| format!("linear {size:?} {} {part}", device.instruction_set());
        let names = ["y", "d_x", "d_w", "d_b"].map(name);
        // Padding of x may be any finite number, of d_y it is zero.
        let (packed_x, packed_d_y) = (to_activation(&x, inputs, 3.0), to_activation(&d_y, outputs, 0.0));
        let mut out = unwritten(&device, samples, outputs);
        device.linear_forward(&size, &packed_x, &w, &b, &mut out);
        assert_close(&names[0], &to_rows(&out, samples, outputs), &y, 1e-6);
        let mut out = unwritten(&device, samples, inputs);
        device.linear_backward_input(&size, &w, &packed_d_y, &mut out);
        assert_close(&names[1], &to_rows(&out, samples, inputs), &d_x, 1e-6);
        let (mut weight, mut bias) = (vec![7.0; w.len()], vec![7.0; b.len()]);
        device.linear_backward_weight(&size, &packed_x, &packed_d_y, &mut weight, &mut bias);
        assert_close(&names[2], &weight, &d_w, 1e-6);
        assert_close(&names[3], &bias, &d_b, 1e-6);
    }
}

#[test]
fn linear_layers_of_many_shapes() {
    for (samples, inputs, outputs) in [(1, 1, 1), (3, 5, 2), (16, 16, 6), (17, 33, 13), (33, 17, 10), (100, 7, 4)] {
        check_linear(samples, inputs, outputs);
    }
}

/// More terms than go at once, and a full tile of inputs.
#[test]
fn a_wide_linear_layer() {
    check_linear(5, 150, 9);
}

fn check_conv2d(size: Conv2dSize) {
    let Conv2dSize { samples, in_channels, out_channels, kernel, .. } = size;
    let (in_features, out_features) =
        (in_channels * size.height * size.width, out_channels * size.out_height() * size.out_width());
    let x = numbers(samples * in_features, 1);
    let w = numbers(out_channels * in_channels * kernel * kernel, 2);
    let (b, d_y) = (numbers(out_channels, 3), numbers(samples * out_features, 4));
    let y = reference::conv2d(&size, &wide(&x), &wide(&w), &wide(&b));
    let d_x = reference::gradient(&x, |x| reference::dot(&reference::conv2d(&size, x, &wide(&w), &wide(&b)), &d_y));
    let d_w = reference::gradient(&w, |w| reference::dot(&reference::conv2d(&size, &wide(&x), w, &wide(&b)), &d_y));
    let d_b = reference::gradient(&b, |b| reference::dot(&reference::conv2d(&size, &wide(&x), &wide(&w), b), &d_y));
    for mut device in devices() {
        let name = |part: &str| format!("{size:?} {} {part}", device.instruction_set());
        let names = ["y", "d_x", "d_w", "d_b"].map(name);
        let (packed_x, packed_d_y) = (to_activation(&x, in_features, 3.0), to_activation(&d_y, out_features, 0.0));
        let mut out = unwritten(&device, samples, out_features);
        device.conv2d_forward(&size, &packed_x, &w, Some(&b), &mut out);
        assert_close(&names[0], &to_rows(&out, samples, out_features), &y, 1e-6);
        let mut out = unwritten(&device, samples, in_features);
        device.conv2d_backward_input(&size, &w, &packed_d_y, &mut out, Accumulation::Overwrite);
        assert_close(&names[1], &to_rows(&out, samples, in_features), &d_x, 1e-6);
        let (mut weight, mut bias) = (vec![7.0; w.len()], vec![7.0; b.len()]);
        device.conv2d_backward_weight(&size, &packed_x, &packed_d_y, &mut weight, Some(&mut bias));
        assert_close(&names[2], &weight, &d_w, 1e-6);
        assert_close(&names[3], &bias, &d_b, 1e-6);
    }
}

/// (N, C, O, H, W, K, p)
fn conv2d_size(shape: [usize; 7]) -> Conv2dSize {
    let [samples, in_channels, out_channels, height, width, kernel, padding] = shape;
    Conv2dSize { samples, in_channels, out_channels, height, width, kernel, padding, ..Conv2dSize::PLAIN }
}

#[test]
fn convolutions_of_many_shapes() {
    for shape in [
        [1, 1, 1, 1, 1, 1, 0],
        [2, 2, 3, 4, 5, 3, 1],
        [2, 3, 5, 6, 4, 2, 0],
        [1, 1, 2, 7, 9, 4, 3],
        [2, 1, 7, 5, 6, 3, 2],
        [1, 2, 4, 7, 7, 7, 3],
        [18, 1, 2, 3, 3, 3, 1],
    ] {
        check_conv2d(conv2d_size(shape));
    }
}

/// LeNet-5's convolutions on smaller planes, so that the finite differences stay quick.
#[test]
fn convolutions_shaped_like_lenet() {
    check_conv2d(conv2d_size([1, 1, 6, 8, 8, 5, 2]));
    check_conv2d(conv2d_size([1, 2, 16, 6, 14, 5, 0]));
}

fn check_pool2d(size: Pool2dSize) {
    let (in_features, out_features) =
        (size.channels * size.height * size.width, size.channels * size.out_height() * size.out_width());
    let x = numbers(size.samples * in_features, 1);
    let d_y = numbers(size.samples * out_features, 2);
    for mut device in devices() {
        let (packed_x, packed_d_y) = (to_activation(&x, in_features, 3.0), to_activation(&d_y, out_features, 0.0));
        for (of_window, maximum) in [(reference::largest as fn(&[f64]) -> f64, true), (reference::mean, false)] {
            let name = format!("{size:?} {} maximum: {maximum}", device.instruction_set());
            let mut y = unwritten(&device, size.samples, out_features);
            let mut d_x = unwritten(&device, size.samples, in_features);
            if maximum {
                let mut choice = vec![99; y.len()];
                device.max_pool2d_forward(&size, &packed_x, &mut y, &mut choice);
                device.max_pool2d_backward(&size, &packed_d_y, &choice, &mut d_x);
            } else {
                device.average_pool2d_forward(&size, &packed_x, &mut y);
                device.average_pool2d_backward(&size, &packed_d_y, &mut d_x);
            }
            let expected = reference::pool2d(&size, &wide(&x), of_window);
            assert_close(&name, &to_rows(&y, size.samples, out_features), &expected, 1e-6);
            let expected = reference::gradient(&x, |x| reference::dot(&reference::pool2d(&size, x, of_window), &d_y));
            assert_close(&name, &to_rows(&d_x, size.samples, in_features), &expected, 1e-6);
        }
    }
}

/// The op in one piece against the formulas of the two.
fn check_conv2d_max_pool2d(size: Conv2dSize) {
    let Conv2dSize { samples, in_channels, out_channels, kernel, .. } = size;
    let (height, width) = (size.out_height(), size.out_width());
    let pool = Pool2dSize { samples, channels: out_channels, height, width, window: 2, stride: 2, padding: 0 };
    let in_features = in_channels * size.height * size.width;
    let out_features = out_channels * pool.out_height() * pool.out_width();
    let x = numbers(samples * in_features, 1);
    let w = numbers(out_channels * in_channels * kernel * kernel, 2);
    let (b, d_y) = (numbers(out_channels, 3), numbers(samples * out_features, 4));
    let formula = |x: &[f64], w: &[f64], b: &[f64]| {
        reference::pool2d(&pool, &reference::conv2d(&size, x, w, b), reference::largest)
    };
    let y = formula(&wide(&x), &wide(&w), &wide(&b));
    let d_x = reference::gradient(&x, |x| reference::dot(&formula(x, &wide(&w), &wide(&b)), &d_y));
    let d_w = reference::gradient(&w, |w| reference::dot(&formula(&wide(&x), w, &wide(&b)), &d_y));
    let d_b = reference::gradient(&b, |b| reference::dot(&formula(&wide(&x), &wide(&w), b), &d_y));
    for mut device in devices() {
        let name = |part: &str| format!("pooled {size:?} {} {part}", device.instruction_set());
        let names = ["y", "d_x", "d_w", "d_b"].map(name);
        let (packed_x, packed_d_y) = (to_activation(&x, in_features, 3.0), to_activation(&d_y, out_features, 0.0));
        let mut values = unwritten(&device, samples, out_features);
        let mut choice = vec![99; values.len()];
        let out = PooledMut { values: values.as_mut_slice(), choice: choice.as_mut_slice() };
        device.conv2d_max_pool2d_forward(&size, &packed_x, &w, &b, out);
        assert_close(&names[0], &to_rows(&values, samples, out_features), &y, 1e-6);
        let d_y = || Pooled { values: packed_d_y.as_slice(), choice: choice.as_slice() };
        let mut out = unwritten(&device, samples, in_features);
        device.conv2d_max_pool2d_backward_input(&size, &w, d_y(), &mut out);
        assert_close(&names[1], &to_rows(&out, samples, in_features), &d_x, 1e-6);
        let (mut weight, mut bias) = (vec![7.0; w.len()], vec![7.0; b.len()]);
        device.conv2d_max_pool2d_backward_weight(&size, &packed_x, d_y(), &mut weight, &mut bias);
        assert_close(&names[2], &weight, &d_w, 1e-6);
        assert_close(&names[3], &bias, &d_b, 1e-6);
    }
}

#[test]
fn convolutions_with_pooling() {
    for shape in [
        [1, 1, 6, 8, 8, 5, 2],
        [1, 2, 16, 6, 8, 5, 0],
        [2, 3, 5, 5, 7, 3, 1],
        [17, 1, 1, 5, 4, 2, 1],
        [1, 1, 2, 1, 1, 1, 0],
    ] {
        check_conv2d_max_pool2d(conv2d_size(shape));
    }
}

#[test]
fn poolings_of_many_shapes() {
    for [samples, channels, height, width, window] in
        [[1, 1, 2, 2, 2], [3, 2, 4, 6, 2], [17, 1, 5, 7, 3], [2, 3, 5, 5, 1]]
    {
        check_pool2d(Pool2dSize { samples, channels, height, width, window, stride: window, padding: 0 });
    }
}

#[test]
fn a_pooling_takes_the_first_of_equal_values_and_any_nan() {
    let size = Pool2dSize { samples: 1, channels: 1, height: 2, width: 8, window: 2, stride: 2, padding: 0 };
    let nan = f32::NAN;
    #[rustfmt::skip]
    let x = [
        1.0, 1.0,  0.0, nan,  nan, 9.0,  -1.0, -2.0,
        1.0, 1.0,  2.0, 1.0,  nan, 1.0,  -3.0, -0.5,
    ];
    for mut device in devices() {
        let mut y = unwritten(&device, 1, 4);
        let mut choice = vec![99; y.len()];
        device.max_pool2d_forward(&size, &to_activation(&x, 16, 0.0), &mut y, &mut choice);
        let chosen: Vec<u8> = (0..4).map(|i| choice[i * 16]).collect();
        assert_eq!(chosen, [0, 1, 0, 3]);
        let y = to_rows(&y, 1, 4);
        assert!(y[0] == 1.0 && y[1].is_nan() && y[2].is_nan() && y[3] == -0.5, "{y:?}");
    }
}

pub const ACTIVATIONS: [Activation; 6] = [
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.01 },
    Activation::LeakyRelu { slope: 0.2 },
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::ScaledTanh,
];

#[test]
fn activations_and_their_derivatives() {
    let (samples, features) = (19, 3);
    let size = ActivationSize { samples, features };
    let x: Vec<f32> = numbers(samples * features, 1).into_iter().map(|x| 4.0 * x).collect();
    let d_y = numbers(samples * features, 2);
    for mut device in devices() {
        for function in ACTIVATIONS {
            let name = format!("{function:?} {}", device.instruction_set());
            let apply = |x: &[f64]| x.iter().map(|x| reference::activation(function, *x)).collect::<Vec<_>>();
            let mut y = to_activation(&x, features, 0.0);
            device.activation_forward(&size, function, &mut y);
            assert_close(&name, &to_rows(&y, samples, features), &apply(&wide(&x)), 1e-6);
            let mut d = to_activation(&d_y, features, 0.0);
            device.activation_backward(&size, function, &y, &mut d);
            let expected = reference::gradient(&x, |x| reference::dot(&apply(x), &d_y));
            assert_close(&name, &to_rows(&d, samples, features), &expected, 1e-6);
        }
    }
}

#[test]
fn leaky_relu_keeps_a_nan_and_has_its_slope_at_zero() {
    let (size, function) = (ActivationSize { samples: 1, features: 4 }, Activation::LeakyRelu { slope: 0.25 });
    for mut device in devices() {
        let mut y = to_activation(&[f32::NAN, 0.0, 2.0, -2.0], 4, 0.0);
        device.activation_forward(&size, function, &mut y);
        let rows = to_rows(&y, 1, 4);
        assert!(rows[0].is_nan());
        assert_eq!(rows[1..], [0.0, 2.0, -0.5]);
        let mut d = to_activation(&[1.0; 4], 4, 0.0);
        device.activation_backward(&size, function, &y, &mut d);
        assert_eq!(to_rows(&d, 1, 4)[1..], [0.25, 1.0, 0.25]);
    }
}

/// LeCun's reason for the constants: the function is ±1 at ±1, and all but 1.7159 far out.
#[test]
fn scaled_tanh_is_one_at_one() {
    let size = ActivationSize { samples: 1, features: 3 };
    for mut device in devices() {
        let mut y = to_activation(&[1.0, -1.0, 100.0], 3, 0.0);
        device.activation_forward(&size, Activation::ScaledTanh, &mut y);
        let y = to_rows(&y, 1, 3);
        assert!((y[0] - 1.0).abs() < 1e-4 && y[1] == -y[0] && y[2] == 1.7159, "{y:?}");
    }
}

#[test]
#[should_panic(expected = "slope -0.1 is not in [0, 1)")]
fn a_slope_that_hides_the_sign_is_refused() {
    let size = ActivationSize { samples: 1, features: 1 };
    devices()[0].activation_forward(&size, Activation::LeakyRelu { slope: -0.1 }, &mut [0.0; 16]);
}

#[test]
fn relu_keeps_a_nan_and_has_no_slope_at_zero() {
    let size = ActivationSize { samples: 1, features: 3 };
    for mut device in devices() {
        let mut y = to_activation(&[f32::NAN, 0.0, 2.0], 3, 0.0);
        device.activation_forward(&size, Activation::Relu, &mut y);
        assert!(y[0].is_nan());
        let mut d = to_activation(&[1.0, 1.0, 1.0], 3, 0.0);
        device.activation_backward(&size, Activation::Relu, &y, &mut d);
        assert_eq!(to_rows(&d, 1, 3), [0.0, 0.0, 1.0]);
    }
}

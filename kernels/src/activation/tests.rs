//! Activation functions at their corners.

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};

use crate::layout::{devices, to_activation, to_rows};

pub const ACTIVATIONS: [Activation; 6] = [
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.01 },
    Activation::LeakyRelu { slope: 0.2 },
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::ScaledTanh,
];

#[test]
fn leaky_relu_keeps_a_nan_and_has_its_slope_at_zero() {
    let (size, function) = (ActivationSize { samples: 1, features: 4 }, Activation::LeakyRelu { slope: 0.25 });
    for mut device in devices() {
        let mut y = to_activation(&device, &[f32::NAN, 0.0, 2.0, -2.0], 4, 0.0);
        device.activation_forward(&size, function, &mut y);
        let rows = to_rows(&device, &y, 1, 4);
        assert!(rows[0].is_nan());
        assert_eq!(rows[1..], [0.0, 2.0, -0.5]);
        let mut d = to_activation(&device, &[1.0; 4], 4, 0.0);
        device.activation_backward(&size, function, &y, &mut d);
        assert_eq!(to_rows(&device, &d, 1, 4)[1..], [0.25, 1.0, 0.25]);
    }
}

/// LeCun's reason for the constants: the function is ±1 at ±1, and all but 1.7159 far out.
#[test]
fn scaled_tanh_is_one_at_one() {
    let size = ActivationSize { samples: 1, features: 3 };
    for mut device in devices() {
        let mut y = to_activation(&device, &[1.0, -1.0, 100.0], 3, 0.0);
        device.activation_forward(&size, Activation::ScaledTanh, &mut y);
        let y = to_rows(&device, &y, 1, 3);
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
        let mut y = to_activation(&device, &[f32::NAN, 0.0, 2.0], 3, 0.0);
        device.activation_forward(&size, Activation::Relu, &mut y);
        assert!(y[0].is_nan());
        let mut d = to_activation(&device, &[1.0, 1.0, 1.0], 3, 0.0);
        device.activation_backward(&size, Activation::Relu, &y, &mut d);
        assert_eq!(to_rows(&device, &d, 1, 3), [0.0, 0.0, 1.0]);
    }
}

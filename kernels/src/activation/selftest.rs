//! Activation functions.

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::device::ActivationShape;

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::{rows, stretched};

const ACTIVATIONS: [Activation; 6] = [
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.01 },
    Activation::LeakyRelu { slope: 0.2 },
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::ScaledTanh,
];

pub fn activations<D: Activate>(bench: &mut Bench<'_, D>) {
    for (samples, features) in [(19, 3), (20, 30)] {
        let size = ActivationSize { samples, features };
        for function in ACTIVATIONS {
            bench.gradient_check(
                ("activation", &format!("{function:?} of {samples} × {features}")),
                &stretched(4.0, rows([samples * features; 2])),
                |[x, _]| x.iter().map(|x| formulas::activation(function, *x)).collect(),
                |device, rows| both_passes(device, &size, function, rows),
                1e-6,
            );
        }
    }
    corners(bench);
}

/// Of x, d_y.
fn both_passes<D: Activate>(
    device: &mut D,
    size: &ActivationSize,
    function: Activation,
    [x, d_y]: &[Vec<f32>; 2],
) -> [Vec<f32>; 2] {
    let shape = ActivationShape::flat(size.samples, size.features);
    let (mut y, mut d) = (Array::activation(device, &shape, x), Array::activation(device, &shape, d_y));
    device.activation_forward(size, function, y.view_mut());
    device.activation_backward(size, function, y.view(), d.view_mut());
    [y.rows(device, &shape), d.rows(device, &shape)]
}

/// A NaN, which stays one in y (shown as 7); zero, where the slope counts; far out.
fn corners<D: Activate>(bench: &mut Bench<'_, D>) {
    const X: [f32; 5] = [f32::NAN, 0.0, 2.0, -2.0, 100.0];
    let size = ActivationSize { samples: 1, features: X.len() };
    let both = |device: &mut D, function| {
        let [mut y, mut d_x] = both_passes(device, &size, function, &[X.to_vec(), vec![1.0; X.len()]]);
        y.iter_mut().filter(|y| y.is_nan()).for_each(|y| *y = 7.0);
        d_x[0] = 0.0;
        [y, d_x]
    };
    let far: f64 = 1.7159;
    let scaled = far * (4.0f64 / 3.0).tanh();
    let scaled_slope = 2.0 / 3.0 * (far - scaled * scaled / far);
    for (function, y, d_x) in [
        (Activation::Relu, [7.0, 0.0, 2.0, 0.0, 100.0], [0.0, 0.0, 1.0, 0.0, 1.0]),
        (Activation::LeakyRelu { slope: 0.25 }, [7.0, 0.0, 2.0, -0.5, 100.0], [0.0, 0.25, 1.0, 0.25, 1.0]),
        (
            Activation::ScaledTanh,
            [7.0, 0.0, scaled, -scaled, far],
            [0.0, 2.0 / 3.0 * far, scaled_slope, scaled_slope, 0.0],
        ),
    ] {
        let [found, again] = [(); 2].map(|()| both(bench.device, function));
        let case = format!("{function:?} at its corners");
        bench.compare(("activation", &case, "value"), [&found[0], &again[0]], &y, 1e-6);
        bench.compare(("activation", &case, "slope"), [&found[1], &again[1]], &d_x, 1e-6);
    }
}

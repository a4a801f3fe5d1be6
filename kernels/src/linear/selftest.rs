//! The linear layer.

use lockstep_kernels::device::ActivationShape;
use lockstep_kernels::linear::{Linear, LinearSize};

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::rows;

/// Checks it.
pub fn linear<D: Linear>(bench: &mut Bench<'_, D>) {
    // The last ones have more terms than a tile has, and several tiles; those before them planes.
    for [samples, inputs, plane, outputs] in [
        [1, 1, 1, 1],
        [3, 5, 1, 2],
        [16, 16, 1, 6],
        [17, 33, 1, 13],
        [3, 12, 4, 5],
        [17, 18, 9, 3],
        [33, 17, 1, 10],
        [100, 7, 1, 4],
        [5, 150, 1, 9],
        [70, 6, 1, 67],
        [2, 130, 1, 3],
    ] {
        let size = LinearSize { samples, inputs, plane, outputs };
        bench.gradient_check(
            ("linear", &format!("{samples} × {inputs} (planes of {plane}) to {outputs}")),
            &rows([samples * inputs, outputs * inputs, outputs, samples * outputs]),
            |[x, w, b, _]| formulas::linear(&size, x, w, b),
            |device, rows| both_passes(device, &size, rows),
            1e-6,
        );
    }
}

/// Of x, weight, bias, d_y.
fn both_passes<D: Linear>(device: &mut D, size: &LinearSize, [x, w, b, d_y]: &[Vec<f32>; 4]) -> [Vec<f32>; 4] {
    let inside = ActivationShape { samples: size.samples, channels: size.inputs / size.plane, plane: size.plane };
    let outside = ActivationShape::flat(size.samples, size.outputs);
    let (x, d_y) = (Array::activation(device, &inside, x), Array::activation(device, &outside, d_y));
    let (w, b) = (Array::tensor(device, w), Array::tensor(device, b));
    let mut y = Array::unwritten_activation(device, &outside);
    let mut d_x = Array::unwritten_activation(device, &inside);
    let mut d_w = Array::unwritten(device, size.outputs * size.inputs);
    let mut d_b = Array::unwritten(device, size.outputs);
    device.linear_forward(size, x.view(), w.view(), b.view(), y.view_mut());
    device.linear_backward_input(size, w.view(), d_y.view(), d_x.view_mut());
    device.linear_backward_weight(size, x.view(), d_y.view(), d_w.view_mut(), d_b.view_mut());
    [y.rows(device, &outside), d_x.rows(device, &inside), d_w.read(device), d_b.read(device)]
}

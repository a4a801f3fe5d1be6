//! Concatenation.

use lockstep_kernels::concatenate::{Concatenate, ConcatenateSize};
use lockstep_kernels::device::ActivationShape;

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::rows;

pub fn concatenation<D: Concatenate>(bench: &mut Bench<'_, D>) {
    for (samples, plane, channels) in
        [(1, 1, [3, 1, 5]), (16, 1, [3, 1, 5]), (19, 1, [3, 1, 5]), (3, 4, [2, 3, 1]), (4, 9, [7, 1, 12])]
    {
        let widths = channels.map(|channels| channels * plane);
        let [a, b, c] = widths.map(|width| samples * width);
        bench.gradient_check(
            ("concatenate", &format!("{samples} samples of {channels:?} channels, planes of {plane}")),
            &rows([a, b, c, a + b + c]),
            |[a, b, c, _]| formulas::concatenate(&widths, &[a, b, c]),
            |device, rows| both_passes(device, plane, channels, rows),
            1e-7,
        );
    }
}

/// Of three parts of these channels, d_y.
fn both_passes<D: Concatenate>(
    device: &mut D,
    plane: usize,
    channels: [usize; 3],
    [a, b, c, d_y]: &[Vec<f32>; 4],
) -> [Vec<f32>; 4] {
    let samples = a.len() / (channels[0] * plane);
    let whole = ActivationShape { samples, channels: channels.iter().sum(), plane };
    let d_y = Array::activation(device, &whole, d_y);
    let mut y = Array::unwritten_activation(device, &whole);
    let mut gradients = [a, b, c].map(Vec::clone);
    let mut first = 0;
    for (part, channels) in gradients.iter_mut().zip(channels) {
        let shape = ActivationShape { samples, channels, plane };
        let size = ConcatenateSize { samples, features: whole.features(), first, part: shape.features(), plane };
        let x = Array::activation(device, &shape, part);
        device.concatenate_forward(&size, x.view(), y.view_mut());
        let mut d_x = Array::unwritten_activation(device, &shape);
        device.concatenate_backward(&size, d_y.view(), d_x.view_mut());
        *part = d_x.rows(device, &shape);
        first += shape.features();
    }
    let [d_a, d_b, d_c] = gradients;
    [y.rows(device, &whole), d_a, d_b, d_c]
}

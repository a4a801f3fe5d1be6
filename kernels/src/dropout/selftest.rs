//! Dropout: to the bit, since the documented words decide what is dropped.

use lockstep_kernels::device::ActivationShape;
use lockstep_kernels::dropout::{Dropout, DropoutSize};

use crate::Bench;
use crate::array::Array;
use crate::formulas::dropout_word;
use crate::numbers::{rows, wide};

pub fn dropout<D: Dropout>(bench: &mut Bench<'_, D>) {
    // Samples, channels, plane, p. Planes of which channels share blocks of four words, and planes of which they don't.
    for (samples, channels, plane, probability) in [
        (1, 1, 1, 0.5),
        (5, 7, 1, 0.25),
        (16, 4, 1, 0.9),
        (19, 13, 1, 0.0),
        (33, 6, 1, 0.5),
        (3, 5000, 1, 0.3),
        (3, 3, 4, 0.5),
        (5, 2, 7, 0.25),
        (2, 5, 9, 0.5),
        (4, 3, 2, 0.7),
        (2, 7, 3, 0.4),
        (3, 1, 50, 0.5),
        (2, 40, 36, 0.5),
        (2, 300, 25, 0.3),
    ] {
        let size = DropoutSize { samples, features: channels * plane, plane, probability };
        let keys: Vec<u64> = (1..=samples as u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
        let factor = |i: usize| {
            let word = dropout_word(keys[i / size.features], i % size.features);
            let dropped = f64::from(word) < f64::from(probability) * 2f64.powi(32);
            if dropped { 0.0 } else { (1.0 / (1.0 - f64::from(probability))) as f32 }
        };
        let operands = bench.held::<2>(rows([samples * size.features; 2]));
        let [first, again] = [(); 2].map(|()| both_passes(bench.device, &size, &keys, &operands));
        for (i, name) in ["y", "d_x"].into_iter().enumerate() {
            let expected: Vec<f32> = operands[i].iter().enumerate().map(|(at, x)| x * factor(at)).collect();
            let case = ("dropout", &*format!("{size:?}"), name);
            bench.compare(case, [&first[i], &again[i]], &wide(&expected), 0.0);
        }
    }
}

/// Of x, d_y.
fn both_passes<D: Dropout>(
    device: &mut D,
    size: &DropoutSize,
    keys: &[u64],
    [x, d_y]: &[Vec<f32>; 2],
) -> [Vec<f32>; 2] {
    let shape = ActivationShape { samples: size.samples, channels: size.features / size.plane, plane: size.plane };
    let keys = Array::tensor(device, keys);
    let x = Array::activation(device, &shape, x);
    let mut y = Array::unwritten_activation(device, &shape);
    device.dropout_forward(size, keys.view(), x.view(), y.view_mut());
    let mut d = Array::activation(device, &shape, d_y);
    device.dropout_backward(size, keys.view(), d.view_mut());
    [y.rows(device, &shape), d.rows(device, &shape)]
}

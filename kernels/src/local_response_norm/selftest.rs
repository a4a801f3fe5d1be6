//! Local response normalisation.

use lockstep_kernels::device::ActivationShape;
use lockstep_kernels::local_response_norm::{LocalResponseNorm, LocalResponseNormSize};

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::{rows, stretched, wide};

/// (α, β, k): strong, so that all terms show.
const CONSTANTS: [(f32, f32, f32); 4] = [(1.0, 0.75, 2.0), (4.0, 0.75, 1.0), (0.5, 1.3, 0.25), (2.0, 0.5, 3.0)];

/// Sizes for differences.
pub fn small_sizes() -> Vec<LocalResponseNormSize> {
    let shapes = [[1, 1, 1, 1], [2, 7, 3, 5], [17, 6, 2, 4], [1, 3, 33, 9], [3, 5, 16, 1]];
    shapes.into_iter().flat_map(|shape| CONSTANTS.map(|constants| size(shape, constants))).collect()
}

/// Checks it.
pub fn local_response_norm<D: LocalResponseNorm>(bench: &mut Bench<'_, D>) {
    for size in small_sizes() {
        let len = size.samples * size.channels * size.plane;
        bench.gradient_check(
            ("local response norm", &format!("{size:?}")),
            &stretched(3.0, rows([len, len])),
            |[x, _]| formulas::local_response_norm(&size, x),
            |device, rows| both_passes(device, &size, rows),
            1e-6,
        );
    }
    large(bench);
    powers(bench);
}

/// (N, C, H · W, s)
fn size([samples, channels, plane, size]: [usize; 4], (alpha, beta, k): (f32, f32, f32)) -> LocalResponseNormSize {
    LocalResponseNormSize { samples, channels, plane, size, alpha, beta, k }
}

/// Of x, d_y.
fn both_passes<D: LocalResponseNorm>(
    device: &mut D,
    size: &LocalResponseNormSize,
    [x, d_y]: &[Vec<f32>; 2],
) -> [Vec<f32>; 2] {
    let shape = ActivationShape { samples: size.samples, channels: size.channels, plane: size.plane };
    let (x, d_y) = (Array::activation(device, &shape, x), Array::activation(device, &shape, d_y));
    let mut y = Array::unwritten_activation(device, &shape);
    let mut d_x = Array::unwritten_activation(device, &shape);
    device.local_response_norm_forward(size, x.view(), y.view_mut());
    device.local_response_norm_backward(size, x.view(), d_y.view(), d_x.view_mut());
    [y.rows(device, &shape), d_x.rows(device, &shape)]
}

/// AlexNet's, neighbours that reach further than a block, and more of them than there are channels.
fn large<D: LocalResponseNorm>(bench: &mut Bench<'_, D>) {
    for shape in [[2, 96, 12, 5], [1, 700, 2, 600], [2, 300, 1, 999], [3, 5, 70, 3]] {
        for constants in &CONSTANTS[1..3] {
            let size = size(shape, *constants);
            let len = size.samples * size.channels * size.plane;
            let rows = bench.held(stretched(3.0, rows([len, len])));
            bench.cpu_check(
                ("local response norm", &format!("{size:?}")),
                ["value", "gradient"],
                |device| both_passes(device, &size, &rows),
                |device| both_passes(device, &size, &rows),
                1e-6,
            );
        }
    }
}

/// Each output by itself, as a multiple of what it should be, over many magnitudes: the power has its digits wherever it
/// is.
fn powers<D: LocalResponseNorm>(bench: &mut Bench<'_, D>) {
    for (beta, bound) in [(0.75, 3e-7), (0.6, 1e-6), (1.0, 1e-6), (2.5, 4e-6)] {
        let size = size([1, 2000, 1, 1], (1.0, beta, 1e-3));
        let x: Vec<f32> = (0..2000).map(|i| 1.01f32.powi(i - 1000) * 1e-2).collect();
        let rows = bench.held([x.clone(), x]);
        let expected = formulas::local_response_norm(&size, &wide(&rows[0]));
        let multiples = |device: &mut D| {
            let [y, _] = both_passes(device, &size, &rows);
            y.iter().zip(&expected).map(|(y, expected)| (f64::from(*y) / expected) as f32).collect()
        };
        let [found, again]: [Vec<f32>; 2] = [(); 2].map(|()| multiples(bench.device));
        let operation = ("local response norm", &*format!("β {beta}"), "multiples of the values");
        bench.compare(operation, [&found, &again], &[1.0; 2000], bound);
    }
}

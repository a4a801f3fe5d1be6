//! LeNet-5's trainable sub-sampling.

use lockstep_kernels::device::ActivationShape;
use lockstep_kernels::subsample2d::{Subsample2d, Subsample2dSize};

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::{rows, thirds};

pub fn subsampling<D: Subsample2d>(bench: &mut Bench<'_, D>) {
    for shape in [[1, 1, 2, 2], [3, 2, 4, 6], [17, 3, 5, 7], [2, 1, 10, 10]] {
        let size = size(shape);
        bench.gradient_check(
            ("subsample2d", &format!("{size:?}")),
            &operands(&size),
            |[x, w, b, _]| formulas::subsample2d(&size, x, w, b),
            |device, rows| both_passes(device, &size, rows),
            1e-6,
        );
    }
    // Sums in several parts, channels in several tiles, and more places than parts of the least length.
    for shape in [[100, 6, 12, 10], [9, 300, 4, 7], [2056, 129, 2, 2]] {
        let size = size(shape);
        let rows = bench.held(operands(&size).map(thirds));
        bench.cpu_check(
            ("subsample2d", &format!("{size:?}")),
            ["value", "gradient of x", "gradient of weight", "gradient of bias"],
            |device| both_passes(device, &size, &rows),
            |device| both_passes(device, &size, &rows),
            1e-6,
        );
    }
}

/// (N, C, H, W)
fn size([samples, channels, height, width]: [usize; 4]) -> Subsample2dSize {
    Subsample2dSize { samples, channels, height, width }
}

fn shapes(size: &Subsample2dSize) -> (ActivationShape, ActivationShape) {
    let Subsample2dSize { samples, channels, height, width } = *size;
    let inside = ActivationShape { samples, channels, plane: height * width };
    (inside, ActivationShape { plane: size.out_height() * size.out_width(), ..inside })
}

/// x, weight, bias, d_y.
fn operands(size: &Subsample2dSize) -> [Vec<f32>; 4] {
    let (inside, outside) = shapes(size);
    rows([inside.values(), size.channels, size.channels, outside.values()])
}

/// Of x, weight, bias, d_y.
fn both_passes<D: Subsample2d>(
    device: &mut D,
    size: &Subsample2dSize,
    [x, w, b, d_y]: &[Vec<f32>; 4],
) -> [Vec<f32>; 4] {
    let (inside, outside) = shapes(size);
    let (x, d_y) = (Array::activation(device, &inside, x), Array::activation(device, &outside, d_y));
    let (w, b) = (Array::tensor(device, w), Array::tensor(device, b));
    let mut y = Array::unwritten_activation(device, &outside);
    let mut d_x = Array::unwritten_activation(device, &inside);
    let mut d_w = Array::unwritten(device, size.channels);
    let mut d_b = Array::unwritten(device, size.channels);
    device.subsample2d_forward(size, x.view(), w.view(), b.view(), y.view_mut());
    device.subsample2d_backward_input(size, w.view(), d_y.view(), d_x.view_mut());
    device.subsample2d_backward_weight(size, x.view(), d_y.view(), d_w.view_mut(), d_b.view_mut());
    [y.rows(device, &outside), d_x.rows(device, &inside), d_w.read(device), d_b.read(device)]
}

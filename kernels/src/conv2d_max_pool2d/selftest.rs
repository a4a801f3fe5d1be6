//! Convolutions with a pooling behind them in one op, against the formulas of both.

use lockstep_kernels::conv2d::Conv2dSize;
use lockstep_kernels::conv2d_max_pool2d::{Conv2dMaxPool2d, Pooled, PooledMut};
use lockstep_kernels::device::ActivationShape;

use super::convolutions::{Four, PARTS, describe, gradients, inside, outside, plain};
use crate::Bench;
use crate::array::Array;
use crate::formulas::conv2d as formula;
use crate::numbers::{rows, wide};

pub fn conv2d_max_pool2d<D: Conv2dMaxPool2d>(bench: &mut Bench<'_, D>) {
    for (shape, padding) in [
        ([1, 1, 6, 8, 8, 5], 2),
        ([1, 2, 16, 6, 8, 5], 0),
        ([2, 3, 5, 5, 7, 3], 1),
        ([17, 1, 1, 5, 4, 2], 1),
        ([1, 1, 2, 1, 1, 1], 0),
        ([5, 6, 16, 14, 14, 5], 0),
        ([3, 5, 40, 17, 22, 4], 1),
        ([0, 2, 3, 6, 6, 3], 1),
    ] {
        let size = Conv2dSize { padding, ..plain(shape) };
        // Their sums are exact, so that windows choose the same places whatever the order.
        let [x, w, b, d_y] =
            bench.held(rows([inside(&size).values(), size.weights(), size.out_channels, pooled(&size).values()]));
        let convolved = formula(&size, &wide(&x), &wide(&w), &wide(&b));
        // They lie in an activation before they are pooled.
        let [convolved] = bench.held([convolved.iter().map(|sum| *sum as f32).collect()]).map(|row| wide(&row));
        let (largest, d_convolved) = pool(&size, &convolved, &d_y);
        let mut expected = gradients(&size, &x, &w, &d_convolved);
        expected[0] = largest;
        let operands = [x, w, b, d_y];
        let [found, again] = [(); 2].map(|()| both_pooled_passes(bench.device, &size, &operands));
        for (i, part) in PARTS.iter().enumerate() {
            bench.compare(("conv2d_max_pool2d", &describe(&size), part), [&found[i], &again[i]], &expected[i], 1e-6);
        }
    }
    ties_and_nans(bench);
}

/// The first of equal values wins, a NaN over numbers; the last row and column are left out. The gradient behind, sent
/// back through a kernel of one element, 1, tells which place was chosen.
fn ties_and_nans<D: Conv2dMaxPool2d>(bench: &mut Bench<'_, D>) {
    let (nan, size) = (f32::NAN, plain([1, 1, 1, 3, 9, 1]));
    #[rustfmt::skip]
    let x = vec![
        1.0, 1.0,  0.0, nan,  nan, 9.0,  -1.0, -2.0,  5.0,
        1.0, 1.0,  2.0, 1.0,  nan, 1.0,  -3.0, -0.5,  nan,
        7.0, nan,  7.0, 7.0,  7.0, 7.0,   7.0,  7.0,  7.0,
    ];
    #[rustfmt::skip]
    let chosen = [
        1.0, 0.0,  0.0, 2.0,  4.0, 0.0,   0.0,  0.0,  0.0,
        0.0, 0.0,  0.0, 0.0,  0.0, 0.0,   0.0,  8.0,  0.0,
        0.0, 0.0,  0.0, 0.0,  0.0, 0.0,   0.0,  0.0,  0.0,
    ];
    let operands = [x, vec![1.0], vec![0.0], vec![1.0, 2.0, 4.0, 8.0]];
    let results = [(); 2].map(|()| both_pooled_passes(bench.device, &size, &operands));
    let [found, again] =
        results.map(|[y, d_x, ..]| [y.iter().map(|y| if y.is_nan() { 99.0 } else { *y }).collect(), d_x]);
    let expected = [vec![1.0, 99.0, 99.0, -0.5], chosen.to_vec()];
    for (i, part) in ["value", "chosen places"].iter().enumerate() {
        bench.compare(("conv2d_max_pool2d", "ties and NaNs", part), [&found[i], &again[i]], &expected[i], 0.0);
    }
}

fn pooled(size: &Conv2dSize) -> ActivationShape {
    let plane = (size.out_height() / 2) * (size.out_width() / 2);
    ActivationShape { samples: size.samples, channels: size.out_channels, plane }
}

/// The largest value of each window, and `d_y` where it stands first.
fn pool(size: &Conv2dSize, convolved: &[f64], d_y: &[f32]) -> (Vec<f64>, Vec<f64>) {
    let (mut largest, mut d_convolved) = (Vec::new(), vec![0.0; convolved.len()]);
    let width = size.out_width();
    for (window, d) in d_y.iter().enumerate() {
        let (plane, place) = (window / pooled(size).plane, window % pooled(size).plane);
        let (i, j) = (place / (width / 2), place % (width / 2));
        let corner = plane * outside(size).plane + 2 * i * width + 2 * j;
        let places = [corner, corner + 1, corner + width, corner + width + 1];
        let best = places.into_iter().reduce(|best, at| if convolved[at] > convolved[best] { at } else { best });
        if let Some(best) = best {
            largest.push(convolved[best]);
            d_convolved[best] = f64::from(*d);
        }
    }
    (largest, d_convolved)
}

fn both_pooled_passes<D: Conv2dMaxPool2d>(device: &mut D, size: &Conv2dSize, [x, w, b, d_y]: &Four) -> Four {
    let (inside, pooled) = (inside(size), pooled(size));
    let (x, behind) = (Array::activation(device, &inside, x), Array::activation(device, &pooled, d_y));
    let (mut y, mut d_x) = (Array::unwritten_activation(device, &pooled), Array::unwritten_activation(device, &inside));
    let mut choice = Array::<D, u8>::zeros(device, device.note_len(pooled.samples, pooled.features()));
    let (mut d_w, mut d_b) = (Array::unwritten(device, w.len()), Array::unwritten(device, b.len()));
    let (w, b) = (Array::tensor(device, w), Array::tensor(device, b));
    let to = PooledMut { values: y.view_mut(), choice: choice.view_mut() };
    device.conv2d_max_pool2d_forward(size, x.view(), w.view(), b.view(), to);
    let d_y = || Pooled { values: behind.view(), choice: choice.view() };
    device.conv2d_max_pool2d_backward_input(size, w.view(), d_y(), d_x.view_mut());
    device.conv2d_max_pool2d_backward_weight(size, x.view(), d_y(), d_w.view_mut(), d_b.view_mut());
    [y.rows(device, &pooled), d_x.rows(device, &inside), d_w.read(device), d_b.read(device)]
}

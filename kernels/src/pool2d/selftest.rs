//! Poolings of any stride and padding, and over grids.

use lockstep_kernels::device::ActivationShape;
use lockstep_kernels::pool2d::{AdaptivePool2dSize, Pool2d, Pool2dSize};

use crate::Bench;
use crate::array::Array;
use crate::formulas::{self, Pooling};
use crate::numbers::{rows, thirds};

/// (N, C, H, W, K, s, p): ResNet's, AlexNet's, gaps between windows, the largest window, ones that do not fit, and those
/// without overlap.
const WINDOWS: [[usize; 7]; 12] = [
    [2, 2, 7, 8, 3, 2, 1],
    [17, 1, 9, 9, 3, 2, 0],
    [1, 3, 5, 6, 2, 1, 1],
    [3, 1, 8, 7, 2, 3, 0],
    [1, 1, 19, 18, 16, 1, 8],
    [2, 1, 4, 4, 3, 3, 1],
    [1, 2, 6, 6, 3, 1, 1],
    [1, 1, 3, 9, 3, 1, 0],
    [1, 1, 2, 2, 2, 2, 0],
    [3, 2, 4, 6, 2, 2, 0],
    [17, 1, 5, 7, 3, 3, 0],
    [2, 3, 5, 5, 1, 1, 0],
];

/// The same, of several blocks, with equal values in many windows.
const LARGE_WINDOWS: [[usize; 7]; 5] = [
    [3, 5, 17, 19, 3, 2, 1],
    [2, 33, 12, 11, 2, 2, 0],
    [4, 6, 13, 15, 5, 1, 2],
    [1, 7, 23, 21, 16, 3, 7],
    [9, 40, 3, 3, 3, 1, 1],
];

/// (N, C, H, W, H′, W′): the last two have cells that overlap, and cells that repeat places.
const GRIDS: [[usize; 6]; 7] = [
    [3, 2, 7, 7, 1, 1],
    [17, 1, 6, 4, 3, 2],
    [1, 2, 5, 3, 5, 3],
    [2, 1, 6, 5, 2, 1],
    [1, 1, 8, 70, 4, 2],
    [2, 2, 7, 5, 3, 2],
    [3, 2, 1, 2, 7, 7],
];

/// The same, of several blocks.
const LARGE_GRIDS: [[usize; 6]; 3] = [[5, 70, 7, 7, 1, 1], [3, 20, 9, 11, 6, 4], [2, 9, 5, 4, 7, 7]];

/// Small sizes, for differences.
pub fn window_sizes() -> [Pool2dSize; 12] {
    WINDOWS.map(of_windows)
}

/// The same over grids.
pub fn grid_sizes() -> [AdaptivePool2dSize; 7] {
    GRIDS.map(of_grid)
}

/// Checks all of them.
pub fn poolings<D: Pool2d>(bench: &mut Bench<'_, D>) {
    windows(bench);
    grids(bench);
    corners(bench);
}

fn windows<D: Pool2d>(bench: &mut Bench<'_, D>) {
    for pooling in [Pooling::Max, Pooling::Average] {
        let name = match pooling {
            Pooling::Max => "max_pool2d",
            Pooling::Average => "average_pool2d",
        };
        for size in window_sizes() {
            bench.gradient_check(
                (name, &format!("{size:?}")),
                &operands(&shapes(&size)),
                |[x, _]| formulas::pool2d(pooling, &size, x),
                |device, rows| both_passes(device, pooling, &size, rows),
                1e-6,
            );
        }
        for size in LARGE_WINDOWS.map(of_windows) {
            let rows = bench.held(operands(&shapes(&size)).map(thirds));
            bench.cpu_check(
                (name, &format!("{size:?}")),
                ["value", "gradient"],
                |device| both_passes(device, pooling, &size, &rows),
                |device| both_passes(device, pooling, &size, &rows),
                0.0,
            );
        }
    }
}

fn grids<D: Pool2d>(bench: &mut Bench<'_, D>) {
    for size in grid_sizes() {
        bench.gradient_check(
            ("adaptive_average_pool2d", &format!("{size:?}")),
            &operands(&grid_shapes(&size)),
            |[x, _]| formulas::adaptive_average_pool2d(&size, x),
            |device, rows| adaptive(device, &size, rows),
            1e-6,
        );
    }
    for size in LARGE_GRIDS.map(of_grid) {
        let rows = bench.held(operands(&grid_shapes(&size)).map(thirds));
        bench.cpu_check(
            ("adaptive_average_pool2d", &format!("{size:?}")),
            ["value", "gradient"],
            |device| adaptive(device, &size, &rows),
            |device| adaptive(device, &size, &rows),
            1e-6,
        );
    }
}

fn of_windows([samples, channels, height, width, window, stride, padding]: [usize; 7]) -> Pool2dSize {
    Pool2dSize { samples, channels, height, width, window, stride, padding }
}

fn of_grid([samples, channels, height, width, out_height, out_width]: [usize; 6]) -> AdaptivePool2dSize {
    AdaptivePool2dSize { samples, channels, height, width, out_height, out_width }
}

/// Of x and y.
fn shapes(size: &Pool2dSize) -> [ActivationShape; 2] {
    let Pool2dSize { samples, channels, height, width, .. } = *size;
    [height * width, size.out_height() * size.out_width()].map(|plane| ActivationShape { samples, channels, plane })
}

/// Of x and y.
fn grid_shapes(size: &AdaptivePool2dSize) -> [ActivationShape; 2] {
    let AdaptivePool2dSize { samples, channels, height, width, out_height, out_width } = *size;
    [height * width, out_height * out_width].map(|plane| ActivationShape { samples, channels, plane })
}

/// x and d_y.
fn operands(shapes: &[ActivationShape; 2]) -> [Vec<f32>; 2] {
    rows(shapes.map(|shape| shape.values()))
}

/// Of x, d_y.
fn both_passes<D: Pool2d>(
    device: &mut D,
    pooling: Pooling,
    size: &Pool2dSize,
    [x, d_y]: &[Vec<f32>; 2],
) -> [Vec<f32>; 2] {
    let [inside, outside] = shapes(size);
    let (x, d_y) = (Array::activation(device, &inside, x), Array::activation(device, &outside, d_y));
    let mut y = Array::unwritten_activation(device, &outside);
    let mut d_x = Array::unwritten_activation(device, &inside);
    match pooling {
        Pooling::Max => {
            let len = device.note_len(outside.samples, outside.features());
            let mut choice = Array::tensor(device, &vec![99u8; len]);
            device.max_pool2d_forward(size, x.view(), y.view_mut(), choice.view_mut());
            device.max_pool2d_backward(size, d_y.view(), choice.view(), d_x.view_mut());
        }
        Pooling::Average => {
            device.average_pool2d_forward(size, x.view(), y.view_mut());
            device.average_pool2d_backward(size, d_y.view(), d_x.view_mut());
        }
    }
    [y.rows(device, &outside), d_x.rows(device, &inside)]
}

/// Of x, d_y.
fn adaptive<D: Pool2d>(device: &mut D, size: &AdaptivePool2dSize, [x, d_y]: &[Vec<f32>; 2]) -> [Vec<f32>; 2] {
    let [inside, outside] = grid_shapes(size);
    let (x, d_y) = (Array::activation(device, &inside, x), Array::activation(device, &outside, d_y));
    let mut y = Array::unwritten_activation(device, &outside);
    let mut d_x = Array::unwritten_activation(device, &inside);
    device.adaptive_average_pool2d_forward(size, x.view(), y.view_mut());
    device.adaptive_average_pool2d_backward(size, d_y.view(), d_x.view_mut());
    [y.rows(device, &outside), d_x.rows(device, &inside)]
}

/// A maximum is the first of equal values, and any NaN: which shows where `d_y` of 1, 2, 4, 8 goes.
fn corners<D: Pool2d>(bench: &mut Bench<'_, D>) {
    const NAN: f32 = f32::NAN;
    const LEAST: f32 = f32::NEG_INFINITY;
    // What y is shown as where it is no finite number.
    const NAN_SHOWN: f64 = 1000.0;
    const LEAST_SHOWN: f64 = -1000.0;
    #[rustfmt::skip]
    let apart = [
        1.0, 1.0,  0.0, NAN,  NAN, 9.0,  LEAST, LEAST,
        1.0, 1.0,  2.0, 1.0,  NAN, 1.0,  LEAST, LEAST,
    ];
    let overlapping = [-1.0, -1.0, -1.0, -1.0, -1.0, NAN, -2.0, 5.0, NAN];
    for (size, x, y, chosen) in [
        ([1, 1, 2, 8, 2, 2, 0], apart.to_vec(), [1.0, NAN_SHOWN, NAN_SHOWN, LEAST_SHOWN], [0, 3, 4, 6]),
        ([1, 1, 3, 3, 3, 2, 1], overlapping.to_vec(), [-1.0, NAN_SHOWN, 5.0, NAN_SHOWN], [0, 5, 7, 5]),
    ] {
        let size = of_windows(size);
        let rows = [x, vec![1.0, 2.0, 4.0, 8.0]];
        let mut d_x = vec![0.0; rows[0].len()];
        chosen.into_iter().zip(&rows[1]).for_each(|(place, d)| d_x[place] += f64::from(*d));
        let shown = |y: &f32| match *y {
            LEAST => LEAST_SHOWN as f32,
            y if y.is_nan() => NAN_SHOWN as f32,
            y => y,
        };
        let on_device = |device: &mut D| {
            let [y, d_x] = both_passes(device, Pooling::Max, &size, &rows);
            [y.iter().map(shown).collect(), d_x]
        };
        let [found, again]: [[Vec<f32>; 2]; 2] = [(); 2].map(|()| on_device(bench.device));
        let case = format!("equal values and NaNs, {size:?}");
        bench.compare(("max_pool2d", &case, "value"), [&found[0], &again[0]], &y, 0.0);
        bench.compare(("max_pool2d", &case, "gradient"), [&found[1], &again[1]], &d_x, 0.0);
    }
}

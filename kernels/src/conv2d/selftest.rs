//! Convolutions. They are sums of products, so that the gradients' formulas are those
//! products in another order: no differences are taken.

use lockstep_kernels::conv2d::{Accumulation, Algorithm, Conv2d, Conv2dSize};
use lockstep_kernels::device::ActivationShape;

use crate::Bench;
use crate::array::Array;
use crate::formulas::{conv2d as formula, conv2d_terms};
use crate::numbers::{noise, wide};

/// Value and gradients, or both passes' operands: of x, weight, bias, and the gradient behind.
pub(super) type Four<T = f32> = [Vec<T>; 4];

pub(super) const PARTS: [&str; 4] = ["value", "gradient of x", "gradient of weight", "gradient of bias"];

pub fn conv2d<D: Conv2d>(bench: &mut Bench<'_, D>) {
    for (size, bound) in sizes() {
        let [x, w, b, d_y] = bench.held(operands(&size));
        let mut expected = gradients(&size, &x, &w, &wide(&d_y));
        expected[0] = formula(&size, &wide(&x), &wide(&w), &wide(&b));
        let operands = [x, w, b, d_y];
        let found = both_passes(bench.device, &size, &operands);
        let again = both_passes(bench.device, &size, &operands);
        for (i, part) in PARTS.iter().enumerate() {
            bench.compare(("conv2d", &describe(&size), part), [&found[i], &again[i]], &expected[i], bound);
        }
    }
    sums_of_two_paths(bench);
    no_bias(bench);
    relu_behind(bench);
    single_samples(bench);
}

/// Shapes and their bounds: of sums in the formula's order 1e-6, of what the CPU does by Winograd's algorithm 5e-6.
fn sizes() -> Vec<(Conv2dSize, f64)> {
    let padded = |padding, shape| Conv2dSize { padding, ..plain(shape) };
    let like = |stride, padding, dilation, shape| Conv2dSize { stride, dilation, ..padded(padding, shape) };
    let grouped = |groups, stride, shape| Conv2dSize { groups, stride, ..padded(1, shape) };
    let direct = [
        plain([1, 1, 1, 1, 1, 1]),
        padded(1, [2, 2, 3, 4, 5, 3]),
        plain([2, 3, 5, 6, 4, 2]),
        padded(3, [1, 1, 2, 7, 9, 4]),
        padded(2, [2, 1, 7, 5, 6, 3]),
        padded(3, [1, 2, 4, 7, 7, 7]),
        padded(1, [18, 1, 2, 3, 3, 3]),
        // LeNet-5's.
        padded(2, [1, 1, 6, 28, 28, 5]),
        plain([2, 6, 16, 14, 14, 5]),
        like(2, 1, 1, [3, 3, 5, 9, 11, 3]),
        like(3, 0, 1, [17, 2, 7, 8, 6, 3]),
        like(2, 3, 1, [2, 3, 8, 15, 13, 7]),
        like(4, 2, 1, [1, 3, 6, 23, 19, 11]),
        like(1, 2, 2, [2, 4, 3, 9, 9, 3]),
        like(2, 2, 2, [2, 2, 3, 11, 10, 3]),
        like(2, 3, 3, [1, 2, 2, 12, 13, 3]),
        like(3, 1, 2, [1, 2, 2, 14, 9, 2]),
        like(4, 3, 6, [1, 3, 2, 17, 18, 3]),
        // More padding than the kernel has elements.
        like(1, 3, 1, [2, 2, 2, 3, 4, 2]),
        like(2, 1, 1, [2, 2, 3, 5, 5, 1]),
        // A stride above the kernel: some pixels are never seen.
        like(3, 0, 1, [2, 2, 3, 7, 8, 2]),
        // A stride above the image: some remainders of rows and columns do not exist.
        like(3, 0, 1, [1, 2, 3, 2, 1, 1]),
        like(3, 1, 1, [1, 2, 3, 1, 2, 2]),
        like(2, 1, 1, [1, 17, 18, 6, 5, 3]),
        plain([18, 33, 5, 4, 4, 2]),
        grouped(2, 2, [2, 4, 6, 7, 6, 3]),
        grouped(2, 1, [3, 4, 6, 5, 7, 3]),
        grouped(6, 1, [2, 6, 6, 6, 6, 3]),
        grouped(5, 2, [2, 5, 10, 7, 5, 3]),
        grouped(2, 1, [1, 36, 34, 5, 4, 3]),
        grouped(2, 2, [2, 70, 90, 7, 6, 3]),
        // Sums over places in several parts, and several tiles of places and channels.
        Conv2dSize { convolution: Algorithm::Direct, ..padded(1, [3, 16, 18, 20, 21, 3]) },
        like(2, 1, 1, [4, 5, 70, 35, 33, 3]),
        grouped(2, 1, [6, 4, 8, 14, 15, 3]),
        // Samples lie 8 abreast on one side alone, on a CPU that has few.
        plain([2, 64, 9, 16, 17, 1]),
        plain([2, 9, 64, 16, 17, 1]),
        Conv2dSize { stride: 2, ..plain([2, 57, 16, 17, 17, 1]) },
        // A lane may be empty.
        padded(1, [0, 16, 18, 8, 8, 3]),
        plain([0, 3, 40, 8, 8, 1]),
    ];
    let pointwise = [
        plain([3, 8, 9, 5, 7, 1]),
        plain([17, 33, 18, 3, 3, 1]),
        like(2, 0, 1, [2, 16, 40, 9, 8, 1]),
        like(3, 0, 1, [1, 9, 8, 7, 7, 1]),
        plain([1, 70, 35, 1, 1, 1]),
        plain([2, 24, 20, 1, 2, 1]),
        plain([1, 8, 8, 40, 41, 1]),
        plain([9, 20, 8, 6, 7, 1]),
    ];
    let winograd = [
        padded(1, [3, 16, 16, 8, 8, 3]),
        padded(1, [1, 17, 19, 7, 12, 3]),
        plain([2, 33, 16, 14, 15, 3]),
        padded(2, [1, 16, 35, 13, 10, 3]),
        padded(1, [1, 24, 66, 4, 4, 3]),
        padded(3, [1, 18, 16, 6, 6, 3]),
        padded(1, [1, 70, 130, 7, 8, 3]),
    ];
    let bounded = |sizes: &[Conv2dSize], bound| sizes.iter().map(|size| (*size, bound)).collect::<Vec<_>>();
    [bounded(&direct, 1e-6), bounded(&pointwise, 2e-6), bounded(&winograd, 5e-6)].concat()
}

/// Where two paths meet on the way back: the sum of what was there and what is overwritten elsewhere, to the bit.
fn sums_of_two_paths<D: Conv2d>(bench: &mut Bench<'_, D>) {
    for size in [
        Conv2dSize { stride: 2, padding: 1, ..plain([3, 5, 4, 9, 8, 3]) },
        Conv2dSize { stride: 3, ..plain([3, 5, 4, 7, 8, 2]) },
        plain([3, 9, 10, 5, 5, 1]),
        Conv2dSize { stride: 2, ..plain([3, 40, 10, 5, 6, 1]) },
        Conv2dSize { padding: 1, ..plain([3, 17, 16, 8, 8, 3]) },
    ] {
        let [before, w, _, d_y] = bench.held(operands(&size));
        let added = |device: &mut D, to: &[f32], accumulation| {
            let (behind, w) = (Array::activation(device, &outside(&size), &d_y), Array::tensor(device, &w));
            let mut d_x = Array::activation(device, &inside(&size), to);
            device.conv2d_backward_input(&size, w.view(), behind.view(), d_x.view_mut(), accumulation);
            d_x.rows(device, &inside(&size))
        };
        let alone = added(bench.device, &before, Accumulation::Overwrite);
        let expected: Vec<f32> = before.iter().zip(&alone).map(|(a, b)| a + b).collect();
        let [found, again] = [(); 2].map(|()| added(bench.device, &before, Accumulation::Add));
        bench.compare(
            ("conv2d", &describe(&size), "sum of two gradients of x"),
            [&found, &again],
            &wide(&expected),
            0.0,
        );
    }
}

/// Is a bias of zeros, to the bit.
fn no_bias<D: Conv2d>(bench: &mut Bench<'_, D>) {
    for size in [
        plain([3, 5, 40, 9, 8, 3]),
        plain([3, 9, 10, 5, 5, 1]),
        Conv2dSize { padding: 1, ..plain([3, 17, 16, 8, 8, 3]) },
    ] {
        let [x, w, ..] = operands(&size);
        let zeros = vec![0.0; size.out_channels];
        let expected = forward(bench.device, &size, &x, &w, Some(&zeros));
        let [found, again] = [(); 2].map(|()| forward(bench.device, &size, &x, &w, None));
        bench.compare(("conv2d", &describe(&size), "value without bias"), [&found, &again], &wide(&expected), 0.0);
    }
}

/// Leaves what is not negative, to the bit.
fn relu_behind<D: Conv2d>(bench: &mut Bench<'_, D>) {
    for size in [
        plain([3, 5, 40, 9, 8, 3]),
        plain([19, 9, 10, 5, 5, 1]),
        Conv2dSize { padding: 1, ..plain([3, 17, 16, 8, 8, 3]) },
        plain([0, 3, 4, 8, 8, 1]),
    ] {
        let [x, w, b, _] = operands(&size);
        for (bias, part) in [(Some(&b[..]), "value behind a relu"), (None, "value behind a relu, without bias")] {
            let expected: Vec<f32> = forward(bench.device, &size, &x, &w, bias).iter().map(|y| y.max(0.0)).collect();
            let [found, again] = [(); 2].map(|()| relu_forward(bench.device, &size, &x, &w, bias));
            bench.compare(("conv2d", &describe(&size), part), [&found, &again], &wide(&expected), 0.0);
        }
    }
}

/// A sample's value has the same bits whatever is with it.
fn single_samples<D: Conv2d>(bench: &mut Bench<'_, D>) {
    for size in [
        Conv2dSize { padding: 1, ..plain([19, 16, 16, 8, 8, 3]) },
        plain([19, 9, 40, 5, 5, 1]),
        Conv2dSize { stride: 2, ..plain([19, 5, 4, 7, 5, 3]) },
    ] {
        let [x, w, b, _] = operands(&size);
        let (one, len) = (Conv2dSize { samples: 1, ..size }, inside(&size).features());
        let together = forward(bench.device, &size, &x, &w, Some(&b));
        let [found, again] = [(); 2].map(|()| forward(bench.device, &one, &x[17 * len..][..len], &w, Some(&b)));
        let expected = wide(&together[17 * found.len()..][..found.len()]);
        bench.compare(("conv2d", &describe(&size), "value of a sample alone"), [&found, &again], &expected, 0.0);
    }
}

/// (N, C, O, H, W, K)
pub(super) fn plain([samples, in_channels, out_channels, height, width, kernel]: [usize; 6]) -> Conv2dSize {
    Conv2dSize { samples, in_channels, out_channels, height, width, kernel, ..Conv2dSize::PLAIN }
}

pub(super) fn describe(size: &Conv2dSize) -> String {
    let Conv2dSize { samples, in_channels, out_channels, height, width, kernel, .. } = *size;
    let Conv2dSize { stride, padding, dilation, groups, convolution, .. } = *size;
    format!(
        "{samples} × {in_channels} × {height} × {width} to {out_channels}, kernel {kernel}, stride {stride}, \
         padding {padding}, dilation {dilation}, {groups} groups, {convolution:?}"
    )
}

pub(super) fn inside(size: &Conv2dSize) -> ActivationShape {
    ActivationShape { samples: size.samples, channels: size.in_channels, plane: size.height * size.width }
}

pub(super) fn outside(size: &Conv2dSize) -> ActivationShape {
    let plane = size.out_height() * size.out_width();
    ActivationShape { samples: size.samples, channels: size.out_channels, plane }
}

fn operands(size: &Conv2dSize) -> Four {
    [
        noise(inside(size).values(), 1),
        noise(size.weights(), 2),
        noise(size.out_channels, 3),
        noise(outside(size).values(), 4),
    ]
}

/// The formulas of the gradients, in their places.
pub(super) fn gradients(size: &Conv2dSize, x: &[f32], w: &[f32], d_y: &[f64]) -> Four<f64> {
    let (mut d_x, mut d_w, mut d_b) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; size.out_channels]);
    conv2d_terms(size, |x_at, w_at, y_at| {
        d_x[x_at] += d_y[y_at] * f64::from(w[w_at]);
        d_w[w_at] += d_y[y_at] * f64::from(x[x_at]);
    });
    for (plane, d_y) in d_y.chunks(outside(size).plane).enumerate() {
        d_b[plane % size.out_channels] += d_y.iter().sum::<f64>();
    }
    [Vec::new(), d_x, d_w, d_b]
}

fn forward<D: Conv2d>(device: &mut D, size: &Conv2dSize, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let (x, w) = (Array::activation(device, &inside(size), x), Array::tensor(device, w));
    let b = b.map(|b| Array::tensor(device, b));
    let mut y = Array::unwritten_activation(device, &outside(size));
    device.conv2d_forward(size, x.view(), w.view(), b.as_ref().map(Array::view), y.view_mut());
    y.rows(device, &outside(size))
}

fn relu_forward<D: Conv2d>(device: &mut D, size: &Conv2dSize, x: &[f32], w: &[f32], b: Option<&[f32]>) -> Vec<f32> {
    let (x, w) = (Array::activation(device, &inside(size), x), Array::tensor(device, w));
    let b = b.map(|b| Array::tensor(device, b));
    let mut y = Array::unwritten_activation(device, &outside(size));
    device.conv2d_relu_forward(size, x.view(), w.view(), b.as_ref().map(Array::view), y.view_mut());
    y.rows(device, &outside(size))
}

fn both_passes<D: Conv2d>(device: &mut D, size: &Conv2dSize, [x, w, b, d_y]: &Four) -> Four {
    let y = forward(device, size, x, w, Some(b));
    let (x, d_y) = (Array::activation(device, &inside(size), x), Array::activation(device, &outside(size), d_y));
    let mut d_x = Array::unwritten_activation(device, &inside(size));
    let (mut d_w, mut d_b) = (Array::unwritten(device, w.len()), Array::unwritten(device, b.len()));
    let w = Array::tensor(device, w);
    device.conv2d_backward_input(size, w.view(), d_y.view(), d_x.view_mut(), Accumulation::Overwrite);
    device.conv2d_backward_weight(size, x.view(), d_y.view(), d_w.view_mut(), Some(d_b.view_mut()));
    [y, d_x.rows(device, &inside(size)), d_w.read(device), d_b.read(device)]
}

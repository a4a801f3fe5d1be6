//! Convolutions of every kind against PyTorch 2.15: values and gradients by their products with fixed numbers.
//!
//! The numbers are what this script prints (inputs come from the formula of `layout::number`):
//!
//! ```python
//! import torch
//! import torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! def t(seed, *shape):
//!     n = torch.Size(shape).numel()
//!     i = torch.arange(n)
//!     return (((i * 7919 + seed * 104729) % 1009) / 512 - 504 / 512).reshape(shape).requires_grad_()
//! def dot(x, seed):
//!     return (x.detach() * t(seed, *x.shape).detach()).sum().item()
//! for n, c, o, h, w, k, s, p, d, g in [
//!     (3, 3, 5, 9, 11, 3, 2, 1, 1, 1), (2, 3, 8, 15, 13, 7, 2, 3, 1, 1), (1, 3, 6, 23, 19, 11, 4, 2, 1, 1),
//!     (2, 4, 6, 11, 10, 3, 2, 2, 2, 2), (2, 6, 6, 6, 7, 3, 1, 1, 1, 6), (2, 2, 2, 3, 4, 2, 1, 3, 1, 1),
//!     (17, 9, 8, 5, 6, 1, 2, 0, 1, 1), (2, 17, 18, 6, 5, 3, 2, 1, 1, 1), (2, 18, 20, 9, 14, 3, 1, 1, 1, 1),
//! ]:
//!     x, wt, b = t(1, n, c, h, w), t(2, o, c // g, k, k), t(3, o)
//!     y = F.conv2d(x, wt, b, s, p, d, g)
//!     (y * t(4, *y.shape).detach()).sum().backward()
//!     sums = [dot(v, 5 + i) for i, v in enumerate((y, x.grad, wt.grad, b.grad))]
//!     print(f'([{n}, {c}, {o}, {h}, {w}, {k}, {s}, {p}, {d}, {g}], {[float(f"{v:.12g}") for v in sums]}),')
//! ```

use lockstep_kernels::conv2d::{Accumulation, Conv2d, Conv2dSize};

use crate::layout::{devices, to_activation, to_rows, unwritten};
use lockstep_selftest::numbers::numbers;

/// (N, C, O, H, W, K, stride, padding, dilation, groups), and products of y, d_x, d_w and d_b.
type Fixture = ([usize; 10], [f64; 4]);

#[rustfmt::skip]
const FIXTURES: [Fixture; 9] = [
    ([3, 3, 5, 9, 11, 3, 2, 1, 1, 1], [0.554109804332, -5.86328715086, 0.458346582949, 0.0843086242676]),
    ([2, 3, 8, 15, 13, 7, 2, 3, 1, 1], [9.28729923069, -36.6974066049, -46.9536475092, -1.91241455078]),
    ([1, 3, 6, 23, 19, 11, 4, 2, 1, 1], [13.0611507148, -8.37555886805, 8.12881296128, -1.15782165527]),
    ([2, 4, 6, 11, 10, 3, 2, 2, 2, 2], [-6.67666854709, 2.96090324223, 8.61055970192, -2.7769241333]),
    ([2, 6, 6, 6, 7, 3, 1, 1, 1, 6], [1.81947682053, 1.6088084504, -19.0489347726, -1.57935714722]),
    ([2, 2, 2, 3, 4, 2, 1, 3, 1, 1], [-0.286048389971, 6.73505595326, 5.12153558433, -0.268096923828]),
    ([17, 9, 8, 5, 6, 1, 2, 0, 1, 1], [7.24975915253, -13.8174410164, -4.50635383278, -4.55324554443]),
    ([2, 17, 18, 6, 5, 3, 2, 1, 1, 1], [22.5373170972, 23.5516083613, 2.12896781415, -1.88552856445]),
    ([2, 18, 20, 9, 14, 3, 1, 1, 1, 1], [460.972535059, 245.236288123, 115.803020231, -3.22313690186]),
];

/// # Panics
/// If `Σ values · number(seed)` differs from `expected` by more than 1e-6 of the sum of magnitudes.
#[track_caller]
fn check(name: &str, values: &[f32], seed: usize, expected: f64) {
    let terms = || values.iter().zip(numbers(values.len(), seed)).map(|(v, r)| f64::from(*v) * f64::from(r));
    let (sum, magnitudes): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
    assert!((sum - expected).abs() <= 1e-6 * magnitudes, "{name}: {sum} where PyTorch has {expected}");
}

#[test]
fn convolutions_are_pytorchs() {
    for (sizes, [y_sum, d_x_sum, d_w_sum, d_b_sum]) in FIXTURES {
        let [samples, in_channels, out_channels, height, width, kernel, stride, padding, dilation, groups] = sizes;
        let window = Conv2dSize { kernel, stride, padding, dilation, groups, ..Conv2dSize::PLAIN };
        let size = Conv2dSize { samples, in_channels, out_channels, height, width, ..window };
        let in_features = in_channels * height * width;
        let out_features = out_channels * size.out_height() * size.out_width();
        let (w, b) = (numbers(size.weights(), 2), numbers(out_channels, 3));
        for mut device in devices() {
            let x = to_activation(&device, &numbers(samples * in_features, 1), in_features, 0.5);
            let d_y = to_activation(&device, &numbers(samples * out_features, 4), out_features, 0.0);
            let mut y = unwritten(&device, samples, out_features);
            let mut d_x = unwritten(&device, samples, in_features);
            let (mut d_w, mut d_b) = (vec![7.0; w.len()], vec![7.0; b.len()]);
            device.conv2d_forward(&size, &x, &w, Some(&b), &mut y);
            device.conv2d_backward_input(&size, &w, &d_y, &mut d_x, Accumulation::Overwrite);
            device.conv2d_backward_weight(&size, &x, &d_y, &mut d_w, Some(&mut d_b));
            let name = |part: &str| format!("{size:?} {} {part}", device.instruction_set());
            check(&name("y"), &to_rows(&device, &y, samples, out_features), 5, y_sum);
            check(&name("d_x"), &to_rows(&device, &d_x, samples, in_features), 6, d_x_sum);
            check(&name("d_w"), &d_w, 7, d_w_sum);
            check(&name("d_b"), &d_b, 8, d_b_sum);
        }
    }
}

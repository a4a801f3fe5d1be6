//! Convolutions of every kind against the formula in f64, on odd shapes, and their bits.

use std::collections::HashMap;

use lockstep_kernels::conv2d::{Accumulation, Algorithm, Conv2d, Conv2dSize};
use lockstep_kernels::cpu::Cpu;

use crate::layout::{assert_padding_is_zero, bits, devices, lanes, to_activation, to_rows, unwritten};
use lockstep_selftest::formulas::conv2d_terms;
use lockstep_selftest::numbers::noise;

/// Values and gradients, activations in rows of samples.
struct Results<T> {
    y: Vec<T>,
    d_x: Vec<T>,
    d_w: Vec<T>,
    d_b: Vec<T>,
}

/// Operands in rows of samples.
struct Operands {
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    d_y: Vec<f32>,
}

fn in_features(size: &Conv2dSize) -> usize {
    size.in_channels * size.height * size.width
}

fn out_features(size: &Conv2dSize) -> usize {
    size.out_channels * size.out_height() * size.out_width()
}

fn operands(size: &Conv2dSize) -> Operands {
    Operands {
        x: noise(size.samples * in_features(size), 1),
        w: noise(size.weights(), 2),
        b: noise(size.out_channels, 3),
        d_y: noise(size.samples * out_features(size), 4),
    }
}

fn expected(size: &Conv2dSize, of: &Operands) -> Results<f64> {
    let wide = |x: f32| f64::from(x);
    let plane = size.out_height() * size.out_width();
    let channel = |y_at: usize| y_at / plane % size.out_channels;
    let mut r = Results {
        y: (0..of.d_y.len()).map(|at| wide(of.b[channel(at)])).collect(),
        d_x: vec![0.0; of.x.len()],
        d_w: vec![0.0; of.w.len()],
        d_b: vec![0.0; of.b.len()],
    };
    conv2d_terms(size, |x_at, w_at, y_at| {
        r.y[y_at] += wide(of.x[x_at]) * wide(of.w[w_at]);
        r.d_x[x_at] += wide(of.d_y[y_at]) * wide(of.w[w_at]);
        r.d_w[w_at] += wide(of.d_y[y_at]) * wide(of.x[x_at]);
    });
    of.d_y.iter().enumerate().for_each(|(at, d)| r.d_b[channel(at)] += wide(*d));
    r
}

fn computed(device: &mut Cpu, size: &Conv2dSize, of: &Operands) -> Results<f32> {
    let samples = size.samples;
    // Padding of x may be any finite number, of d_y it is zero.
    let (x, d_y) =
        (to_activation(device, &of.x, in_features(size), 3.0), to_activation(device, &of.d_y, out_features(size), 0.0));
    let mut y = unwritten(device, samples, out_features(size));
    let mut d_x = unwritten(device, samples, in_features(size));
    let (mut d_w, mut d_b) = (vec![7.0; of.w.len()], vec![7.0; of.b.len()]);
    device.conv2d_forward(size, &x, &of.w, Some(&of.b), &mut y);
    device.conv2d_backward_input(size, &of.w, &d_y, &mut d_x, Accumulation::Overwrite);
    device.conv2d_backward_weight(size, &x, &d_y, &mut d_w, Some(&mut d_b));
    assert_padding_is_zero(device, &format!("{size:?}: d_x"), &d_x, samples, in_features(size));
    Results {
        y: to_rows(device, &y, samples, out_features(size)),
        d_x: to_rows(device, &d_x, samples, in_features(size)),
        d_w,
        d_b,
    }
}

/// The largest difference, over the largest magnitude expected.
fn error(actual: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(1e-30, |m: f64, x| m.max(x.abs()));
    let errors = actual.iter().zip(expected).map(|(a, e)| (f64::from(*a) - e).abs() / largest);
    errors.fold(0.0, |m, e| if e <= m { m } else { e })
}

/// Errors of y, d_x, d_w and d_b.
fn errors(device: &mut Cpu, size: &Conv2dSize, of: &Operands, expected: &Results<f64>) -> [f64; 4] {
    let actual = computed(device, size, of);
    [
        error(&actual.y, &expected.y),
        error(&actual.d_x, &expected.d_x),
        error(&actual.d_w, &expected.d_w),
        error(&actual.d_b, &expected.d_b),
    ]
}

/// Of what goes by samples.
fn bits_of_samples(r: &Results<f32>) -> Vec<u32> {
    [bits(&r.y), bits(&r.d_x)].concat()
}

/// Of what is summed over samples.
fn bits_of_sums(r: &Results<f32>) -> Vec<u32> {
    [bits(&r.d_w), bits(&r.d_b)].concat()
}

/// # Panics
/// If an error is above `tolerance` of the largest value, or two instruction sets differ in a bit. Where samples lie
/// otherwise, sums over them may have another order.
#[track_caller]
fn check(size: &Conv2dSize, tolerance: f64) {
    let of = operands(size);
    let expected = expected(size, &of);
    let mut first: Option<Vec<u32>> = None;
    let mut first_sums: HashMap<[usize; 2], Vec<u32>> = HashMap::new();
    for mut device in devices() {
        let errors = errors(&mut device, size, &of, &expected);
        let set = device.instruction_set();
        assert!(errors.iter().all(|e| *e <= tolerance), "{size:?} {set}: errors {errors:?}");
        let result = computed(&mut device, size, &of);
        let (samples, sums) = (bits_of_samples(&result), bits_of_sums(&result));
        assert!(*first.get_or_insert_with(|| samples.clone()) == samples, "{size:?}: {set} has other bits");
        let lanes = [in_features(size), out_features(size)].map(|features| lanes(&device, size.samples, features));
        assert!(*first_sums.entry(lanes).or_insert_with(|| sums.clone()) == sums, "{size:?}: {set} has other sums");
    }
}

/// (N, C, O, H, W, K)
fn plain([samples, in_channels, out_channels, height, width, kernel]: [usize; 6]) -> Conv2dSize {
    Conv2dSize { samples, in_channels, out_channels, height, width, kernel, ..Conv2dSize::PLAIN }
}

#[test]
fn strides_paddings_and_dilations() {
    for (shape, stride, padding, dilation) in [
        ([3, 3, 5, 9, 11, 3], 2, 1, 1),
        ([17, 2, 7, 8, 6, 3], 3, 0, 1),
        ([2, 3, 8, 15, 13, 7], 2, 3, 1),
        ([1, 3, 6, 23, 19, 11], 4, 2, 1),
        ([2, 4, 3, 9, 9, 3], 1, 2, 2),
        ([2, 2, 3, 11, 10, 3], 2, 2, 2),
        ([1, 2, 2, 12, 13, 3], 2, 3, 3),
        ([1, 2, 2, 14, 9, 2], 3, 1, 2),
        // More padding than the kernel has elements.
        ([2, 2, 2, 3, 4, 2], 1, 3, 1),
        ([2, 2, 3, 5, 5, 1], 2, 1, 1),
        // A stride above the kernel: some pixels are never seen.
        ([2, 2, 3, 7, 8, 2], 3, 0, 1),
        // A stride above the image: some remainders of rows and columns do not exist.
        ([1, 2, 3, 2, 1, 1], 3, 0, 1),
        ([1, 2, 3, 1, 2, 2], 3, 1, 1),
        ([1, 17, 18, 6, 5, 3], 2, 1, 1),
        ([18, 33, 5, 4, 4, 2], 1, 0, 1),
    ] {
        check(&Conv2dSize { stride, padding, dilation, ..plain(shape) }, 1e-6);
    }
}

#[test]
fn groups_of_channels() {
    for (shape, groups, stride) in [
        ([3, 4, 6, 5, 7, 3], 2, 1),
        ([2, 6, 6, 6, 6, 3], 6, 1),
        ([2, 5, 10, 7, 5, 3], 5, 2),
        ([1, 36, 34, 5, 4, 3], 2, 1),
        ([2, 16, 8, 3, 3, 1], 2, 1),
    ] {
        check(&Conv2dSize { groups, stride, padding: 1, ..plain(shape) }, 1e-6);
    }
}

#[test]
fn pointwise_convolutions() {
    for (shape, stride) in [
        ([3, 8, 9, 5, 7, 1], 1),
        ([17, 33, 18, 3, 3, 1], 1),
        ([2, 16, 40, 9, 8, 1], 2),
        ([1, 9, 8, 7, 7, 1], 3),
        ([1, 70, 35, 1, 1, 1], 1),
        ([2, 24, 20, 1, 2, 1], 1),
        ([1, 8, 8, 40, 41, 1], 1),
        ([9, 20, 8, 6, 7, 1], 1),
        ([8, 20, 8, 6, 7, 1], 2),
        ([8, 20, 8, 5, 7, 1], 1),
    ] {
        check(&Conv2dSize { stride, ..plain(shape) }, 2e-6);
    }
}

/// Every tile's border: images of 4n, 4n + 1, … pixels, fewer and more than one tile, odd channels, all paddings.
#[test]
fn winograd_convolutions() {
    for (shape, padding) in [
        ([3, 16, 16, 8, 8, 3], 1),
        ([1, 17, 19, 7, 12, 3], 1),
        ([2, 33, 16, 14, 15, 3], 0),
        ([1, 16, 35, 13, 10, 3], 2),
        ([18, 20, 24, 8, 7, 3], 1),
        ([1, 24, 66, 4, 4, 3], 1),
        ([1, 18, 16, 6, 6, 3], 3),
        ([2, 48, 70, 28, 28, 3], 1),
    ] {
        check(&Conv2dSize { padding, ..plain(shape) }, 5e-6);
    }
}

/// A device has few samples 8 abreast on one side of a convolution alone, where the other has few features.
#[test]
fn samples_lie_otherwise_before_and_behind() {
    let many = |shape| Conv2dSize { stride: 1, padding: 1, ..plain(shape) };
    for size in [
        many([3, 64, 16, 16, 16, 3]),
        many([3, 16, 64, 16, 16, 3]),
        Conv2dSize { padding: 0, ..many([2, 64, 9, 16, 17, 1]) },
        Conv2dSize { padding: 0, ..many([2, 9, 64, 16, 17, 1]) },
        Conv2dSize { stride: 2, padding: 0, ..many([2, 57, 16, 17, 17, 1]) },
        Conv2dSize { stride: 2, ..many([2, 4, 10, 65, 64, 3]) },
    ] {
        let abreast = |features| lanes(&devices()[0], size.samples, features);
        assert_ne!(abreast(in_features(&size)), abreast(out_features(&size)), "{size:?}");
        check(&size, 5e-6);
    }
}

#[test]
fn a_job_can_have_sums_of_products_only() {
    let size = Conv2dSize { padding: 1, ..plain([3, 32, 32, 12, 12, 3]) };
    let of = operands(&size);
    let mut device = devices().remove(0);
    let auto = bits_of_samples(&computed(&mut device, &size, &of));
    let size = Conv2dSize { convolution: Algorithm::Direct, ..size };
    assert!(auto != bits_of_samples(&computed(&mut device, &size, &of)), "Winograd's bits differ");
    check(&size, 1e-6);
}

/// One of each method: the sum of what was there and what is overwritten elsewhere, to the bit.
#[test]
fn the_inputs_gradient_can_be_added() {
    for size in [
        Conv2dSize { stride: 2, padding: 1, ..plain([3, 5, 4, 9, 8, 3]) },
        Conv2dSize { stride: 3, ..plain([3, 5, 4, 7, 8, 2]) },
        plain([3, 9, 10, 5, 5, 1]),
        Conv2dSize { stride: 2, ..plain([3, 9, 10, 5, 6, 1]) },
        Conv2dSize { padding: 1, ..plain([3, 17, 16, 8, 8, 3]) },
    ] {
        let of = operands(&size);
        for mut device in devices() {
            let d_y = to_activation(&device, &of.d_y, out_features(&size), 0.0);
            let before = to_activation(&device, &noise(size.samples * in_features(&size), 9), in_features(&size), 0.0);
            let (mut alone, mut added) = (unwritten(&device, size.samples, in_features(&size)), before.clone());
            device.conv2d_backward_input(&size, &of.w, &d_y, &mut alone, Accumulation::Overwrite);
            device.conv2d_backward_input(&size, &of.w, &d_y, &mut added, Accumulation::Add);
            let [before, alone, added] =
                [before, alone, added].map(|d_x| to_rows(&device, &d_x, size.samples, in_features(&size)));
            let sums: Vec<f32> = before.iter().zip(&alone).map(|(a, b)| a + b).collect();
            assert!(bits(&sums) == bits(&added), "{size:?} {}", device.instruction_set());
        }
    }
}

#[test]
fn no_bias_is_a_bias_of_zeros() {
    for size in [
        plain([3, 5, 4, 9, 8, 3]),
        plain([3, 9, 10, 5, 5, 1]),
        Conv2dSize { padding: 1, ..plain([3, 17, 16, 8, 8, 3]) },
    ] {
        let of = operands(&size);
        for mut device in devices() {
            let x = to_activation(&device, &of.x, in_features(&size), 0.0);
            let [mut y, mut z] = [(); 2].map(|()| unwritten(&device, size.samples, out_features(&size)));
            device.conv2d_forward(&size, &x, &of.w, None, &mut y);
            device.conv2d_forward(&size, &x, &of.w, Some(&vec![0.0; of.b.len()]), &mut z);
            let [y, z] = [y, z].map(|y| to_rows(&device, &y, size.samples, out_features(&size)));
            assert!(bits(&y) == bits(&z), "{size:?} {}", device.instruction_set());
        }
    }
}

/// A sample's bits at another place, among others, in a smaller batch.
#[test]
fn a_samples_values_depend_on_that_sample_alone() {
    for size in [
        Conv2dSize { padding: 1, ..plain([40, 16, 16, 8, 8, 3]) },
        plain([40, 9, 10, 5, 5, 1]),
        Conv2dSize { stride: 2, ..plain([40, 5, 4, 7, 5, 3]) },
    ] {
        let of = operands(&size);
        let mut device = devices().remove(0);
        let all = computed(&mut device, &size, &of);
        let (inside, outside) = (in_features(&size), out_features(&size));
        let one = Conv2dSize { samples: 1, ..size };
        let x = of.x[37 * inside..38 * inside].to_vec();
        let d_y = of.d_y[37 * outside..38 * outside].to_vec();
        let alone = computed(&mut device, &one, &Operands { x, d_y, ..of });
        assert!(bits(&alone.y) == bits(&all.y[37 * outside..38 * outside]), "{size:?}");
        assert!(bits(&alone.d_x) == bits(&all.d_x[37 * inside..38 * inside]), "{size:?}");
    }
}

/// A lane may be empty.
#[test]
fn no_samples_have_no_gradient() {
    for size in [
        Conv2dSize { padding: 1, ..plain([0, 16, 16, 8, 8, 3]) },
        plain([0, 16, 16, 8, 8, 1]),
        Conv2dSize { stride: 2, ..plain([0, 16, 16, 8, 8, 3]) },
        plain([0, 3, 16, 8, 8, 3]),
    ] {
        for mut device in devices() {
            let r = computed(&mut device, &size, &operands(&size));
            assert!(r.d_w.iter().chain(&r.d_b).all(|d| *d == 0.0), "{size:?}");
        }
    }
}

#[test]
#[should_panic(expected = "3 groups do not divide 4 and 6 channels")]
fn groups_divide_channels() {
    let size = Conv2dSize { groups: 3, ..plain([1, 4, 6, 5, 5, 3]) };
    devices()[0].conv2d_forward(&size, &[], &[], None, &mut []);
}

#[test]
#[should_panic(expected = "a 5×5 kernel that spans 9 pixels does not fit 6×7 with padding 1")]
fn a_kernel_fits_its_image() {
    let size = Conv2dSize { dilation: 2, padding: 1, ..plain([1, 1, 1, 6, 7, 5]) };
    devices()[0].conv2d_forward(&size, &[], &[], None, &mut []);
}

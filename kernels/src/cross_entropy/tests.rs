//! Losses: counts of correct answers, digits near zero, large outputs, refusals.

use lockstep_kernels::binary_cross_entropy::BinaryCrossEntropy;
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy, MixedLabels};
use lockstep_kernels::device::{LossOutput, LossSums};
use lockstep_kernels::map_loss::{MapLoss, MapLossSize};
use lockstep_kernels::squared_error::SquaredError;

use crate::layout::{assert_close, assert_padding_is_zero, devices, to_activation, to_rows, unwritten};
use lockstep_selftest::formulas;
use lockstep_selftest::numbers::{numbers, wide};

pub type Loss = fn(&mut Cpu, &ClassesSize, &[f32], &[u16], LossOutput<'_, Cpu>);
/// Loss of one sample in f64.
pub type Formula = fn(&[f64], usize) -> f64;
pub const LOSSES: [(&str, Loss, Formula); 7] = [
    ("cross-entropy", |d, size, x, labels, out| d.cross_entropy(size, x, labels, out), formulas::cross_entropy),
    ("squared error", |d, size, x, labels, out| d.squared_error(size, x, labels, out), formulas::squared_error),
    (
        "smoothed cross-entropy",
        |d, size, x, labels, out| d.smoothed_cross_entropy(size, 0.125, x, labels, out),
        |x, label| formulas::smoothed_cross_entropy(x, label, 0.125),
    ),
    (
        "wholly smoothed cross-entropy",
        |d, size, x, labels, out| d.smoothed_cross_entropy(size, 1.0, x, labels, out),
        |x, label| formulas::smoothed_cross_entropy(x, label, 1.0),
    ),
    ("mixed cross-entropy", mixed, |x, label| {
        let of = |label| formulas::smoothed_cross_entropy(x, label, 0.125);
        0.75 * of(label) + 0.25 * of((label + 1) % x.len())
    }),
    (
        "binary cross-entropy",
        |d, size, x, labels, out| d.binary_cross_entropy(size, x, labels, out),
        formulas::binary_cross_entropy,
    ),
    (
        SMALLER_IS_BETTER,
        |d, size, x, labels, out| d.map_loss(&MapLossSize { classes: *size, rubbish: 0.5 }, x, labels, out),
        |x, label| formulas::map_loss(x, label, 0.5),
    ),
];
/// Its answer is the smallest output.
const SMALLER_IS_BETTER: &str = "maximum a posteriori";

/// Each sample has a quarter of the class behind its own.
fn mixed(device: &mut Cpu, size: &ClassesSize, x: &[f32], labels: &[u16], output: LossOutput<'_, Cpu>) {
    let others: Vec<u16> = labels.iter().map(|label| (label + 1) % size.classes as u16).collect();
    let shares = vec![0.75; size.samples];
    device.mixed_cross_entropy(size, 0.125, x, mixed_labels(labels, &others, &shares), output);
}

fn mixed_labels<'a>(labels: &'a [u16], others: &'a [u16], shares: &'a [f32]) -> MixedLabels<'a, Cpu> {
    MixedLabels { labels, others, shares }
}

/// The sums of a loss, whose gradient goes to `d_x`.
pub fn sums(d_x: &mut [f32], loss: impl FnOnce(LossOutput<'_, Cpu>)) -> LossSums {
    let mut sums = [f64::NAN; LossSums::LEN];
    loss(LossOutput { d_x, sums: &mut sums });
    LossSums::of(sums)
}

/// Labels whose output is the best, and among the five best, in a stable order of the outputs times `sign`.
fn right_answers(x: &[f32], classes: usize, labels: &[u16], sign: f32) -> (u64, u64) {
    let place = |x: &[f32], label: u16| {
        let mut order: Vec<usize> = (0..classes).collect();
        order.sort_by(|a, b| (sign * x[*b]).total_cmp(&(sign * x[*a])));
        order.iter().position(|k| *k == usize::from(label)).expect("a class")
    };
    let places: Vec<usize> = x.chunks(classes).zip(labels).map(|(x, label)| place(x, *label)).collect();
    let below = |bound| places.iter().filter(|place| **place < bound).count() as u64;
    (below(1), below(5))
}

pub fn labels(size: &ClassesSize) -> Vec<u16> {
    (0..size.samples).map(|n| (n * 7 % size.classes) as u16).collect()
}

/// The sum over [`labels`] and its gradient.
pub fn value_and_gradient(device: &mut Cpu, loss: Loss, size: &ClassesSize, x: &[f32]) -> [Vec<f32>; 2] {
    let ClassesSize { samples, classes } = *size;
    let mut d_x = unwritten(device, samples, classes);
    let x = to_activation(device, x, classes, 3.0);
    let sums = sums(&mut d_x, |out| loss(device, size, &x, &labels(size), out));
    assert_padding_is_zero(device, "d_x", &d_x, samples, classes);
    [vec![sums.loss as f32], to_rows(device, &d_x, samples, classes)]
}

#[test]
fn right_answers_are_counted() {
    for (samples, classes) in [(1, 2), (16, 10), (37, 10), (5, 33), (2, 150)] {
        let size = ClassesSize { samples, classes };
        let (x, labels) = (numbers(samples * classes, 1), labels(&size));
        for mut device in devices() {
            for (name, loss, _) in LOSSES {
                let mut d_x = unwritten(&device, samples, classes);
                let logits = to_activation(&device, &x, classes, 3.0);
                let sums = sums(&mut d_x, |out| loss(&mut device, &size, &logits, &labels, out));
                let sign = if name == SMALLER_IS_BETTER { -1.0 } else { 1.0 };
                let expected = right_answers(&x, classes, &labels, sign);
                assert_eq!((sums.correct, sums.correct_in_5), expected, "{name} {size:?}");
            }
        }
    }
}

#[test]
fn the_first_of_equal_outputs_is_the_answer_and_a_nan_is_none() {
    let size = ClassesSize { samples: 3, classes: 3 };
    for mut device in devices() {
        let x = to_activation(&device, &[1.0, 1.0, 0.0, 1.0, 1.0, 0.0, f32::NAN, 1.0, 0.0], 3, 0.0);
        let mut d_x = unwritten(&device, 3, 3);
        let sums = sums(&mut d_x, |out| device.cross_entropy(&size, &x, &[0, 1, 1], out));
        assert_eq!(sums.correct, 1);
        assert!(d_x[2].is_nan(), "a NaN among the logits must reach the gradient");
    }
}

/// Of equal outputs the first are better; a NaN stands ahead of all and is right nowhere.
#[test]
fn the_five_best_are_in_order_of_output_then_class() {
    let size = ClassesSize { samples: 5, classes: 7 };
    let rows = [
        [1.0; 7],
        [1.0; 7],
        [9.0, 8.0, 7.0, 6.0, 5.0, 5.0, 0.0],
        [9.0, 8.0, 7.0, 6.0, f32::NAN, 5.0, 0.0],
        [f32::NAN; 7],
    ];
    for mut device in devices() {
        let x = to_activation(&device, rows.as_flattened(), 7, 0.0);
        let mut d_x = unwritten(&device, 5, 7);
        let mut count = |labels: [u16; 5]| {
            let sums = sums(&mut d_x, |out| device.cross_entropy(&size, &x, &labels, out));
            (sums.correct, sums.correct_in_5)
        };
        assert_eq!(count([0, 5, 5, 5, 0]), (1, 1));
        assert_eq!(count([1, 4, 4, 3, 0]), (0, 4));
        assert_eq!(count([4, 6, 0, 4, 0]), (1, 2));
    }
}

#[test]
fn labels_may_name_more_than_256_classes() {
    let size = ClassesSize { samples: 2, classes: 1000 };
    let x = numbers(2000, 1);
    for mut device in devices() {
        let mut d_x = unwritten(&device, 2, 1000);
        let logits = to_activation(&device, &x, 1000, 0.0);
        let sums = sums(&mut d_x, |out| device.cross_entropy(&size, &logits, &[999, 300], out));
        let x = wide(&x);
        let expected = formulas::cross_entropy(&x[..1000], 999) + formulas::cross_entropy(&x[1000..], 300);
        assert!((sums.loss - expected).abs() < 1e-6 * expected);
        let d_x = to_rows(&device, &d_x, 2, 1000);
        assert!(d_x[999] < 0.0 && d_x[1300] < 0.0 && d_x[300] > 0.0);
    }
}

/// Losses that are all but 0 keep their digits where the formula allows it.
#[test]
fn a_binary_cross_entropy_near_zero_keeps_its_digits() {
    let size = ClassesSize { samples: 1, classes: 2 };
    for mut device in devices() {
        let mut d_x = unwritten(&device, 1, 2);
        let x = to_activation(&device, &[30.0, -20.0], 2, 0.0);
        let sums = sums(&mut d_x, |out| device.binary_cross_entropy(&size, &x, &[0], out));
        let expected = ((-30f64).exp() + (-20f64).exp()) / 2.0;
        assert!((sums.loss - expected).abs() < 1e-6 * expected, "{} not {expected}", sums.loss);
        assert_close("d_x", &to_rows(&device, &d_x, 1, 2)[..1], &[-(-30f64).exp() / 2.0], 1e-6);
    }
}

#[test]
fn large_distances_do_not_overflow() {
    let size = MapLossSize { classes: ClassesSize { samples: 3, classes: 2 }, rubbish: 1.0 };
    for mut device in devices() {
        let x = to_activation(&device, &[0.0, 1e4, 1e4, 0.0, 3e38, 3e38], 2, 0.0);
        let mut d_x = unwritten(&device, 3, 2);
        let sums = sums(&mut d_x, |out| device.map_loss(&size, &x, &[0, 0, 0], out));
        let expected = -1.0 + (1e4 + (1.0 + (-1f64).exp()).ln()) + (f64::from(3e38f32) - 1.0);
        assert!((sums.loss - expected).abs() < 1e-6 * expected, "{} not {expected}", sums.loss);
        assert_eq!(sums.correct, 2);
        assert_eq!(to_rows(&device, &d_x, 1, 2), [1.0, 0.0]);
    }
}

#[test]
#[should_panic(expected = "smoothing 1.5 is not in [0, 1]")]
fn a_smoothing_above_one_is_refused() {
    let size = ClassesSize { samples: 1, classes: 3 };
    sums(&mut [0.0; 48], |out| devices()[0].smoothed_cross_entropy(&size, 1.5, &[0.0; 48], &[2], out));
}

/// What has no part in a sample may be ruled out; a sample of one class alone is as if it were not mixed.
#[test]
fn a_class_without_a_share_is_left_out() {
    let size = ClassesSize { samples: 2, classes: 3 };
    for mut device in devices() {
        let x = to_activation(&device, &[1.0, f32::NEG_INFINITY, 0.5, f32::NEG_INFINITY, 2.0, 0.25], 3, 0.0);
        let mut plain = unwritten(&device, 2, 3);
        let expected = sums(&mut plain, |out| device.cross_entropy(&size, &x, &[2, 1], out));
        let mut d_x = unwritten(&device, 2, 3);
        let labels = mixed_labels(&[2, 0], &[1, 1], &[1.0, 0.0]);
        let found = sums(&mut d_x, |out| device.mixed_cross_entropy(&size, 0.0, &x, labels, out));
        assert!((found.loss - expected.loss).abs() < 1e-6, "{found:?} not {expected:?}");
        assert_close("d_x", &to_rows(&device, &d_x, 2, 3), &wide(&to_rows(&device, &plain, 2, 3)), 1e-6);
        assert_eq!(found.correct, 0, "right answers are counted by the first labels");
    }
}

#[test]
#[should_panic(expected = "share 1.5 is not in [0, 1]")]
fn a_share_above_one_is_refused() {
    let size = ClassesSize { samples: 1, classes: 3 };
    let labels = mixed_labels(&[2], &[1], &[1.5]);
    sums(&mut [0.0; 48], |out| devices()[0].mixed_cross_entropy(&size, 0.0, &[0.0; 48], labels, out));
}

#[test]
#[should_panic(expected = "label 3 of 3 classes")]
fn another_label_beyond_the_classes_is_refused() {
    let size = ClassesSize { samples: 1, classes: 3 };
    let labels = mixed_labels(&[2], &[3], &[0.5]);
    sums(&mut [0.0; 48], |out| devices()[0].mixed_cross_entropy(&size, 0.0, &[0.0; 48], labels, out));
}

#[test]
fn large_logits_do_not_overflow() {
    let size = ClassesSize { samples: 2, classes: 2 };
    for mut device in devices() {
        let x = to_activation(&device, &[1e4, -1e4, -3e38, 3e38], 2, 0.0);
        let mut d_x = unwritten(&device, 2, 2);
        let sums = sums(&mut d_x, |out| device.cross_entropy(&size, &x, &[0, 1], out));
        assert_eq!(sums, LossSums { loss: 0.0, correct: 2, correct_in_5: 2 });
    }
}

#[test]
#[should_panic(expected = "label 3 of 3 classes")]
fn a_label_beyond_the_classes_is_refused() {
    let size = ClassesSize { samples: 1, classes: 3 };
    sums(&mut [0.0; 48], |out| devices()[0].cross_entropy(&size, &[0.0; 48], &[3], out));
}

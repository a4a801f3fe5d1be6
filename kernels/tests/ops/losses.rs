//! Losses: values, gradients, counts of correct answers, padding.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::LossSums;
use lockstep_kernels::squared_error::SquaredError;

use crate::layout::{assert_close, devices, numbers, to_activation, to_rows, unwritten, wide};
use crate::reference;

type Loss = fn(&mut Cpu, &ClassesSize, &[f32], &[u8], &mut [f32]) -> LossSums;
/// Loss of one sample in f64.
type Formula = fn(&[f64], usize) -> f64;
const LOSSES: [(&str, Loss, Formula); 2] = [
    ("cross-entropy", |d, size, x, labels, d_x| d.cross_entropy(size, x, labels, d_x), reference::cross_entropy),
    ("squared error", |d, size, x, labels, d_x| d.squared_error(size, x, labels, d_x), reference::squared_error),
];

#[test]
fn losses_and_their_gradients() {
    for (samples, classes) in [(1, 2), (16, 10), (37, 10), (5, 33)] {
        let size = ClassesSize { samples, classes };
        let x: Vec<f32> = numbers(samples * classes, 1).into_iter().map(|x| 5.0 * x).collect();
        let labels: Vec<u8> = (0..samples).map(|n| (n * 7 % classes) as u8).collect();
        for mut device in devices() {
            for (name, loss, formula) in LOSSES {
                let name = format!("{name} {size:?} {}", device.instruction_set());
                let total = |x: &[f64]| {
                    let rows = x.chunks(classes).zip(&labels);
                    rows.map(|(x, label)| formula(x, usize::from(*label))).sum::<f64>()
                };
                let mut d_x = unwritten(&device, samples, classes);
                let sums = loss(&mut device, &size, &to_activation(&x, classes, 3.0), &labels, &mut d_x);
                let expected = total(&wide(&x));
                assert!((sums.loss - expected).abs() <= 1e-6 * expected, "{name}: {} not {expected}", sums.loss);
                assert_close(&name, &to_rows(&d_x, samples, classes), &reference::gradient(&x, total), 1e-6);
                let largest = |x: &[f32]| (1..classes).fold(0, |best, k| if x[k] > x[best] { k } else { best });
                let correct = x.chunks(classes).zip(&labels).filter(|(x, l)| largest(x) == usize::from(**l)).count();
                assert_eq!(sums.correct, correct as u64, "{name}");
                let padding = to_rows(&d_x, samples.next_multiple_of(16), classes).split_off(samples * classes);
                assert!(padding.iter().all(|d| d.to_bits() == 0), "{name}: padding has a gradient");
            }
        }
    }
}

#[test]
fn the_first_of_equal_outputs_is_the_answer_and_a_nan_is_none() {
    let size = ClassesSize { samples: 3, classes: 3 };
    let x = to_activation(&[1.0, 1.0, 0.0, 1.0, 1.0, 0.0, f32::NAN, 1.0, 0.0], 3, 0.0);
    for mut device in devices() {
        let mut d_x = unwritten(&device, 3, 3);
        assert_eq!(device.cross_entropy(&size, &x, &[0u8, 1, 1], &mut d_x).correct, 1);
        assert!(d_x[2].is_nan(), "a NaN among the logits must reach the gradient");
    }
}

#[test]
fn large_logits_do_not_overflow() {
    let size = ClassesSize { samples: 2, classes: 2 };
    let x = to_activation(&[1e4, -1e4, -3e38, 3e38], 2, 0.0);
    for mut device in devices() {
        let mut d_x = unwritten(&device, 2, 2);
        let sums = device.cross_entropy(&size, &x, &[0u8, 1], &mut d_x);
        assert_eq!(sums, LossSums { loss: 0.0, correct: 2, correct_in_5: 2 });
    }
}

#[test]
#[should_panic(expected = "label 3 of 3 classes")]
fn a_label_beyond_the_classes_is_refused() {
    let size = ClassesSize { samples: 1, classes: 3 };
    let mut device = devices().remove(0);
    device.cross_entropy(&size, &[0.0; 48], &[3u8], &mut [0.0; 48]);
}

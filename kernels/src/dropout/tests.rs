//! Dropout: which values are dropped, and that nothing but the key decides it.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::dropout::{Dropout, DropoutSize};

use crate::bits;
use crate::layout::{assert_padding_is_zero, devices, to_activation, to_rows, unwritten};
use lockstep_selftest::formulas::dropout_word;
use lockstep_selftest::numbers::numbers;

pub fn keys(samples: usize) -> Vec<u64> {
    (1..=samples as u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect()
}

/// y and d_x.
pub fn both_passes(device: &mut Cpu, size: &DropoutSize, keys: &[u64], x: &[f32], d_y: &[f32]) -> [Vec<f32>; 2] {
    let DropoutSize { samples, features, .. } = *size;
    let mut y = unwritten(device, samples, features);
    device.dropout_forward(size, keys, &to_activation(device, x, features, 3.0), &mut y);
    assert_padding_is_zero(device, "y", &y, samples, features);
    let mut d = to_activation(device, d_y, features, 0.0);
    device.dropout_backward(size, keys, &mut d);
    assert_padding_is_zero(device, "d_x", &d, samples, features);
    [to_rows(device, &y, samples, features), to_rows(device, &d, samples, features)]
}

#[test]
fn values_are_kept_by_the_documented_words() {
    for (samples, features, probability) in [(1, 1, 0.5), (5, 7, 0.25), (16, 4, 0.9), (19, 13, 0.0), (33, 6, 0.5)] {
        let size = DropoutSize { samples, features, plane: 1, probability };
        let keys = keys(samples);
        let (x, d_y) = (numbers(samples * features, 1), numbers(samples * features, 2));
        let factor = |i: usize| {
            let dropped =
                f64::from(dropout_word(keys[i / features], i % features)) < f64::from(probability) * 2f64.powi(32);
            if dropped { 0.0 } else { (1.0 / (1.0 - f64::from(probability))) as f32 }
        };
        for mut device in devices() {
            let [y, d_x] = both_passes(&mut device, &size, &keys, &x, &d_y);
            for i in 0..samples * features {
                assert_eq!([y[i], d_x[i]], [x[i] * factor(i), d_y[i] * factor(i)], "{size:?} value {i}");
            }
        }
    }
}

/// Frequencies within five standard deviations, in the whole, by feature and by sample, and of neighbours alike.
#[test]
fn values_are_dropped_at_random() {
    let (samples, features) = (128, 500);
    let (keys, ones) = (keys(samples), vec![1.0; samples * features]);
    for probability in [0.1, 0.5, 0.8] {
        let size = DropoutSize { samples, features, plane: 1, probability };
        let [y, _] = both_passes(&mut devices()[0], &size, &keys, &ones, &ones);
        let p = f64::from(probability);
        let check = |name: &str, events: usize, of: usize, chance: f64| {
            let (expected, deviation) = (of as f64 * chance, (of as f64 * chance * (1.0 - chance)).sqrt());
            assert!((events as f64 - expected).abs() < 5.0 * deviation, "{name}: {events} of {of} at p = {p}");
        };
        let dropped = |n: usize, f: usize| usize::from(y[n * features + f] == 0.0);
        check("all", y.iter().filter(|y| **y == 0.0).count(), y.len(), p);
        for n in 0..samples {
            check("a sample", (0..features).map(|f| dropped(n, f)).sum(), features, p);
        }
        for f in 0..features {
            check("a feature", (0..samples).map(|n| dropped(n, f)).sum(), samples, p);
        }
        let neighbours = |n: usize| (1..features).map(move |f| dropped(n, f) * dropped(n, f - 1)).sum::<usize>();
        check("neighbours", (0..samples).map(neighbours).sum(), samples * (features - 1), p * p);
        let mean = y.iter().map(|y| f64::from(*y)).sum::<f64>() / y.len() as f64;
        assert!((mean - 1.0).abs() < 0.05, "the mean becomes {mean}");
    }
}

/// A sample's mask is its key's, wherever it lies.
#[test]
fn a_samples_mask_depends_on_its_key_alone() {
    let (keys, x) = (keys(40), numbers(40 * 30, 1));
    for mut device in devices() {
        let mut run = |samples: usize, keys: &[u64], x: &[f32]| {
            both_passes(&mut device, &DropoutSize { samples, features: 30, plane: 1, probability: 0.5 }, keys, x, x)
        };
        let [all, _] = run(40, &keys, &x);
        let [one, _] = run(1, &keys[37..38], &x[37 * 30..38 * 30]);
        assert_eq!(one, all[37 * 30..38 * 30]);
    }
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    let size = DropoutSize { samples: 50, features: 131, plane: 1, probability: 0.3 };
    let (x, d_y) = (bits::rounding(50 * 131, 1), bits::rounding(50 * 131, 2));
    bits::check("dropout", |device| both_passes(device, &size, &keys(50), &x, &d_y).concat());
}

#[test]
#[should_panic(expected = "probability 1 is not in [0, 1)")]
fn to_drop_everything_is_refused() {
    let size = DropoutSize { samples: 1, features: 1, plane: 1, probability: 1.0 };
    both_passes(&mut devices()[0], &size, &[1], &[1.0], &[1.0]);
}

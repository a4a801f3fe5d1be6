//! Activations of the CPU from and to rows of samples, and the numbers in them.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::device::{ActivationShape, Memory};
use lockstep_selftest::numbers::numbers;

/// Samples that lie abreast in the device's memory.
pub fn lanes(device: &Cpu, samples: usize, features: usize) -> usize {
    let features = features.max(2);
    if samples <= 8 && device.activation_len(1, features) < 16 * features { 8 } else { 16 }
}

/// Rows (N, F) as an activation `[⌈N/16⌉][F][16]` or `[F][8]`; padding gets `padding`.
pub fn to_activation(device: &Cpu, rows: &[f32], features: usize, padding: f32) -> Vec<f32> {
    let samples = rows.len().checked_div(features).unwrap_or(0);
    let lanes = lanes(device, samples, features);
    let mut activation = vec![padding; device.activation_len(samples, features)];
    for n in 0..samples {
        for f in 0..features {
            activation[((n / lanes) * features + f) * lanes + n % lanes] = rows[n * features + f];
        }
    }
    activation
}

pub fn to_rows(device: &Cpu, activation: &[f32], samples: usize, features: usize) -> Vec<f32> {
    rows_of_lanes(lanes(device, samples, features), activation, samples, features)
}

fn rows_of_lanes(lanes: usize, activation: &[f32], samples: usize, features: usize) -> Vec<f32> {
    let at = |n: usize, f: usize| activation[((n / lanes) * features + f) * lanes + n % lanes];
    (0..samples * features).map(|i| at(i / features, i % features)).collect()
}

/// # Panics
/// If a padding sample of an activation holds something else than 0.
#[track_caller]
pub fn assert_padding_is_zero(device: &Cpu, name: &str, activation: &[f32], samples: usize, features: usize) {
    let lanes = lanes(device, samples, features);
    let padding = rows_of_lanes(lanes, activation, samples.next_multiple_of(lanes), features);
    assert!(padding[samples * features..].iter().all(|value| *value == 0.0), "{name}: padding is not zero");
}

/// An activation full of values that no op may leave in place.
pub fn unwritten(device: &Cpu, samples: usize, features: usize) -> Vec<f32> {
    vec![12345.0; device.activation_len(samples, features)]
}

/// Devices of the instruction sets that this machine has, and the same with few samples 8 abreast.
pub fn devices() -> Vec<Cpu> {
    let sets = instruction_sets();
    sets.iter().map(|set| Cpu::new(*set)).chain(sets.iter().map(|set| Cpu::halved(*set))).collect()
}

fn instruction_sets() -> Vec<InstructionSet> {
    let (have, lack): (Vec<_>, Vec<_>) = InstructionSet::ALL.into_iter().partition(|set| set.is_available());
    for set in lack {
        println!("skipped: this CPU has no {set}");
    }
    have
}

/// # Panics
/// If a value differs from `expected` by more than `tolerance` × the largest magnitude expected.
#[track_caller]
pub fn assert_close(name: &str, actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len(), "{name}: lengths");
    let largest = expected.iter().fold(1e-30, |m: f64, x| m.max(x.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(*a) - e).abs() / largest;
        assert!(error <= tolerance, "{name}[{i}]: {a} where {e} is expected, relative error {error:.1e}");
    }
}

#[test]
fn activations_are_read_and_written_sample_by_sample() {
    for (samples, features) in [(1, 1), (3, 5), (16, 2), (17, 3), (40, 7)] {
        let rows = numbers(samples * features, 3);
        for mut device in devices() {
            let mut read = vec![0.0; rows.len()];
            let shape = ActivationShape { samples, channels: 1, plane: features };
            device.read_activation(&shape, &to_activation(&device, &rows, features, 7.0), &mut read);
            assert_eq!(read, rows, "{samples} samples of {features}");
            let mut written = unwritten(&device, samples, features);
            device.write_activation(&shape, &rows, &mut written);
            assert_eq!(written, to_activation(&device, &rows, features, 0.0));
        }
    }
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn buffers_are_aligned_and_views_narrow() {
    for mut device in devices() {
        let mut buffer = device.zeros::<f32>(40);
        assert_eq!(buffer.as_slice().as_ptr() as usize % 64, 0);
        device.write(&[1.0, 2.0], Cpu::view_mut(&mut buffer, 38..40));
        let mut host = [0.0; 3];
        device.read(Cpu::view(&buffer, 37..40), &mut host);
        assert_eq!(host, [0.0, 1.0, 2.0]);
    }
}

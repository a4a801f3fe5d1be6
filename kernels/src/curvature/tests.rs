//! Second derivatives: of losses against differences of their formulas, of radial basis functions, and squares.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::curvature::{Criterion, Curvature};
use lockstep_kernels::optimizer::{Decay, Diagonal, Optimize, Rule, Scaling, Update, Vectors};
use lockstep_kernels::radial_basis::{OutputDerivatives, RadialBasis, RadialBasisSize};

use crate::bits as instruction_sets;
use crate::layout::{assert_close, assert_padding_is_zero, bits, devices, to_activation, to_rows, unwritten};
use crate::losses::{Formula, LOSSES, sums};
use lockstep_selftest::numbers::{numbers, wide};

/// Losses whose second derivatives are known, by their names among [`LOSSES`].
fn criterion(name: &str, classes: usize) -> Option<Criterion> {
    match name {
        "cross-entropy" | "maximum a posteriori" => Some(Criterion::Logistic { scale: 1.0 }),
        "binary cross-entropy" => Some(Criterion::Logistic { scale: 1.0 / classes as f32 }),
        "squared error" => Some(Criterion::Quadratic { curvature: 2.0 / classes as f32 }),
        _ => None,
    }
}

/// `∂²l/∂x²` of one sample's outputs by central differences.
fn second_differences(formula: Formula, x: &[f64], label: usize) -> Vec<f64> {
    let step = 1e-3;
    let moved = |k: usize, by: f64| {
        let mut x = x.to_vec();
        x[k] += by;
        formula(&x, label)
    };
    let at = |k| (moved(k, step) - 2.0 * formula(x, label) + moved(k, -step)) / (step * step);
    (0..x.len()).map(at).collect()
}

#[test]
fn second_derivatives_of_losses() {
    for (samples, classes) in [(1, 2), (16, 10), (37, 10), (5, 33)] {
        let size = ClassesSize { samples, classes };
        let x: Vec<f32> = numbers(samples * classes, 1).into_iter().map(|x| 3.0 * x).collect();
        let labels: Vec<u16> = (0..samples).map(|n| (n * 7 % classes) as u16).collect();
        for (name, loss, formula) in LOSSES {
            let Some(criterion) = criterion(name, classes) else { continue };
            let of_sample = |(x, label): (&[f64], &u16)| second_differences(formula, x, usize::from(*label));
            let expected: Vec<f64> = wide(&x).chunks(classes).zip(&labels).flat_map(of_sample).collect();
            for mut device in devices() {
                let mut d = unwritten(&device, samples, classes);
                let x = to_activation(&device, &x, classes, 1.0);
                sums(&mut d, |out| loss(&mut device, &size, &x, &labels, out));
                device.output_curvature(&size, criterion, &mut d);
                assert_padding_is_zero(&device, name, &d, samples, classes);
                let second = to_rows(&device, &d, samples, classes);
                assert!(second.iter().all(|h| *h >= 0.0), "{name}");
                assert_close(&format!("{name} {size:?}"), &second, &expected, 1e-5);
            }
        }
    }
}

fn radial_basis(device: &mut Cpu, size: &RadialBasisSize) -> [Vec<f32>; 5] {
    let RadialBasisSize { samples, inputs, outputs } = *size;
    let (x, centres) = (numbers(samples * inputs, 1), numbers(outputs * inputs, 2));
    let (d_y, h_y) = (numbers(samples * outputs, 3), numbers(samples * outputs, 4));
    // Positive on the whole, as the loss makes them, but for some samples.
    let d_y: Vec<f32> = d_y.into_iter().map(|d| d + 0.25).collect();
    let h_y: Vec<f32> = h_y.into_iter().map(f32::abs).collect();
    let (first, second) = (to_activation(device, &d_y, outputs, 0.0), to_activation(device, &h_y, outputs, 0.0));
    let derivatives = OutputDerivatives::<Cpu> { first: &first, second: &second };
    let mut h_x = unwritten(device, samples, inputs);
    device.radial_basis_curvature_input(size, &to_activation(device, &x, inputs, 3.0), &centres, derivatives, &mut h_x);
    assert_padding_is_zero(device, "h_x", &h_x, samples, inputs);
    [x, centres, d_y, h_y, to_rows(device, &h_x, samples, inputs)]
}

#[test]
fn second_derivatives_of_radial_basis_functions() {
    for [samples, inputs, outputs] in [[1, 1, 1], [3, 84, 10], [17, 5, 3]] {
        let size = RadialBasisSize { samples, inputs, outputs };
        for mut device in devices() {
            let [x, centres, d_y, h_y, h_x] = radial_basis(&mut device, &size);
            let mut expected = Vec::new();
            for (n, x) in wide(&x).chunks(inputs).enumerate() {
                for (i, x) in x.iter().enumerate() {
                    let term = |o: usize| {
                        let slope = 2.0 * (x - f64::from(centres[o * inputs + i]));
                        let [d, h] = [&d_y, &h_y].map(|values| f64::from(values[n * outputs + o]));
                        2.0 * d + slope * slope * h
                    };
                    expected.push((0..outputs).map(term).sum::<f64>().max(0.0));
                }
            }
            assert_close(&format!("{size:?}"), &h_x, &expected, 1e-6);
        }
    }
}

/// A criterion of distances has the second derivatives that differences of the whole formula have, where one class alone
/// counts: there nothing is off the diagonal.
#[test]
fn the_criterion_of_distances_is_exact_for_one_class() {
    let (x, centre) = (numbers(7, 1), numbers(7, 2));
    let whole = |x: &[f64]| {
        let distance = |x: &[f64]| x.iter().zip(&centre).map(|(x, c)| (x - f64::from(*c)).powi(2)).sum::<f64>();
        // A loss of one distance: 1/8 of its square.
        distance(x).powi(2) / 8.0
    };
    let step = 1e-3;
    let at = wide(&x);
    let distance: f64 = at.iter().zip(&centre).map(|(x, c)| (x - f64::from(*c)).powi(2)).sum();
    let expected: Vec<f64> = (0..7)
        .map(|i| {
            let moved = |by: f64| {
                let mut x = at.clone();
                x[i] += by;
                whole(&x)
            };
            (moved(step) - 2.0 * whole(&at) + moved(-step)) / (step * step)
        })
        .collect();
    for mut device in devices() {
        let size = RadialBasisSize { samples: 1, inputs: 7, outputs: 1 };
        let first = to_activation(&device, &[(distance / 4.0) as f32], 1, 0.0);
        let second = to_activation(&device, &[0.25], 1, 0.0);
        let derivatives = OutputDerivatives::<Cpu> { first: &first, second: &second };
        let mut h_x = unwritten(&device, 1, 7);
        device.radial_basis_curvature_input(&size, &to_activation(&device, &x, 7, 0.0), &centre, derivatives, &mut h_x);
        assert_close("h_x", &to_rows(&device, &h_x, 1, 7), &expected, 1e-5);
    }
}

#[test]
fn squares_and_multiples_of_any_length() {
    for len in [0, 1, 16, 53] {
        let x = numbers(len, 1);
        for mut device in devices() {
            let (mut squares, mut scaled) = (vec![7.0; len], x.clone());
            device.square(&x, &mut squares);
            device.scale(0.3, &mut scaled);
            assert_eq!(bits(&squares), bits(&x.iter().map(|x| x * x).collect::<Vec<_>>()));
            assert_eq!(bits(&scaled), bits(&x.iter().map(|x| x * 0.3).collect::<Vec<_>>()));
        }
    }
}

#[test]
fn steps_are_divided_by_the_second_derivatives() {
    let (rate, mu) = (5e-4f32, 0.02f32);
    let rule = Rule::Diagonal(Diagonal { learning_rate: 5e-4, mu: 0.02 });
    let update = Update { scaling: Scaling::mean(3), decay: Decay::None, rule };
    for len in [0, 1, 16, 53] {
        let (gradient, before) = (numbers(len, 1), numbers(len, 3));
        let curvature: Vec<f32> = numbers(len, 2).into_iter().map(f32::abs).collect();
        let step = |i: usize| before[i] - rate / (mu + curvature[i]) * (gradient[i] * (1.0f64 / 3.0) as f32);
        let expected: Vec<f32> = (0..len).map(step).collect();
        for mut device in devices() {
            let (mut h, mut w) = (curvature.clone(), before.clone());
            let state = [Some(h.as_mut_slice()), None, None];
            device.update(&update, Vectors::<Cpu> { gradient: &gradient, parameters: &mut w, state });
            assert_eq!(bits(&w), bits(&expected));
            assert_eq!(bits(&h), bits(&curvature), "they stay");
        }
    }
}

#[test]
fn all_instruction_sets_give_the_same_bits() {
    let size = RadialBasisSize { samples: 33, inputs: 84, outputs: 10 };
    instruction_sets::check("radial basis", |device| radial_basis(device, &size)[4].clone());
    let size = ClassesSize { samples: 33, classes: 10 };
    let d: Vec<f32> = instruction_sets::rounding(330, 1).into_iter().map(|d| 3.0 * d).collect();
    instruction_sets::check("logistic", |device| {
        let mut d = to_activation(device, &d, 10, 0.0);
        device.output_curvature(&size, Criterion::Logistic { scale: 0.3 }, &mut d);
        d
    });
}

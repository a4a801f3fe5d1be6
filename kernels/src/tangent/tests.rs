//! Tangents of losses' gradients against nested differences of the losses' formulas, and their padding.

use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::tangent::{AtOutputs, OutputTangent, Tangent};

use crate::layout::{assert_close, assert_padding_is_zero, devices, to_activation, to_rows, unwritten};
use crate::losses::{Formula, LOSSES, sums};
use lockstep_selftest::numbers::{numbers, wide};

fn kind(name: &str, classes: usize) -> OutputTangent {
    match name {
        "squared error" => OutputTangent::Quadratic { curvature: 2.0 / classes as f32 },
        "binary cross-entropy" => OutputTangent::Sigmoid { scale: 1.0 / classes as f32 },
        "maximum a posteriori" => OutputTangent::Shares,
        _ => OutputTangent::Softmax,
    }
}

/// `∂/∂ε ∂l/∂x_k` along r of one sample.
fn differences(formula: Formula, x: &[f64], r: &[f64], label: usize) -> Vec<f64> {
    let step = 1e-3;
    let moved = |along: f64, k: usize, by: f64| {
        let mut x: Vec<f64> = x.iter().zip(r).map(|(x, r)| x + along * r).collect();
        x[k] += by;
        formula(&x, label)
    };
    let at = |k| {
        let sum = moved(step, k, step) - moved(step, k, -step) - moved(-step, k, step) + moved(-step, k, -step);
        sum / (4.0 * step * step)
    };
    (0..x.len()).map(at).collect()
}

#[test]
fn tangents_of_losses() {
    for (samples, classes) in [(1, 2), (16, 10), (37, 10), (5, 33)] {
        let size = ClassesSize { samples, classes };
        let x: Vec<f32> = numbers(samples * classes, 1).into_iter().map(|x| 3.0 * x).collect();
        let r = numbers(samples * classes, 7);
        let labels: Vec<u16> = (0..samples).map(|n| (n * 7 % classes) as u16).collect();
        for (name, loss, formula) in LOSSES {
            let (wide_x, wide_r) = (wide(&x), wide(&r));
            let pairs = wide_x.chunks(classes).zip(wide_r.chunks(classes)).zip(&labels);
            let of_sample = |((x, r), label): ((&[f64], &[f64]), &u16)| differences(formula, x, r, usize::from(*label));
            let expected: Vec<f64> = pairs.flat_map(of_sample).collect();
            for mut device in devices() {
                let mut d_x = unwritten(&device, samples, classes);
                let x = to_activation(&device, &x, classes, 1.0);
                sums(&mut d_x, |out| loss(&mut device, &size, &x, &labels, out));
                let mut tangent = to_activation(&device, &r, classes, 5.0);
                device.output_tangent(&size, kind(name, classes), AtOutputs { x: &x, d_x: &d_x }, &mut tangent);
                assert_padding_is_zero(&device, name, &tangent, samples, classes);
                let rows = to_rows(&device, &tangent, samples, classes);
                assert_close(&format!("{name} {size:?}"), &rows, &expected, 1e-5);
            }
        }
    }
}

//! Radial basis functions.

use lockstep_kernels::device::{ActivationShape, Precision};
use lockstep_kernels::radial_basis::{OutputDerivatives, RadialBasis, RadialBasisSize};

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::{numbers, rows, wide};

const SIZES: [[usize; 3]; 5] = [[1, 1, 1], [3, 84, 10], [17, 5, 3], [2, 70, 1], [5, 70, 13]];

/// Its centres are fixed: only x has a gradient.
pub fn radial_basis<D: RadialBasis>(bench: &mut Bench<'_, D>) {
    for [samples, inputs, outputs] in SIZES {
        let size = RadialBasisSize { samples, inputs, outputs };
        let centres = numbers(outputs * inputs, 9);
        let wide = wide(&centres);
        bench.gradient_check(
            ("radial basis", &case(&size)),
            &rows([samples * inputs, samples * outputs]),
            |[x, _]| formulas::radial_basis(&size, x, &wide),
            |device, rows| both_passes(device, &size, &centres, rows),
            1e-6,
        );
        if bench.device.precision() == Precision::F32 {
            curvature(bench, &size);
        }
    }
}

fn case(size: &RadialBasisSize) -> String {
    format!("{} × {} to {}", size.samples, size.inputs, size.outputs)
}

/// Of x, d_y.
fn both_passes<D: RadialBasis>(
    device: &mut D,
    size: &RadialBasisSize,
    centres: &[f32],
    [x, d_y]: &[Vec<f32>; 2],
) -> [Vec<f32>; 2] {
    let (inside, outside) = shapes(size);
    let (x, d_y) = (Array::activation(device, &inside, x), Array::activation(device, &outside, d_y));
    let centres = Array::tensor(device, centres);
    let mut y = Array::unwritten_activation(device, &outside);
    let mut d_x = Array::unwritten_activation(device, &inside);
    device.radial_basis_forward(size, x.view(), centres.view(), y.view_mut());
    device.radial_basis_backward_input(size, x.view(), centres.view(), d_y.view(), d_x.view_mut());
    [y.rows(device, &outside), d_x.rows(device, &inside)]
}

fn shapes(size: &RadialBasisSize) -> (ActivationShape, ActivationShape) {
    (ActivationShape::flat(size.samples, size.inputs), ActivationShape::flat(size.samples, size.outputs))
}

/// `max(0, 2 · Σ d_y + Σ (2 · (x − centre))² · h_y)`. `d_y` is positive on the whole, as the loss makes it, but for some
/// samples.
fn curvature<D: RadialBasis>(bench: &mut Bench<'_, D>, size: &RadialBasisSize) {
    let RadialBasisSize { samples, inputs, outputs } = *size;
    let [x, centres, d_y, h_y] = rows([samples * inputs, outputs * inputs, samples * outputs, samples * outputs]);
    let d_y: Vec<f32> = d_y.into_iter().map(|d| d + 0.25).collect();
    let h_y: Vec<f32> = h_y.into_iter().map(f32::abs).collect();
    let of_input = |index: usize| {
        let (n, i) = (index / inputs, index % inputs);
        let term = |o: usize| {
            let slope = 2.0 * (f64::from(x[index]) - f64::from(centres[o * inputs + i]));
            2.0 * f64::from(d_y[n * outputs + o]) + slope * slope * f64::from(h_y[n * outputs + o])
        };
        (0..outputs).map(term).sum::<f64>().max(0.0)
    };
    let expected: Vec<f64> = (0..samples * inputs).map(of_input).collect();
    let on_device = |device: &mut D| {
        let (inside, outside) = shapes(size);
        let (first, second) = (Array::activation(device, &outside, &d_y), Array::activation(device, &outside, &h_y));
        let (x, centres) = (Array::activation(device, &inside, &x), Array::tensor(device, &centres));
        let mut h_x = Array::unwritten_activation(device, &inside);
        let derivatives = OutputDerivatives { first: first.view(), second: second.view() };
        device.radial_basis_curvature_input(size, x.view(), centres.view(), derivatives, h_x.view_mut());
        h_x.rows(device, &inside)
    };
    let [found, again] = [(); 2].map(|()| on_device(bench.device));
    bench.compare(("radial basis", &case(size), "curvature"), [&found, &again], &expected, 1e-6);
}

//! What second derivatives need beside the gradients' ops.

use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::curvature::{Criterion, Curvature};
use lockstep_kernels::device::ActivationShape;

use crate::Bench;
use crate::array::Array;
use crate::numbers::{numbers, wide};

pub fn curvature<D: Curvature>(bench: &mut Bench<'_, D>) {
    squares_and_multiples(bench);
    for (samples, classes) in [(1, 2), (16, 10), (37, 10), (5, 33), (70, 40)] {
        let size = ClassesSize { samples, classes };
        quadratic(bench, &size);
        for scale in [1.0, 1.0 / classes as f32] {
            logistic(bench, &size, scale);
        }
    }
}

/// To the bit.
fn squares_and_multiples<D: Curvature>(bench: &mut Bench<'_, D>) {
    for len in [0, 1, 16, 53, 1000] {
        let x: Vec<f32> = numbers(len, 1).into_iter().map(|x| x / 3.0).collect();
        let squares: Vec<f32> = x.iter().map(|x| x * x).collect();
        let multiples: Vec<f32> = x.iter().map(|x| x * 0.3).collect();
        let [first, again] = [(); 2].map(|()| {
            let mut of_x = Array::tensor(bench.device, &x);
            let mut y = Array::unwritten(bench.device, len);
            bench.device.square(of_x.view(), y.view_mut());
            bench.device.scale(0.3, of_x.view_mut());
            [y.read(bench.device), of_x.read(bench.device)]
        });
        let case = format!("of {len}");
        bench.compare(("square", &case, "y"), [&first[0], &again[0]], &wide(&squares), 0.0);
        bench.compare(("scale", &case, "x"), [&first[1], &again[1]], &wide(&multiples), 0.0);
    }
}

fn quadratic<D: Curvature>(bench: &mut Bench<'_, D>, size: &ClassesSize) {
    let curvature = 2.0 / size.classes as f32;
    let d = numbers(size.samples * size.classes, 1);
    let expected = vec![f64::from(curvature); d.len()];
    check(bench, size, (Criterion::Quadratic { curvature }, &d), &[("to the bit", expected, 0.0)]);
}

/// Gradients `scale · (p − t)` of chances p, and one that was rounded above its bound.
fn logistic<D: Curvature>(bench: &mut Bench<'_, D>, size: &ClassesSize, scale: f32) {
    let chances: Vec<f32> = numbers(size.samples * size.classes, 1).into_iter().map(|x| (x + 1.0) / 2.0).collect();
    let target = |i: usize| if i.is_multiple_of(size.classes) { 1.0 } else { 0.0 };
    let mut d: Vec<f32> = chances.iter().enumerate().map(|(i, p)| scale * (p - target(i))).collect();
    let mut derivatives: Vec<f64> = chances.iter().map(|p| f64::from(scale * p) * f64::from(1.0 - p)).collect();
    d[0] = -scale * 1.000_001;
    derivatives[0] = 0.0;
    let reciprocal = 1.0 / scale;
    let rounded: Vec<f32> = d.iter().map(|d| d.abs() * (1.0 - d.abs() * reciprocal).max(0.0)).collect();
    let expected = [("to the bit", wide(&rounded), 0.0), ("by the chances", derivatives, 1e-6)];
    check(bench, size, (Criterion::Logistic { scale }, &d), &expected);
}

fn check<D: Curvature>(
    bench: &mut Bench<'_, D>,
    size: &ClassesSize,
    (criterion, d): (Criterion, &[f32]),
    expected: &[(&'static str, Vec<f64>, f64)],
) {
    let shape = ActivationShape::flat(size.samples, size.classes);
    let [first, again] = [(); 2].map(|()| {
        let mut of_d = Array::activation(bench.device, &shape, d);
        bench.device.output_curvature(size, criterion, of_d.view_mut());
        of_d.rows(bench.device, &shape)
    });
    for (part, values, bound) in expected {
        let case = ("output_curvature", &*format!("{size:?}, {criterion:?}"), *part);
        bench.compare(case, [&first, &again], values, *bound);
    }
}

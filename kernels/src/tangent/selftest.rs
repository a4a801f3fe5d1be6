//! Tangents: what bends, chosen places, and gradients of losses.

use lockstep_kernels::activation::{Activation, ActivationSize};
use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::device::ActivationShape;
use lockstep_kernels::pool2d::{Pool2d, Pool2dSize};
use lockstep_kernels::tangent::{AtOutputs, Bend, OutputTangent, Tangent};

use crate::Bench;
use crate::array::Array;
use crate::numbers::{numbers, rows, wide};

pub fn tangents<D: Tangent + Pool2d>(bench: &mut Bench<'_, D>) {
    for (samples, features) in [(1, 1), (19, 3), (20, 30)] {
        let size = ActivationSize { samples, features };
        let functions = [
            Activation::Relu,
            Activation::LeakyRelu { slope: 0.2 },
            Activation::Sigmoid,
            Activation::Tanh,
            Activation::ScaledTanh,
        ];
        functions.into_iter().for_each(|function| bend(bench, &size, function));
    }
    for [samples, channels, height, width, window, stride, padding] in
        [[2, 2, 7, 8, 3, 2, 1], [17, 1, 9, 9, 3, 2, 0], [3, 2, 4, 6, 2, 2, 0], [1, 3, 5, 6, 2, 1, 1]]
    {
        chosen(bench, &Pool2dSize { samples, channels, height, width, window, stride, padding });
    }
    for (samples, classes) in [(1, 2), (16, 10), (37, 10), (5, 33), (70, 40)] {
        let size = ClassesSize { samples, classes };
        let scale = 1.0 / classes as f32;
        let losses = [
            OutputTangent::Softmax,
            OutputTangent::Sigmoid { scale },
            OutputTangent::Quadratic { curvature: 2.0 * scale },
            OutputTangent::Shares,
        ];
        losses.into_iter().for_each(|loss| outputs(bench, &size, loss));
    }
}

/// df′/dy, written down anew.
fn slope_of_slope(function: Activation, y: f64) -> f64 {
    match function {
        Activation::Relu | Activation::LeakyRelu { .. } => 0.0,
        Activation::Sigmoid => 1.0 - 2.0 * y,
        Activation::Tanh => -2.0 * y,
        Activation::ScaledTanh => -4.0 / 3.0 * y / 1.7159,
    }
}

fn bend<D: Tangent>(bench: &mut Bench<'_, D>, size: &ActivationSize, function: Activation) {
    let shape = ActivationShape::flat(size.samples, size.features);
    let [y, r_y, d_y, r_d] = bench.held(rows([shape.values(); 4]));
    let term = |i: usize| slope_of_slope(function, f64::from(y[i])) * f64::from(r_y[i]) * f64::from(d_y[i]);
    let expected: Vec<f64> = (0..shape.values()).map(|i| f64::from(r_d[i]) + term(i)).collect();
    let [first, again] = [(); 2].map(|()| {
        let [y, r_y, d_y] = [&y, &r_y, &d_y].map(|rows| Array::activation(bench.device, &shape, rows));
        let mut sum = Array::activation(bench.device, &shape, &r_d);
        let at = Bend { y: y.view(), r_y: r_y.view(), d_y: d_y.view() };
        bench.device.bend(size, function, at, sum.view_mut());
        sum.rows(bench.device, &shape)
    });
    let case = format!("{function:?} of {} × {}", size.samples, size.features);
    bench.compare(("bend", &case, "r_d"), [&first, &again], &expected, 1e-6);
}

/// The chosen value of the very input is the maximum.
fn chosen<D: Tangent + Pool2d>(bench: &mut Bench<'_, D>, size: &Pool2dSize) {
    let Pool2dSize { samples, channels, height, width, .. } = *size;
    let inside = ActivationShape { samples, channels, plane: height * width };
    let outside = ActivationShape { samples, channels, plane: size.out_height() * size.out_width() };
    let [x, r_x] = bench.held(rows([inside.values(); 2]));
    let choices = bench.device.note_len(samples, outside.features());
    let [first, again] = [(); 2].map(|()| {
        let [x, r_x] = [&x, &r_x].map(|rows| Array::activation(bench.device, &inside, rows));
        let [mut y, mut same, mut r_y] = [(); 3].map(|()| Array::unwritten_activation(bench.device, &outside));
        let mut choice = Array::<D, u8>::zeros(bench.device, choices);
        bench.device.max_pool2d_forward(size, x.view(), y.view_mut(), choice.view_mut());
        bench.device.chosen(size, x.view(), choice.view(), same.view_mut());
        bench.device.chosen(size, r_x.view(), choice.view(), r_y.view_mut());
        [y, same, r_y].map(|values| values.rows(bench.device, &outside))
    });
    let case = format!("{size:?}");
    bench.compare(("chosen", &case, "maximum"), [&first[1], &again[1]], &wide(&first[0]), 0.0);
    // Where all values differ, a place of x is that of its tangent.
    let of = |value: f32, window: usize| {
        let (plane, cell) = (window / outside.plane, window % outside.plane);
        let (row, column) = (cell / size.out_width() * size.stride, cell % size.out_width() * size.stride);
        let places = (0..size.window * size.window).filter_map(|place| {
            let row = (row + place / size.window).checked_sub(size.padding).filter(|row| *row < height)?;
            let column = (column + place % size.window).checked_sub(size.padding).filter(|column| *column < width)?;
            Some(plane * inside.plane + row * width + column)
        });
        places.into_iter().find(|place| x[*place] == value).map_or(f64::NAN, |place| f64::from(r_x[place]))
    };
    let expected: Vec<f64> = first[0].iter().enumerate().map(|(window, value)| of(*value, window)).collect();
    bench.compare(("chosen", &case, "tangent"), [&first[2], &again[2]], &expected, 0.0);
}

fn outputs<D: Tangent>(bench: &mut Bench<'_, D>, size: &ClassesSize, loss: OutputTangent) {
    let ClassesSize { samples, classes } = *size;
    let shape = ActivationShape::flat(samples, classes);
    let x: Vec<f32> = numbers(shape.values(), 1).into_iter().map(|x| 3.0 * x).collect();
    // Shares of wrong answers, and a label's gradient of 1.
    let d: Vec<f32> = numbers(shape.values(), 2)
        .into_iter()
        .enumerate()
        .map(|(i, x)| if i % classes == 1 { 1.0 } else { -x.abs() / classes as f32 })
        .collect();
    let [x, d, r] = bench.held([x, d, numbers(shape.values(), 3)]);
    let (x_of, d_of, r_of) = (wide(&x), wide(&d), wide(&r));
    let expected: Vec<f64> = (0..shape.values())
        .map(|i| {
            let row = i / classes * classes..(i / classes + 1) * classes;
            let total: f64 = x_of[row.clone()].iter().map(|x| x.exp()).sum();
            let share = |k: usize| match loss {
                OutputTangent::Softmax => x_of[k].exp() / total,
                _ => (-d_of[k]).max(0.0),
            };
            match loss {
                OutputTangent::Quadratic { curvature } => f64::from(curvature) * r_of[i],
                OutputTangent::Sigmoid { scale } => {
                    let of = 1.0 / (1.0 + (-x_of[i]).exp());
                    f64::from(scale) * of * (1.0 - of) * r_of[i]
                }
                _ => share(i) * (r_of[i] - row.map(|k| share(k) * r_of[k]).sum::<f64>()),
            }
        })
        .collect();
    let [first, again] = [(); 2].map(|()| {
        let [x, d_x] = [&x, &d].map(|rows| Array::activation(bench.device, &shape, rows));
        let mut tangent = Array::activation(bench.device, &shape, &r);
        let at = AtOutputs { x: x.view(), d_x: d_x.view() };
        bench.device.output_tangent(size, loss, at, tangent.view_mut());
        tangent.rows(bench.device, &shape)
    });
    let case = format!("{loss:?} of {samples} × {classes}");
    bench.compare(("output_tangent", &case, "r_d"), [&first, &again], &expected, 2e-6);
}

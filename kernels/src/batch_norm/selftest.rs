//! Batch normalisation: gradients, moments, large means, running moments, what is no number.

use lockstep_kernels::batch_norm::{
    BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize,
};
use lockstep_kernels::device::ActivationShape;

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::{rows, wide};

pub fn batch_norm<D: BatchNorm>(bench: &mut Bench<'_, D>) {
    small_shapes(bench);
    shapes_of_many_blocks(bench);
    a_single_value(bench);
    a_large_mean_costs_no_digits(bench);
    evaluation_takes_running_moments(bench);
    a_nan_stays(bench);
}

/// What goes in; a residual only if it is not empty.
struct Operands {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    residual: Vec<f32>,
    d_y: Vec<f32>,
}

impl Operands {
    fn new(size: &BatchNormSize, residual: bool) -> Self {
        let len = size.samples * size.channels * size.plane;
        let [x, weight, bias, residual, d_y] =
            rows([len, size.channels, size.channels, if residual { len } else { 0 }, len]);
        Self { x, weight, bias, residual, d_y }
    }

    fn held<D: BatchNorm>(self, bench: &Bench<'_, D>) -> Self {
        let Self { x, weight, bias, residual, d_y } = self;
        let [x, weight, bias, residual, d_y] = bench.held([x, weight, bias, residual, d_y]);
        Self { x, weight, bias, residual, d_y }
    }
}

/// Every value that both passes yield, activations as rows.
struct Results {
    y: Vec<f32>,
    moments: Vec<f32>,
    statistics: Vec<f32>,
    d_residual: Vec<f32>,
    d_x: Vec<f32>,
    d_weight: Vec<f32>,
    d_bias: Vec<f32>,
}

fn shape(size: &BatchNormSize) -> ActivationShape {
    ActivationShape { samples: size.samples, channels: size.channels, plane: size.plane }
}

fn both_passes<D: BatchNorm>(device: &mut D, size: &BatchNormSize, operands: &Operands) -> Results {
    let shape = shape(size);
    let x = Array::activation(device, &shape, &operands.x);
    let (weight, bias) = (Array::tensor(device, &operands.weight), Array::tensor(device, &operands.bias));
    let has_residual = !operands.residual.is_empty();
    let residual = has_residual.then(|| Array::activation(device, &shape, &operands.residual));
    let mut y = Array::unwritten_activation(device, &shape);
    let [mut moments, mut statistics] = [(); 2].map(|()| Array::unwritten(device, 2 * size.channels));
    device.batch_norm_forward(
        size,
        BatchNormInput {
            x: x.view(),
            weight: weight.view(),
            bias: bias.view(),
            residual: residual.as_ref().map(Array::view),
        },
        BatchNormOutput { y: y.view_mut(), moments: moments.view_mut(), statistics: statistics.view_mut() },
    );
    let mut d_y = Array::activation(device, &shape, &operands.d_y);
    let mut d_x = Array::unwritten_activation(device, &shape);
    let [mut d_weight, mut d_bias] = [(); 2].map(|()| Array::unwritten(device, size.channels));
    // Without a relu any view will do for y.
    let output = if size.relu { y.view() } else { weight.view() };
    device.batch_norm_backward(
        size,
        BatchNormSaved { x: x.view(), y: output, weight: weight.view(), moments: moments.view() },
        BatchNormGradients {
            d_y: d_y.view_mut(),
            d_x: d_x.view_mut(),
            d_weight: d_weight.view_mut(),
            d_bias: d_bias.view_mut(),
        },
    );
    let [y, d_residual, d_x] = [y, d_y, d_x].map(|activation| activation.rows(device, &shape));
    let [moments, statistics, d_weight, d_bias] =
        [moments, statistics, d_weight, d_bias].map(|tensor| tensor.read(device));
    Results { y, moments, statistics, d_residual, d_x, d_weight, d_bias }
}

fn twice<D: BatchNorm>(device: &mut D, size: &BatchNormSize, operands: &Operands) -> [Results; 2] {
    [(); 2].map(|()| both_passes(device, size, operands))
}

/// Gradients against differences.
fn small_shapes<D: BatchNorm>(bench: &mut Bench<'_, D>) {
    for [samples, channels, plane] in [[2, 1, 1], [1, 2, 3], [5, 3, 4], [16, 2, 5], [33, 1, 3], [2, 2, 70]] {
        // With two values the gradient is all but 0 unless ε weighs something.
        let epsilon = if samples * plane < 4 { 0.5 } else { 1e-5 };
        for (relu, residual) in [(false, false), (true, false), (false, true), (true, true)] {
            let size = BatchNormSize { samples, channels, plane, epsilon, relu };
            let Operands { x, weight, bias, residual, d_y } = Operands::new(&size, residual);
            let has_residual = !residual.is_empty();
            bench.gradient_check(
                ("batch_norm", &format!("{size:?}, residual: {has_residual}")),
                &[x, weight, bias, residual, d_y],
                |[x, w, b, r, _]| formulas::batch_norm(&size, [x, w, b, r], None),
                |device, operands| {
                    let [x, weight, bias, residual, d_y] = operands.clone();
                    let r = both_passes(device, &size, &Operands { x, weight, bias, residual, d_y });
                    [r.y, r.d_x, r.d_weight, r.d_bias, if has_residual { r.d_residual } else { Vec::new() }]
                },
                2e-6,
            );
        }
    }
}

/// Everything against the contract's formulas: channels and rows in several blocks, few rows, and rows of which a thread
/// has more than it holds at once.
fn shapes_of_many_blocks<D: BatchNorm>(bench: &mut Bench<'_, D>) {
    for [samples, channels, plane] in [[5, 3, 4], [5, 70, 40], [300, 2, 16], [40, 300, 1], [2, 300, 2], [3, 520, 1]] {
        let size = BatchNormSize { samples, channels, plane, epsilon: 1e-5, relu: true };
        let mut operands = Operands::new(&size, true);
        // So that sums round.
        operands.x.iter_mut().for_each(|x| *x /= 3.0);
        let operands = operands.held(bench);
        let expected = expected(&size, &operands);
        let found = twice(bench.device, &size, &operands).map(
            |Results { y, moments, statistics, d_residual, d_x, d_weight, d_bias }| {
                [y, moments, statistics, d_residual, d_x, d_weight, d_bias]
            },
        );
        let names = ["y", "moments", "statistics", "d_residual", "d_x", "d_weight", "d_bias"];
        for (i, name) in names.into_iter().enumerate() {
            let found = found.each_ref().map(|results| results[i].as_slice());
            bench.compare(("batch_norm", &format!("{size:?}"), name), found, &expected[i], 2e-6);
        }
    }
}

/// As [`Results`] has them.
fn expected(size: &BatchNormSize, operands: &Operands) -> [Vec<f64>; 7] {
    let [x, w, b, r] = [&operands.x, &operands.weight, &operands.bias, &operands.residual].map(|row| wide(row));
    let n = (size.samples * size.plane) as f64;
    let of_batch = formulas::batch_moments(size, &x);
    let y = formulas::batch_norm(size, [&x, &w, &b, &r], Some(&of_batch));
    let inverse = |channel: usize| 1.0 / (of_batch[channel].1 + f64::from(size.epsilon)).sqrt();
    let means = of_batch.iter().map(|(mean, _)| *mean);
    let moments = means.clone().chain((0..size.channels).map(inverse)).collect();
    let unbiased = of_batch.iter().map(|(_, variance)| variance * n / (n - 1.0));
    let statistics = means.chain(unbiased).map(|value| size.samples as f64 * value).collect();
    let mask = |(d, y): (&f32, &f64)| if *y > 0.0 { f64::from(*d) } else { 0.0 };
    let d_y: Vec<f64> = operands.d_y.iter().zip(&y).map(mask).collect();
    let channel = |i: usize| i / size.plane % size.channels;
    let normalised: Vec<f64> = (0..x.len()).map(|i| (x[i] - of_batch[channel(i)].0) * inverse(channel(i))).collect();
    let (mut d_w, mut d_b) = (vec![0.0; size.channels], vec![0.0; size.channels]);
    for (i, d) in d_y.iter().enumerate() {
        d_w[channel(i)] += d * normalised[i];
        d_b[channel(i)] += d;
    }
    let d_x = |i: usize| {
        let c = channel(i);
        w[c] * inverse(c) * (d_y[i] - d_b[c] / n - normalised[i] * d_w[c] / n)
    };
    let d_x = (0..x.len()).map(d_x).collect();
    [y, moments, statistics, d_y, d_x, d_w, d_b]
}

/// Its variance is 0, so the output is the bias, and nothing comes back.
fn a_single_value<D: BatchNorm>(bench: &mut Bench<'_, D>) {
    let size = BatchNormSize { samples: 1, channels: 2, plane: 1, epsilon: 1e-5, relu: false };
    let operands = Operands::new(&size, false).held(bench);
    let [first, again] = twice(bench.device, &size, &operands);
    let statistics = [operands.x.clone(), vec![0.0; 2]].concat();
    let case = |part| ("batch_norm", "of one value", part);
    bench.compare(case("y"), [&first.y, &again.y], &wide(&operands.bias), 0.0);
    bench.compare(case("statistics"), [&first.statistics, &again.statistics], &wide(&statistics), 0.0);
    bench.compare(case("d_x"), [&first.d_x, &again.d_x], &[0.0; 2], 0.0);
}

/// The mean is 3,500 times the deviation, and there are 40,000 values.
fn a_large_mean_costs_no_digits<D: BatchNorm>(bench: &mut Bench<'_, D>) {
    let size = BatchNormSize { samples: 40, channels: 2, plane: 1000, epsilon: 1e-9, relu: false };
    let mut operands = Operands::new(&size, false);
    // Exact in f32: 10 bits before the point, 10 behind it.
    operands.x.iter_mut().for_each(|x| *x = 1000.0 - *x / 2.0);
    let operands = operands.held(bench);
    let [y, moments, statistics, ..] = expected(&size, &operands);
    let [first, again] = twice(bench.device, &size, &operands);
    let case = |part| ("batch_norm", "of a large mean", part);
    bench.compare(case("y"), [&first.y, &again.y], &y, 1e-6);
    let of_both = |of: fn(&Results) -> &[f32]| [of(&first), of(&again)];
    bench.compare(case("mean"), of_both(|r| &r.moments[..2]), &moments[..2], 1e-7);
    bench.compare(case("inverse"), of_both(|r| &r.moments[2..]), &moments[2..], 1e-7);
    bench.compare(case("unbiased variance"), of_both(|r| &r.statistics[2..]), &statistics[2..], 1e-7);
}

fn evaluation_takes_running_moments<D: BatchNorm>(bench: &mut Bench<'_, D>) {
    for (relu, residual) in [(false, false), (true, true)] {
        let size = BatchNormSize { samples: 19, channels: 3, plane: 5, epsilon: 1e-3, relu };
        let operands = Operands::new(&size, residual).held(bench);
        let running = [0.5, -0.25, 3.0, 0.5, 2.0, 0.0625];
        let moments = [(0.5, 0.5), (-0.25, 2.0), (3.0, 0.0625)];
        let [x, w, b, r] = [&operands.x, &operands.weight, &operands.bias, &operands.residual].map(|row| wide(row));
        let expected = formulas::batch_norm(&size, [&x, &w, &b, &r], Some(&moments));
        let [first, again] = [(); 2].map(|()| evaluate(bench.device, &size, &operands, &running));
        let case = ("batch_norm", &*format!("by running moments, {size:?}"), "y");
        bench.compare(case, [&first, &again], &expected, 1e-6);
    }
}

fn evaluate<D: BatchNorm>(device: &mut D, size: &BatchNormSize, operands: &Operands, running: &[f32]) -> Vec<f32> {
    let shape = shape(size);
    let x = Array::activation(device, &shape, &operands.x);
    let [weight, bias, running] =
        [&operands.weight, &operands.bias, running].map(|values| Array::tensor(device, values));
    let has_residual = !operands.residual.is_empty();
    let residual = has_residual.then(|| Array::activation(device, &shape, &operands.residual));
    let mut y = Array::unwritten_activation(device, &shape);
    let input = BatchNormInput {
        x: x.view(),
        weight: weight.view(),
        bias: bias.view(),
        residual: residual.as_ref().map(Array::view),
    };
    device.batch_norm_evaluate(size, input, running.view(), y.view_mut());
    y.rows(device, &shape)
}

/// A NaN is seen by whoever looks at the loss; it does not become a 0.
fn a_nan_stays<D: BatchNorm>(bench: &mut Bench<'_, D>) {
    let size = BatchNormSize { samples: 3, channels: 1, plane: 2, epsilon: 1e-5, relu: true };
    let mut operands = Operands::new(&size, false);
    operands.x[1] = f32::NAN;
    let is_nan = |value: &f32| f32::from(u8::from(value.is_nan()));
    let found = twice(bench.device, &size, &operands)
        .map(|r| [r.y, r.statistics, r.moments].concat().iter().map(is_nan).collect::<Vec<_>>());
    let ones = vec![1.0; found[0].len()];
    bench.compare(("batch_norm", "of a NaN", "is NaN"), [&found[0], &found[1]], &ones, 0.0);
}

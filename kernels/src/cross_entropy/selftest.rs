//! Losses over classes: values, gradients, and counts of right answers.

use lockstep_kernels::binary_cross_entropy::BinaryCrossEntropy;
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy, MixedLabels};
use lockstep_kernels::device::{ActivationShape, LossOutput, LossSums};
use lockstep_kernels::map_loss::{MapLoss, MapLossSize};
use lockstep_kernels::squared_error::SquaredError;

use crate::Bench;
use crate::array::Array;
use crate::formulas;
use crate::numbers::{rows, stretched};

/// All of them.
pub trait Losses: CrossEntropy + BinaryCrossEntropy + SquaredError + MapLoss {}
impl<D: CrossEntropy + BinaryCrossEntropy + SquaredError + MapLoss> Losses for D {}

#[derive(Clone, Copy)]
enum Loss {
    CrossEntropy,
    Smoothed(f32),
    /// With the other label of each sample, and shares; see [`other`] and [`share`].
    Mixed(f32),
    EachOutput,
    Squares,
    /// With j.
    Distances(f32),
}

const LOSSES: [(&str, Loss); 8] = [
    ("cross-entropy", Loss::CrossEntropy),
    ("smoothed cross-entropy", Loss::Smoothed(0.125)),
    ("wholly smoothed cross-entropy", Loss::Smoothed(1.0)),
    ("mixed cross-entropy", Loss::Mixed(0.0)),
    ("mixed and smoothed cross-entropy", Loss::Mixed(0.125)),
    ("binary cross-entropy", Loss::EachOutput),
    ("squared error", Loss::Squares),
    ("maximum a posteriori", Loss::Distances(0.5)),
];

/// The other label of a mixed sample: for some it is the same.
fn other(label: u16, classes: usize) -> u16 {
    (label / 2 + 1) % classes as u16
}

/// How much of a mixed sample is of the class of its first label: from nothing to all.
fn share(label: u16) -> f32 {
    f32::from(label % 9) * 0.125
}

impl Loss {
    /// The sums, and the gradient's rows.
    fn of<D: Losses>(self, device: &mut D, size: &ClassesSize, rows: &[f32], labels: &[u16]) -> (LossSums, Vec<f32>) {
        let shape = ActivationShape::flat(size.samples, size.classes);
        let logits = Array::activation(device, &shape, rows);
        let mut d_x = Array::unwritten_activation(device, &shape);
        let mut sums = Array::tensor(device, &[f64::NAN; LossSums::LEN]);
        let others: Vec<u16> = labels.iter().map(|label| other(*label, size.classes)).collect();
        let shares: Vec<f32> = labels.iter().map(|label| share(*label)).collect();
        let (labels, others) = (Array::tensor(device, labels), Array::tensor(device, &others));
        let shares = Array::tensor(device, &shares);
        let (x, labels) = (logits.view(), labels.view());
        let output = LossOutput { d_x: d_x.view_mut(), sums: sums.view_mut() };
        match self {
            Self::CrossEntropy => device.cross_entropy(size, x, labels, output),
            Self::Smoothed(smoothing) => device.smoothed_cross_entropy(size, smoothing, x, labels, output),
            Self::Mixed(smoothing) => {
                let labels = MixedLabels { labels, others: others.view(), shares: shares.view() };
                device.mixed_cross_entropy(size, smoothing, x, labels, output);
            }
            Self::EachOutput => device.binary_cross_entropy(size, x, labels, output),
            Self::Squares => device.squared_error(size, x, labels, output),
            Self::Distances(rubbish) => device.map_loss(&MapLossSize { classes: *size, rubbish }, x, labels, output),
        }
        let mut found = [0.0; LossSums::LEN];
        device.read(sums.view(), &mut found);
        (LossSums::of(found), d_x.rows(device, &shape))
    }

    /// Of one sample.
    fn formula(self, x: &[f64], label: usize) -> f64 {
        match self {
            Self::CrossEntropy => formulas::cross_entropy(x, label),
            Self::Smoothed(smoothing) => formulas::smoothed_cross_entropy(x, label, f64::from(smoothing)),
            Self::Mixed(smoothing) => {
                let (label, smoothing) = (label as u16, f64::from(smoothing));
                let (other, share) = (usize::from(other(label, x.len())), f64::from(share(label)));
                let of = |label| formulas::smoothed_cross_entropy(x, label, smoothing);
                share * of(usize::from(label)) + (1.0 - share) * of(other)
            }
            Self::EachOutput => formulas::binary_cross_entropy(x, label),
            Self::Squares => formulas::squared_error(x, label),
            Self::Distances(rubbish) => formulas::map_loss(x, label, f64::from(rubbish)),
        }
    }
}

pub fn losses<D: Losses>(bench: &mut Bench<'_, D>) {
    // The last ones have a label that no byte can name, and more samples than are added at once.
    for (samples, classes) in [(1, 2), (16, 10), (37, 10), (5, 33), (2, 150), (2, 260), (260, 2)] {
        let size = ClassesSize { samples, classes };
        let labels: Vec<u16> = (0..samples).map(|n| ((n * 7 + classes - 1) % classes) as u16).collect();
        for (op, loss) in LOSSES {
            gradients(bench, (op, loss), &size, &labels);
            counts(bench, (op, loss), &size, &labels);
        }
    }
    ties(bench);
    extremes().iter().for_each(|extreme| extreme.check(bench));
}

/// The value is the micro-batch's sum, so that there is one number behind each.
fn gradients<D: Losses>(
    bench: &mut Bench<'_, D>,
    (op, loss): (&'static str, Loss),
    size: &ClassesSize,
    labels: &[u16],
) {
    let ClassesSize { samples, classes } = *size;
    let [x] = stretched(5.0, rows([samples * classes]));
    bench.gradient_check(
        (op, &format!("{samples} × {classes}")),
        &[x, vec![1.0]],
        |[x, _]| {
            let rows = x.chunks(classes).zip(labels);
            vec![rows.map(|(x, label)| loss.formula(x, usize::from(*label))).sum()]
        },
        |device, [x, _]| {
            let (sums, d_x) = loss.of(device, size, x, labels);
            [vec![sums.loss as f32], d_x]
        },
        1e-6,
    );
}

fn counts<D: Losses>(bench: &mut Bench<'_, D>, (op, loss): (&'static str, Loss), size: &ClassesSize, labels: &[u16]) {
    let [x] = bench.held(rows([size.samples * size.classes]));
    let [found, again] = [(); 2].map(|()| counted(&loss.of(bench.device, size, &x, labels).0));
    let sign = if matches!(loss, Loss::Distances(_)) { -1.0 } else { 1.0 };
    let expected = right_answers(&x, size.classes, labels, sign);
    let case = format!("{} × {}", size.samples, size.classes);
    bench.compare((op, &case, "right answers"), [&found, &again], &expected, 0.0);
}

fn counted(sums: &LossSums) -> [f32; 2] {
    [sums.correct as f32, sums.correct_in_5 as f32]
}

/// Labels whose output is the best, and among the five best, in a stable order of the outputs times `sign`.
fn right_answers(x: &[f32], classes: usize, labels: &[u16], sign: f32) -> [f64; 2] {
    let place = |(x, label): (&[f32], &u16)| {
        let mut order: Vec<usize> = (0..classes).collect();
        order.sort_by(|a, b| (sign * x[*b]).total_cmp(&(sign * x[*a])));
        order.iter().position(|k| *k == usize::from(*label))
    };
    let places: Vec<_> = x.chunks(classes).zip(labels).map(place).collect();
    [1, 5].map(|bound| places.iter().filter(|place| place.is_some_and(|place| place < bound)).count() as f64)
}

/// Of equal outputs the first are better; a NaN stands ahead of all, is right nowhere, and reaches the gradient.
fn ties<D: Losses>(bench: &mut Bench<'_, D>) {
    let size = ClassesSize { samples: 5, classes: 7 };
    let rows = [
        [1.0; 7],
        [1.0; 7],
        [9.0, 8.0, 7.0, 6.0, 5.0, 5.0, 0.0],
        [9.0, 8.0, 7.0, 6.0, f32::NAN, 5.0, 0.0],
        [f32::NAN; 7],
    ];
    let of_device =
        |device: &mut D, labels: &[u16; 5]| Loss::CrossEntropy.of(device, &size, rows.as_flattened(), labels);
    for (labels, expected) in
        [([0, 5, 5, 5, 0], [1.0, 1.0]), ([1, 4, 4, 3, 0], [0.0, 4.0]), ([4, 6, 0, 4, 0], [1.0, 2.0])]
    {
        let [found, again] = [(); 2].map(|()| counted(&of_device(bench.device, &labels).0));
        let case = format!("equal outputs and NaNs, labels {labels:?}");
        bench.compare(("cross-entropy", &case, "right answers"), [&found, &again], &expected, 0.0);
    }
    let nans = |d_x: Vec<f32>| -> Vec<f32> { d_x.into_iter().map(|d| f32::from(u8::from(d.is_nan()))).collect() };
    let [found, again] = [(); 2].map(|()| nans(of_device(bench.device, &[0; 5]).1));
    let expected = [vec![0.0; 21], vec![1.0; 14]].concat();
    bench.compare(
        ("cross-entropy", "equal outputs and NaNs", "NaNs of the gradient"),
        [&found, &again],
        &expected,
        0.0,
    );
}

/// Outputs whose powers overflow, or whose losses vanish.
struct Extreme {
    op: &'static str,
    case: &'static str,
    loss: Loss,
    classes: usize,
    x: Vec<f32>,
    labels: Vec<u16>,
    value: f64,
    d_x: Vec<f64>,
}

impl Extreme {
    fn check<D: Losses>(&self, bench: &mut Bench<'_, D>) {
        let size = ClassesSize { samples: self.labels.len(), classes: self.classes };
        let [(found, d_x), (again, d_x_again)] =
            [(); 2].map(|()| self.loss.of(bench.device, &size, &self.x, &self.labels));
        let values = [found, again].map(|sums| sums.loss as f32);
        bench.compare((self.op, self.case, "value"), [&values[..1], &values[1..]], &[self.value], 1e-6);
        bench.compare((self.op, self.case, "gradient"), [&d_x, &d_x_again], &self.d_x, 1e-6);
    }
}

fn extremes() -> [Extreme; 4] {
    let power = |x: f64| x.exp();
    [
        Extreme {
            op: "cross-entropy",
            case: "large outputs",
            loss: Loss::CrossEntropy,
            classes: 2,
            x: vec![1e4, -1e4, -3e38, 3e38],
            labels: vec![0, 1],
            value: 0.0,
            d_x: vec![0.0; 4],
        },
        Extreme {
            op: "cross-entropy",
            case: "a class ruled out",
            loss: Loss::CrossEntropy,
            classes: 3,
            x: vec![0.0, f32::NEG_INFINITY, 0.0],
            labels: vec![0],
            value: 2f64.ln(),
            d_x: vec![-0.5, 0.0, 0.5],
        },
        // The losses keep their digits.
        Extreme {
            op: "binary cross-entropy",
            case: "near zero",
            loss: Loss::EachOutput,
            classes: 2,
            x: vec![30.0, -200.0],
            labels: vec![0],
            value: power(-30.0) / 2.0,
            d_x: vec![-power(-30.0) / 2.0, 0.0],
        },
        Extreme {
            op: "maximum a posteriori",
            case: "large outputs",
            loss: Loss::Distances(1.0),
            classes: 2,
            x: vec![0.0, 1e4, 1e4, 0.0, 3e38, 3e38],
            labels: vec![0, 0, 0],
            value: -1.0 + (1e4 + (1.0 + power(-1.0)).ln()) + (f64::from(3e38f32) - 1.0),
            d_x: vec![1.0, 0.0, 1.0, -1.0 / (1.0 + power(-1.0)), 1.0, 0.0],
        },
    ]
}

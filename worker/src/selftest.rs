//! Whole networks on a device, beside the same on the CPU: what `lockstep selftest` does behind the ops.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::device::{Device, Precision};
use lockstep_proto::job::{self, ModelName};

use crate::model::{BuildError, SampleShape};
use crate::trainer::Trial;

/// How much is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Small networks on small images.
    Small,
    /// All named networks at the size that they are known for.
    Full,
}

/// One training step of a network.
#[derive(Clone, Debug)]
pub struct StepCheck {
    /// Which network.
    pub model: ModelName,
    /// Its samples.
    pub shape: SampleShape,
    /// `‖g − g′‖ / ‖g′‖` of the gradient g of a micro-batch, with the CPU's g′.
    pub error: f64,
    /// What it may be.
    pub bound: f64,
    /// Whether a second computation gave the same bits.
    pub repeats: bool,
}

impl StepCheck {
    /// Whether it is as it should be. An error that is no number is not.
    pub fn passed(&self) -> bool {
        self.error <= self.bound && self.repeats
    }
}

/// Samples of a micro-batch: enough for batch normalisation to have something to divide by.
const SAMPLES: usize = 4;
/// Of differences of roundings, which normalisations over four samples enlarge from layer to layer; in bf16 some ReLUs and
/// poolings choose otherwise, which in AlexNet makes 7% in PyTorch too.
fn bound(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-3,
        Precision::Bf16 => 0.25,
    }
}

/// One step of each network; of bf16 activations only of those without normalisation over the four samples, which makes
/// anything of a rounding.
///
/// # Errors
/// If a network does not fit its samples.
pub fn steps<D: Device>(device: &mut D, effort: Effort) -> Result<Vec<StepCheck>, BuildError> {
    use ModelName::*;
    let is_tame = |model| matches!(model, Mlp | Lenet5 | Lenet5Of1998 | Alexnet | AlexnetOf2012 | Vgg11 | Vgg16);
    let all = device.precision() == Precision::F32;
    let networks = networks(effort).into_iter().filter(|(model, _)| all || is_tame(*model));
    networks.map(|(model, side)| step(device, model, side)).collect()
}

/// Networks with the side of their images.
fn networks(effort: Effort) -> Vec<(ModelName, usize)> {
    use ModelName::*;
    let small = vec![(Mlp, 28), (Lenet5, 28), (Lenet5Of1998, 32)];
    let large = [Alexnet, AlexnetOf2012, Vgg11, Vgg11Bn, Vgg16, Vgg16Bn, Resnet18, Resnet34, Resnet50, Resnet101];
    let cifar = [Resnet20, Resnet32, Resnet44, Resnet56, Resnet110];
    match effort {
        Effort::Small => small.into_iter().chain([(Resnet20, 16), (Resnet18, 32)]).collect(),
        Effort::Full => {
            let of = |models: &[ModelName], side| models.iter().map(|model| (*model, side)).collect::<Vec<_>>();
            [small, of(&cifar, 32), of(&large, 224)].concat()
        }
    }
}

fn step<D: Device>(device: &mut D, model: ModelName, side: usize) -> Result<StepCheck, BuildError> {
    let channels =
        if side <= 32 && matches!(model, ModelName::Mlp | ModelName::Lenet5 | ModelName::Lenet5Of1998) { 1 } else { 3 };
    let shape = SampleShape { channels, height: side, width: side, classes: 10 };
    let mut cpu = Cpu::new(InstructionSet::detect());
    let expected = gradient(&mut cpu, model, shape)?;
    let found = gradient(device, model, shape)?;
    let again = gradient(device, model, shape)?;
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let repeats = bits(&found) == bits(&again);
    let (error, bound) = (relative_difference(&found, &expected), bound(device.precision()));
    Ok(StepCheck { model, shape, error, bound, repeats })
}

fn gradient<D: Device>(device: &mut D, model: ModelName, shape: SampleShape) -> Result<Vec<f32>, BuildError> {
    let names = job::Model { name: model, ..job::Model::default() };
    let mut trial = Trial::new(device, &names, shape, SAMPLES)?;
    let (pixels, labels) = samples(shape, SAMPLES, 0);
    trial.compute(device, &pixels, &labels);
    Ok(trial.gradient(device))
}

/// Blurred patches whose place tells the class, over noise that tells nothing.
fn samples(shape: SampleShape, count: usize, turn: usize) -> (Vec<u8>, Vec<u16>) {
    let SampleShape { channels, height, width, classes } = shape;
    let (mut pixels, mut labels) = (Vec::with_capacity(count * shape.features()), Vec::with_capacity(count));
    for sample in 0..count {
        let id = turn * count + sample;
        let class = id * 7 % classes;
        labels.push(class as u16);
        let (row, column) = (height * (class / 5 + 1) / 4, width * (class % 5 + 1) / 6);
        for place in 0..channels * height * width {
            let (i, j) = (place / width % height, place % width);
            let distance = i.abs_diff(row).pow(2) + j.abs_diff(column).pow(2);
            let noise = (id * 131 + place * 7919) % 61;
            pixels.push((190 / (1 + distance / 4) + noise) as u8);
        }
    }
    (pixels, labels)
}

fn relative_difference(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let pairs = found.iter().zip(expected);
    let difference = norm(&mut pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut expected.iter().map(|value| f64::from(*value))).max(1e-30)
}

/// Mean losses of a training run, step by step.
#[derive(Clone, Debug)]
pub struct Curve {
    /// On the device.
    pub losses: Vec<f64>,
    /// On the CPU.
    pub of_cpu: Vec<f64>,
    /// How far they may be apart.
    pub bound: f64,
}

impl Curve {
    /// Largest difference of a step; no number if a loss is none.
    pub fn difference(&self) -> f64 {
        let pairs = self.losses.iter().zip(&self.of_cpu).map(|(a, b)| (a - b).abs());
        pairs.fold(0.0, |worst, apart| if apart > worst || apart.is_nan() { apart } else { worst })
    }

    /// Whether both fall alike.
    pub fn passed(&self) -> bool {
        self.difference() <= self.bound && self.of_cpu.last() < self.of_cpu.first()
    }
}

/// LeNet-5 trained for 200 steps of 64 samples, or 20.
///
/// # Errors
/// If LeNet-5 does not fit its samples.
pub fn curve<D: Device>(device: &mut D, effort: Effort) -> Result<Curve, BuildError> {
    let steps = match effort {
        Effort::Small => 20,
        Effort::Full => 200,
    };
    let of_cpu = losses(&mut Cpu::new(InstructionSet::detect()), steps)?;
    let bound = match device.precision() {
        Precision::F32 => 0.01,
        Precision::Bf16 => 0.05,
    };
    Ok(Curve { losses: losses(device, steps)?, of_cpu, bound })
}

fn losses<D: Device>(device: &mut D, steps: usize) -> Result<Vec<f64>, BuildError> {
    const BATCH: usize = 64;
    let names = job::Model { name: ModelName::Lenet5, ..job::Model::default() };
    let shape = SampleShape { channels: 1, height: 28, width: 28, classes: 10 };
    let mut trial = Trial::new(device, &names, shape, BATCH)?;
    let step = |turn| {
        let (pixels, labels) = samples(shape, BATCH, turn);
        let loss = trial.compute(device, &pixels, &labels).loss / BATCH as f64;
        trial.descend(device, 0.05);
        loss
    };
    Ok((0..steps).map(step).collect())
}

//! Logits, gradients and batch statistics of whole networks, against PyTorch in f64.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_proto::job::{self, ModelName};
use lockstep_worker::layers::MicroBatch;
use lockstep_worker::model::{Activations, Model, SampleShape, Tensor, Weights, build};

use super::fixtures as expected;

const SAMPLES: usize = 2;
const CLASSES: usize = 10;

/// The formula of the fixtures: multiples of 1/504 in about ±1.
fn units(name: &str, len: usize) -> impl Iterator<Item = f64> + use<> {
    let turn: u64 = (1..).zip(name.bytes()).map(|(k, byte)| k * u64::from(byte)).sum::<u64>() % 1009;
    (0..len as u64).map(move |i| ((i * 7919 + turn * 104_729) % 1009) as f64 / 504.0 - 1.0)
}

fn filled(tensors: &[Tensor]) -> Vec<f32> {
    let mut values = Vec::new();
    for tensor in tensors {
        let (name, shape) = (&tensor.shape.name, &tensor.shape.shape);
        let scale = (3.0 / shape[1..].iter().product::<usize>() as f64).sqrt();
        values.extend(units(name, tensor.range.len()).map(|unit| match name.rsplit('.').next() {
            Some("running_var") => 1.0 + unit / 2.0,
            Some("running_mean" | "bias") => unit / 10.0,
            // Small, or gradients of bottlenecks depend on the last bits.
            _ if name.ends_with("bn3.weight") => (1.0 + unit / 4.0) / 8.0,
            _ if shape.len() == 1 => 1.0 + unit / 4.0,
            _ => unit * scale,
        } as f32));
    }
    values
}

/// A network with the fixtures' weights, and samples before it.
struct Net {
    device: Cpu,
    model: Model<Cpu>,
    parameters: Vec<f32>,
    statistics: Vec<f32>,
    activations: Activations<Cpu>,
}

impl Net {
    fn new(name: ModelName, side: usize, convolution: job::Convolution) -> Self {
        let device = Cpu::new(InstructionSet::detect());
        let shape = SampleShape { channels: 3, height: side, width: side, classes: CLASSES };
        let model = build(&job::Model { name, convolution, ..job::Model::default() }, shape).unwrap();
        let mut parameters = filled(model.tensors());
        let statistics = parameters.split_off(model.parameters());
        let mut activations = Activations::new(&device, &model, SAMPLES);
        let features = shape.features();
        let samples: Vec<f32> = units("x", SAMPLES * features).map(|unit| unit as f32).collect();
        let input = activations.input(&device, &model, SAMPLES);
        for (n, sample) in samples.chunks(features).enumerate() {
            sample.iter().enumerate().for_each(|(feature, value)| input[feature * 16 + n] = *value);
        }
        Self { device, model, parameters, statistics, activations }
    }

    fn batch() -> MicroBatch<'static> {
        MicroBatch { samples: SAMPLES, keys: &[0; 2 * SAMPLES] }
    }

    fn logits(&mut self) -> Vec<f64> {
        let weights = Weights::<Cpu> { parameters: &self.parameters, statistics: &self.statistics };
        self.model.evaluate(&mut self.device, Self::batch(), weights, &mut self.activations);
        let (output, _) = self.activations.output(&self.device, &self.model, SAMPLES);
        let of_sample = |n: usize| (0..CLASSES).map(move |class| f64::from(output[class * 16 + n]));
        (0..SAMPLES).flat_map(of_sample).collect()
    }

    /// Loss, then each parameter tensor's gradient times the formula, summed, by name; and the same of
    /// the running statistics behind the step.
    fn gradients(&mut self) -> (Vec<f64>, Vec<f64>) {
        let mut gradient = vec![0.0; self.model.len()];
        let (d_parameters, statistics) = gradient.split_at_mut(self.model.parameters());
        let weights = Weights::<Cpu> { parameters: &self.parameters, statistics: &self.statistics };
        self.model.forward(&mut self.device, Self::batch(), weights, &mut self.activations, statistics);
        let (output, d_output) = self.activations.output(&self.device, &self.model, SAMPLES);
        let size = ClassesSize { samples: SAMPLES, classes: CLASSES };
        let sums = self.device.cross_entropy(&size, output, &[3u8, 7], d_output);
        self.model.backward(&mut self.device, Self::batch(), weights, &mut self.activations, d_parameters);
        let mut all = vec![sums.loss / SAMPLES as f64];
        let trained = self.model.parameters();
        let (trains, follows): (Vec<&Tensor>, Vec<&Tensor>) =
            self.model.tensors().iter().partition(|tensor| tensor.range.end <= trained);
        all.extend(projections(trains, |i| f64::from(d_parameters[i]) / SAMPLES as f64));
        let running = |i: usize| {
            let (before, step) = (self.statistics[i - trained], statistics[i - trained]);
            0.9 * f64::from(before) + 0.1 * f64::from(step) / SAMPLES as f64
        };
        (all, projections(follows, running))
    }
}

/// Each tensor's elements times the formula, summed, sorted by the tensors' names.
fn projections(mut tensors: Vec<&Tensor>, element: impl Fn(usize) -> f64) -> Vec<f64> {
    tensors.sort_by(|a, b| a.shape.name.cmp(&b.shape.name));
    let project = |tensor: &Tensor| {
        let units = units(&format!("r{}", tensor.shape.name), tensor.range.len());
        units.zip(tensor.range.clone()).map(|(unit, index)| unit * element(index)).sum()
    };
    tensors.into_iter().map(project).collect()
}

/// The largest difference, relative to the largest value.
fn worst(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    differences.fold(0.0f64, |worst, difference| if difference.is_nan() { f64::NAN } else { worst.max(difference) })
        / largest
}

fn check_logits(name: ModelName, side: usize, theirs: &[f64]) {
    for (convolution, bound) in [(job::Convolution::Direct, 1e-5), (job::Convolution::Auto, 1e-4)] {
        let error = worst(&Net::new(name, side, convolution).logits(), theirs);
        println!("{name:?} {convolution:?}: {error:.1e}");
        assert!(error < bound, "{name:?} {convolution:?}: {error}");
    }
}

#[test]
fn residual_networks_have_torchvisions_logits() {
    check_logits(ModelName::Resnet18, 64, &expected::RESNET18);
    check_logits(ModelName::Resnet34, 32, &expected::RESNET34);
    check_logits(ModelName::Resnet50, 64, &expected::RESNET50);
    check_logits(ModelName::Resnet101, 32, &expected::RESNET101);
}

#[test]
fn small_residual_networks_have_pytorchs_logits() {
    check_logits(ModelName::Resnet20, 32, &expected::RESNET20);
    check_logits(ModelName::Resnet32, 16, &expected::RESNET32);
}

#[test]
fn alexnet_has_torchvisions_logits() {
    check_logits(ModelName::Alexnet, 224, &expected::ALEXNET);
}

#[test]
#[ignore = "takes gigabytes and a minute: cargo test --release -p lockstep-worker --test models -- --ignored"]
fn vgg_has_torchvisions_logits() {
    check_logits(ModelName::Vgg11, 224, &expected::VGG11);
    check_logits(ModelName::Vgg11Bn, 224, &expected::VGG11_BN);
    check_logits(ModelName::Vgg16, 224, &expected::VGG16);
    check_logits(ModelName::Vgg16Bn, 224, &expected::VGG16_BN);
}

#[test]
fn gradients_and_batch_statistics_are_pytorchs() {
    // Of a million inputs of ReLUs some are within rounding of zero; whether one passes shows in the gradient.
    check_gradients((ModelName::Resnet18, 64, 1e-4), &expected::RESNET18_GRADIENTS, &expected::RESNET18_STATISTICS);
    check_gradients((ModelName::Resnet50, 64, 1e-2), &expected::RESNET50_GRADIENTS, &expected::RESNET50_STATISTICS);
    check_gradients((ModelName::Resnet20, 32, 1e-4), &expected::RESNET20_GRADIENTS, &expected::RESNET20_STATISTICS);
}

fn check_gradients((name, side, bound): (ModelName, usize, f64), gradients: &[f64], statistics: &[f64]) {
    for convolution in [job::Convolution::Direct, job::Convolution::Auto] {
        let (ours, running) = Net::new(name, side, convolution).gradients();
        let errors = (worst(&ours, gradients), worst(&running, statistics));
        println!("{name:?} {convolution:?}: {errors:?}");
        assert!((ours[0] - gradients[0]).abs() < 1e-5 * gradients[0], "{name:?}: loss {}", ours[0]);
        assert!(errors.0 < bound && errors.1 < 1e-5, "{name:?} {convolution:?}: {errors:?}");
    }
}

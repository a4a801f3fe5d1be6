//! A network by name with weights and samples that come from a formula, the same in PyTorch: see `fixtures`.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::{LossOutput, LossSums};
use lockstep_proto::job;
use lockstep_worker::layers::MicroBatch;
use lockstep_worker::model::{Activations, Model, SampleShape, Tensor, Weights, build};

use crate::layout::{to_activation, to_rows};

/// Most samples of a network: those that share a pack.
const MOST_SAMPLES: usize = 16;
/// Keys of dropout's masks, one a sample and stream.
const KEYS: [u64; 8 * MOST_SAMPLES] = [0; 8 * MOST_SAMPLES];

/// The formula of the fixtures: multiples of 1/504 in about ±1.
pub fn units(name: &str, len: usize) -> impl Iterator<Item = f64> + use<> {
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

/// A network with the formula's weights, and samples before it.
pub struct Net {
    device: Cpu,
    pub model: Model<Cpu>,
    pub parameters: Vec<f32>,
    pub statistics: Vec<f32>,
    /// Values before the network, sample by sample.
    pub samples: Vec<f32>,
    activations: Activations<Cpu>,
    count: usize,
    classes: usize,
}

impl Net {
    /// A network over this many samples.
    pub fn new(model: &job::Model, shape: SampleShape, samples: usize) -> Self {
        assert!(samples <= MOST_SAMPLES);
        let device = Cpu::new(InstructionSet::detect());
        let model = build(model, shape).unwrap();
        let mut parameters = filled(model.tensors());
        let statistics = parameters.split_off(model.parameters());
        let activations = Activations::new(&device, &model, samples);
        let values = units("x", samples * shape.features()).map(|unit| unit as f32).collect();
        Self {
            device,
            model,
            parameters,
            statistics,
            samples: values,
            activations,
            count: samples,
            classes: shape.classes,
        }
    }

    /// The same network, whose way back runs layers again.
    pub fn recomputing(self) -> Self {
        let model = self.model.recomputing();
        let activations = Activations::new(&self.device, &model, self.count);
        Self { model, activations, ..self }
    }

    fn batch(&self) -> MicroBatch<'static, Cpu> {
        MicroBatch::<Cpu> { samples: self.count, keys: &KEYS[..self.model.streams() * self.count] }
    }

    /// Writes the samples: the way back lays gradients over them.
    fn load(&mut self) {
        let features = self.model.input_features();
        let samples = to_activation(&self.device, &self.samples, features, 0.0);
        self.activations.input(&self.device, &self.model, self.count).copy_from_slice(&samples);
    }

    /// Outputs in evaluation, sample by sample.
    pub fn logits(&mut self) -> Vec<f64> {
        self.load();
        let batch = self.batch();
        let weights = Weights::<Cpu> { parameters: &self.parameters, statistics: &self.statistics };
        self.model.evaluate(&mut self.device, batch, weights, &mut self.activations);
        let (output, _) = self.activations.output(&self.device, &self.model, self.count);
        to_rows(&self.device, output, self.count, self.classes).into_iter().map(f64::from).collect()
    }

    /// Sum of the losses in training under these labels, whose gradient is laid behind the network, and the
    /// micro-batch's statistics.
    pub fn loss(&mut self, labels: &[u16]) -> (f64, Vec<f32>) {
        self.load();
        let mut statistics = vec![0.0; self.model.statistics()];
        let batch = self.batch();
        let weights = Weights::<Cpu> { parameters: &self.parameters, statistics: &self.statistics };
        self.model.forward(&mut self.device, batch, weights, &mut self.activations, &mut statistics);
        let (output, d_output) = self.activations.output(&self.device, &self.model, self.count);
        let size = ClassesSize { samples: self.count, classes: self.classes };
        let mut sums = [0.0; LossSums::LEN];
        self.device.cross_entropy(&size, output, labels, LossOutput { d_x: d_output, sums: &mut sums });
        (LossSums::of(sums).loss, statistics)
    }

    /// Gradient of the sum of the losses, behind [`Net::loss`].
    pub fn gradient(&mut self) -> Vec<f32> {
        let mut gradient = vec![0.0; self.model.parameters()];
        let batch = self.batch();
        let weights = Weights::<Cpu> { parameters: &self.parameters, statistics: &self.statistics };
        self.model.backward(&mut self.device, batch, weights, &mut self.activations, &mut gradient, &mut |_, _, _| {});
        gradient
    }
}

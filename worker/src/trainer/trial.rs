//! One network and one micro-batch on a device, outside of any job: for the canary, `selftest` and `bench`.

use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::device::{Device, LossOutput, LossSums};
use lockstep_kernels::optimizer::{Decay, Rule, Scaling, Sgd, Update, Vectors};
use lockstep_kernels::pixels::{Levels, PixelsSize};
use lockstep_proto::job;

use super::upload::Upload;
use crate::layers::MicroBatch;
use crate::model::{Activations, BuildError, Model, SampleShape, Weights, build, initial_values};

/// Seed of the weights.
const SEED: u64 = 7;

/// A network with its weights, and memory for one micro-batch.
pub struct Trial<D: Device> {
    model: Model<D>,
    shape: SampleShape,
    samples: usize,
    activations: Activations<D>,
    /// The flat vector.
    weights: D::Buffer<f32>,
    gradient: D::Buffer<f32>,
    /// Of the micro-batch.
    statistics: D::Buffer<f32>,
    /// The optimiser's, for each parameter.
    velocity: D::Buffer<f32>,
    pixels: Upload<D, u8>,
    labels: Upload<D, u16>,
    /// One a sample and stream of random numbers.
    keys: Upload<D, u64>,
    sums: D::Buffer<f64>,
    /// Parts of the gradient, a layer each, and their squared norms.
    layers: D::Parts,
    norms: D::Buffer<f64>,
}

impl<D: Device> Trial<D> {
    /// A network with initial weights, always the same.
    ///
    /// # Errors
    /// If it does not fit the samples' shape.
    pub fn new(device: &mut D, names: &job::Model, shape: SampleShape, samples: usize) -> Result<Self, BuildError> {
        let model: Model<D> = build(names, shape)?;
        let initial = initial_values(model.tensors(), SEED, names);
        let mut weights = device.zeros(model.len());
        device.write(&initial, D::view_mut(&mut weights, 0..initial.len()));
        let streams = model.streams() * samples;
        let mut keys = Upload::new(device, streams);
        keys.replace(device, &(0..streams as u64).collect::<Vec<_>>());
        let layers = model.layer_ranges();
        Ok(Self {
            activations: Activations::new(device, &model, samples),
            gradient: device.zeros(model.parameters()),
            statistics: device.zeros(model.statistics()),
            velocity: device.zeros(model.parameters()),
            pixels: Upload::new(device, samples * model.input_features()),
            labels: Upload::new(device, samples),
            keys,
            sums: device.zeros(LossSums::LEN),
            norms: device.zeros(layers.len()),
            layers: device.parts(&layers),
            weights,
            shape,
            samples,
            model,
        })
    }

    /// Elements that are trained.
    pub fn parameters(&self) -> usize {
        self.model.parameters()
    }

    /// The way forward and back, with softmax cross-entropy. `pixels` (N, C, H, W), `labels` (N).
    pub fn compute(&mut self, device: &mut D, pixels: &[u8], labels: &[u16]) -> LossSums {
        self.load(device, pixels, labels);
        self.forward(device);
        self.backward(device);
        self.sums(device)
    }

    /// Brings the micro-batch before the network. `pixels` (N, C, H, W), `labels` (N).
    pub fn load(&mut self, device: &mut D, pixels: &[u8], labels: &[u16]) {
        let (samples, input) = (self.samples, self.model.input_shape());
        let (features, plane) = (input.features(), input.plane());
        let size = PixelsSize { samples, features, plane, image: plane, levels: Levels::of_all(1.0 / 128.0, -1.0) };
        self.pixels.replace(device, pixels);
        self.labels.replace(device, labels);
        let to = self.activations.input(device, &self.model, samples);
        device.pixels_forward(&size, self.pixels.view(), to);
    }

    /// The way forward, with softmax cross-entropy, once behind each [`Trial::load`].
    pub fn forward(&mut self, device: &mut D) {
        let samples = self.samples;
        let batch = MicroBatch { samples, keys: self.keys.view() };
        let statistics = D::view_mut(&mut self.statistics, 0..self.model.statistics());
        self.model.forward(device, batch, weights(&self.model, &self.weights), &mut self.activations, statistics);
        let (x, d_x) = self.activations.output(device, &self.model, samples);
        let size = ClassesSize { samples, classes: self.shape.classes };
        let output = LossOutput { d_x, sums: D::view_mut(&mut self.sums, 0..LossSums::LEN) };
        device.cross_entropy(&size, x, self.labels.view(), output);
    }

    /// The way back, behind the way forward.
    pub fn backward(&mut self, device: &mut D) {
        let batch = MicroBatch { samples: self.samples, keys: self.keys.view() };
        let gradient = D::view_mut(&mut self.gradient, 0..self.model.parameters());
        let weights = weights(&self.model, &self.weights);
        self.model.backward(device, batch, weights, &mut self.activations, gradient, &mut |_, _, _| {});
    }

    /// Squared norms of the layers' gradients, which stay on the device.
    pub fn norms(&mut self, device: &mut D) {
        let gradient = D::view(&self.gradient, 0..self.model.parameters());
        let norms = D::view_mut(&mut self.norms, 0..self.model.layer_names().count());
        device.squared_norms(&self.layers, gradient, norms);
    }

    /// Waits for the way forward: what the loss has summed.
    pub fn sums(&self, device: &mut D) -> LossSums {
        let mut sums = [0.0; LossSums::LEN];
        device.read(D::view(&self.sums, 0..LossSums::LEN), &mut sums);
        LossSums::of(sums)
    }

    /// The gradient of the micro-batch's summed loss.
    pub fn gradient(&self, device: &mut D) -> Vec<f32> {
        let mut values = vec![0.0; self.model.parameters()];
        device.read(D::view(&self.gradient, 0..values.len()), &mut values);
        values
    }

    /// One step of plain gradient descent.
    pub fn descend(&mut self, device: &mut D, learning_rate: f64) {
        self.update(device, Sgd { learning_rate, momentum: 0.0, dampening: 0.0, nesterov: false, steps: 0 });
    }

    /// One step down the mean gradient.
    pub fn update(&mut self, device: &mut D, rule: Sgd) {
        let all = 0..self.model.parameters();
        let vectors = Vectors {
            gradient: D::view(&self.gradient, all.clone()),
            parameters: D::view_mut(&mut self.weights, all.clone()),
            state: [Some(D::view_mut(&mut self.velocity, all)), None, None],
        };
        let scaling = Scaling::mean(self.samples as u64);
        device.update(&Update { scaling, decay: Decay::None, rule: Rule::Sgd(rule) }, vectors);
    }
}

/// Both parts of the flat vector.
fn weights<'a, D: Device>(model: &Model<D>, flat: &'a D::Buffer<f32>) -> Weights<'a, D> {
    Weights::of_flat(D::view(flat, 0..model.len()), model.parameters(), model.len())
}

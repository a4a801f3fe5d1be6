//! What a trained network says of images that are in no data set.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::device::{ActivationShape, Memory};
use lockstep_kernels::pixels::{Pixels, PixelsSize};
use lockstep_proto::job::Job;

use super::{UseError, device};
use crate::layers::MicroBatch;
use crate::model::{Activations, Model, NamedWeights, SampleShape, Weights, build};
use crate::trainer::loss::Loss;
use crate::trainer::prepare;

/// A network with its weights, ready for one image at a time.
pub struct Predictor {
    device: Cpu,
    model: Model<Cpu>,
    flat: Vec<f32>,
    activations: Activations<Cpu>,
    pixels: PixelsSize,
    loss: Loss,
}

/// What the network says of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The network's outputs, one a class.
    pub outputs: Vec<f32>,
    /// Probabilities of the classes, as the loss has them.
    pub probabilities: Vec<f64>,
    /// Classes, the most probable first.
    pub ranking: Vec<usize>,
}

impl Predictor {
    /// The job's network for samples of this shape.
    ///
    /// # Errors
    /// If the weights are not those of this network.
    pub fn new(job: &Job, shape: SampleShape, weights: &NamedWeights) -> Result<Self, UseError> {
        let (device, model) = (device(), build::<Cpu>(&job.model, shape)?);
        let mut flat = vec![0.0; model.len()];
        weights.fill(model.tensors(), 0..0, &mut flat)?;
        let activations = Activations::new(&device, &model, 1);
        let pixels = PixelsSize { samples: 1, ..prepare::pixels(job, &shape, model.input_shape()) };
        let loss = Loss::of(&job.loss);
        Ok(Self { device, model, flat, activations, pixels, loss })
    }

    /// Looks at one image: pixels (channels, height, width).
    ///
    /// # Panics
    /// If there are fewer or more pixels than the network takes.
    pub fn predict(&mut self, pixels: &[u8]) -> Answer {
        let Self { device, model, activations, .. } = self;
        let input = activations.input(device, model, 1);
        device.pixels_forward(&self.pixels, pixels, input);
        let (parameters, statistics) = self.flat.split_at(model.parameters());
        let batch = MicroBatch::<Cpu> { samples: 1, keys: &[] };
        model.evaluate(device, batch, Weights { parameters, statistics }, activations);
        let mut outputs = vec![0.0; model.output_features()];
        let (output, _) = activations.output(device, model, 1);
        device.read_activation(&ActivationShape::flat(1, outputs.len()), output, &mut outputs);
        let probabilities = self.loss.probabilities(&outputs);
        Answer { ranking: self.ranking(&outputs), probabilities, outputs }
    }

    /// Classes by their outputs, the best first; of equal ones the first, NaNs last.
    fn ranking(&self, outputs: &[f32]) -> Vec<usize> {
        let mut left = outputs.to_vec();
        let mut ranking: Vec<usize> = Vec::with_capacity(left.len());
        while ranking.len() < outputs.len() && left.iter().any(|x| !x.is_nan()) {
            let best = self.loss.answer(&left);
            ranking.push(best);
            left[best] = f32::NAN;
        }
        let last: Vec<usize> = (0..outputs.len()).filter(|class| !ranking.contains(class)).collect();
        ranking.extend(last);
        ranking
    }
}

//! Images changed along the gradient of their loss, the fast gradient sign method: x + ε·sign(∇ₓL) (Goodfellow, Shlens &
//! Szegedy 2015, "Explaining and harnessing adversarial examples"), within black and white.
//!
//! It is done to the network's input, behind the conversion of pixels, so that ε need not be a whole number of grey levels:
//! normalisation is an increasing function, which keeps the sign.

use lockstep_kernels::device::Device;

use super::{LaneRunner, Row, Work};
use crate::layers::MicroBatch;
use crate::model::{Activations, Model, Weights};

/// Memory for the way to the input.
pub(super) struct Attack<D: Device> {
    activations: Activations<D>,
    /// Of the parameters, and of statistics, which nobody reads.
    unread: D::Buffer<f32>,
    input: Vec<f32>,
    slopes: Vec<f32>,
}

impl<D: Device> Attack<D> {
    fn new(device: &D, model: &Model<D>, samples: usize) -> Self {
        Self {
            activations: Activations::new(device, model, samples),
            unread: device.zeros(model.len()),
            input: Vec::new(),
            slopes: Vec::new(),
        }
    }
}

impl<D: Device> LaneRunner<D> {
    /// Changes the network's input of the loaded lane by `epsilon`, in white. `model`: the network, with a way back to its
    /// input. Its loss is that of training mode, which is that of evaluation in the networks that this is for.
    pub(super) fn attack(&mut self, work: &Work<D>, model: &Model<D>, weights: Weights<'_, D>, epsilon: f64) {
        let samples = self.samples();
        let made = |device: &D| Attack::new(device, model, work.micro_batch as usize);
        let mut attack = self.attack.take().unwrap_or_else(|| made(&self.device));
        std::mem::swap(&mut self.activations, &mut attack.activations);
        self.write_input(work);
        let (parameters, statistics) =
            D::split_mut(D::view_mut(&mut attack.unread, 0..model.len()), model.parameters());
        let batch = MicroBatch { samples, keys: self.keys.view() };
        model.forward(&mut self.device, batch, weights, &mut self.activations, statistics);
        self.loss(work, model, Row::Apart);
        let batch = MicroBatch { samples, keys: self.keys.view() };
        let untold = &mut |_: &mut D, _: &mut D::ViewMut<'_, f32>, _| {};
        model.backward(&mut self.device, batch, weights, &mut self.activations, parameters, untold);
        let shape = model.input_shape().of_samples(samples);
        attack.slopes.resize(shape.values(), 0.0);
        let slopes = model.input_gradient(&self.device, samples, &self.activations);
        self.device.read_activation(&shape, slopes, &mut attack.slopes);
        std::mem::swap(&mut self.activations, &mut attack.activations);

        self.write_input(work);
        attack.input.resize(shape.values(), 0.0);
        let input = D::shared(self.activations.input(&self.device, &work.model, samples));
        self.device.read_activation(&shape, input, &mut attack.input);
        let features = shape.features();
        for (place, (x, slope)) in attack.input.iter_mut().zip(&attack.slopes).enumerate() {
            let [black, white] = [0, 255].map(|level| work.pixels.value(place % features, level));
            *x = stepped(*x, *slope, (epsilon * f64::from(white - black)) as f32).clamp(black, white);
        }
        let input = self.activations.input(&self.device, &work.model, samples);
        self.device.write_activation(&shape, &attack.input, input);
        self.attack = Some(attack);
    }
}

/// One step up the slope; none where it is level, or no number.
fn stepped(x: f32, slope: f32, step: f32) -> f32 {
    if slope > 0.0 {
        x + step
    } else if slope < 0.0 {
        x - step
    } else {
        x
    }
}

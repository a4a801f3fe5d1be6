//! The way back of second derivatives, beside that of gradients: over the same layers, slots and tensors.

use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::curvature::Criterion;
use lockstep_kernels::device::Device;

use super::plan::Step;
use super::{Activations, BuildError, Model, Run, Weights};
use crate::layers::{Backward, Curvature, Layer, MicroBatch, SquaresMut};

/// Working memory beside [`Activations`].
pub struct CurvatureMemory<D: Device> {
    /// The gradient behind the last layer.
    slope: D::Buffer<f32>,
    parameters: D::Buffer<f32>,
    values: D::Buffer<f32>,
}

impl<D: Device> CurvatureMemory<D> {
    /// For micro-batches of up to `samples` samples.
    pub fn new(device: &D, model: &Model<D>, samples: usize) -> Self {
        let squares = || model.layers.iter().filter_map(|layer| layer.squares());
        let parameters = squares().map(|squares| squares.parameters).max().unwrap_or(0);
        let features = squares().map(|squares| squares.features).max().unwrap_or(0);
        Self {
            slope: device.zeros(device.activation_len(samples, model.output_features())),
            parameters: device.zeros(parameters),
            values: device.zeros(device.activation_len(samples, features)),
        }
    }

    /// One layer's pass.
    pub(super) fn pass<'a>(
        &'a mut self,
        layer: &dyn Layer<D>,
        is_last: bool,
        device: &mut D,
        len: usize,
        back: Backward<'a, D>,
    ) {
        let squares = layer.squares().unwrap_or_default();
        let values = device.activation_len(back.batch.samples, squares.features);
        let pass = Curvature {
            back,
            slope: is_last.then(|| D::view(&self.slope, 0..len)),
            squares: SquaresMut {
                parameters: D::view_mut(&mut self.parameters, 0..squares.parameters),
                values: D::view_mut(&mut self.values, 0..values),
            },
        };
        layer.curvature(device, pass);
    }
}

impl<D: Device> Model<D> {
    /// Whether all layers have second derivatives.
    ///
    /// # Errors
    /// Names the first layer that has none.
    pub fn check_curvature(&self) -> Result<(), BuildError> {
        let lacks = self.layers.iter().zip(&self.placed).find(|(layer, _)| layer.squares().is_none());
        lacks.map_or(Ok(()), |(_, placed)| Err(BuildError::NoCurvature { layer: placed.name.clone() }))
    }

    /// Runs all layers back from the gradient that the loss wrote to `activations`, with the second derivatives that
    /// `criterion` makes of it. Overwrites all of `second`, the parameters' part of a lane's gradient, with the diagonal
    /// of the Gauss–Newton matrix, summed over samples.
    ///
    /// # Panics
    /// If [`Model::check_curvature`] fails.
    pub fn curvature(
        &self,
        device: &mut D,
        batch: MicroBatch<'_, D>,
        weights: Weights<'_, D>,
        criterion: Criterion,
        memory: (&mut Activations<D>, &mut CurvatureMemory<D>),
        mut second: D::ViewMut<'_, f32>,
    ) {
        let (activations, memory) = memory;
        let size = ClassesSize { samples: batch.samples, classes: self.output_features() };
        let len = device.activation_len(size.samples, size.classes);
        let (_, mut d_output) = activations.output(device, self, size.samples);
        device.copy(D::shared(D::slice_mut(&mut d_output, 0..len)), D::view_mut(&mut memory.slope, 0..len));
        device.output_curvature(&size, criterion, d_output);
        for step in &self.plan.way_back {
            match *step {
                Step::Again(index) => self.forward_layer(index, device, batch, weights, activations, Run::Again),
                Step::Back(index) => {
                    let own = D::slice_mut(&mut second, self.placed[index].parameters.clone());
                    self.backward_layer(index, device, batch, weights, activations, (own, Some(memory)));
                }
            }
        }
    }
}

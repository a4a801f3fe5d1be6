//! LeNet-5's output layer: squared distances to fixed bitmaps of the digits.

use lockstep_kernels::device::Device;
use lockstep_kernels::radial_basis::{OutputDerivatives, RadialBasisSize};

use super::{Backward, Curvature, Forward, Keeps, Layer, Memo, Squares};

/// `y[n,o] = Σ_i (x[n,i] − centre[o,i])²`; the centres are fixed, so there are no parameters.
pub struct RadialBasis {
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: RadialBasisSize,
    /// (O, I).
    pub centres: Vec<f32>,
}

impl RadialBasis {
    fn size(&self, samples: usize) -> RadialBasisSize {
        RadialBasisSize { samples, ..self.size }
    }
}

impl<D: Device> Layer<D> for RadialBasis {
    fn memo(&self) -> Memo {
        // The centres in the device's memory.
        Memo { moments: self.centres.len(), ..Memo::default() }
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: false }
    }

    fn forward(&self, device: &mut D, mut pass: Forward<'_, D>) {
        let all = 0..self.centres.len();
        device.write(&self.centres, D::slice_mut(&mut pass.moments, all));
        let size = self.size(pass.batch.samples);
        device.radial_basis_forward(&size, pass.inputs.x(), D::shared(pass.moments), pass.y);
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        if let [Some(gradient), ..] = pass.d_x {
            let (size, centres) = (self.size(pass.batch.samples), D::shared(pass.moments));
            device.radial_basis_backward_input(&size, pass.inputs.x(), centres, D::shared(pass.d_y), gradient.d_x);
        }
    }

    fn squares(&self) -> Option<Squares> {
        Some(Squares::default())
    }

    /// Of the criterion as a function of the layer's inputs: distances are part of it, as the square is of the squared
    /// error. Without their own second derivative the label's output, in which the loss is linear, would have none.
    fn curvature(&self, device: &mut D, Curvature { back, slope, .. }: Curvature<'_, D>) {
        let first = slope.expect("radial basis functions are the last layer of a model");
        if let [Some(gradient), ..] = back.d_x {
            let (size, centres) = (self.size(back.batch.samples), D::shared(back.moments));
            let derivatives = OutputDerivatives { first, second: D::shared(back.d_y) };
            device.radial_basis_curvature_input(&size, back.inputs.x(), centres, derivatives, gradient.d_x);
        }
    }
}

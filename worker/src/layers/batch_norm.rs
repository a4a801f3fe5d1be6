//! Batch normalisation of a micro-batch, with an optional residual and ReLU behind it in the same pass.

use lockstep_kernels::batch_norm::{
    BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize,
};
use lockstep_kernels::device::Device;

use super::{Backward, Forward, Keeps, Layer, Memo, Mode, Role, TensorShape};

/// `y = relu?(γ · x̂ + β + residual?)`: the first input is x, the second, if there is one, the residual. Parameters:
/// weight γ (C), bias β (C). Running statistics: mean (C), variance (C).
pub struct BatchNorm {
    /// Name in the model.
    pub name: String,
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: BatchNormSize,
    /// Whether there is a second input.
    pub residual: bool,
    /// Whether it is the last of a residual block.
    pub ends_block: bool,
}

impl BatchNorm {
    fn size(&self, samples: usize) -> BatchNormSize {
        BatchNormSize { samples, ..self.size }
    }
}

impl<D: Device> Layer<D> for BatchNorm {
    fn parameters(&self) -> Vec<TensorShape> {
        TensorShape::of_norm(&self.name, self.size.channels, self.ends_block)
    }

    fn statistics(&self) -> Vec<TensorShape> {
        let tensor = |kind, role| TensorShape::new(&self.name, kind, vec![self.size.channels], role);
        vec![tensor("running_mean", Role::Mean), tensor("running_var", Role::Variance)]
    }

    fn memo(&self) -> Memo {
        Memo { moments: 2 * self.size.channels, ..Memo::default() }
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: self.size.relu }
    }

    fn passes_on(&self) -> Option<usize> {
        self.residual.then_some(1)
    }

    fn forward(&self, device: &mut D, pass: Forward<'_, D>) {
        let (size, channels) = (self.size(pass.batch.samples), self.size.channels);
        let input = BatchNormInput {
            x: pass.inputs.x(),
            weight: D::slice(pass.own.parameters, 0..channels),
            bias: D::slice(pass.own.parameters, channels..2 * channels),
            residual: pass.inputs.optional(1),
        };
        match pass.mode {
            Mode::Train(statistics) => {
                let output = BatchNormOutput { y: pass.y, moments: pass.moments, statistics };
                device.batch_norm_forward(&size, input, output);
            }
            Mode::Evaluate => device.batch_norm_evaluate(&size, input, pass.own.statistics, pass.y),
        }
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        let channels = self.size.channels;
        let [Some(gradient), ..] = pass.d_x else { return };
        let saved = BatchNormSaved {
            x: pass.inputs.x(),
            y: pass.y.unwrap_or_else(|| pass.inputs.x()),
            weight: D::slice(pass.own.parameters, 0..channels),
            moments: D::shared(pass.moments),
        };
        let (d_weight, d_bias) = D::split_mut(pass.d_parameters, channels);
        let gradients = BatchNormGradients { d_y: pass.d_y, d_x: gradient.d_x, d_weight, d_bias };
        device.batch_norm_backward(&self.size(pass.batch.samples), saved, gradients);
    }
}

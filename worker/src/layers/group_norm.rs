//! Group normalisation; layer normalisation is the case of one group.

use lockstep_kernels::device::Device;
use lockstep_kernels::group_norm::{GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};

use super::{Backward, Forward, Keeps, Layer, Memo, TensorShape};

/// `y = γ · x̂ + β` with moments over each sample's groups of channels. Parameters: weight γ (C), bias β (C).
pub struct GroupNorm {
    /// Name in the model.
    pub name: String,
    /// Sizes; `samples` is the micro-batch's at each pass.
    pub size: GroupNormSize,
    /// Whether it is the last of a residual block.
    pub ends_block: bool,
}

impl GroupNorm {
    fn size(&self, samples: usize) -> GroupNormSize {
        GroupNormSize { samples, ..self.size }
    }
}

impl<D: Device> Layer<D> for GroupNorm {
    fn parameters(&self) -> Vec<TensorShape> {
        TensorShape::of_norm(&self.name, self.size.channels, self.ends_block)
    }

    fn memo(&self) -> Memo {
        Memo { sample_moments: self.size.moments_features(), ..Memo::default() }
    }

    fn keeps(&self) -> Keeps {
        Keeps { inputs: true, y: false }
    }

    fn divides_by_input(&self) -> bool {
        true
    }

    fn forward(&self, device: &mut D, pass: Forward<'_, D>) {
        let channels = self.size.channels;
        let weight = D::slice(pass.own.parameters, 0..channels);
        let bias = D::slice(pass.own.parameters, channels..2 * channels);
        let output = GroupNormOutput { y: pass.y, moments: pass.moments };
        device.group_norm_forward(&self.size(pass.batch.samples), pass.inputs.x(), weight, bias, output);
    }

    fn backward(&self, device: &mut D, pass: Backward<'_, D>) {
        let [Some(gradient), ..] = pass.d_x else { return };
        let weight = D::slice(pass.own.parameters, 0..self.size.channels);
        let saved = GroupNormSaved { x: pass.inputs.x(), weight, moments: D::shared(pass.moments) };
        let (d_weight, d_bias) = D::split_mut(pass.d_parameters, self.size.channels);
        let gradients = GroupNormGradients { d_y: D::shared(pass.d_y), d_x: gradient.d_x, d_weight, d_bias };
        device.group_norm_backward(&self.size(pass.batch.samples), saved, gradients);
    }
}

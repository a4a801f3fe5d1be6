//! Initial weights: uniform in ±1/√fan_in, weights and biases alike (PyTorch's default for linear and
//! convolutional layers; LeCun et al. 1998, "Efficient BackProp", §4.6, up to the constant).

use super::Tensor;
use crate::data::random::{Purpose, Random};

/// The flat vector of initial parameters. Each element is a function of (seed, its tensor's index, its place in the
/// tensor) alone.
pub fn initial_parameters(tensors: &[Tensor], seed: u64) -> Vec<f32> {
    let mut parameters = vec![0.0; tensors.last().map_or(0, |tensor| tensor.range.end)];
    for (index, tensor) in tensors.iter().enumerate() {
        let bound = 1.0 / (tensor.shape.fan_in as f32).sqrt();
        for (element, parameter) in parameters[tensor.range.clone()].iter_mut().enumerate() {
            let uniform = Random::new(seed, Purpose::Init, index as u64, element as u64).next_uniform();
            *parameter = (2.0 * uniform - 1.0) * bound;
        }
    }
    parameters
}

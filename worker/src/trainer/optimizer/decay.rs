//! Which tensors decay.

use lockstep_proto::job;

use crate::model::Tensor;

/// Whether a tensor has weight decay.
///
/// Parameters of normalisations are told by their shape: a one-dimensional `weight`, and a `bias` beside one.
pub fn decays(keys: &job::Optimizer, tensors: &[Tensor], index: usize) -> bool {
    let (layer, kind) = split(tensors, index);
    let one_dimensional_weight =
        |other: usize| split(tensors, other) == (layer, "weight") && tensors[other].shape.shape.len() == 1;
    let norm = (0..tensors.len()).any(one_dimensional_weight);
    let bias = kind == "bias";
    (keys.decay_biases || !bias) && (keys.decay_norms || !norm)
}

/// `layer1.0.bn2` and `weight`.
fn split(tensors: &[Tensor], index: usize) -> (&str, &str) {
    tensors[index].shape.name.rsplit_once('.').unwrap_or(("", &tensors[index].shape.name))
}

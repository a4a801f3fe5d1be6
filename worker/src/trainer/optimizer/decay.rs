//! Which tensors decay.

use lockstep_proto::job;

use crate::layers::Role;

/// Whether tensors of this role have weight decay.
pub fn decays(keys: &job::Optimizer, role: Role) -> bool {
    match role {
        Role::Weight { .. } => true,
        Role::Bias { .. } => keys.decay_biases,
        // A normalisation's shift is a bias as well.
        Role::Shift => keys.decay_norms && keys.decay_biases,
        Role::Scale { .. } => keys.decay_norms,
        Role::Mean | Role::Variance => false,
    }
}

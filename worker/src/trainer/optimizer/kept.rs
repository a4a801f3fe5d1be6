//! The vectors that a state holds, by name: the named list that digest, checkpoint and sharing go by.

use lockstep_proto::job::{self, OptimizerName};

/// Name of the second derivatives of `diagonal_lm`, which are measured anew with the first step of each epoch.
pub const CURVATURE: &str = "curvature";
/// Name of the parameters themselves.
pub const PARAMETERS: &str = "parameters";

/// A vector over all parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kept {
    /// Such as `velocity`.
    pub name: &'static str,
    /// What it is for.
    pub role: Role,
}

/// What a vector is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// The parameters.
    Parameters,
    /// A vector of the optimiser's rule.
    Rule {
        /// Its place among them.
        place: usize,
        /// Its elements before the first step.
        initial: f32,
    },
    /// The moving average of the parameters, which it starts as.
    Average,
}

/// What a job's state holds, parameters first.
pub fn kept(keys: &job::Optimizer) -> Vec<Kept> {
    let momentum = keys.momentum > 0.0;
    let rule = |wanted: bool, place: usize, name: &'static str| {
        wanted.then_some(Kept { name, role: Role::Rule { place, initial: 0.0 } })
    };
    let velocity = |place| rule(momentum, place, "velocity");
    let of_rule = match keys.name {
        OptimizerName::Sgd | OptimizerName::Lars => [velocity(0), None, None],
        OptimizerName::Adagrad => {
            let initial = keys.initial_accumulator as f32;
            [Some(Kept { name: "square_sum", role: Role::Rule { place: 0, initial } }), None, None]
        }
        OptimizerName::Rmsprop => {
            [rule(true, 0, "square_average"), rule(keys.centered, 1, "gradient_average"), velocity(2)]
        }
        OptimizerName::DiagonalLm => [rule(true, 0, CURVATURE), None, None],
        OptimizerName::Adam | OptimizerName::Adamw | OptimizerName::Lamb => {
            [rule(true, 0, "first_moment"), rule(true, 1, "second_moment"), None]
        }
    };
    let average = (keys.ema > 0.0).then_some(Kept { name: "average", role: Role::Average });
    let parameters = Kept { name: PARAMETERS, role: Role::Parameters };
    [Some(parameters)].into_iter().chain(of_rule).chain([average]).flatten().collect()
}

//! Updates on a GPU: one pass over all vectors, a thread an element.

use super::{Optimize, Rule, Scaling, Shrink, Update, Vectors, adam, lamb, rmsprop, sgd};
use crate::cuda::launch::{Argument, Grid};
use crate::cuda::{Cuda, View, ViewMut, assert_len};

impl Optimize for Cuda {
    fn update(&mut self, update: &Update, mut vectors: Vectors<'_, '_, Cuda>) {
        vectors.keep(update.rule.needs());
        let Vectors { gradient, parameters, state } = vectors;
        let len = parameters.len();
        assert_len("gradient", gradient.len(), len);
        for vector in state.iter().flatten() {
            assert_len("a vector of the state", vector.len(), len);
        }
        let Kernel { name, constants, vectors } = kernel(&update.rule);
        let mut arguments =
            vec![step(&update.scaling, update.shrink()), constants, gradient.into(), (&parameters).into()];
        arguments.extend(state[..vectors].iter().map(|vector| Argument::from(vector.as_ref())));
        arguments.push(len.into());
        self.launch(name, Grid::elements(len), &arguments);
    }

    fn descend(&mut self, rate: f32, direction: View<'_, f32>, parameters: ViewMut<'_, f32>) {
        let len = parameters.len();
        assert_len("direction", direction.len(), len);
        let arguments = [rate.into(), direction.into(), (&parameters).into(), len.into()];
        self.launch("optimizer_descend", Grid::elements(len), &arguments);
    }
}

/// What all kernels take first.
fn step(scaling: &Scaling, shrink: Shrink) -> Argument {
    let (kind, shrink) = match shrink {
        Shrink::None => (0, 0.0),
        Shrink::Coupled(decay) => (1, decay),
        Shrink::Decoupled(factor) => (2, factor),
    };
    let [reciprocal, factor, limit] = [scaling.reciprocal(), scaling.factor, scaling.limit].map(f32::to_bits);
    [reciprocal, factor, limit, kind, shrink.to_bits()].into()
}

/// A rule's kernel.
struct Kernel {
    name: &'static str,
    constants: Argument,
    /// Of the state, null where one is not needed.
    vectors: usize,
}

fn kernel(rule: &Rule) -> Kernel {
    let (name, constants, vectors) = match rule {
        Rule::Sgd(rule) => {
            let sgd::Constants { rate, momentum, kept, nesterov } = rule.constants();
            let [rate, momentum, kept] = [rate, momentum, kept].map(f32::to_bits);
            ("optimizer_sgd", [rate, momentum, kept, nesterov.into()].into(), 1)
        }
        Rule::Adagrad(rule) => {
            let constants = rule.constants();
            ("optimizer_adagrad", [constants.rate, constants.epsilon].map(f32::to_bits).into(), 1)
        }
        Rule::Rmsprop(rule) => {
            // The kernel sees by the vector whether it is centred.
            let rmsprop::Constants { rate, alpha, rest, epsilon, momentum, centered: _ } = rule.constants();
            ("optimizer_rmsprop", [rate, alpha, rest, epsilon, momentum].map(f32::to_bits).into(), 3)
        }
        Rule::Adam(rule) => {
            let adam::Constants { rate, root_correction, epsilon, moments } = rule.constants();
            let adam::Moments { rest1, beta2, rest2 } = moments;
            ("optimizer_adam", [rate, root_correction, epsilon, rest1, beta2, rest2].map(f32::to_bits).into(), 2)
        }
        Rule::Lars(rule) => {
            let constants = rule.constants();
            ("optimizer_lars", [constants.rate, constants.momentum].map(f32::to_bits).into(), 1)
        }
        Rule::Lamb(rule) => {
            let lamb::Constants { correction, root_correction, epsilon, decay, moments } = rule.constants();
            let adam::Moments { rest1, beta2, rest2 } = moments;
            let constants = [correction, root_correction, epsilon, decay, rest1, beta2, rest2];
            ("optimizer_lamb", constants.map(f32::to_bits).into(), 3)
        }
        Rule::Diagonal(rule) => {
            let constants = rule.constants();
            ("optimizer_diagonal", [constants.rate, constants.mu].map(f32::to_bits).into(), 1)
        }
    };
    Kernel { name, constants, vectors }
}

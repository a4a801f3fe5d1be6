//! Gradients above the weights: how far up a second pass is taken along a gradient g at them, and what the update takes
//! of it. Sharpness-aware minimisation and the penalty of the gradient's norm are the same two passes, blended in two ways.
//!
//! With `up = w + r·g/‖g‖` and `g_up` the gradient there, of the same samples:
//!
//! - `optimizer.sam` (Foret, Kleiner, Mobahi & Neyshabur 2021): r = ρ, and the update takes `g_up`.
//! - `optimizer.gradient_penalty` (Geiping et al. 2022, "Stochastic training is not necessary for generalization"; Novack
//!   et al. 2023, "Disentangling the mechanisms behind implicit regularization in SGD"): the loss is L + λ·‖∇L‖², whose
//!   gradient is g + 2λ·H·g with the Hessian H. The product is a forward difference along g, as in Geiping's code:
//!   `H·g ≈ (g_up − g)·‖g‖/r`, and so the update takes `g + c·(g_up − g)` with `c = 2λ·‖g‖/r`.
//!
//! Over the batch g is the mean over its samples. Over micro-batches each lane has its own g_k, way up and c_k; the penalty
//! is the mean of ‖g_k‖² over lanes by their n_k samples, `λ·Σ n_k‖g_k‖² / Σ n_k`, since a lane contributes the sum
//! `n_k·(g_k + c_k·(g_k,up − g_k))` and the divisor is Σ n_k.
//!
//! # The radius of the penalty
//!
//! With u = g/‖g‖ the difference is `H·u + (r/2)·L‴[u, u] + O(r²)`, and two errors grow as r gets smaller: the gradients'
//! own rounding, ε·‖g‖·√2/r, and that of the place to f32, H·δ/r with ‖δ‖ ≈ 2⁻²⁵·‖w‖. Measured in f32 against H·g in f64,
//! for 32 and for 1,024 images of MNIST, from the first to the 600th step of LeNet-5 with tanh and mean pooling:
//!
//! | r | 0.1 | 0.03 | 0.01 | 0.003 | 0.001 | 0.0001 |
//! |---|---|---|---|---|---|---|
//! | relative error, % | 4–30 | 1.3–10 | 0.4–3.7 | 0.2–1.2 | 0.07–0.5 | 0.1–2.6 |
//!
//! So 0.001 would be the best for smooth networks. But gradients of networks with kinks (ReLU, max-pooling) jump: a jump
//! on the way counts 1/r times, and the fewer the way meets, the rougher their mean. There, a longer way is better: with
//! max-pooling the same network differs from its derivative between the kinks by 5–110% at 0.01 and by 7–40% at 0.1. 0.01
//! is what Geiping's code has, so that results can be held against theirs. Numbers of 8 or 11 bits have no such
//! differences: the job file says so.

use lockstep_kernels::perturb::PerturbStep;
use lockstep_proto::job::{self, AscentOver};

/// r of the penalty.
const PENALTY_RADIUS: f64 = 0.01;

/// A second pass, and what becomes of its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ascent {
    /// How far above the weights it is.
    radius: f64,
    blend: Blend,
}

/// What the update takes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Blend {
    /// The gradient above the weights alone.
    Above,
    /// That at the weights, and λ of the penalty's.
    Penalty(f64),
}

impl Ascent {
    /// The second pass of a job over this, if there is one.
    pub fn of(keys: &job::Optimizer, over: AscentOver) -> Option<Self> {
        if keys.ascends_over() != Some(over) {
            return None;
        }
        Some(match keys.gradient_penalty {
            0.0 => Self { radius: keys.sam, blend: Blend::Above },
            lambda => Self { radius: PENALTY_RADIUS, blend: Blend::Penalty(lambda) },
        })
    }

    /// Whether the update takes of both gradients.
    pub fn blends(&self) -> bool {
        self.blend != Blend::Above
    }

    /// The step up along a sum over `count` samples. `norm`: of the mean gradient, ‖g‖.
    pub fn step_up(&self, count: u64, norm: f64) -> PerturbStep {
        PerturbStep { count, scale: PerturbStep::scale(self.radius, norm) }
    }

    /// c in `g + c·(g_up − g)`, if the update takes of both.
    pub fn weight(&self, norm: f64) -> Option<f32> {
        match self.blend {
            Blend::Above => None,
            Blend::Penalty(lambda) => Some((2.0 * lambda * norm / self.radius) as f32),
        }
    }
}

//! `[optimizer]`: the update.

use serde::{Deserialize, Serialize};

/// The update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    /// Which update.
    pub name: OptimizerName,
    /// η, before it is scaled.
    pub learning_rate: f64,
    /// How η grows with `batch.size`.
    pub scaling: RateScaling,
    /// The batch that η is for.
    pub base_batch: u32,
    /// Momentum, in [0, 1).
    pub momentum: f64,
    /// Part of the gradient that is kept out of the velocity.
    pub dampening: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// RMSprop's α.
    pub alpha: f64,
    /// RMSprop: whether the gradient's mean is taken off.
    pub centered: bool,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// ε; 0 for the optimiser's usual one, see [`Optimizer::epsilon`].
    pub epsilon: f64,
    /// Adagrad: decay of the learning rate, a step.
    pub learning_rate_decay: f64,
    /// Adagrad: sum of squares before the first step.
    pub initial_accumulator: f64,
    /// LARS: the trust coefficient.
    pub trust: f64,
    /// `diagonal_lm`: μ, which bounds the steps where the loss is flat.
    pub mu: f64,
    /// `diagonal_lm`: training samples over which second derivatives are measured before each epoch.
    pub curvature_samples: u32,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// Whether weight decay shrinks the weights, not added to the gradient.
    pub decoupled: bool,
    /// Whether biases decay.
    pub decay_biases: bool,
    /// Whether parameters of normalisations decay.
    pub decay_norms: bool,
    /// Largest norm of the gradient; 0 for none.
    pub clip_norm: f64,
    /// Largest magnitude of a gradient's element; 0 for none.
    pub clip_value: f64,
    /// Decay of the weights' moving average; 0 for none.
    pub ema: f64,
    /// Sharpness-aware minimisation: ρ, how far up the gradient is taken; 0 for where the weights are.
    pub sam: f64,
    /// Over what the gradient is that `sam` goes up along.
    pub sam_over: AscentOver,
    /// λ of the penalty λ·‖g‖² that is added to the loss; 0 for none.
    pub gradient_penalty: f64,
    /// Over what the gradient is whose norm is penalised.
    pub gradient_penalty_over: AscentOver,
    /// Standard deviation of noise that is added to each element of the mean gradient; 0 for none.
    pub gradient_noise: f64,
    /// Samples of the batch whose gradient noise a step has, by noise with the covariance of its lanes; 0 for its own.
    pub noise_batch: u32,
    /// How gradients are added.
    pub reduction: Reduction,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            name: OptimizerName::Sgd,
            learning_rate: 0.01,
            scaling: RateScaling::None,
            base_batch: 256,
            momentum: 0.0,
            dampening: 0.0,
            nesterov: false,
            alpha: 0.99,
            centered: false,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 0.0,
            learning_rate_decay: 0.0,
            initial_accumulator: 0.0,
            trust: 0.001,
            mu: 0.02,
            curvature_samples: 500,
            weight_decay: 0.0,
            decoupled: false,
            decay_biases: true,
            decay_norms: true,
            clip_norm: 0.0,
            clip_value: 0.0,
            ema: 0.0,
            sam: 0.0,
            sam_over: AscentOver::Batch,
            gradient_penalty: 0.0,
            gradient_penalty_over: AscentOver::Batch,
            gradient_noise: 0.0,
            noise_batch: 0,
            reduction: Reduction::Tree,
        }
    }
}

impl Optimizer {
    /// Over what there is a second pass, above the weights along a gradient at them: of `sam` or of `gradient_penalty`,
    /// of which a job has at most one. None where lanes are computed once.
    pub fn ascends_over(&self) -> Option<AscentOver> {
        match self {
            _ if self.sam > 0.0 => Some(self.sam_over),
            _ if self.gradient_penalty > 0.0 => Some(self.gradient_penalty_over),
            _ => None,
        }
    }

    /// Whether lanes' gradients are multiplied by numbers on their way into the sum, behind the measuring of their norms:
    /// those and the sum's norm are not of the same vectors then, and no noise scale can be reckoned from them.
    pub fn scales_measured_lanes(&self) -> bool {
        self.noise_batch > 0
    }

    /// ε as it is used.
    pub fn epsilon(&self) -> f64 {
        match self.name {
            _ if self.epsilon > 0.0 => self.epsilon,
            OptimizerName::Adagrad => 1e-10,
            OptimizerName::Lamb => 1e-6,
            OptimizerName::Sgd
            | OptimizerName::Rmsprop
            | OptimizerName::Adam
            | OptimizerName::Adamw
            | OptimizerName::Lars
            | OptimizerName::DiagonalLm => 1e-8,
        }
    }
}

/// Optimisers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// Stochastic gradient descent.
    Sgd,
    /// Duchi et al. 2011.
    Adagrad,
    /// Tieleman & Hinton 2012.
    Rmsprop,
    /// Kingma & Ba 2015.
    Adam,
    /// Adam with decoupled weight decay: Loshchilov & Hutter 2019.
    Adamw,
    /// You et al. 2017.
    Lars,
    /// You et al. 2020.
    Lamb,
    /// Stochastic diagonal Levenberg–Marquardt: LeCun et al. 1998, appendix C.
    DiagonalLm,
}

impl OptimizerName {
    /// As job files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Adagrad => "adagrad",
            Self::Rmsprop => "rmsprop",
            Self::Adam => "adam",
            Self::Adamw => "adamw",
            Self::Lars => "lars",
            Self::Lamb => "lamb",
            Self::DiagonalLm => "diagonal_lm",
        }
    }
}

/// How the learning rate grows with the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateScaling {
    /// Not at all.
    None,
    /// By `batch.size / base_batch` (Goyal et al. 2017).
    Linear,
    /// By the square root of it (Krizhevsky 2014; Hoffer et al. 2017).
    Sqrt,
}

/// Over what the gradient is that a second pass goes up along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AscentOver {
    /// All samples of a step: two reductions a step.
    Batch,
    /// Those of a lane, each of which goes its own way up (m-sharpness of Foret et al. 2021; the penalties of Geiping et
    /// al. 2022 and Novack et al. 2023): one reduction a step.
    MicroBatch,
}

/// How gradients are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// The fixed tree over lanes: the same bits for any number of workers.
    Tree,
    /// NCCL's own way, on GPUs: the bits depend on the workers.
    Fast,
    /// The same in half of the bytes: the workers' sums and what they add up to have 8 bits of precision.
    FastBf16,
}

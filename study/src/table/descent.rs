//! By which rule a cell's weights descend, as far as it decides where that is stable.

use lockstep_proto::job::{Augment, Job};
use serde::{Deserialize, Serialize};

/// What a step does beside −η times the gradient.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Descent {
    /// `optimizer.name`.
    pub optimizer: String,
    /// β.
    pub momentum: f64,
    /// Whether that is Nesterov's.
    pub nesterov: bool,
    /// Keys of the job that make a step something else than descent, with momentum, of the loss itself.
    pub beside: Vec<String>,
}

impl Descent {
    /// A job's.
    pub fn of(job: &Job) -> Self {
        let optimizer = &job.optimizer;
        let name = serde_json::to_value(optimizer.name).ok();
        let beside = [
            ("dampening", optimizer.dampening != 0.0),
            ("weight_decay", optimizer.weight_decay != 0.0),
            ("clip_norm", optimizer.clip_norm != 0.0),
            ("clip_value", optimizer.clip_value != 0.0),
            ("ema", optimizer.ema != 0.0),
            ("sam", optimizer.sam != 0.0),
            ("gradient_penalty", optimizer.gradient_penalty != 0.0),
            ("gradient_noise", optimizer.gradient_noise != 0.0),
            ("noise_batch", optimizer.noise_batch != 0),
            ("augment", job.augment != Augment::default()),
        ];
        Self {
            optimizer: name.and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default(),
            momentum: optimizer.momentum,
            nesterov: optimizer.nesterov,
            beside: beside.iter().filter(|key| key.1).map(|key| key.0.to_owned()).collect(),
        }
    }
}

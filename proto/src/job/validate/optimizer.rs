//! Optimisers that no run can have.

use super::{Violation, integer, number, positive};
use crate::job::spec::OptimizerName::{self, Adagrad, Adam, Adamw, DiagonalLm, Lamb, Lars, Rmsprop, Sgd};
use crate::job::spec::{AscentOver, Job, Optimizer, RateScaling};

/// One a lane at least: as many lanes as a batch may have.
const MAX_CURVATURE_SAMPLES: u32 = 1 << 16;
/// Far above any use, and small enough to be divided by the norm of a gradient that is all but 0.
const MAX_SAM: f64 = 1000.0;
/// Far above any use.
const MAX_GRADIENT_PENALTY: f64 = 1000.0;

pub(super) fn optimizer(optimizer: &Optimizer) -> Result<(), Violation> {
    positive("optimizer.learning_rate", optimizer.learning_rate)?;
    integer("optimizer.base_batch", optimizer.base_batch, 1, u32::MAX)?;
    for (key, value) in [
        ("optimizer.momentum", optimizer.momentum),
        ("optimizer.dampening", optimizer.dampening),
        ("optimizer.alpha", optimizer.alpha),
        ("optimizer.beta1", optimizer.beta1),
        ("optimizer.beta2", optimizer.beta2),
        ("optimizer.ema", optimizer.ema),
    ] {
        // As f32, in which it is used: 0.99999999 is 1 there.
        number(key, value, "at least 0 and below 1", (0.0..1.0).contains(&(value as f32)))?;
    }
    for (key, value) in [
        ("optimizer.epsilon", optimizer.epsilon),
        ("optimizer.learning_rate_decay", optimizer.learning_rate_decay),
        ("optimizer.initial_accumulator", optimizer.initial_accumulator),
        ("optimizer.weight_decay", optimizer.weight_decay),
        ("optimizer.clip_norm", optimizer.clip_norm),
        ("optimizer.clip_value", optimizer.clip_value),
        ("optimizer.gradient_noise", optimizer.gradient_noise),
    ] {
        let single = value as f32;
        number(key, value, "at least 0 and finite as a 32-bit number", single >= 0.0 && single.is_finite())?;
    }
    positive("optimizer.trust", optimizer.trust)?;
    positive("optimizer.mu", optimizer.mu)?;
    integer("optimizer.curvature_samples", optimizer.curvature_samples, 1, MAX_CURVATURE_SAMPLES)?;
    number("optimizer.sam", optimizer.sam, "0 to 1000", (0.0..=MAX_SAM).contains(&optimizer.sam))?;
    let penalty = optimizer.gradient_penalty;
    number("optimizer.gradient_penalty", penalty, "0 to 1000", (0.0..=MAX_GRADIENT_PENALTY).contains(&penalty))?;
    has_part(optimizer)?;
    ascends(optimizer)?;
    goes_together(optimizer)
}

/// A key, and its value unless that is the default.
type Setting = (&'static str, Option<String>);

/// Keys that the optimiser knows nothing of must be as they are by default: a setting that does nothing is a mistake.
fn has_part(optimizer: &Optimizer) -> Result<(), Violation> {
    let default = Optimizer::default();
    let number = |key, value: f64, default: f64| (key, (value != default).then(|| format!("{value:?}")));
    let switch = |key, value: bool| (key, value.then(|| "true".to_owned()));
    let moments = &[Adam, Adamw, Lamb];
    let keys: [(Setting, &[OptimizerName]); 15] = [
        (number("optimizer.momentum", optimizer.momentum, default.momentum), &[Sgd, Rmsprop, Lars]),
        (number("optimizer.dampening", optimizer.dampening, default.dampening), &[Sgd]),
        (switch("optimizer.nesterov", optimizer.nesterov), &[Sgd]),
        (number("optimizer.alpha", optimizer.alpha, default.alpha), &[Rmsprop]),
        (switch("optimizer.centered", optimizer.centered), &[Rmsprop]),
        (number("optimizer.beta1", optimizer.beta1, default.beta1), moments),
        (number("optimizer.beta2", optimizer.beta2, default.beta2), moments),
        (number("optimizer.epsilon", optimizer.epsilon, default.epsilon), &[Adagrad, Rmsprop, Adam, Adamw, Lamb]),
        (
            number("optimizer.learning_rate_decay", optimizer.learning_rate_decay, default.learning_rate_decay),
            &[Adagrad],
        ),
        (
            number("optimizer.initial_accumulator", optimizer.initial_accumulator, default.initial_accumulator),
            &[Adagrad],
        ),
        (number("optimizer.trust", optimizer.trust, default.trust), &[Lars]),
        (number("optimizer.mu", optimizer.mu, default.mu), &[DiagonalLm]),
        (
            number("optimizer.curvature_samples", optimizer.curvature_samples.into(), default.curvature_samples.into()),
            &[DiagonalLm],
        ),
        (switch("optimizer.decoupled", optimizer.decoupled), &[Sgd, Adagrad, Rmsprop, Adam, Adamw, DiagonalLm]),
        (
            number("optimizer.clip_value", optimizer.clip_value, default.clip_value),
            &[Sgd, Adagrad, Rmsprop, Adam, Adamw, Lamb, DiagonalLm],
        ),
    ];
    for ((key, set), those) in keys {
        let Some(value) = set.filter(|_| !those.contains(&optimizer.name)) else { continue };
        let (name, those) = (optimizer.name.as_str(), those.iter().map(|name| name.as_str()).collect::<Vec<_>>());
        let problem =
            format!("`{key}` = {value} has no part in `optimizer.name` = \"{name}\": it is for {}", those.join(", "));
        return Err(Violation::new(&[key, "optimizer.name"], problem));
    }
    Ok(())
}

/// Keys that need or exclude another.
fn goes_together(optimizer: &Optimizer) -> Result<(), Violation> {
    let refuse = |keys: [&'static str; 2], problem: String| Err(Violation::new(&keys, problem));
    for (key, set) in [("optimizer.nesterov", optimizer.nesterov), ("optimizer.dampening", optimizer.dampening > 0.0)] {
        if set && optimizer.momentum == 0.0 {
            let problem = format!("`{key}` needs `optimizer.momentum` above 0: set it, such as to 0.9");
            return refuse([key, "optimizer.momentum"], problem);
        }
    }
    if optimizer.nesterov && optimizer.dampening > 0.0 {
        let problem = "`optimizer.nesterov` needs `optimizer.dampening` = 0".to_owned();
        return refuse(["optimizer.nesterov", "optimizer.dampening"], problem);
    }
    if optimizer.clip_norm > 0.0 && optimizer.clip_value > 0.0 {
        let problem = "`optimizer.clip_norm` and `optimizer.clip_value` exclude each other: set one of them to 0";
        return refuse(["optimizer.clip_norm", "optimizer.clip_value"], problem.to_owned());
    }
    if optimizer.base_batch != Optimizer::default().base_batch && optimizer.scaling == RateScaling::None {
        let base = optimizer.base_batch;
        let problem =
            format!("`optimizer.base_batch` = {base} needs `optimizer.scaling`: set it to \"linear\" or \"sqrt\"");
        return refuse(["optimizer.base_batch", "optimizer.scaling"], problem);
    }
    Ok(())
}

/// Keys of a second pass above the weights.
fn ascends(optimizer: &Optimizer) -> Result<(), Violation> {
    let refuse = |keys: [&'static str; 2], problem: String| Err(Violation::new(&keys, problem));
    let sam = ("optimizer.sam", optimizer.sam, "optimizer.sam_over", optimizer.sam_over, "0.05");
    let (penalty, over) = (optimizer.gradient_penalty, optimizer.gradient_penalty_over);
    let penalty = ("optimizer.gradient_penalty", penalty, "optimizer.gradient_penalty_over", over, "0.01");
    for (key, value, key_over, over, usual) in [sam, penalty] {
        if value > 0.0 && optimizer.name == DiagonalLm {
            let problem = format!(
                "`{key}` must be 0 for `optimizer.name` = \"diagonal_lm\": its second derivatives are not those above the \
                 weights"
            );
            return refuse([key, "optimizer.name"], problem);
        }
        if over != AscentOver::Batch && value == 0.0 {
            return refuse([key_over, key], format!("`{key_over}` needs `{key}` above 0: set it, such as to {usual}"));
        }
    }
    if optimizer.sam > 0.0 && optimizer.gradient_penalty > 0.0 {
        let problem = "`optimizer.gradient_penalty` and `optimizer.sam` exclude each other, since each has the second pass \
                       of a step: set one of them to 0";
        return refuse(["optimizer.gradient_penalty", "optimizer.sam"], problem.to_owned());
    }
    Ok(())
}

/// The noise of a smaller batch is between a lane's and the step's own.
pub(super) fn noise_batch(job: &Job) -> Result<(), Violation> {
    let noise_batch = job.optimizer.noise_batch;
    if noise_batch == 0 {
        return Ok(());
    }
    let refuse = |key, problem: String| Err(Violation::new(&["optimizer.noise_batch", key], problem));
    let sizes = || job.batch.sizes().map(|(_, size)| size);
    let (smallest, largest) = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
    let micro_batch = job.batch.micro_batch;
    if noise_batch > smallest || noise_batch == largest {
        let problem = format!(
            "`optimizer.noise_batch` = {noise_batch} is not below the batch of {smallest}, whose noise is no more than its \
             own: lower it, or set it to 0"
        );
        return refuse("batch.size", problem);
    }
    if noise_batch < micro_batch {
        let problem = format!(
            "`optimizer.noise_batch` = {noise_batch} is below `batch.micro_batch` = {micro_batch}, whose gradients are not \
             taken apart: raise it, or lower `batch.micro_batch`"
        );
        return refuse("batch.micro_batch", problem);
    }
    if job.optimizer.ascends_over() == Some(AscentOver::Batch) {
        let (key, over) = match job.optimizer.sam > 0.0 {
            true => ("optimizer.sam", "sam_over"),
            false => ("optimizer.gradient_penalty", "gradient_penalty_over"),
        };
        let problem = format!(
            "`optimizer.noise_batch` excludes `{key}` over the batch, which would go up along the noise: set \
             `optimizer.{over} = \"micro_batch\"`, or one of them to 0"
        );
        return refuse(key, problem);
    }
    if job.data.skip_bad > 0 {
        let problem =
            "`optimizer.noise_batch` needs to know each lane's samples before they are read: set `data.skip_bad` \
                       to 0"
                .to_owned();
        return refuse("data.skip_bad", problem);
    }
    Ok(())
}

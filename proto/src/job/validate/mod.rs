//! Values that no run can have: the first is refused in a line that says what to do.

mod augment;
mod batch;
mod evaluate;
mod layers;
mod optimizer;
mod probe;
mod schedule;

use std::fmt::Display;

use super::error::JobError;
use super::spec::{
    AscentOver, Data, DeviceKind, Init, Job, Libraries, LossName, ModelName, OptimizerName, Order, OutputActivation,
    Precision, Reduction,
};
use augment::{augment, mixing};
use batch::batch;
use evaluate::evaluate;
use optimizer::{noise_batch, optimizer};
use probe::probes;
use schedule::schedule;

const MAX_HIDDEN_LAYERS: usize = 16;
const MAX_HIDDEN_WIDTH: u32 = 1 << 16;
/// Labels are 16 bits wide.
const MAX_CLASSES: u32 = 1 << 16;
const MAX_PAD: u32 = 64;
const MAX_SIZE: u32 = 1024;
const MAX_RESIZE: u32 = 4096;
const MAX_STREAMS: u32 = 1024;
const MAX_BLOCK: u64 = 1 << 32;
const MAX_PREFETCH: u64 = 1 << 40;
const MAX_CACHE: u64 = 1 << 62;
/// Their numbers are part of the state.
const MAX_SKIPPED: u32 = 1 << 16;
/// Of the plans that a job may have.
const MAX_SKIPPED_WITH_PLANS: u32 = 16;
const MAX_WORKERS: u32 = 1024;
const MAX_THREADS: u32 = 1024;

/// A value that cannot be.
#[derive(Debug)]
pub(super) struct Violation {
    /// The key that is wrong, then those that it doesn't go with.
    pub(super) keys: Vec<&'static str>,
    problem: String,
}

impl Violation {
    fn new(keys: &[&'static str], problem: String) -> Self {
        Self { keys: keys.to_vec(), problem }
    }

    pub(super) fn into_error(self, origin: &str) -> JobError {
        let key = self.keys.first().copied().unwrap_or_default();
        JobError::Invalid { origin: origin.to_owned(), key, problem: self.problem }
    }
}

/// NCCL's ways of adding are for GPUs.
fn reduction(job: &Job) -> Result<(), Violation> {
    let optimizer = &job.optimizer;
    let of_batch = optimizer.gradient_penalty > 0.0 && optimizer.gradient_penalty_over == AscentOver::Batch;
    if of_batch && optimizer.reduction == Reduction::FastBf16 {
        let problem = "`optimizer.gradient_penalty` over the batch is of the difference of two reduced gradients, which \
                       `optimizer.reduction` = \"fast_bf16\" rounds away: set that to \"tree\" or \"fast\"";
        return Err(Violation::new(&["optimizer.gradient_penalty", "optimizer.reduction"], problem.to_owned()));
    }
    if job.optimizer.reduction == Reduction::Tree || job.cluster.device == DeviceKind::Cuda {
        return Ok(());
    }
    let problem = "`optimizer.reduction` other than \"tree\" is NCCL's, between GPUs: set `cluster.device = \"cuda\"`";
    Err(Violation::new(&["optimizer.reduction", "cluster.device"], problem.to_owned()))
}

fn libraries(job: &Job) -> Result<(), Violation> {
    if job.cluster.libraries == Libraries::Own {
        return Ok(());
    }
    if job.data.skip_bad > MAX_SKIPPED_WITH_PLANS {
        let problem = format!(
            "`data.skip_bad` = {}: {MAX_SKIPPED_WITH_PLANS} are the most with `cluster.libraries` = \"auto\", since lanes \
             of each size need plans: lower it, or set `cluster.libraries = \"own\"`",
            job.data.skip_bad
        );
        return Err(Violation::new(&["data.skip_bad", "cluster.libraries"], problem));
    }
    if job.cluster.device != DeviceKind::Cpu {
        return Ok(());
    }
    let problem = "`cluster.libraries` other than \"own\" is for GPUs: set `cluster.device = \"cuda\"` or \"auto\"";
    Err(Violation::new(&["cluster.libraries", "cluster.device"], problem.to_owned()))
}

/// Numbers other than f32 are for GPUs, TF32 for those with libraries.
fn precision(job: &Job) -> Result<(), Violation> {
    let conflict = |other, problem: &str| Err(Violation::new(&["model.precision", other], problem.to_owned()));
    match job.model.precision {
        Precision::F32 => Ok(()),
        _ if job.cluster.device != DeviceKind::Cuda => {
            let problem = "`model.precision` other than \"f32\" is for GPUs: set `cluster.device = \"cuda\"`";
            conflict("cluster.device", problem)
        }
        Precision::Tf32 if job.cluster.libraries == Libraries::Own => {
            let problem = "`model.precision` = \"tf32\" is cuDNN's and cuBLASLt's: set `cluster.libraries = \"auto\"`";
            conflict("cluster.libraries", problem)
        }
        Precision::Bf16 if job.optimizer.name == OptimizerName::DiagonalLm => {
            let problem = "`model.precision` must be \"f32\" for `optimizer.name` = \"diagonal_lm\": second derivatives \
                           are computed in that";
            conflict("optimizer.name", problem)
        }
        Precision::Tf32 | Precision::Bf16 if job.optimizer.gradient_penalty > 0.0 => {
            let problem = "`model.precision` must be \"f32\" for `optimizer.gradient_penalty`: it is of the difference of \
                           two gradients, which fewer bits round away";
            conflict("optimizer.gradient_penalty", problem)
        }
        _ => Ok(()),
    }
}

/// Checks every key of a job.
pub(super) fn validate(job: &Job) -> Result<(), Violation> {
    data(job)?;
    augment(&job.augment)?;
    model(job)?;
    batch(&job.batch)?;
    order(job)?;
    schedule(&job.schedule)?;
    evaluate(job)?;
    optimizer(&job.optimizer)?;
    noise_batch(job)?;
    mixing(job)?;
    probes(job)?;
    if job.metrics.every == 0 {
        return Err(Violation::new(&["metrics.every"], "`metrics.every` = 0: must be at least 1".to_owned()));
    }
    let error = job.published.test_error;
    reduction(job)?;
    libraries(job)?;
    precision(job)?;
    number("published.test_error", error, "from 0 to 1", (0.0..=1.0).contains(&error))?;
    integer("cluster.workers", job.cluster.workers, 1, MAX_WORKERS)?;
    integer("cluster.threads", job.cluster.threads, 0, MAX_THREADS)?;
    integer("cluster.bucket", job.cluster.bucket, 1, u32::MAX)?;
    integer("cluster.spares", job.cluster.spares, 0, MAX_WORKERS)?;
    integer("checkpoint.keep_last", job.checkpoint.keep_last, 1, u32::MAX)
}

fn data(job: &Job) -> Result<(), Violation> {
    integer("data.classes", job.data.classes, 2, MAX_CLASSES)?;
    integer("data.pad", job.data.pad, 0, MAX_PAD)?;
    integer("data.size", job.data.size, 0, MAX_SIZE)?;
    integer("data.threads", job.data.threads, 0, MAX_THREADS)?;
    integer("data.prefetch_bytes", job.data.prefetch_bytes, 0, MAX_PREFETCH)?;
    integer("data.cache_bytes", job.data.cache_bytes, 0, MAX_CACHE)?;
    integer("data.skip_bad", job.data.skip_bad, 0, MAX_SKIPPED)?;
    let label_noise = job.data.label_noise;
    number("data.label_noise", label_noise, "from 0 to 1", (0.0..=1.0).contains(&label_noise))?;
    let resize = job.data.resize;
    if resize > 0 && !(job.data.size.max(1)..=MAX_RESIZE).contains(&resize) {
        return integer("data.resize", resize, job.data.size.max(1), MAX_RESIZE);
    }
    if resize > 0 && job.data.size == 0 {
        let problem = format!("`data.resize` = {resize} needs `data.size`, the side that is cut out: set it");
        return Err(Violation::new(&["data.resize", "data.size"], problem));
    }
    for mean in job.data.mean.each() {
        number("data.mean", mean, "from 0 to 1", (0.0..=1.0).contains(&mean))?;
    }
    job.data.std.each().into_iter().try_for_each(|std| positive("data.std", std))
}

fn model(job: &Job) -> Result<(), Violation> {
    let hidden = &job.model.hidden;
    if hidden.len() > MAX_HIDDEN_LAYERS {
        let problem = format!("`model.hidden` has {} layers: {MAX_HIDDEN_LAYERS} are the most", hidden.len());
        return Err(Violation::new(&["model.hidden"], problem));
    }
    if let Some(width) = hidden.iter().find(|&&width| !(1..=MAX_HIDDEN_WIDTH).contains(&width)) {
        let problem = format!("`model.hidden` has a width of {width}: each must be 1 to {MAX_HIDDEN_WIDTH}");
        return Err(Violation::new(&["model.hidden"], problem));
    }
    number("model.slope", job.model.slope, "at least 0 and below 1", (0.0..1.0).contains(&(job.model.slope as f32)))?;
    let init = job.model.init_value;
    let init_allowed = init.is_finite() && (init >= 0.0 || job.model.init == Init::Constant);
    number("model.init_value", init, "finite, and at least 0 for a standard deviation", init_allowed)?;
    layers::layers(job)?;
    initial_weights(job)?;
    output_activation(job)?;
    loss(job)
}

/// Keys of a file of weights go together.
fn initial_weights(job: &Job) -> Result<(), Violation> {
    let model = &job.model;
    let hash = &model.init_blake3;
    for (key, set) in [("model.init_blake3", !hash.is_empty()), ("model.new_head", model.new_head)] {
        if set && model.init_from.is_empty() {
            let problem = format!("`{key}` needs `model.init_from`: name the file of weights");
            return Err(Violation::new(&[key, "model.init_from"], problem));
        }
    }
    if !hash.is_empty() && !is_blake3(hash) {
        let problem = "`model.init_blake3` must be 64 hexadecimal digits in lower case, or be left out".to_owned();
        return Err(Violation::new(&["model.init_blake3"], problem));
    }
    Ok(())
}

/// Whether a text is a hash as files of weights are told by.
fn is_blake3(hash: &str) -> bool {
    hash.len() == 64 && hash.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

fn output_activation(job: &Job) -> Result<(), Violation> {
    if job.model.output_activation == OutputActivation::None {
        return Ok(());
    }
    let conflict = |other, why: &str| {
        let problem = format!("`model.output_activation` must be \"none\" {why}");
        Err(Violation::new(&["model.output_activation", other], problem))
    };
    match (job.model.name, job.loss.name) {
        (ModelName::Mlp, LossName::SquaredError) => Ok(()),
        (ModelName::Mlp, LossName::CrossEntropy) => {
            conflict("loss.name", "for `loss.name` = \"cross_entropy\": the loss has its own softmax")
        }
        (ModelName::Mlp, LossName::BinaryCrossEntropy) => {
            conflict("loss.name", "for `loss.name` = \"binary_cross_entropy\": the loss has its own sigmoid")
        }
        (ModelName::Mlp, LossName::Map) => conflict("loss.name", "for `loss.name` = \"map\""),
        (ModelName::Lenet5, _) => conflict("model.name", "for `model.name` = \"lenet5\": its outputs are linear"),
        _ => conflict("model.name", "but for `model.name` = \"mlp\": the others' outputs are their own"),
    }
}

fn loss(job: &Job) -> Result<(), Violation> {
    let smoothing = job.loss.smoothing;
    number("loss.smoothing", smoothing, "from 0 to 1", (0.0..=1.0).contains(&smoothing))?;
    if smoothing > 0.0 && job.loss.name != LossName::CrossEntropy {
        let problem = "`loss.smoothing` needs `loss.name` = \"cross_entropy\"".to_owned();
        return Err(Violation::new(&["loss.smoothing", "loss.name"], problem));
    }
    if smoothing > 0.0 && job.optimizer.name == OptimizerName::DiagonalLm {
        let problem = "`loss.smoothing` must be 0 for `optimizer.name` = \"diagonal_lm\"".to_owned();
        return Err(Violation::new(&["loss.smoothing", "optimizer.name"], problem));
    }
    positive("loss.rubbish", job.loss.rubbish)?;
    let (distances, map) = (job.model.name == ModelName::Lenet5Of1998, job.loss.name == LossName::Map);
    if distances && !map {
        let problem = "`model.name` = \"lenet5-1998\" needs `loss.name` = \"map\": its smallest output is the answer";
        return Err(Violation::new(&["loss.name", "model.name"], problem.to_owned()));
    }
    if map && !distances {
        let problem = "`loss.name` = \"map\" needs `model.name` = \"lenet5-1998\": for others the largest output is \
                       the answer";
        return Err(Violation::new(&["loss.name", "model.name"], problem.to_owned()));
    }
    Ok(())
}

fn integer<T: PartialOrd + Display + Copy>(key: &'static str, value: T, low: T, high: T) -> Result<(), Violation> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Violation::new(&[key], format!("`{key}` = {value}: must be {low} to {high}")))
}

/// Streams of the windowed order have equal parts of each step, in whole lanes.
fn order(job: &Job) -> Result<(), Violation> {
    let Data { order, block, streams, window, .. } = job.data;
    integer("data.streams", streams, 1, MAX_STREAMS)?;
    integer("data.window", window, 1, MAX_BLOCK)?;
    if order == Order::Global {
        return Ok(());
    }
    if !(1..=MAX_BLOCK).contains(&block) {
        let problem = format!(
            "`data.block` = {block}: must be 1 to {MAX_BLOCK} for `data.order` = \"windowed\": the samples of a shard, \
             which `lockstep data inspect` shows"
        );
        return Err(Violation::new(&["data.block", "data.order"], problem));
    }
    let lanes = |size: u32| size / job.batch.micro_batch.max(1);
    match job.batch.sizes().find(|(_, size)| !lanes(*size).is_multiple_of(streams)) {
        None => Ok(()),
        Some((_, size)) => {
            let problem = format!(
                "`data.streams` = {streams} does not divide the {} lanes of a batch of {size}: each lane is of one stream",
                lanes(size)
            );
            Err(Violation::new(&["data.streams", "batch.size", "batch.micro_batch"], problem))
        }
    }
}

/// Above 0 and finite, as f32 too: it is used as one.
fn positive(key: &'static str, value: f64) -> Result<(), Violation> {
    let single = value as f32;
    number(key, value, "above 0 and finite as a 32-bit number", single > 0.0 && single.is_finite())
}

fn number(key: &'static str, value: f64, wanted: &str, allowed: bool) -> Result<(), Violation> {
    if allowed {
        return Ok(());
    }
    Err(Violation::new(&[key], format!("`{key}` = {value:?}: must be {wanted}")))
}

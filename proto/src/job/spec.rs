//! The job file's tables and keys, with their defaults. `recipes/REFERENCE.md` documents each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A resolved job: everything that the trained weights depend on, and where it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Job {
    /// Seeds of every random choice.
    pub seed: Seed,
    /// Training and test data.
    pub data: Data,
    /// The network.
    pub model: Model,
    /// What is minimised.
    pub loss: Loss,
    /// Batch and micro-batch.
    pub batch: Batch,
    /// How long, and the learning rate over time.
    pub schedule: Schedule,
    /// The update.
    pub optimizer: Optimizer,
    /// When to evaluate.
    pub evaluate: Evaluate,
    /// How often to report.
    pub metrics: Metrics,
    /// The figure that others reached, to stand beside ours.
    pub published: Published,
    /// Where it runs: changes no result.
    pub cluster: Cluster,
}

/// Seeds. In a file, `seed = 1` sets all three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// Initial weights.
    pub init: u64,
    /// Order of samples.
    pub order: u64,
    /// Augmentation and dropout.
    pub augment: u64,
}

/// Training and test data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// Folder of the four idx files, plain or gzip; relative paths start at the job file's folder.
    pub path: PathBuf,
    /// Training samples held out for evaluation: the last N of the file.
    pub validation: u64,
    /// Use only the first N training samples that are left; 0 for all.
    pub limit: u64,
    /// Number of classes; labels are below it.
    pub classes: u32,
    /// Mean of a pixel in [0, 1], subtracted.
    pub mean: f64,
    /// Standard deviation of a pixel in [0, 1], divided by.
    pub std: f64,
    /// What becomes of an epoch's short last batch.
    pub last_batch: LastBatch,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            validation: 0,
            limit: 0,
            classes: 10,
            mean: 0.0,
            std: 1.0,
            last_batch: LastBatch::Drop,
        }
    }
}

/// What becomes of an epoch's short last batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastBatch {
    /// Its samples are left out of this epoch.
    Drop,
    /// It is a step of fewer lanes, the last lane maybe short.
    Keep,
}

/// The network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Which network.
    pub name: ModelName,
    /// `mlp`: widths of the hidden layers.
    pub hidden: Vec<u32>,
    /// Activation function.
    pub activation: Activation,
    /// `mlp`: activation of the output layer.
    pub output_activation: OutputActivation,
    /// `lenet5`: kind of pooling.
    pub pooling: Pooling,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            name: ModelName::Mlp,
            hidden: vec![300],
            activation: Activation::Relu,
            output_activation: OutputActivation::None,
            pooling: Pooling::Max,
        }
    }
}

/// Networks by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    /// Fully connected layers.
    Mlp,
    /// conv 6@5×5 (padding 2), pool, conv 16@5×5, pool, 120, 84, classes.
    Lenet5,
}

/// Activation functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(x, 0)
    Relu,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// tanh x
    Tanh,
}

/// Activation functions of an output layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputActivation {
    /// Linear outputs.
    None,
    /// 1 / (1 + e^−x)
    Sigmoid,
    /// tanh x
    Tanh,
}

/// Kinds of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The largest value.
    Max,
    /// The mean.
    Average,
}

/// What is minimised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Loss {
    /// Which loss.
    pub name: LossName,
}

impl Default for Loss {
    fn default() -> Self {
        Self { name: LossName::CrossEntropy }
    }
}

/// Losses by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossName {
    /// Softmax cross-entropy.
    CrossEntropy,
    /// Mean over classes of the squared distance to the one-hot target.
    SquaredError,
}

/// Batch size = lanes × micro-batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batch {
    /// Samples a step, B.
    pub size: u32,
    /// Samples a lane, b; divides B.
    pub micro_batch: u32,
}

impl Default for Batch {
    fn default() -> Self {
        Self { size: 64, micro_batch: 32 }
    }
}

impl Batch {
    /// Lanes of a full batch, L.
    pub fn lanes(&self) -> u32 {
        self.size / self.micro_batch
    }
}

/// How long, and the learning rate over time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Passes over the training samples.
    pub epochs: u32,
    /// Stop after this many steps; 0 for no such limit.
    pub max_steps: u64,
    /// The learning rate's course.
    pub learning_rate: Course,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { epochs: 1, max_steps: 0, learning_rate: Course::Constant }
    }
}

/// A learning rate's course from `optimizer.learning_rate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// Stays.
    Constant,
    /// Half a cosine down to zero over all steps.
    Cosine,
}

/// The update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Optimizer {
    /// Which update.
    pub name: OptimizerName,
    /// η.
    pub learning_rate: f64,
    /// Momentum, in [0, 1).
    pub momentum: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// How gradients are added.
    pub reduction: Reduction,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            name: OptimizerName::Sgd,
            learning_rate: 0.01,
            momentum: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            reduction: Reduction::Tree,
        }
    }
}

/// Optimisers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerName {
    /// Stochastic gradient descent.
    Sgd,
}

/// How gradients are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// The fixed tree over lanes: the same bits for any number of workers.
    Tree,
}

/// When to evaluate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Epochs between evaluations; 0 for only at the end.
    pub every_epochs: u32,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self { every_epochs: 1 }
    }
}

/// How often to report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Steps between lines of `metrics.jsonl`.
    pub every: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { every: 50 }
    }
}

/// The figure that others reached with this network and data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Published {
    /// Test error as a fraction; 0 for none.
    pub test_error: f64,
    /// Who published it.
    pub source: String,
}

/// Where it runs: changes no result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Kind of device.
    pub device: DeviceKind,
    /// Worker processes.
    pub workers: u32,
    /// Threads a worker; 0 for what its agent offers.
    pub threads: u32,
    /// Instruction set of the CPU kernels.
    pub instruction_set: InstructionSet,
    /// How workers of one node exchange gradients.
    pub transport: Transport,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            device: DeviceKind::Cpu,
            workers: 1,
            threads: 0,
            instruction_set: InstructionSet::Auto,
            transport: Transport::Auto,
        }
    }
}

/// Kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// CPU kernels.
    Cpu,
}

/// Instruction sets of the CPU kernels. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstructionSet {
    /// The best that the machine has.
    Auto,
    /// AVX-512.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// Any x86-64.
    Portable,
}

/// How workers of one node exchange gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Shared memory on one node, TCP between nodes.
    Auto,
    /// TCP everywhere.
    Tcp,
}

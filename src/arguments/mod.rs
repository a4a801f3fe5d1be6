//! What can be typed on the command line.

mod data;
mod study;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lockstep_kernels::cuda::Arithmetic;
use lockstep_proto::job::DeviceKind;
use lockstep_worker::agent::preflight::child::Errand;
use lockstep_worker::datasets::NamedFolder;
use lockstep_worker::program::Program;
use lockstep_worker::trainer::Hardware;

use crate::checkpoints::At;

pub use data::{DataInspect, DataPrepare, DataVerb, DataVerify, PreparedSplit};
pub use study::{StudyReport, StudyRun, StudyVerb};

/// Synchronous data-parallel training whose weights are the same bits for any number of workers and threads.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Train a job on this machine: a coordinator, an agent and worker processes until it is done
    Train(Train),
    /// Branch off a run at a checkpoint, with the same order of samples and other settings, and train
    Fork(Fork),
    /// Say in what two runs differ: job files, and the first step and tensor; exit code 0 for the same bits, 1 for others
    Diff(Diff),
    /// Run a coordinator
    Serve(Serve),
    /// Run an agent: offer this machine's slots to a coordinator
    Agent(Agent),
    /// A worker process; started by an agent
    #[command(hide = true)]
    Worker(Worker),
    /// A process that looks at GPUs; started by whoever is about to offer them
    #[command(hide = true)]
    Preflight(Preflight),
    /// Hand a job to a coordinator
    Submit(Submit),
    /// List jobs, or agents and their GPUs
    List(List),
    /// Show a job: state, reason, progress, placement, run folder
    Show(OneJob),
    /// Follow a job's progress until it ends
    Watch(OneJob),
    /// Print what a job's workers logged
    Logs(Logs),
    /// Stop a job after the step in flight, with a checkpoint, and give its slots back
    Pause(OneJob),
    /// Go on with a paused job
    Resume(OneJob),
    /// Change a job's number of workers, from the next step on
    Scale(Scale),
    /// Write a checkpoint of a job; returns when it is on disk
    Checkpoint(OneJob),
    /// Stop a job for good, after the step in flight
    Cancel(OneJob),
    /// Wait until a job has ended; the exit code says how
    Wait(OneJob),
    /// Copy a job's run folder to this machine
    Pull(Pull),
    /// Prove that each sample of each epoch of a run was in at most one committed step
    Ledger(LedgerOf),
    /// Evaluate a run's weights on a data set: loss, error, and which classes are taken for which
    Eval(Eval),
    /// Ask a run's network about pictures
    Predict(Predict),
    /// Write a run's weights to a file for other programs
    Export(Export),
    /// Look at networks
    #[command(subcommand)]
    Model(ModelVerb),
    /// Prepare, look at and verify datasets
    #[command(subcommand)]
    Data(DataVerb),
    /// Train a grid of jobs and tell what came of it
    #[command(subcommand)]
    Study(StudyVerb),
    /// Train a job under a seeded schedule of faults, and compare the bits with an undisturbed run
    Chaos(Chaos),
    /// Say what this machine offers, and how long anything may take before it counts as lost
    Doctor(Doctor),
    /// Check a device: every op against its formula, whole networks beside the CPU's
    Selftest(Selftest),
    /// Measure a device
    #[command(subcommand)]
    Bench(BenchVerb),
}

/// A job file and changes to it.
#[derive(Debug, Args)]
pub struct JobFile {
    /// Job file (TOML); keys: recipes/REFERENCE.md
    #[arg(value_name = "JOB.toml")]
    pub job: PathBuf,
    /// Change a key, e.g. --set batch.size=256
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// How much computes a job on this machine.
#[derive(Debug, Args)]
pub struct Size {
    /// Worker processes
    #[arg(long, value_name = "N")]
    pub workers: Option<u32>,
    /// Threads a worker
    #[arg(long, value_name = "T")]
    pub threads: Option<u32>,
}

impl Size {
    /// As settings of the job.
    pub fn settings(&self) -> impl Iterator<Item = String> {
        let setting = |key: &'static str, value: Option<u32>| value.map(|value| format!("cluster.{key}={value}"));
        setting("workers", self.workers).into_iter().chain(setting("threads", self.threads))
    }
}

/// What is printed of a job on its way.
#[derive(Debug, Args)]
pub struct Shown {
    /// Print nothing but errors
    #[arg(long, conflicts_with = "json")]
    pub quiet: bool,
    /// Print a line of JSON for each event
    #[arg(long)]
    pub json: bool,
}

/// `train`.
#[derive(Debug, Args)]
pub struct Train {
    /// Job file (TOML); keys: recipes/REFERENCE.md
    #[arg(value_name = "JOB.toml", required_unless_present = "from")]
    pub job: Option<PathBuf>,
    /// Change a key, e.g. --set batch.size=256
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Go on from a run's newest checkpoint: in its folder, or with a JOB.toml in a new one
    #[arg(long, value_name = "RUN")]
    pub from: Option<PathBuf>,
    /// Begin with the weights of a safetensors file: another run's, or a PyTorch state_dict (model.init_from)
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub init_from: Option<PathBuf>,
    /// Begin with a new last layer, whatever the file has of it (model.new_head)
    #[arg(long)]
    pub new_head: bool,
    #[command(flatten)]
    pub size: Size,
    /// Run folder; without it runs/ and the recipe's name with the time
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the run folder if it is not empty
    #[arg(long)]
    pub overwrite: bool,
    /// Work out steps, lanes, memory and reads of the job, and start nothing
    #[arg(long, conflicts_with_all = ["from", "out", "overwrite", "quiet"])]
    pub dry_run: bool,
    #[command(flatten)]
    pub shown: Shown,
}

/// `fork`.
#[derive(Debug, Args)]
pub struct Fork {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Step of the checkpoint to start from; without it the newest
    #[arg(long, value_name = "STEP", default_value = "latest")]
    pub at: At,
    /// Change a key from there on, e.g. --set optimizer.learning_rate=0.1; batch.size changes with the next epoch
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub size: Size,
    /// Run folder; without it runs/ and the run's name with the time
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the run folder if it is not empty
    #[arg(long)]
    pub overwrite: bool,
    #[command(flatten)]
    pub shown: Shown,
}

/// `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// Run folder
    #[arg(value_name = "RUN1")]
    pub first: PathBuf,
    /// The other
    #[arg(value_name = "RUN2")]
    pub second: PathBuf,
    /// Find the very step: train both again, step by step, from the newest checkpoint at which they are equal
    #[arg(long)]
    pub exact: bool,
    /// Folder for diff.svg; without it the current folder
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address to listen on
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7070")]
    pub listen: SocketAddr,
    /// Folder for the coordinator's state and the run folders
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
}

/// `agent`.
#[derive(Debug, Args)]
pub struct Agent {
    #[command(flatten)]
    pub coordinator: Coordinator,
    /// Workers at a time; without it the machine's cores divided by --threads, or its GPUs
    #[arg(long, value_name = "N")]
    pub slots: Option<u32>,
    /// What workers compute with. cuda: a GPU each; auto: GPUs if there are any that can be used
    #[arg(long, value_enum, default_value_t = DeviceName::Auto)]
    pub device: DeviceName,
    /// Threads a worker gets if its job doesn't say
    #[arg(long, value_name = "T", default_value_t = 1)]
    pub threads: u32,
    /// Name of this node; of two agents with one name the second is refused. Random without it
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// This node's folder of a dataset that jobs name (data.name), e.g. --data imagenet=/datasets/imagenet
    #[arg(long = "data", value_name = "NAME=DIR")]
    pub data: Vec<NamedFolder>,
}

/// Kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeviceName {
    /// GPUs where there are some, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// GPUs
    Cuda,
}

impl From<DeviceName> for DeviceKind {
    fn from(name: DeviceName) -> Self {
        match name {
            DeviceName::Auto => Self::Auto,
            DeviceName::Cpu => Self::Cpu,
            DeviceName::Cuda => Self::Cuda,
        }
    }
}

/// `worker`.
#[derive(Debug, Args)]
pub struct Worker {
    #[command(flatten)]
    pub coordinator: Coordinator,
    #[arg(long)]
    pub worker: String,
    #[arg(long)]
    pub node: String,
    #[arg(long)]
    pub threads: u32,
    #[arg(long)]
    pub device: Hardware,
    #[arg(long)]
    pub parent: u32,
    #[arg(long = "data")]
    pub data: Vec<NamedFolder>,
    #[arg(long)]
    pub program: Option<Program>,
}

/// `preflight`.
#[derive(Debug, Args)]
pub struct Preflight {
    #[arg(long)]
    pub errand: Errand,
    #[arg(long)]
    pub parent: u32,
}

/// Where the coordinator is.
#[derive(Debug, Args)]
pub struct Coordinator {
    /// The coordinator's address
    #[arg(
        long = "coordinator",
        value_name = "URL",
        env = "LOCKSTEP_COORDINATOR",
        default_value = "http://127.0.0.1:7070"
    )]
    pub address: String,
}

/// What all client verbs take.
#[derive(Debug, Args)]
pub struct Client {
    #[command(flatten)]
    pub coordinator: Coordinator,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Agents with what they offer, and GPUs that they exclude
    #[arg(long)]
    pub agents: bool,
    #[command(flatten)]
    pub client: Client,
}

/// `submit`.
#[derive(Debug, Args)]
pub struct Submit {
    #[command(flatten)]
    pub file: JobFile,
    /// Go on from this run's newest checkpoint; its folder must be seen by the workers
    #[arg(long, value_name = "RUN")]
    pub from: Option<PathBuf>,
    #[command(flatten)]
    pub client: Client,
}

/// A client verb about one job.
#[derive(Debug, Args)]
pub struct OneJob {
    /// The job's id; may be shortened
    #[arg(value_name = "ID")]
    pub job: String,
    #[command(flatten)]
    pub client: Client,
}

/// `scale`.
#[derive(Debug, Args)]
pub struct Scale {
    /// The job's id; may be shortened
    #[arg(value_name = "ID")]
    pub job: String,
    /// Workers with lanes
    #[arg(value_name = "N")]
    pub workers: u32,
    #[command(flatten)]
    pub client: Client,
}

/// `ledger`.
#[derive(Debug, Args)]
pub struct LedgerOf {
    /// A run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `eval`.
#[derive(Debug, Args)]
pub struct Eval {
    /// A run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Folder of data, as data.path in a job file; the run's own without it
    #[arg(value_name = "DATA")]
    pub data: Option<PathBuf>,
    /// Which samples
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    pub split: SplitName,
    /// Take the weights of the newest checkpoint, not of the run's end
    #[arg(long)]
    pub checkpoint: bool,
    /// Threads; all cores without it. The result does not depend on it
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Parts of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// The test files
    Test,
    /// What is trained on
    Train,
    /// What data.validation holds out
    Validation,
}

/// `predict`.
#[derive(Debug, Args)]
pub struct Predict {
    /// A run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// PNG or JPEG files, grey or in colour. A picture of another size than the network's is scaled to it by a triangle
    /// filter, each side by itself; what is transparent becomes white
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<PathBuf>,
    /// Take the weights of the newest checkpoint, not of the run's end
    #[arg(long)]
    pub checkpoint: bool,
    /// Names of the classes, one a line; numbers without it
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Make light dark and dark light: for dark ink on white paper where the training data is white on black. Without
    /// --invert and --no-invert it is done to grey pictures whose border is light
    #[arg(long, conflicts_with = "no_invert")]
    pub invert: bool,
    /// Take pictures as they are
    #[arg(long)]
    pub no_invert: bool,
    /// Print a line of JSON for each picture
    #[arg(long)]
    pub json: bool,
}

/// Whether light becomes dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// By the picture's border.
    Detect,
    /// It does.
    Inverted,
    /// It does not.
    AsItIs,
}

impl Predict {
    /// What the two flags say.
    pub fn polarity(&self) -> Polarity {
        match (self.invert, self.no_invert) {
            (true, _) => Polarity::Inverted,
            (false, true) => Polarity::AsItIs,
            (false, false) => Polarity::Detect,
        }
    }
}

/// `export`.
#[derive(Debug, Args)]
pub struct Export {
    /// A run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Kind of file. safetensors: parameters and running statistics, named and shaped as in torchvision
    #[arg(long, value_enum, default_value_t = ExportFormat::Safetensors)]
    pub format: ExportFormat,
    /// The file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Of a job with optimizer.ema: the averaged weights, which were evaluated; so without --trained
    #[arg(long, conflicts_with = "trained")]
    pub averaged: bool,
    /// Of a job with optimizer.ema: the weights that were trained
    #[arg(long)]
    pub trained: bool,
    /// Take the weights of the newest checkpoint, not of the run's end
    #[arg(long)]
    pub checkpoint: bool,
    /// Replace the file if it is there
    #[arg(long)]
    pub overwrite: bool,
}

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Tensors by name
    Safetensors,
}

/// `model`.
#[derive(Debug, Subcommand)]
pub enum ModelVerb {
    /// Layers, shapes, parameters, operations and memory of a network
    Show(ModelShow),
}

/// `model show`.
#[derive(Debug, Args)]
pub struct ModelShow {
    /// A network's name, as in `model.name`
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Change a key of the model, e.g. --set model.shortcuts=false
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Channels of a sample; as the network is known for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub channels: Option<u32>,
    /// Height and width of a sample; as the network is known for
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub size: Option<u32>,
    /// Classes; as the network is known for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub classes: Option<u32>,
    /// Print JSON, with the names and shapes of all tensors
    #[arg(long)]
    pub json: bool,
}

/// `chaos`.
#[derive(Debug, Args)]
pub struct Chaos {
    #[command(flatten)]
    pub file: JobFile,
    /// Seed of the schedule of faults
    #[arg(long, value_name = "S")]
    pub seed: u64,
    /// No more faults after so many minutes
    #[arg(long, value_name = "M", default_value_t = 60.0)]
    pub minutes: f64,
    /// No more than so many faults
    #[arg(long, value_name = "N")]
    pub faults: Option<u32>,
    /// Agents, each with a proxy between it and the coordinator
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub nodes: u32,
    /// Folder for logs and runs; without it a temporary one, which is removed if the bits are the same
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Also look at what this job needs: its data and its place for checkpoints
    #[arg(value_name = "JOB.toml")]
    pub job: Option<PathBuf>,
    /// Change a key of the job
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `selftest`.
#[derive(Debug, Args)]
pub struct Selftest {
    /// Which device; auto is a GPU if there is one that can be used
    #[arg(long, value_enum, default_value_t = DeviceName::Auto)]
    pub device: DeviceName,
    /// Which GPU, as the driver counts
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub gpu: usize,
    /// What activations are in memory
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    pub precision: PrecisionName,
    /// Only small networks
    #[arg(long)]
    pub small: bool,
    /// Also write everything to a JSON file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What activations are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PrecisionName {
    /// f32
    F32,
    /// bf16, on GPUs
    Bf16,
}

impl From<PrecisionName> for Arithmetic {
    fn from(name: PrecisionName) -> Self {
        match name {
            PrecisionName::F32 => Self::F32,
            PrecisionName::Bf16 => Self::Bf16,
        }
    }
}

/// `bench`.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// Training steps of named networks, each op beside what the GPU can do at most, and where a step's time goes
    Gpu(BenchGpu),
    /// How fast a job's samples are read, decoded and augmented, stage by stage, and how many GPUs that feeds
    Data(BenchData),
}

/// `bench data`.
#[derive(Debug, Args)]
pub struct BenchData {
    #[command(flatten)]
    pub job: JobFile,
    /// Threads that read, decode and augment; as many as there are cores
    #[arg(long, value_name = "T", value_parser = data::threads)]
    pub threads: Option<usize>,
    /// Of each stage
    #[arg(long, value_name = "S", default_value_t = 3.0, value_parser = positive)]
    pub seconds: f64,
    /// Images a second that a GPU trains, to tell how many are fed
    #[arg(long, value_name = "N", default_value_t = 2_500.0, value_parser = positive)]
    pub images: f64,
    /// Print one line of JSON
    #[arg(long)]
    pub json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "is no number above 0".to_owned())
}

/// `bench gpu`.
#[derive(Debug, Args)]
pub struct BenchGpu {
    /// Which GPU, as the driver counts
    #[arg(long, value_name = "cuda:N", default_value = "cuda:0")]
    pub device: Hardware,
    /// Timed steps of each network, and of each op
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub steps: u32,
    /// Small networks and a sliver of each op: whether all of it works, not how fast
    #[arg(long)]
    pub small: bool,
    /// Also write everything to a JSON file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write one step of the first network as a trace for chrome://tracing: each kernel, copy and call of a library
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    pub job: OneJob,
    /// Go on until the job ends
    #[arg(long)]
    pub follow: bool,
}

/// `pull`.
#[derive(Debug, Args)]
pub struct Pull {
    #[command(flatten)]
    pub job: OneJob,
    /// Where to; must not exist or be empty
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
}

//! GPUs, with the real binary and real processes, each worker on an emulated one of its own: the same bits for any
//! number of them and after a loss, losses as on the CPU, and what can't be used said in one line.

mod lockstep;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use lockstep::cluster::Cluster;
use lockstep::gpu::Gpus;
use lockstep::noise::write_noise;
use lockstep::outcome::Outcome;
use lockstep::process::{Ended, Process};
use lockstep::undecodable::spoil;
use lockstep::{lockstep as binary, recipe};
use lockstep_dataset::Order;
use lockstep_kernels::cuda::{self, CudaError};
use rustix::process::Signal;
use tempfile::TempDir;

/// Twenty steps of LeNet-5 over four lanes of 4 samples, ten steps an epoch: emulated GPUs take long for samples.
const SETTINGS: [&str; 7] = [
    "batch.size=16",
    "batch.micro_batch=4",
    "data.validation=0",
    "schedule.epochs=2",
    "schedule.max_steps=20",
    "cluster.device=cuda",
    "metrics.every=1",
];

/// Fewer, where that will do.
const THREE_STEPS: [&str; 2] = ["--set", "schedule.max_steps=3"];

/// A job's data, and places for its runs.
struct Stage {
    gpus: Gpus,
    folder: TempDir,
}

impl Stage {
    fn new() -> Option<Self> {
        Self::of(160, 16)
    }

    /// With so many samples to train on, and to test on.
    fn of(train: u32, test: u32) -> Option<Self> {
        let (gpus, folder) = (Gpus::emulated()?, tempfile::tempdir().unwrap());
        write_noise(folder.path(), train, test, 28, 10);
        Some(Self { gpus, folder })
    }

    fn settings(&self) -> Vec<String> {
        let data = format!("data.path={}", self.folder.path().display());
        SETTINGS.iter().map(|setting| (*setting).to_owned()).chain([data]).collect()
    }

    /// What `train` into a run of this name is started with.
    fn command(&self, run: &str, more: &[&str]) -> Command {
        let settings = self.settings();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut command = lockstep::train(&recipe("mnist-lenet5.toml"), &self.folder.path().join(run), &settings);
        self.gpus.shown_to(&mut command, 3).args(more);
        command
    }

    fn train(&self, run: &str, more: &[&str]) -> Outcome {
        // Steps are told as they are done: where many tests run at once, nobody takes a long one for a stuck one.
        Ended::of(self.command(run, more).arg("--json")).success();
        Outcome::of(&self.folder.path().join(run))
    }

    /// What gradients of a run's first generation went by, from GPU to GPU.
    fn transport(&self, run: &str) -> String {
        self.record(run)["generations"][0]["transport"].as_str().unwrap().to_owned()
    }

    fn record(&self, run: &str) -> serde_json::Value {
        lockstep::json(&self.folder.path().join(run).join("run.json"))
    }

    fn losses(&self, run: &str) -> Vec<f64> {
        let text = std::fs::read_to_string(self.folder.path().join(run).join("metrics.jsonl")).unwrap();
        lockstep::json_lines(&text).iter().map(|line| line["loss"].as_f64().unwrap()).collect()
    }
}

/// What a run's probes have come to: of each its name, and all of its numbers.
fn probes(run: &Path) -> Vec<(String, Vec<f64>)> {
    let lines = lockstep::json_lines(&std::fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    let numbers = |figures: &serde_json::Value| -> Vec<f64> {
        let lists = figures.as_object().unwrap().values().flat_map(|list| list.as_array().unwrap());
        lists.map(|number| number.as_f64().unwrap()).collect()
    };
    let probes = lines.iter().filter(|line| line["kind"] == "probe");
    probes.map(|line| (line["probe"].as_str().unwrap().to_owned(), numbers(&line["figures"]))).collect()
}

/// What a job comes to on one GPU, and its losses.
type Known = (Outcome, Vec<f64>);

/// All steps, computed once for all tests.
fn twenty_steps(stage: &Stage) -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| alone(stage, "twenty-steps", &[]))
}

/// Three steps, computed once for all tests.
fn three_steps(stage: &Stage) -> &'static Known {
    static KNOWN: OnceLock<Known> = OnceLock::new();
    KNOWN.get_or_init(|| alone(stage, "three-steps", &THREE_STEPS))
}

fn alone(stage: &Stage, run: &str, more: &[&str]) -> Known {
    let outcome = stage.train(run, &[&["--workers", "1"], more].concat());
    assert_eq!(stage.transport(run), "");
    (outcome, stage.losses(run))
}

#[test]
fn any_number_of_gpus_gives_the_same_bits_and_the_losses_of_the_cpu() {
    // Here with batches of 64.
    let Some(stage) = Stage::of(640, 64) else { return };
    let train = |run: &str, workers: &str, more: &[&str]| {
        let keys = [&["batch.size=64", "batch.micro_batch=16"][..], more].concat();
        stage.train(run, &["--workers", workers].into_iter().chain(lockstep::set(&keys)).collect::<Vec<_>>())
    };
    let one = train("one", "1", &[]);
    assert_eq!(one.steps(), 20);
    assert_eq!(train("two", "2", &["cluster.threads=3"]), one);
    assert_eq!(train("three", "3", &["cluster.transport=tcp", "cluster.bucket=1000"]), one);
    assert_eq!(["one", "two", "three"].map(|run| stage.transport(run)), ["", "NCCL 2.28.9", "NCCL 2.28.9"]);
    train("cpu", "1", &["cluster.device=cpu"]);
    let (ours, cpus) = (stage.losses("one"), stage.losses("cpu"));
    assert_eq!(ours.len(), cpus.len());
    for (step, (ours, cpus)) in ours.iter().zip(&cpus).enumerate() {
        assert!((ours - cpus).abs() < 1e-4 * cpus, "line {step}: {ours} on GPUs, {cpus} on the CPU");
    }
}

/// Activations of bf16 are other numbers, but the promise is the same, and so is the loss as far as 8 bits go.
#[test]
fn any_number_of_gpus_gives_the_same_bits_in_bf16() {
    let Some(stage) = Stage::new() else { return };
    let with = |workers| [&["--workers", workers, "--set", "model.precision=bf16"][..], &THREE_STEPS].concat();
    let one = stage.train("one", &with("1"));
    assert_eq!(stage.train("two", &with("2")), one);
    let (in_f32, losses) = three_steps(&stage);
    assert_ne!(*in_f32, one);
    for (narrow, wide) in stage.losses("one").iter().zip(losses) {
        assert!((narrow - wide).abs() < 0.01 * wide, "{narrow} in bf16, {wide} in f32");
    }
}

/// Samples that are mixed, and lanes from which some are left out, one of them all.
#[test]
fn mixed_and_shorter_lanes_are_the_same_bits_on_any_number_of_gpus() {
    let Some(stage) = Stage::new() else { return };
    let path = stage.folder.path().join("prepared");
    Ended::of(binary(["data", "prepare"]).arg(stage.folder.path()).arg("--out").arg(&path)).success();
    let left_out: Vec<u64> = [0, 1, 2, 3, 7].map(|position| Order::new(0, 0, 160).sample_at(position)).to_vec();
    spoil(&path.join("train"), &left_out);
    let data = format!("data.path={}", path.display());
    let mixed = ["augment.mixup=0.3", "augment.cutmix=1", "loss.smoothing=0.1"];
    let keys = [&["data.skip_bad=5", "schedule.max_steps=10", &data][..], &mixed].concat();
    let keys: Vec<&str> = lockstep::set(&keys).collect();
    let train = |run: &str, more: &[&str]| stage.train(run, &[&keys[..], more].concat());
    let one = train("one", &["--workers", "1"]);
    assert_eq!(train("two", &["--workers", "2"]), one);
    assert_eq!(train("three", &["--workers", "3", "--set", "cluster.transport=tcp"]), one);
    train("cpu", &["--workers", "1", "--set", "cluster.device=cpu"]);
    for (step, (ours, cpus)) in stage.losses("one").iter().zip(stage.losses("cpu")).enumerate() {
        assert!((ours - cpus).abs() < 1e-4 * cpus, "line {step}: {ours} on GPUs, {cpus} on the CPU");
    }
}

#[test]
fn a_worker_that_is_killed_changes_no_bit() {
    let Some(stage) = Stage::new() else { return };
    let mut train = Process::start(&mut stage.command("killed", &["--workers", "2", "--threads", "1", "--json"]));
    train.await_line("\"step\":4");
    let workers = train.children();
    assert_eq!(workers.len(), 2);
    workers[0].signal(Signal::KILL);
    let ended = train.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("lost"), "the loss is told: {ended:?}");
    twenty_steps(&stage).0.is_that_of(&stage.folder.path().join("killed"));
}

#[test]
fn gpus_without_one_nccl_reduce_through_the_hosts_to_the_same_bits_and_say_so() {
    let Some(stage) = Stage::new() else { return };
    let mut command = stage.command("hosts", &[&["--workers", "2"][..], &THREE_STEPS].concat());
    let ended = Ended::of(command.env("EMULATED_NCCL_VERSION", "30100"));
    let told = format!("{}{}", ended.stdout, ended.stderr);
    assert!(told.contains("through the hosts' memory, which is slower"), "{told}");
    assert!(told.contains("NCCL 3.1.0 was found; it must be 2.18 or newer, of the same major version"), "{told}");
    ended.success();
    three_steps(&stage).0.is_that_of(&stage.folder.path().join("hosts"));
    assert_eq!(stage.transport("hosts"), "");
}

#[test]
fn a_reduction_in_nccls_own_order_trains_as_well_and_is_recorded_as_such() {
    let Some(stage) = Stage::new() else { return };
    let few = |reduction| [&["--workers", "2", "--set", reduction][..], &THREE_STEPS].concat();
    // Any number of workers comes to the same by the tree.
    let (_, by_tree) = three_steps(&stage);
    for reduction in ["optimizer.reduction=fast", "optimizer.reduction=fast_bf16"] {
        stage.train(reduction, &few(reduction));
        for (fast, tree) in stage.losses(reduction).iter().zip(by_tree) {
            assert!((fast - tree).abs() < 1e-3 * tree, "{fast} with {reduction}, {tree} by the tree");
        }
        assert_eq!(stage.record(reduction)["bits"], "of_its_workers_too");
    }
    let refused = |command: &mut Command, words: &str| {
        let ended = Ended::of(command);
        assert!(ended.code != Some(0) && ended.stderr.contains(words), "{words}: {ended:?}");
    };
    let fast = few("optimizer.reduction=fast");
    refused(stage.command("cpu", &fast).args(["--set", "cluster.device=cpu"]), "set `cluster.device = \"cuda\"`");
    refused(stage.command("old", &fast).env("EMULATED_NCCL_VERSION", "21000"), "NCCL 2.10.0 was found");
    let mut unreachable = stage.command("unreachable", &fast);
    refused(unreachable.env("EMULATED_NCCL_FAILS", "ncclCommInitRankConfig"), "no network interface found");
}

/// Agents of both kinds: a job gets devices of one, and its placement tells which.
#[test]
fn a_cluster_of_both_kinds_gives_a_job_what_it_asks_for() {
    let Some(stage) = Stage::new() else { return };
    let cluster = Cluster::start();
    let _cpu = cluster.agent(2);
    let mut command = binary(["agent", "--device", "cuda", "--coordinator", &cluster.address]);
    stage.gpus.shown_to(&mut command, 2);
    let _gpus = cluster.agent_of(command);
    let settings = stage.settings();
    let settings: Vec<&str> = settings.iter().map(String::as_str).chain(["cluster.workers=2"]).collect();
    let id = cluster.submit("mnist-lenet5.toml", &settings);
    cluster.run("wait", &[&id]).success();
    let shown = cluster.run("show", &[&id]).success();
    assert_eq!(shown.matches("emulated GPU (sm_90)").count(), 2, "{shown}");
    assert_eq!(Outcome::of(&cluster.folder(&id)), twenty_steps(&stage).0);
}

#[test]
fn what_can_not_be_used_is_said_in_one_line() {
    let Some(stage) = Stage::new() else { return };
    let command = || stage.command("refused", &["--quiet"]);
    let refused = |command: &mut Command, words: &[&str]| {
        Ended::of(command).is_refused_with(words);
        assert!(!stage.folder.path().join("refused").exists(), "nothing is written");
    };
    refused(command().env("EMULATED_GPU_COUNT", "0"), &["there is no GPU 0", "shows 0", "CUDA_VISIBLE_DEVICES"]);
    refused(command().env("EMULATED_GPU_DRIVER", "11080"), &["driver is for CUDA 11.8", "12.4"]);
    refused(command().env("EMULATED_GPU_ARCHITECTURE", "75"), &["no GPU can be used", "compute capability 7.5", "8.0"]);
    refused(command().env("EMULATED_NVRTC_VERSION", "11"), &["libnvrtc.so is of CUDA 11.0", "12.4", "LOCKSTEP_CUDA"]);
    refused(command().env("EMULATED_GPU_MEMORY", "10000"), &["out of GPU memory", "10000 are free"]);
    refused(command().env("CUDA_VISIBLE_DEVICES", "7"), &["shows 0", "CUDA_VISIBLE_DEVICES"]);
    refused(command().args(["--set", "cluster.workers=4"]), &["cluster.workers is 4", "3 GPUs that can be used"]);
    match cuda::count() {
        Err(CudaError::NoDriver) => {
            refused(command().env_remove("LOCKSTEP_CUDA_LIBRARIES"), &["no NVIDIA driver", "libcuda.so.1"]);
        }
        _ => println!("skipped: this machine has a driver"),
    }
}

/// A GPU that is too small ends the job with the numbers and a remedy, not by a panic: before it starts, as bad input.
#[test]
fn a_gpu_without_memory_ends_the_job_with_a_remedy() {
    let Some(stage) = Stage::new() else { return };
    for (memory, what, remedy) in [
        ("2000000", "gradients and their sums (", "no smaller batch.micro_batch fits either"),
        ("3000000", "what ops need for themselves (", "the largest batch.micro_batch that fits is 32"),
    ] {
        let settings = ["batch.size=64", "batch.micro_batch=64", "cluster.max_restarts=0"]
            .map(|setting| ["--set", setting])
            .concat();
        let mut command = stage.command(memory, &[&["--quiet", "--workers", "1"][..], &settings].concat());
        let ended = Ended::of(command.env("EMULATED_GPU_MEMORY", memory));
        assert_eq!(ended.code, Some(2), "{ended:?}");
        for words in ["out of GPU memory: there is no room for ", what, remedy] {
            assert!(ended.stderr.contains(words), "{words}: {ended:?}");
        }
    }
}

/// All memory is there once the first step is: later ones, also an epoch's last with its short lane, find the GPU full.
#[test]
fn steps_after_the_first_ask_a_gpu_for_no_memory() {
    let Some(stage) = Stage::new() else { return };
    let settings = ["--set", "data.limit=35", "--set", "data.last_batch=keep", "--set", "schedule.max_steps=6"];
    let one = stage.train("free", &[&["--workers", "1"][..], &settings].concat());
    for workers in ["1", "2"] {
        let run = format!("full-{workers}");
        let mut command = stage.command(&run, &[&["--quiet", "--workers", workers][..], &settings].concat());
        Ended::of(command.env("EMULATED_GPU_FULL_AFTER", "optimizer_sgd")).success();
        assert_eq!(Outcome::of(&stage.folder.path().join(run)), one);
    }
    let mut command = stage.command("too-early", &["--quiet", "--workers", "1", "--set", "cluster.max_restarts=0"]);
    let ended = Ended::of(command.env("EMULATED_GPU_FULL_AFTER", "fold_squared_norms"));
    assert!(ended.code == Some(1) && ended.stderr.contains("out of GPU memory"), "the first step asks: {ended:?}");
}

/// Nothing that a failed GPU was asked for is taken for a result: a job goes on from its newest checkpoint, to the same
/// bits.
#[test]
fn a_gpu_that_fails_leaves_good_checkpoints_alone() {
    let Some(stage) = Stage::new() else { return };
    let five_steps = ["--set", "schedule.max_steps=5"];
    let clean = stage.train("clean", &[&["--workers", "1"][..], &five_steps].concat());
    let keys = ["--json", "--workers", "1", "--set", "cluster.max_restarts=0", "--set", "checkpoint.every_steps=1"];
    let settings = [&keys[..], &five_steps].concat();
    // In an update, in a lane's norms, and in its way forward.
    for (kernel, launch) in [("optimizer_sgd", "3"), ("fold_squared_norms", "15"), ("linear_forward", "45")] {
        let run = format!("failed-in-{kernel}");
        let mut command = stage.command(&run, &settings);
        command.env("EMULATED_GPU_FAILS_IN", kernel).env("EMULATED_GPU_FAILS_AT", launch);
        let ended = Ended::of(&mut command);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("GPU failure in"), "{ended:?}");
        let folder = stage.folder.path().join(&run);
        let mut go_on = binary(["train", "--json", "--from"]);
        Ended::of(stage.gpus.shown_to(go_on.arg(&folder), 1)).success();
        clean.has_the_state_of(&folder);
    }
}

#[test]
fn auto_without_a_gpu_is_the_cpu_and_says_so() {
    let Some(stage) = Stage::new() else { return };
    let mut command = stage.command("auto", &["--quiet", "--workers", "1", "--set", "cluster.device=auto"]);
    let ended = Ended::of(command.env("EMULATED_GPU_COUNT", "0"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("computing on the CPU: there is no GPU"), "{ended:?}");
}

/// `doctor` tells what there is, or what is missing; `selftest` finds the CPU as it should be. The emulated GPU's ops are
/// checked where they can be by themselves (selftest/tests/cuda.rs).
#[test]
fn doctor_and_selftest_look_at_gpus() {
    let Some(stage) = Stage::new() else { return };
    let doctor = Ended::of(stage.gpus.shown_to(&mut binary(["doctor"]), 2)).success();
    for words in ["for CUDA 13.0", "emulated GPU (sm_90)", "0000:11:00.0", "passed"] {
        assert!(doctor.contains(words), "{words:?}: {doctor}");
    }
    assert!(Ended::of(&mut binary(["doctor"])).success().contains("GPUs"));
    Ended::of(&mut binary(["selftest", "--device", "cpu", "--precision", "bf16"]))
        .is_refused_with(&["--precision bf16 is for GPUs"]);
    let report = stage.folder.path().join("selftest.json");
    let said = Ended::of(binary(["selftest", "--device", "cpu", "--small", "--out"]).arg(&report)).success();
    assert!(said.contains("all as it should be"), "{said}");
    let report = lockstep::json(Path::new(&report));
    assert_eq!(report["failures"], 0);
    assert!(report["ops"].as_array().is_some_and(|ops| ops.len() > 300), "{}", report["ops"]);
}

/// Passes at other weights, and the way back to the input.
#[test]
fn probes_are_the_same_for_any_number_of_gpus_and_near_to_those_of_cpus() {
    let Some(stage) = Stage::new() else { return };
    let settings = "probe=[{ measure = 'gap', samples = 10 }, { measure = 'weights' }, \
                    { measure = 'interpolation', samples = 10, points = 5 }, { measure = 'margins', samples = 10 }, \
                    { measure = 'fgsm', samples = 10, strengths = [0.0, 0.1] }]";
    let taken = |run: &str, workers: &str, device: &str| {
        let more = ["--workers", workers, "--set", settings, "--set", device];
        stage.train(run, &[&more[..], &THREE_STEPS].concat());
        probes(&stage.folder.path().join(run))
    };
    let one = taken("probes-1", "1", "cluster.device=cuda");
    assert_eq!(one.len(), 5);
    assert_eq!(taken("probes-3", "3", "cluster.device=cuda"), one);
    let cpu = taken("probes-cpu", "1", "cluster.device=cpu");
    for ((name, gpu), (_, cpu)) in one.iter().zip(&cpu) {
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-3 * (1.0 + b.abs());
        assert!(gpu.len() == cpu.len() && gpu.iter().zip(cpu).all(near), "{name}: {gpu:?}, not {cpu:?}");
    }
}

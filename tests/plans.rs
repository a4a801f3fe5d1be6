//! cuDNN and cuBLASLt in a job, with the real binary and real processes, on emulated GPUs whose libraries would choose
//! differently: all compute by the plans of the first step, after a loss, a takeover and a restart too.

mod lockstep;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;

use lockstep::cluster::Cluster;
use lockstep::gpu::Gpus;
use lockstep::noise::write_noise;
use lockstep::outcome::Outcome;
use lockstep::process::{Ended, Process};
use lockstep::undecodable::spoil;
use lockstep::{eventually, json, lockstep as binary, names, recipe, set, train};
use lockstep_dataset::Order;
use lockstep_emulation::{or_skip, vendor_libraries};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// A few steps of two lanes; a layer in the middle is worth a library's call, and no other.
const SETTINGS: [&str; 8] = [
    "data.validation=0",
    "schedule.max_steps=4",
    "optimizer.learning_rate=0.1",
    "cluster.device=cuda",
    "cluster.libraries=auto",
    "cluster.max_restarts=3",
    "cluster.workers=1",
    "metrics.every=1",
];

const LINEAR: [&str; 3] = ["model.hidden=[512, 512]", "batch.size=2048", "batch.micro_batch=1024"];
const CONVOLUTION: [&str; 4] = [
    "model.name=layers",
    "model.layers=[{ kind = 'conv', channels = 32, kernel = 3, padding = 1 }, { kind = 'relu' }, \
     { kind = 'conv', channels = 32, kernel = 5, padding = 2 }, { kind = 'relu' }, { kind = 'linear', channels = 10 }]",
    "batch.size=1344",
    "batch.micro_batch=672",
];

/// What the emulated libraries have, the one that they prefer first.
const BOTH: [&str; 2] = ["23", "32"];

/// What becomes of the coordinator of a job that loses a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coordinator {
    Stays,
    /// It is killed as well, with its database. The next takes the job over from who is left.
    Forgets,
}

/// A job's data, and places for its runs.
struct Stage {
    gpus: Gpus,
    vendors: PathBuf,
    folder: TempDir,
}

impl Stage {
    fn new() -> Option<Self> {
        let (gpus, vendors) = (Gpus::emulated()?, or_skip(vendor_libraries())?);
        let folder = tempfile::tempdir().unwrap();
        write_noise(folder.path(), 4096, 64, 4, 10);
        Some(Self { gpus, vendors, folder })
    }

    fn settings(&self, network: &[&str]) -> Vec<String> {
        let data = format!("data.path={}", self.folder.path().display());
        [network, &SETTINGS].concat().into_iter().map(str::to_owned).chain([data]).collect()
    }

    /// Has a process see two GPUs whose libraries have these engines.
    fn shown_to<'c>(&self, command: &'c mut Command, engines: &str) -> &'c mut Command {
        self.gpus.shown_with(&self.vendors, command, 2).env("EMULATED_ENGINES", engines)
    }

    /// `train` with one worker into a run of this name.
    fn command(&self, run: &str, engines: &str) -> Command {
        self.command_of("mnist-mlp.toml", &LINEAR, run, engines)
    }

    /// The same of another network.
    fn command_of(&self, job: &str, network: &[&str], run: &str, engines: &str) -> Command {
        let settings = self.settings(network);
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut command = train(&recipe(job), &self.folder.path().join(run), &settings);
        self.shown_to(command.arg("--json"), engines);
        command
    }

    fn train(&self, run: &str, engines: &str) -> Outcome {
        self.outcome(run, &mut self.command(run, engines))
    }

    /// What a command comes to that trains into a run of this name.
    fn outcome(&self, run: &str, command: &mut Command) -> Outcome {
        Ended::of(command).success();
        Outcome::of(&self.folder.path().join(run))
    }

    /// Two workers, of agents whose libraries choose differently. One is lost behind a step, and the coordinator with it
    /// or not.
    fn train_with_a_loss(&self, coordinator: Coordinator) -> Outcome {
        let mut cluster = Cluster::start();
        let agents = [(BOTH[0], "0"), (BOTH[1], "1")].map(|(engines, gpu)| {
            let mut command = binary(["agent", "--device", "cuda", "--coordinator", &cluster.address]);
            self.shown_to(&mut command, engines).env("CUDA_VISIBLE_DEVICES", gpu);
            cluster.agent_of(command)
        });
        let settings = self.settings(&LINEAR);
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(["cluster.workers=2"]).collect();
        let id = cluster.submit("mnist-mlp.toml", &settings);
        cluster.watch(&id).await_step(1);
        if coordinator == Coordinator::Forgets {
            cluster.serve.kill();
            cluster.forget();
        }
        // Who is left goes on by itself; who comes for the lost one, by what it is dealt.
        for worker in agents[0].children() {
            worker.signal(Signal::KILL);
        }
        if coordinator == Coordinator::Forgets {
            cluster.revive();
            eventually("the job", || (cluster.run("show", &[&id]).code == Some(0)).then_some(()));
        }
        cluster.run("wait", &[&id]).success();
        Outcome::of(&cluster.folder(&id))
    }

    /// Goes on with a run.
    fn go_on(&self, run: &Path, engines: &str) -> Ended {
        let mut command = binary(["train", "--json", "--from"]);
        Ended::of(self.shown_to(command.arg(run), engines))
    }
}

/// The plans in the newest checkpoint of a run.
fn plans(run: &Path) -> Vec<Value> {
    let checkpoints = run.join("checkpoints");
    let newest = names(&checkpoints).pop().expect("a checkpoint");
    let mut manifest = json(&checkpoints.join(newest).join("checkpoint.json"));
    let Value::Array(plans) = manifest["content"]["about"]["plans"].take() else { panic!("plans: {manifest}") };
    plans
}

/// What one worker comes to with the libraries of each of [`BOTH`], computed once for all tests.
fn alone(stage: &Stage) -> &'static [Outcome; 2] {
    static ALONE: OnceLock<[Outcome; 2]> = OnceLock::new();
    ALONE.get_or_init(|| {
        let alone = thread::scope(|scope| {
            let trained = BOTH.map(|engines| scope.spawn(|| stage.train(engines, engines)));
            trained.map(|run| run.join().expect("a run that completes"))
        });
        assert_ne!(alone[0], alone[1], "engines with other last bits");
        alone
    })
}

/// Two workers whose libraries choose differently come to what one of them comes to alone.
fn compute_by_one_plan(coordinator: Coordinator) {
    let Some(stage) = Stage::new() else { return };
    let (outcome, alone) = (stage.train_with_a_loss(coordinator), alone(&stage));
    assert!(alone.contains(&outcome), "neither the one's bits nor the other's: {outcome:?}, {alone:?}");
}

#[test]
fn workers_whose_libraries_choose_differently_compute_by_one_plan_also_after_a_loss() {
    compute_by_one_plan(Coordinator::Stays);
}

#[test]
fn workers_whose_libraries_choose_differently_compute_by_one_plan_also_after_a_takeover() {
    compute_by_one_plan(Coordinator::Forgets);
}

#[test]
fn lanes_that_are_launched_as_a_whole_have_the_same_bits() {
    let Some(stage) = Stage::new() else { return };
    let mut op_by_op = stage.command("op by op", BOTH[0]);
    let op_by_op = stage.outcome("op by op", op_by_op.env("LOCKSTEP_CUDA_GRAPHS", "off"));
    assert_eq!(op_by_op, alone(&stage)[0]);
}

#[test]
fn a_job_that_goes_on_computes_by_the_plans_of_its_first_step_or_says_why_it_can_not() {
    let Some(stage) = Stage::new() else { return };
    let [clean, _] = alone(&stage);
    let run = stage.folder.path().join("stopped");
    let mut stopped = Process::start(&mut stage.command("stopped", BOTH[0]));
    stopped.await_line("\"step\":1");
    stopped.signal(Signal::INT);
    assert_eq!(stopped.wait().code, Some(75));
    let dealt = plans(&run);
    assert_eq!(dealt.len(), 3, "forward, and two ways back: {dealt:?}");
    for plan in &dealt {
        let (work, text) = (plan["work"].as_str().unwrap(), plan["text"].as_str().unwrap());
        assert!(work.contains("rows: ") && text.starts_with("cuBLASLt 13.0.2, algorithm 0000000000000003 "), "{plan}");
    }

    let refused = stage.go_on(&run, "3");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let told = "can't be computed here as in the rest of the job: \"cuBLASLt 13.0.2, algorithm 0000000000000003";
    let line = refused.stderr.lines().find(|line| line.contains(told));
    let line = line.unwrap_or_else(|| panic!("{told}: {refused:?}"));
    for words in ["the product 1024×512 of 512 terms", "not supported", "cluster.libraries has to be \"own\""] {
        assert!(line.contains(words), "{words}: {line}");
    }

    stage.go_on(&run, BOTH[1]).success();
    clean.has_the_state_of(&run);
    assert_eq!(plans(&run), dealt);
}

/// Their sizes have plans too, before the first step.
#[test]
fn lanes_from_which_samples_are_left_out_are_computed_by_plans() {
    let Some(stage) = Stage::new() else { return };
    let path = stage.folder.path().join("prepared");
    Ended::of(binary(["data", "prepare"]).arg(stage.folder.path()).arg("--out").arg(&path)).success();
    let sample_at = |position| Order::new(1, 0, 4096).sample_at(position);
    spoil(&path.join("train"), &[sample_at(7), sample_at(100), sample_at(1500)]);
    spoil(&path.join("test"), &[9]);
    let data = format!("data.path={}", path.display());
    let outcome = |workers: &str| {
        let mut command = stage.command(workers, BOTH[0]);
        let keys = [&data, "data.size=8", "data.skip_bad=3", "model.hidden=[640, 640]"];
        command.args(set(&keys)).args(["--workers", workers]);
        stage.outcome(workers, &mut command)
    };
    assert_eq!(outcome("2"), outcome("1"));
    let rows = |samples: u64| move |plan: &Value| plan["work"].as_str().unwrap().contains(&format!("rows: {samples}"));
    let found = plans(&stage.folder.path().join("1"));
    assert!((1021..=1024).all(|samples| found.iter().any(rows(samples))), "{found:?}");
}

/// Also in lanes that are launched as a whole.
#[test]
fn a_convolution_and_the_relu_behind_it_are_one_call() {
    let Some(stage) = Stage::new() else { return };
    let [whole, op_by_op] = ["on", "off"].map(|graphs| {
        let mut command = stage.command_of("mnist-lenet5.toml", &CONVOLUTION, graphs, "2");
        stage.outcome(graphs, command.env("LOCKSTEP_CUDA_GRAPHS", graphs))
    });
    assert_eq!(whole, op_by_op);
    let works: Vec<_> = plans(&stage.folder.path().join("on")).iter().map(|plan| plan["work"].to_string()).collect();
    let passes = ["BackwardInput(Overwrite)", "BackwardWeight", "Forward(BiasRelu)"];
    assert!(works.len() == 3 && passes.iter().all(|pass| works.iter().any(|work| work.contains(pass))), "{works:?}");
}

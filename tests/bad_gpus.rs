//! GPUs that are not as they should be, with the real binary and emulated ones: a node offers the others and says why,
//! and how each fares is shown.

mod lockstep;

use std::path::Path;
use std::process::Command;

use lockstep::cluster::Cluster;
use lockstep::gpu::Gpus;
use lockstep::noise::write_noise;
use lockstep::process::Ended;
use lockstep::{json, json_lines, lockstep as binary, recipe, train};
use lockstep_kernels::cuda::{self, CudaError};
use serde_json::{Value, json};

/// `doctor --json` with so many GPUs.
fn doctor(gpus: &Gpus, count: u32, change: impl FnOnce(&mut Command) -> &mut Command) -> Value {
    let mut command = binary(["doctor", "--json"]);
    gpus.shown_to(&mut command, count);
    json_lines(&Ended::of(change(&mut command)).success()).remove(0)
}

/// A library's entry.
fn library<'v>(doctor: &'v Value, name: &str) -> &'v Value {
    let mut all = doctor["libraries"].as_array().unwrap().iter();
    all.find(|library| library["name"] == name).unwrap()
}

/// A training of a few steps with so many GPUs shown.
fn command(gpus: &Gpus, folder: &Path, settings: &[&str]) -> Command {
    write_noise(folder, 64, 16, 28, 10);
    let data = format!("data.path={}", folder.display());
    let more = ["batch.size=64", "batch.micro_batch=16", "data.validation=0", "schedule.max_steps=1", &data];
    let mut command = train(&recipe("mnist-mlp.toml"), &folder.join("run"), &[&more, settings].concat());
    gpus.shown_to(&mut command, 2).arg("--quiet");
    command
}

/// One GPU's memory is damaged, one computes wrongly: the third is offered, and a worker gets it.
#[test]
fn a_bad_gpu_is_left_out_and_told() {
    let Some(gpus) = Gpus::emulated() else { return };
    let (cluster, folder) = (Cluster::start(), tempfile::tempdir().unwrap());
    write_noise(folder.path(), 640, 64, 28, 10);
    let mut agent = binary(["agent", "--device", "cuda", "--coordinator", &cluster.address]);
    gpus.shown_to(&mut agent, 3).env("EMULATED_GPU_ECC_ERRORS", "0:3").env("EMULATED_GPU_SKIPS", "1:1");
    agent.env("EMULATED_GPU_TEMPERATURE", "2:71");
    let mut agent = lockstep::process::Process::start(&mut agent);
    agent.await_line("GPU 0 (emulated GPU) is excluded: its memory has had 3 uncorrected ECC errors");
    agent.await_line("GPU 1 (emulated GPU) is excluded: a matrix product of whole numbers came to");
    agent.await_line("joined");

    let listed = cluster.ask("list", &["--agents"]).remove(0);
    assert_eq!((&listed["slots"], &listed["free"]), (&json!(1), &json!(1)), "{listed}");
    let excluded: Vec<bool> = listed["gpus"].as_array().unwrap().iter().map(|gpu| !gpu["excluded"].is_null()).collect();
    assert_eq!(excluded, [true, true, false], "{listed}");
    assert_eq!(listed["gpus"][2]["reading"]["temperature"], 71, "{listed}");
    let table = cluster.run("list", &["--agents"]).success();
    assert!(table.contains("excluded: its memory has had 3") && table.contains("offered"), "{table}");

    let data = format!("data.path={}", folder.path().display());
    let settings = [&data, "cluster.device=cuda", "cluster.workers=1", "data.validation=0", "metrics.every=1"];
    let id = cluster.submit("mnist-mlp.toml", &settings);
    let mut events = cluster.watch(&id);
    let fares = events.find(|event| event["placements"][0]["gpu"]["temperature"] == 71).expect("the third GPU works");
    let gpu = &fares["placements"][0]["gpu"];
    assert_eq!((&gpu["ecc_errors"], &gpu["memory_used"]), (&json!(0), &json!(1u64 << 30)), "{gpu}");
    let shown = cluster.run("show", &[&id]).success();
    assert!(shown.contains("GPU MEMORY") && shown.contains("1.0 of 8.0 GiB"), "{shown}");
    cluster.run("cancel", &[&id]).success();
}

/// A GPU that leaves a launch out now and then is found by the gradient that it computes twice.
#[test]
fn where_all_are_bad_the_reasons_are_told() {
    let Some(gpus) = Gpus::emulated() else { return };
    let folder = tempfile::tempdir().unwrap();
    let bad = |command: &mut Command| {
        Ended::of(command.env("EMULATED_GPU_ECC_ERRORS", "0:1").env("EMULATED_GPU_SKIPS", "1:7"))
    };
    let reasons = ["no GPU can be used", "GPU 0", "1 uncorrected ECC error", "GPU 1", "other bits the second time"];
    bad(&mut command(&gpus, folder.path(), &["cluster.device=cuda"])).is_refused_with(&reasons);
    assert!(!folder.path().join("run").exists(), "nothing is written");
    let on_cpu = bad(&mut command(&gpus, folder.path(), &["cluster.device=auto"]));
    assert_eq!(on_cpu.code, Some(0), "{on_cpu:?}");
    for words in reasons.into_iter().chain(["computing on the CPU"]) {
        assert!(on_cpu.stderr.contains(words), "{words:?}: {on_cpu:?}");
    }
    assert!(json(&folder.path().join("run/run.json")).to_string().contains("\"cpu\""));
    let mut short = command(&gpus, folder.path(), &["cluster.device=cuda", "cluster.workers=2"]);
    let short = Ended::of(short.arg("--overwrite").env("EMULATED_GPU_ECC_ERRORS", "0:1"));
    short.is_refused_with(&["cluster.workers is 2", "1 GPU that can be used", "GPU 0 (emulated GPU) is excluded"]);
}

/// NVML counts all GPUs, the driver those of `CUDA_VISIBLE_DEVICES`: each gets its own reading.
#[test]
fn a_gpu_is_told_from_its_neighbours() {
    let Some(gpus) = Gpus::emulated() else { return };
    let planted = |command: &mut Command| -> Value {
        command.env("EMULATED_GPU_ECC_ERRORS", "0:9").env("EMULATED_GPU_TEMPERATURE", "1:41,2:42");
        json_lines(&Ended::of(command.env("CUDA_VISIBLE_DEVICES", "2,1,7,0")).success()).remove(0)
    };
    let found = planted(gpus.shown_to(&mut binary(["doctor", "--json"]), 3));
    let of = |gpu: &Value| (gpu["bus"].clone(), gpu["temperature"].clone(), gpu["excluded"].clone());
    let gpus: Vec<_> = found["gpus"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(
        gpus,
        [(json!("0000:12:00.0"), json!(42), json!(null)), (json!("0000:11:00.0"), json!(41), json!(null))]
    );
}

/// Libraries that are not there, or don't work: without NVML everything goes on.
#[test]
fn libraries_that_are_missing_are_told() {
    let Some(gpus) = Gpus::emulated() else { return };
    let all = doctor(&gpus, 1, |command| command);
    assert_eq!(library(&all, "libnvidia-ml")["version"], "13.999.0", "{all}");
    assert!(library(&all, "libcuda")["path"].as_str().unwrap().ends_with("/libcuda.so"), "{all}");
    let failing = doctor(&gpus, 1, |command| command.env("EMULATED_NVML_FAILS", "1"));
    let problem = library(&failing, "libnvidia-ml")["problem"].as_str().unwrap();
    assert_eq!(problem, "NVML failure in nvmlInit_v2: Driver Not Loaded");
    assert_eq!((&failing["gpus"][0]["temperature"], &failing["gpus"][0]["excluded"]), (&json!(null), &json!(null)));
    if cuda::count() != Err(CudaError::NoDriver) {
        return println!("skipped: this machine has a driver, and libraries with it");
    }
    let without_nvml = gpus.only(&["libcuda.so.1", "libnvrtc.so.13"]);
    let found = doctor(&gpus, 1, |command| command.env("LOCKSTEP_CUDA_LIBRARIES", without_nvml.path()));
    assert_eq!(library(&found, "libnvidia-ml")["problem"], "libnvidia-ml.so.1 was not found");
    assert_eq!(found["gpus"][0]["excluded"], json!(null), "{found}");
    let without_compiler = gpus.only(&["libcuda.so.1"]);
    let folder = tempfile::tempdir().unwrap();
    let mut train = command(&gpus, folder.path(), &["cluster.device=cuda"]);
    Ended::of(train.env("LOCKSTEP_CUDA_LIBRARIES", without_compiler.path())).is_refused_with(&[
        "kernels can't be compiled",
        "libnvrtc.so",
        "LOCKSTEP_CUDA_LIBRARIES",
    ]);
}

/// A GPU that is not there is refused by whoever names one.
#[test]
fn an_index_out_of_range_is_refused() {
    let Some(gpus) = Gpus::emulated() else { return };
    let mut selftest = binary(["selftest", "--device", "cuda", "--gpu", "7", "--json"]);
    Ended::of(gpus.shown_to(&mut selftest, 2)).is_refused_with(&["there is no GPU 7", "shows 2"]);
}

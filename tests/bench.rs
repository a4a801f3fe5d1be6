//! `bench gpu` with the real binary, on an emulated GPU: every row is there, and what it writes can be read. How long
//! anything takes decides nothing.

mod lockstep;

use std::collections::BTreeSet;

use lockstep::gpu::Gpus;
use lockstep::process::Ended;
use lockstep::{json, lockstep as binary};
use lockstep_emulation::{or_skip, vendor_libraries};
use serde_json::Value;

const PHASES: [&str; 5] = ["data", "forward", "backward", "norms", "update"];

fn rows<'a>(report: &'a Value, key: &str) -> &'a Vec<Value> {
    report[key].as_array().unwrap_or_else(|| panic!("{key}: {report}"))
}

fn names<'a>(rows: &'a [Value], key: &str) -> BTreeSet<&'a str> {
    rows.iter().map(|row| row[key].as_str().unwrap_or_else(|| panic!("{key}: {row}"))).collect()
}

#[test]
fn a_gpu_is_measured_and_a_step_traced() {
    let (Some(gpus), Some(vendors)) = (Gpus::emulated(), or_skip(vendor_libraries())) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (report, trace) = (folder.path().join("bench.json"), folder.path().join("trace.json"));
    let mut command = binary(["bench", "gpu", "--small", "--steps", "1", "--device", "cuda:1"]);
    command.arg("--out").arg(&report).arg("--trace").arg(&trace);
    let said = Ended::of(gpus.shown_with(&vendors, &mut command, 2)).success();
    for words in ["GPU 1, emulated GPU", "GB/s", "GFLOP/s", "IMAGES/S", "lenet5", "own kernels", "% of memory"] {
        assert!(said.contains(words), "{words:?}: {said}");
    }
    let report = json(&report);
    assert!(report["ceilings"]["copy_bytes_per_second"].as_f64() > Some(0.0), "{}", report["ceilings"]);
    let products = &report["ceilings"]["product_flop_per_second"];
    let libraries = "cuDNN 9.21.1, cuBLASLt 13.0.2";
    for kernels in ["own kernels, f32", "own kernels, bf16"]
        .into_iter()
        .map(String::from)
        .chain(["f32", "tf32", "bf16"].map(|numbers| format!("{libraries}, {numbers}")))
    {
        assert!(products[&kernels].as_f64() > Some(0.0), "{kernels}: {products}");
    }
    let networks = rows(&report, "networks");
    assert_eq!(names(networks, "network"), BTreeSet::from(["lenet5", "mlp"]));
    assert_eq!(names(networks, "variant"), BTreeSet::from(["own kernels", libraries]));
    assert_eq!(names(networks, "precision"), BTreeSet::from(["f32", "tf32", "bf16"]));
    for row in networks {
        assert!(row["images_per_second"].as_f64() > Some(0.0) && row["failure"].is_null(), "{row}");
        assert!(PHASES.iter().all(|phase| row["phase_seconds"][phase].is_f64()), "{row}");
    }
    let ops = names(rows(&report, "ops"), "op");
    for op in ["conv2d_backward_weight", "batch_norm_forward", "linear_forward", "squared_norms", "update_sgd"] {
        assert!(ops.contains(op), "{op}: {ops:?}");
    }
    is_a_trace(&json(&trace));
}

/// Phases and kernels with a start and a length each; what kernels take is inside of the step.
fn is_a_trace(trace: &Value) {
    let events: Vec<&Value> = rows(trace, "traceEvents").iter().filter(|event| event["ph"] == "X").collect();
    assert!(events.iter().all(|event| event["dur"].as_f64() >= Some(0.0) && event["ts"].as_f64() >= Some(0.0)));
    let named = |event: &&Value| event["name"].as_str().map(str::to_owned).unwrap_or_default();
    let all: Vec<String> = events.iter().map(named).collect();
    assert_eq!(all[..PHASES.len()], PHASES, "the phases come first");
    let launched = ["copy", "pixels", "linear_forward", "cross_entropy", "fold_squared_norms", "optimizer_sgd"];
    let places =
        launched.map(|name| all.iter().position(|known| known == name).unwrap_or_else(|| panic!("{name}: {all:?}")));
    assert!(places.is_sorted(), "{all:?}");
    let end = |event: &Value| event["ts"].as_f64().zip(event["dur"].as_f64()).map(|(start, took)| start + took);
    assert!(end(events[PHASES.len() - 1]) > Some(0.0));
}

/// A network that does not fit is told, and the others are measured. The MLP has the most parameters of the small ones.
#[test]
fn a_network_that_does_not_fit_is_told_in_its_row() {
    let Some(gpus) = Gpus::emulated() else { return };
    let mut command = binary(["bench", "gpu", "--small", "--steps", "1", "--json"]);
    let ended = Ended::of(gpus.shown_to(&mut command, 1).env("EMULATED_GPU_MEMORY", "900000"));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    for row in rows(&report, "networks") {
        let failure = row["failure"].as_str().unwrap_or_default();
        let fits = row["network"] == "lenet5";
        assert!(fits != failure.contains("out of GPU memory") && fits == row["images_per_second"].is_f64(), "{row}");
    }
}

#[test]
fn what_can_not_be_measured_is_said_in_one_line() {
    Ended::of(&mut binary(["bench", "gpu", "--device", "cpu"])).is_refused_with(&["--device is cpu", "cuda:0"]);
    let Some(gpus) = Gpus::emulated() else { return };
    let mut command = binary(["bench", "gpu", "--device", "cuda:3"]);
    Ended::of(gpus.shown_to(&mut command, 2)).is_refused_with(&["there is no GPU 3", "shows 2"]);
}

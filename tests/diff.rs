//! In what two runs differ, with the real binary: differences that were planted are found at their very step.

mod lockstep;

use std::path::PathBuf;

use lockstep::job::FORKABLE;
use lockstep::process::Ended;
use lockstep::{json_lines, lockstep as binary, names, recipe, set, train};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs beside each other.
struct Runs(TempDir);

impl Runs {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn train(&self, name: &str, workers: &str, more: &[&str]) {
        let mut command = train(&recipe("mnist-mlp.toml"), &self.folder(name), &[&FORKABLE[..], more].concat());
        Ended::of(command.args(["--quiet", "--threads", "1", "--workers", workers])).success();
    }

    fn fork(&self, from: &str, name: &str, settings: &[&str]) {
        let mut command = binary(["fork", "--quiet"]);
        command.arg(self.folder(from)).arg("--out").arg(self.folder(name)).args(set(settings));
        Ended::of(&mut command).success();
    }

    fn diff(&self, first: &str, second: &str, arguments: &[&str]) -> Ended {
        let mut command = binary(["diff"]);
        command.arg(self.folder(first)).arg(self.folder(second)).arg("--out").arg(self.folder("picture"));
        Ended::of(command.args(arguments))
    }

    /// What a difference is told as.
    fn told(&self, first: &str, second: &str, arguments: &[&str]) -> Value {
        let ended = self.diff(first, second, &[arguments, &["--json"]].concat());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let svg = std::fs::read_to_string(self.folder("picture").join("diff.svg")).unwrap();
        assert!(svg.contains("</svg>") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        json_lines(&ended.stdout).remove(0)
    }
}

#[test]
fn another_learning_rate_from_a_fork_on_is_found_at_its_very_step() {
    let runs = Runs::new();
    runs.train("first", "1", &[]);
    runs.fork("first", "second", &["optimizer.learning_rate=0.25"]);
    // The loss of step 38 is of the weights before it: the first to differ is 39's.
    let told = runs.told("first", "second", &[]);
    assert_eq!((&told["equal_to"], &told["differs_at"]), (&json!(37), &json!(39)), "{told}");
    assert_eq!((&told["reports"]["first"]["step"], &told["reports"]["first"]["figure"]), (&json!(39), &json!("loss")));
    assert_eq!(told["keys"][0]["key"], "optimizer.learning_rate");
    assert_eq!(told["keys"].as_array().unwrap().len(), 1, "{told}");
    assert_eq!((&told["checkpoints"][0]["step"], &told["checkpoints"][0]["distance"]), (&json!(37), &json!(0.0)));
    assert_eq!(told["final"]["difference"]["tensors"], 4, "{told}");

    let told = runs.told("first", "second", &["--exact"]);
    let exact = &told["exact"];
    assert_eq!((&exact["equal_to"], &exact["step"], &exact["remarks"]), (&json!(37), &json!(38), &json!([])), "{told}");
    assert_eq!((&told["equal_to"], &told["differs_at"]), (&json!(37), &json!(38)));
    // The flat vector is in backward order: the last layer comes first. The velocity is of the same gradients in both.
    let first = &exact["difference"]["first"];
    assert_eq!((&exact["difference"]["tensors"], &exact["difference"]["of"]), (&json!(4), &json!(8)), "{told}");
    assert!(first["tensor"].as_str().unwrap().starts_with("parameters/fc2"), "{told}");
    assert_eq!(first["element"], 0);
    let ended = runs.diff("first", "second", &["--exact"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("equal to step 37, differ first at step 38"), "{}", ended.stdout);
}

#[test]
fn a_rate_that_turns_is_found_from_the_beginning() {
    let runs = Runs::new();
    runs.train("first", "1", &[]);
    runs.train("second", "2", &["schedule.learning_rate=multi_step", "schedule.step_at=[1]"]);
    let told = runs.told("first", "second", &["--exact"]);
    // The first step of the second epoch; the checkpoints of step 37 are far behind it.
    assert_eq!((&told["exact"]["equal_to"], &told["exact"]["step"]), (&json!(20), &json!(21)), "{told}");
    assert_eq!((&told["differs_at"], &told["exact"]["remarks"]), (&json!(21), &json!([])));
    assert!(told["checkpoints"][0]["distance"].as_f64().unwrap() > 0.0);
}

/// A run that did not do what its job says, as on a machine with a fault, is told from one that did.
#[test]
fn a_run_that_its_job_does_not_come_to_is_named() {
    let runs = Runs::new();
    runs.train("first", "1", &[]);
    runs.train("second", "1", &["optimizer.learning_rate=0.25"]);
    std::fs::copy(runs.folder("first").join("job.toml"), runs.folder("second").join("job.toml")).unwrap();
    let told = runs.told("first", "second", &["--exact"]);
    assert_eq!((&told["keys"], &told["differs_at"], &told["exact"]["step"]), (&json!([]), &json!(2), &Value::Null));
    assert_eq!(told["exact"]["equal_to"], 37, "trained again, both are the first: {told}");
    let remarks = told["exact"]["remarks"].as_array().unwrap();
    assert_eq!(remarks.len(), 1, "{told}");
    assert!(remarks[0].as_str().unwrap().starts_with("RUN2's checkpoint of step 37 is not what its job comes to here"));
    assert!(told["verdict"].as_str().unwrap().contains("both jobs come to the same bits up to step 37"), "{told}");
}

#[test]
fn equal_runs_are_the_same_bits() {
    let runs = Runs::new();
    runs.train("first", "1", &[]);
    runs.train("second", "3", &[]);
    runs.fork("first", "third", &[]);
    for other in ["first", "second", "third"] {
        for arguments in [&[][..], &["--exact"]] {
            let ended = runs.diff("first", other, arguments);
            assert!(ended.stdout.contains("\nthe same bits\n"), "{ended:?}");
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
    }
}

#[test]
fn what_cannot_be_compared_is_refused_in_a_line() {
    let runs = Runs::new();
    runs.train("first", "1", &[]);
    runs.train("wide", "1", &["model.hidden=[20]"]);
    runs.diff("first", "wide", &[]).is_refused_with(&["different networks", "parameters/fc1"]);
    runs.diff("first", "nowhere", &[]).is_refused_with(&["nowhere holds no run"]);
    // A state whose bytes are not those that were written, and a report that is none.
    runs.fork("first", "second", &[]);
    let metrics = runs.folder("second").join("metrics.jsonl");
    let lines = std::fs::read_to_string(&metrics).unwrap();
    std::fs::write(&metrics, lines.replacen('{', "[", 1)).unwrap();
    runs.diff("first", "second", &[]).is_refused_with(&["metrics.jsonl", "line 1 is no report"]);
    std::fs::write(&metrics, lines).unwrap();
    let checkpoints = runs.folder("second").join("checkpoints");
    let state = checkpoints.join(&names(&checkpoints)[0]).join("state.safetensors");
    let mut bytes = std::fs::read(&state).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&state, &bytes).unwrap();
    runs.diff("first", "second", &[]).is_refused_with(&["is damaged", "not as it was written"]);
    assert_eq!(std::fs::read(&state).unwrap(), bytes, "it is left where it is");
}

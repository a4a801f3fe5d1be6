//! Runs that branch off another at a checkpoint, with the real binary.

mod lockstep;

use std::path::{Path, PathBuf};

use lockstep::job::FORKABLE;
use lockstep::process::Ended;
use lockstep::{json, json_lines, lockstep as binary, recipe, set, train, weights_sha256};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A run, and room for others beside it.
struct Original(TempDir);

impl Original {
    fn train(more: &[&str]) -> Self {
        let original = Self(tempfile::tempdir().unwrap());
        let mut command = train(&recipe("mnist-mlp.toml"), &original.folder(), &[&FORKABLE[..], more].concat());
        Ended::of(command.args(["--quiet", "--workers", "1", "--threads", "1"])).success();
        original
    }

    fn folder(&self) -> PathBuf {
        self.beside("original")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What becomes of a fork with these arguments.
    fn fork(&self, name: &str, arguments: &[&str]) -> Ended {
        let mut command = binary(["fork"]);
        Ended::of(command.arg(self.folder()).arg("--out").arg(self.beside(name)).arg("--quiet").args(arguments))
    }
}

/// Steps, losses and learning rates that a run reported.
fn steps(run: &Path) -> Vec<(u64, f64, f64)> {
    let lines = json_lines(&std::fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    let step = |line: &Value| Some((line["step"].as_u64()?, line["loss"].as_f64()?, line["learning_rate"].as_f64()?));
    lines.iter().filter_map(step).collect()
}

/// Over how many steps a run's noise scale was told with each.
fn noise_steps(run: &Path) -> Vec<u64> {
    let lines = json_lines(&std::fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    lines.iter().filter_map(|line| line["noise"]["steps"].as_u64()).collect()
}

/// The rows of a run's ledger that are of an epoch: positions and steps.
fn rows(run: &Path, epoch: u64) -> Vec<[u64; 3]> {
    let proof = Ended::of(binary(["ledger", "--json"]).arg(run)).success();
    assert_eq!(json_lines(&proof)[0]["proven"], true, "{proof}");
    let ledger = json(&run.join("ledger.json"));
    let row = |row: &Value| ["from", "to", "steps"].map(|key| row[key].as_u64().unwrap());
    ledger["rows"].as_array().unwrap().iter().filter(|row| row["epoch"] == epoch).map(row).collect()
}

#[test]
fn a_fork_without_changes_is_the_same_run() {
    let original = Original::train(&[]);
    original.fork("fork", &["--at", "37", "--workers", "2", "--threads", "1"]).success();
    let (theirs, ours) = (original.folder(), original.beside("fork"));
    assert_eq!(weights_sha256(&ours), weights_sha256(&theirs));
    let summary = json(&ours.join("summary.json"));
    assert_eq!(summary["weights_sha256"], json(&theirs.join("summary.json"))["weights_sha256"]);
    assert_eq!((steps(&ours).len(), steps(&ours)), (60, steps(&theirs)));
    let lines = |run: &Path| std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let shared: Vec<String> = lines(&theirs).lines().take(37).map(str::to_owned).collect();
    assert_eq!(lines(&ours).lines().take(37).collect::<Vec<_>>(), shared, "to the letter");
    assert_eq!(rows(&ours, 1), [[0, 17 * 64, 17], [17 * 64, 1280, 3]], "two generations in the second epoch");

    // Where it is from.
    let run = json(&ours.join("run.json"));
    assert_eq!(run["forked_from"], summary["forked_from"]);
    assert_eq!((&run["forked_from"]["step"], &run["forked_from"]["run"]), (&json!(37), &json!(theirs)));
    assert_eq!(run["forked_from"]["digest"].as_str().map(str::len), Some(32));
    assert_eq!(run["forked_from"]["settings"], json!({ "cluster.workers": "2" }));
    let begun: Vec<_> =
        run["generations"].as_array().unwrap().iter().map(|g| (&g["number"], &g["first_step"])).collect();
    assert_eq!(begun, [(&json!(1), &json!(0)), (&json!(2), &json!(37))]);
    assert_eq!(json(&theirs.join("run.json"))["forked_from"], Value::Null);
}

#[test]
fn another_batch_begins_with_the_next_epoch_and_other_keys_at_once() {
    let original = Original::train(&[]);
    let before = steps(&original.folder());
    original.fork("batch", &["--set", "batch.size=128"]).success();
    let batch = original.beside("batch");
    let after = steps(&batch);
    // 20 steps of 64 more than once, then 10 of 128; up to there the same bits, and the same rate for both.
    assert_eq!((after.len(), &after[..40]), (50, &before[..40]));
    assert_eq!(after[40].0, 41);
    assert_ne!(after[40].1, before[40].1, "41 is the first step of another batch");
    // What is told of noise is of one batch.
    assert_eq!((noise_steps(&batch)[39], &noise_steps(&batch)[40..]), (40, &Vec::from_iter(1..=10)[..]));
    assert_eq!((rows(&batch, 1).last(), rows(&batch, 2)), (Some(&[17 * 64, 1280, 3]), vec![[0, 1280, 10]]));
    assert_eq!(json(&batch.join("run.json"))["forked_from"]["settings"], json!({ "batch.growth": "[[2, 128]]" }));

    let settings = ["optimizer.learning_rate=0.25", "schedule.epochs=2"];
    let arguments: Vec<&str> = ["--at", "latest"].into_iter().chain(set(&settings)).collect();
    original.fork("rate", &arguments).success();
    let rate = steps(&original.beside("rate"));
    assert_eq!((rate.len(), &rate[..37]), (40, &before[..37]));
    assert_eq!(noise_steps(&original.beside("rate")), Vec::from_iter(1..=40), "of the same lanes");
    // The loss is of the weights that the step began with.
    assert_eq!((rate[37].1, rate[37].2), (before[37].1, 0.25));
    assert_ne!(rate[38].1, before[38].1);

    // Other lanes begin at once, and with them what is told of noise.
    original.fork("lanes", &["--at", "37", "--set", "batch.micro_batch=16"]).success();
    assert_eq!(noise_steps(&original.beside("lanes")), [Vec::from_iter(1..=37), Vec::from_iter(1..=23)].concat());

    // A fork can be gone on from, and forked again.
    let mut again = binary(["fork"]);
    again.arg(&batch).args(["--quiet", "--set", "batch.size=256", "--out"]).arg(original.beside("again"));
    Ended::of(&mut again).success();
    assert_eq!(rows(&original.beside("again"), 2), [[0, 1280, 5]]);
}

/// A fork at a run's last step has no step to make: it takes its probes, and is the same weights.
#[test]
fn between_two_solutions_there_is_a_line_without_training() {
    let original = Original::train(&[]);
    let (first, second) = (original.folder(), original.beside("second"));
    let mut train = binary(["fork"]);
    train.arg(&first).args(["--quiet", "--at", "37", "--set", "optimizer.learning_rate=0.25", "--out"]).arg(&second);
    Ended::of(&mut train).success();
    let line = |run: &Path, from: &Path, name: &str| {
        let from = from.join("final/model.safetensors");
        let probe = format!("probe=[{{ measure = 'interpolation', points = 5, from = '{}' }}]", from.display());
        let mut fork = binary(["fork"]);
        fork.arg(run).args(["--quiet", "--workers", "2", "--threads", "1", "--set", &probe, "--out"]);
        Ended::of(fork.arg(original.beside(name))).success();
        assert_eq!(weights_sha256(&original.beside(name)), weights_sha256(run));
        let lines = json_lines(&std::fs::read_to_string(original.beside(name).join("metrics.jsonl")).unwrap());
        lines.into_iter().find(|line| line["kind"] == "probe").unwrap()["figures"]["loss"].clone()
    };
    let (there, back) = (line(&second, &first, "there"), line(&first, &second, "back"));
    let mut back = back.as_array().unwrap().clone();
    assert!(back.len() == 5 && back.iter().all(Value::is_f64) && back[1] != back[3], "{back:?}");
    back.reverse();
    assert_eq!(there, json!(back));
    let gone = ["--set", "probe=[{ measure = 'interpolation', from = '/nowhere/w' }]"];
    original.fork("fork", &gone).is_refused_with(&["probe interpolation: `from`: /nowhere/w: cannot be read"]);
    assert!(!original.beside("fork").exists());
}

/// A probe that measures something else than the run's of that title takes its place at the step of the fork; one that is
/// the same stays, and one folder has one measure under a title.
#[test]
fn a_forks_probes_are_its_own() {
    let probe = |points: u32| format!("probe=[{{ measure = 'interpolation', samples = 64, points = {points} }}]");
    let original = Original::train(&["checkpoint.every_steps=20", &probe(3)]);
    let told = |run: &Path| -> Vec<Value> {
        let lines = json_lines(&std::fs::read_to_string(run.join("metrics.jsonl")).unwrap());
        lines.into_iter().filter(|line| line["kind"] == "probe").collect()
    };
    let before = told(&original.folder());
    assert_eq!((before.len(), before[0]["step"].as_u64()), (1, Some(60)));
    original.fork("same", &[]).success();
    assert_eq!(told(&original.beside("same")), before);
    original.fork("other", &["--set", &probe(5)]).success();
    let other = told(&original.beside("other"));
    assert_eq!((other.len(), other[0]["step"].as_u64()), (1, Some(60)));
    assert_eq!(other[0]["figures"]["alpha"], json!([-0.5, 0.0, 0.5, 1.0, 1.5]));
    assert_eq!(weights_sha256(&original.beside("other")), weights_sha256(&original.folder()));

    let mut train = binary(["train", "--from"]);
    let ended = Ended::of(train.arg(original.folder()).args(["--quiet", "--set", &probe(5)]));
    ended.is_refused_with(&[
        "probe interpolation: it has other keys than in /",
        "give it another `name`, or fork the run",
    ]);
    assert_eq!(told(&original.folder()), before);
}

#[test]
fn a_windowed_order_may_be_forked_with_another_batch() {
    let windowed = ["data.order=windowed", "data.block=100", "data.streams=2", "data.window=50"];
    let original = Original::train(&windowed);
    original.fork("batch", &["--set", "batch.size=128"]).success();
    let batch = original.beside("batch");
    assert_eq!(
        (rows(&batch, 2), steps(&batch)[..40].to_vec()),
        (vec![[0, 1280, 10]], steps(&original.folder())[..40].to_vec())
    );
}

#[test]
fn what_cannot_be_forked_is_refused_in_a_line_and_leaves_nothing() {
    let original = Original::train(&[]);
    let refused = |arguments: &[&str], words: &[&str]| {
        original.fork("fork", arguments).is_refused_with(words);
        assert!(!original.beside("fork").exists(), "{arguments:?}");
    };
    refused(
        &["--at", "40"],
        &["no checkpoint of step 40", "steps 37", "checkpoint.every_steps", "checkpoint.keep_every"],
    );
    refused(&["--set", "model.hidden=[5]"], &["model.hidden", "leave it at [300]"]);
    refused(&["--set", "seed.order=2"], &["seed.order", "leave it at 1"]);
    refused(&["--set", "data.validation=10"], &["data.validation", "leave it at 0"]);
    refused(&["--set", "optimizer.momentum=0"], &["parameters, velocity", "optimizer.momentum"]);
    refused(&["--set", "optimizer.name=adam", "--set", "optimizer.momentum=0"], &["first_moment"]);
    refused(&["--set", "batch.size=128", "--set", "schedule.epochs=2"], &["batch.size", "schedule.epochs"]);
    refused(&["--set", "batch.micro_batch=48"], &["batch.micro_batch", "48"]);
    refused(&["--set", "optimizer.learning_rate=-1"], &["optimizer.learning_rate"]);
    let folder = original.folder().display().to_string();
    Ended::of(&mut binary(["fork", &folder, "--overwrite", "--out", &folder]))
        .is_refused_with(&["has the run that is forked"]);
    Ended::of(&mut binary(["fork", "/nowhere"])).is_refused_with(&["/nowhere holds no run"]);
    // A damaged state is found before anything is made of it, and left where it is.
    let name = lockstep::names(&original.folder().join("checkpoints")).remove(0);
    let state = original.folder().join("checkpoints").join(name).join("state.safetensors");
    let mut bytes = std::fs::read(&state).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&state, &bytes).unwrap();
    refused(&["--at", "37"], &["is damaged", "not as it was written"]);
    assert_eq!(std::fs::read(&state).unwrap(), bytes);
}

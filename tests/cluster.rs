//! A coordinator, two agents and a client: what each verb prints, and what a run's folder holds.

mod lockstep;

use std::path::Path;
use std::process::Command;

use lockstep::cluster::Cluster;
use lockstep::outcome::Outcome;
use lockstep::process::Ended;
use lockstep::{
    ENDLESS, TINY, eventually, files, host, json, json_lines, keys, lockstep as binary, names, recipe, set, train,
    weights_sha256,
};
use serde_json::Value;

const FILES: [&str; 8] =
    ["checkpoints", "curves.svg", "final", "job.toml", "ledger.json", "metrics.jsonl", "run.json", "summary.json"];

#[test]
fn a_job_goes_from_submit_to_pull() {
    let cluster = Cluster::start();
    let _agents = [cluster.agent(1), cluster.agent(1)];
    let job = cluster.submit("mnist-mlp.toml", &TINY);
    let watched = cluster.run("watch", &[&job]);
    assert_eq!(watched.code, Some(0), "{watched:?}");
    assert!(watched.stderr.contains("completed: all 10 steps are done"), "{watched:?}");
    assert!(["test error", "noise scale"].iter().all(|row| watched.stdout.contains(row)), "{watched:?}");

    let waited = cluster.run("wait", &[&job]).success();
    assert_eq!(waited, format!("job {job} completed: all 10 steps are done\n"));
    let listed = cluster.run("list", &[]).success();
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ID", "NAME", "STATE", "STEP", "ERROR", "WORKERS", "REASON"]);
    assert_eq!((rows.len(), &rows[1][..4]), (2, &[&job, "mnist-mlp", "completed", "10"][..]));

    let run = cluster.state().join("runs").join(&job);
    let shown = cluster.run("show", &[&job]).success();
    for words in [run.to_str().unwrap(), "completed", "10 of 10", &weights_sha256(&run), &host()] {
        assert!(shown.contains(words), "{words:?} is not in {shown}");
    }
    let logged = cluster.run("logs", &[&job, "--follow"]).success();
    assert!(logged.contains("coordinator | completed: all 10 steps are done"), "{logged}");

    let scratch = tempfile::tempdir().unwrap();
    let pulled = scratch.path().join("pulled");
    cluster.run("pull", &[&job, pulled.to_str().unwrap()]).success();
    assert_eq!(names(&pulled), FILES);
    let original = files(&run);
    assert_eq!(files(&pulled).len(), original.len());
    for file in &original {
        let copy = pulled.join(file.strip_prefix(&run).unwrap());
        assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(file).unwrap(), "{}", file.display());
    }
    is_a_run(&pulled, 2);
}

#[test]
fn every_verb_speaks_json() {
    let cluster = Cluster::start();
    let _agent = cluster.agent(2);
    let path = recipe("mnist-mlp.toml").display().to_string();
    let submitted = cluster.ask("submit", &[&path, "--set", TINY[0], "--set", TINY[1], "--set", TINY[2]]).remove(0);
    let job = submitted["job"].as_str().unwrap();
    let waited = cluster.ask("wait", &[job]).remove(0);
    assert_eq!((&waited["state"], &waited["outcome"]["steps"]), (&"completed".into(), &10.into()));
    assert_eq!(keys(&submitted), keys(&waited));
    assert_eq!(cluster.ask("list", &[]), std::slice::from_ref(&waited));
    assert_eq!(cluster.show(job), waited);
    assert!(Path::new(waited["run_folder"].as_str().unwrap()).is_absolute());
    assert_eq!(waited["placements"][1]["host"], host());

    let watched = cluster.ask("watch", &[job]);
    let evaluated = watched.iter().find(|event| event["kind"] == "evaluation").expect("an evaluation");
    assert_eq!((&evaluated["split"], &evaluated["step"]), (&"test".into(), &10.into()));
    assert!(watched.iter().any(|event| event["kind"] == "job" && event["state"] == "completed"));
    let logged = cluster.ask("logs", &[job]);
    assert!(logged.iter().all(|line| keys(line) == ["line", "time", "worker"]), "{logged:?}");

    let scratch = tempfile::tempdir().unwrap();
    let pulled = cluster.ask("pull", &[job, scratch.path().to_str().unwrap()]).remove(0);
    assert_eq!(pulled["files"].as_array().unwrap().len(), files(&cluster.folder(job)).len());
    let proof = Ended::of(binary(["ledger", "--json"]).arg(scratch.path())).success();
    let proof = json_lines(&proof).remove(0);
    assert_eq!((&proof["proven"], &proof["epochs"][0]["samples"]), (&true.into(), &640.into()));
    let queued = cluster.submit("mnist-mlp.toml", &["cluster.workers=3"]);
    assert_eq!(cluster.ask("cancel", &[&queued])[0]["state"], "cancelled");
}

#[test]
fn a_running_job_is_scaled_paused_and_resumed_and_checkpoints_are_written_on_demand() {
    let cluster = Cluster::start();
    let agent = cluster.agent(3);
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let scaled = cluster.run("scale", &[&job, "3"]).success();
    assert_eq!(scaled, format!("job {job} running: scaled from 2 to 3 workers by a user\n"));
    cluster.await_log(&job, "running: 3 workers ready: ");
    eventually("three workers", || (agent.children().len() == 3).then_some(()));

    let said = cluster.run("checkpoint", &[&job]).success();
    let checkpoints = cluster.folder(&job).join("checkpoints");
    assert!(said.starts_with("checkpoint of step ") && said.contains(checkpoints.to_str().unwrap()), "{said}");
    assert!(Path::new(said.trim().split_once(": ").unwrap().1).join("state.safetensors").exists(), "{said}");

    let paused = cluster.run("pause", &[&job]).success();
    assert_eq!(paused, format!("job {job} pausing: paused by a user: stops after the step in flight\n"));
    cluster.await_log(&job, "paused: paused by a user after step ");
    eventually("no worker", || agent.children().is_empty().then_some(()));
    let shown = cluster.run("show", &[&job]).success();
    assert!(shown.contains("paused by a user after step "), "{shown}");
    let resumed = cluster.run("resume", &[&job]).success();
    assert_eq!(resumed, format!("job {job} recovering: starts 3 workers\n"));
    cluster.await_log(&job, " (checkpoint): ");
    cluster.run("cancel", &[&job]).success();
    assert_eq!(cluster.run("wait", &[&job]).code, Some(3));
    let proof = Ended::of(binary(["ledger"]).arg(cluster.folder(&job))).success();
    assert!(proof.contains("EPOCH") && proof.contains("proven: each sample of each epoch"), "{proof}");
}

#[test]
fn verbs_that_change_a_running_job_speak_json() {
    let cluster = Cluster::start();
    let _agent = cluster.agent(2);
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let written = cluster.ask("checkpoint", &[&job]).remove(0);
    assert_eq!(keys(&written), ["bytes", "digest", "dir", "job", "name", "step"]);
    let folder = Path::new(written["dir"].as_str().unwrap()).join(written["name"].as_str().unwrap());
    let bytes = files(&folder).into_iter().map(|file| file.metadata().unwrap().len());
    assert_eq!(written["bytes"], bytes.sum::<u64>());
    assert!(written["step"].as_u64() > Some(0) && written["job"] == job, "{written}");

    let scaled = cluster.ask("scale", &[&job, "1"]).remove(0);
    assert_eq!((&scaled["job"], &scaled["workers"]), (&job.as_str().into(), &1.into()));
    cluster.await_log(&job, "running: 1 worker ready: ");
    let shown = cluster.show(&job);
    assert_eq!(keys(&scaled), keys(&shown));
    assert_eq!(shown["generation"], 2);
    assert_eq!(cluster.ask("pause", &[&job])[0]["state"], "pausing");
    cluster.await_log(&job, "paused: ");
    let paused = cluster.show(&job);
    let newest = paused["checkpoints"].as_array().unwrap().last().unwrap();
    assert!(newest["step"].as_u64() >= written["step"].as_u64(), "{newest}");
    assert_eq!(cluster.ask("resume", &[&job])[0]["state"], "recovering");
    assert_eq!(cluster.ask("cancel", &[&job])[0]["job"], job.as_str());
}

#[test]
fn doctor_tells_of_this_machine_of_limits_and_of_what_a_job_finds() {
    let said = Ended::of(&mut binary(["doctor"])).success();
    for words in ["version ", "build ", "instruction set ", "canary ", "cores ", "limits of time", "10 s "] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let scratch = tempfile::tempdir().unwrap();
    let dir = format!("checkpoint.dir={}", scratch.path().display());
    let about = |setting: &str| Ended::of(binary(["doctor"]).arg(recipe("mnist-mlp.toml")).args(["--set", setting]));
    let said = about(&dir).success();
    assert!(said.contains("data set and model fit"), "{said}");
    assert!(said.contains(&format!("{}: writable", scratch.path().display())), "{said}");
    let missed = about("data.path=/nowhere");
    assert_eq!(missed.code, Some(1), "{missed:?}");
    assert!(missed.stdout.contains("/nowhere: no such folder"), "{missed:?}");
}

#[test]
fn chaos_compares_the_bits_of_an_undisturbed_run_with_those_under_faults() {
    let scratch = tempfile::tempdir().unwrap();
    let mut chaos = binary(["chaos", "--seed", "1", "--faults", "1", "--out"]);
    let chaos = chaos.arg(scratch.path()).arg(recipe("mnist-mlp.toml"));
    let ended = Ended::of(chaos.args(set(&["schedule.epochs=2", "data.limit=20000"])));
    println!("{}", ended.stdout);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let rows: Vec<&str> = ended.stdout.lines().collect();
    let row = |name: &str| rows.iter().find_map(|row| row.strip_prefix(name)).map(str::trim);
    assert_eq!((row("seed"), row("same ledger"), row("same bits")), (Some("1"), Some("yes"), Some("yes")));
    assert_eq!(row("weights"), Some(weights_sha256(&scratch.path().join("clean")).as_str()));
}

#[test]
fn a_job_waits_for_slots_and_data_is_missed_by_host() {
    let cluster = Cluster::start();
    let job = cluster.submit("mnist-mlp.toml", &["data.path=/nowhere"]);
    assert!(cluster.show(&job)["reason"].as_str().unwrap().contains("waits for 2 slots"));
    let _agent = cluster.agent(2);
    let waited = cluster.run("wait", &[&job]);
    assert_eq!(waited.code, Some(2), "{waited:?}");
    for words in [&format!("a worker on host {}", host()), "data.path /nowhere: no such folder"] {
        assert!(waited.stdout.contains(words), "{waited:?}");
    }
}

#[test]
fn train_leaves_a_run_that_can_be_trained_again() {
    let scratch = tempfile::tempdir().unwrap();
    let run = |name: &str| scratch.path().join(name);
    let events = Ended::of(train(&recipe("mnist-mlp.toml"), &run("a"), &TINY).arg("--json")).success();
    let steps = json_lines(&events).into_iter().filter(|event| event["kind"] == "step");
    assert_eq!(steps.map(|event| event["step"].as_u64().unwrap()).collect::<Vec<_>>(), [4, 8, 10]);
    is_a_run(&run("a"), 2);

    let again = Ended::of(train(&run("a").join("job.toml"), &run("b"), &[]).args(["--workers", "1", "--quiet"]));
    assert_eq!((again.stdout.as_str(), again.stderr.as_str(), again.code), ("", "", Some(0)));
    is_a_run(&run("b"), 1);
    assert_eq!(Outcome::of(&run("a")), Outcome::of(&run("b")));
}

#[test]
fn held_out_samples_are_evaluated_and_the_test_split_only_at_the_end() {
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("run");
    let settings = ["data.limit=640", "data.validation=500", "schedule.epochs=3"];
    let ended = Ended::of(&mut train(&recipe("mnist-mlp.toml"), &run, &settings));
    assert!(ended.stderr.contains("validation loss"), "{ended:?}");
    let evaluations = metrics(&run, "evaluation").into_iter().map(|line| {
        (line["step"].as_u64().unwrap(), line["split"].as_str().unwrap().to_owned(), line["samples"].as_u64().unwrap())
    });
    let validation = |step| (step, "validation".to_owned(), 500);
    let expected = [validation(10), validation(20), validation(30), (30, "test".to_owned(), 10_000)];
    assert_eq!(evaluations.collect::<Vec<_>>(), expected);
}

/// Lines of `metrics.jsonl` of one kind.
fn metrics(run: &Path, kind: &str) -> Vec<Value> {
    let lines = json_lines(&std::fs::read_to_string(run.join("metrics.jsonl")).unwrap());
    lines.into_iter().filter(|line| line["kind"] == kind).collect()
}

/// A folder holds what scripts may rely on, for the tiny job.
fn is_a_run(run: &Path, workers: u64) {
    assert_eq!(names(run), FILES);
    assert_eq!(names(&run.join("final")), ["model.safetensors"]);
    assert_eq!(names(&run.join("checkpoints")), ["step-000000000010-g1"]);
    assert_eq!(names(&run.join("checkpoints/step-000000000010-g1")), ["checkpoint.json", "state.safetensors"]);

    let about = json(&run.join("run.json"));
    let wanted = ["bits", "command", "dataset", "fingerprint", "generations", "version"];
    assert!(wanted.iter().all(|key| keys(&about).contains(key)), "{about}");
    assert_eq!(keys(&about["fingerprint"]), ["build", "canary", "device", "instruction_set", "libraries"]);
    assert_eq!(about["generations"][0]["members"].as_array().unwrap().len() as u64, workers);

    let ledger = json(&run.join("ledger.json"));
    let [row] = &ledger["rows"].as_array().unwrap()[..] else { panic!("one row: {ledger}") };
    let columns = ["epoch", "first_step", "from", "generation", "hashes", "samples", "steps", "to"];
    assert_eq!((keys(&ledger), keys(row)), (vec!["rows", "train_samples"], columns.to_vec()));
    assert_eq!((&row["steps"], &row["samples"]), (&10.into(), &640.into()));

    let steps = metrics(run, "step");
    assert_eq!(steps.len(), 3);
    for line in &steps {
        let wanted = ["epoch", "learning_rate", "loss", "samples_per_second", "seconds", "step"];
        assert!(wanted.iter().all(|key| keys(line).contains(key)), "{line}");
        assert_eq!(keys(&line["seconds"]), ["backward", "commit", "data", "forward", "reduce"]);
        let told =
            ["above", "high", "implicit_gradient", "lane_squared_norm", "layers", "low", "scale", "squared_norm"];
        assert!(told.iter().all(|key| keys(&line["noise"]).contains(key)), "{line}");
        assert_eq!((&line["noise"]["steps"], line["noise"]["layers"][0]["trace"].is_number()), (&line["step"], true));
        assert_eq!(line["epoch"], 0);
    }
    let [evaluation] = &metrics(run, "evaluation")[..] else { panic!("one evaluation") };
    assert_eq!(keys(evaluation), ["accuracy", "epoch", "kind", "loss", "samples", "split", "step", "top5_accuracy"]);

    let summary = json(&run.join("summary.json"));
    let fields = [("steps", 10), ("epochs", 1), ("samples", 640), ("workers", workers), ("threads", 1)];
    for (key, value) in fields {
        assert_eq!(summary[key], value, "{key}");
    }
    for key in ["test_error", "test_top5_error", "test_loss", "train_loss", "seconds", "samples_per_second"] {
        assert!(summary[key].is_number(), "{key}: {summary}");
    }
    assert_eq!(summary["stop_reason"], "completed");
    assert_eq!(summary["weights_sha256"], weights_sha256(run));
    assert_eq!((&summary["noise"]["newest"], &summary["noise"]["average"]["reports"]), (&steps[2]["noise"], &3.into()));
    for (error, accuracy) in [("test_error", "accuracy"), ("test_top5_error", "top5_accuracy")] {
        let sum = summary[error].as_f64().unwrap() + evaluation[accuracy].as_f64().unwrap();
        assert!((sum - 1.0).abs() < 1e-12, "{error}: {summary} {evaluation}");
    }
    assert!(summary["test_top5_error"].as_f64() <= summary["test_error"].as_f64(), "{summary}");

    let curves = std::fs::read_to_string(run.join("curves.svg")).unwrap();
    assert!(curves.starts_with("<svg") && curves.trim_end().ends_with("</svg>"), "{curves}");
}

#[test]
fn weights_open_in_python() {
    const SHAPES: &str = "import sys\n\
        from safetensors import safe_open\n\
        with safe_open(sys.argv[1], 'np') as file:\n    \
            assert file.metadata() is None, file.metadata()\n    \
            for name in sorted(file.keys()):\n        \
                print(name, *file.get_tensor(name).shape, file.get_tensor(name).dtype)\n";
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has_safetensors = Command::new(&python).args(["-c", "import numpy, safetensors"]).output();
    if !has_safetensors.is_ok_and(|output| output.status.success()) {
        println!("skipped: {python} has no numpy and safetensors; name one that has with $PYTHON");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mlp = "fc1.bias 300\nfc1.weight 300 784\nfc2.bias 10\nfc2.weight 10 300\n";
    let lenet5 = "conv1.bias 6\nconv1.weight 6 1 5 5\nconv2.bias 16\nconv2.weight 16 6 5 5\nfc1.bias 120\n\
        fc1.weight 120 400\nfc2.bias 84\nfc2.weight 84 120\nfc3.bias 10\nfc3.weight 10 84\n";
    for (name, shapes) in [("mnist-mlp.toml", mlp), ("mnist-lenet5.toml", lenet5)] {
        let run = scratch.path().join(name);
        Ended::of(&mut train(&recipe(name), &run, &["data.limit=256", "schedule.epochs=1"])).success();
        let read = Command::new(&python).args(["-c", SHAPES]).arg(run.join("final/model.safetensors")).output();
        let read = read.unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        assert_eq!(String::from_utf8(read.stdout).unwrap().replace(" float32\n", "\n"), shapes);
    }
}

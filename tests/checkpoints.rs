//! Checkpoints of the real binary: when they are written, which are kept, and that a run goes on from them whatever
//! was killed meanwhile. The oracle is that of `faults`: the run comes to the same as the job left alone.

mod lockstep;

use std::path::{Path, PathBuf};

use lockstep::cluster::Cluster;
use lockstep::events::Events;
use lockstep::job::{self, RECIPE, has_clean_state, is_clean};
use lockstep::process::{Ended, Process};
use lockstep::{eventually, json, lockstep as binary, names, recipe, set, train};
use rustix::process::Signal;
use tempfile::TempDir;

/// All points at which the writer can be killed, in the order in which it comes to them.
const POINTS: [&str; 8] = [
    "before-state",
    "half-state",
    "after-state",
    "half-manifest",
    "before-rename",
    "after-rename",
    "before-delete",
    "half-delete",
];

/// A run folder that is gone with its test.
struct Run(TempDir);

impl Run {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("run")
    }

    /// `train` of the job with these further settings.
    fn train(&self, more: &[&str]) -> std::process::Command {
        train(&recipe(RECIPE), &self.folder(), &job::settings(more))
    }

    /// Trains, with this fault in each worker.
    fn train_with_fault(&self, fault: &str, more: &[&str]) -> Ended {
        Ended::of(self.train(more).env("LOCKSTEP_FAULT", fault))
    }

    /// Goes on, without faults, with these settings.
    fn go_on(&self, settings: &[&str]) -> Ended {
        let mut command = binary(["train", "--from"]);
        Ended::of(command.arg(self.folder()).args(set(settings)))
    }

    /// Trains until so many steps are committed, then stops in order.
    fn stop_at(&self, step: u64, more: &[&str]) {
        let mut events = Events::of(Process::start(self.train(more).arg("--json")));
        events.await_step(step);
        events.process.signal(Signal::INT);
        assert_eq!(events.wait().code, Some(75));
    }

    fn steps(&self) -> Vec<u64> {
        steps_of(&self.folder())
    }
}

/// Steps of the checkpoints of a run.
fn steps_of(run: &Path) -> Vec<u64> {
    let step = |name: &String| name.strip_prefix("step-")?.split('-').next()?.parse().ok();
    names(&run.join("checkpoints")).iter().filter_map(step).collect()
}

/// The only worker is killed in the middle of a checkpoint, and with it the job, which may lose none.
fn goes_on_after_a_kill_at(point: &str, time: usize) {
    let run = Run::new();
    let more = ["cluster.workers=1", "cluster.max_restarts=0", "checkpoint.every_steps=20"];
    let killed = run.train_with_fault(&format!("checkpoint:{point}:{time}"), &more);
    assert_eq!(killed.code, Some(1), "{point}: {killed:?}");
    assert!(killed.stdout.contains("killed by SIGKILL"), "{point}: {killed:?}");
    let before = run.steps();
    let ended = run.go_on(&[]);
    assert_eq!(ended.code, Some(0), "{point}: {ended:?}");
    let from = format!("from step {} (checkpoint)", before.last().unwrap());
    assert!(ended.stderr.contains(&from), "{point}: {from:?} is not in {ended:?}");
    // Reports of steps that a checkpoint holds may be lost with the only worker.
    has_clean_state(&run.folder());
    assert!(
        names(&run.folder().join("checkpoints")).iter().all(|name| name.starts_with("step-")),
        "{point}: leftovers"
    );
}

#[test]
fn a_run_goes_on_after_a_kill_at_every_point_of_a_write() {
    for (index, point) in POINTS[..6].iter().enumerate() {
        goes_on_after_a_kill_at(point, 2 + index);
    }
}

#[test]
fn a_run_goes_on_after_a_kill_at_every_point_of_a_removal() {
    for (index, point) in POINTS[6..].iter().enumerate() {
        goes_on_after_a_kill_at(point, 1 + index);
    }
}

/// The writer is killed at each of its checkpoints; the other worker goes on, and is the writer then.
#[test]
fn a_job_survives_writers_that_are_killed_again_and_again() {
    for point in POINTS {
        let run = Run::new();
        let more = [
            "cluster.workers=2",
            "cluster.max_restarts=1000",
            "checkpoint.every_steps=40",
            "checkpoint.every_epochs=0",
            "checkpoint.keep_last=1",
        ];
        let ended = run.train_with_fault(&format!("checkpoint:{point}:2"), &more);
        assert_eq!(ended.code, Some(0), "{point}: {ended:?}");
        // Alone, a killed one takes reports with it of steps that its checkpoint holds.
        has_clean_state(&run.folder());
        let generations = json(&run.folder().join("run.json"))["generations"].as_array().unwrap().len();
        assert!(generations > 2, "{point}: nobody was killed");
    }
}

#[test]
fn the_newest_those_at_multiples_and_the_best_are_kept() {
    let run = Run::new();
    let more = ["checkpoint.every_steps=100", "checkpoint.keep_last=1", "checkpoint.keep_every=200"];
    Ended::of(&mut run.train(&more)).success();
    // A busy disk may pass over some of them.
    assert!(run.steps().iter().all(|step| [200, 400, 404].contains(step)), "{:?}", run.steps());
    assert!(run.steps().ends_with(&[404]), "{:?}", run.steps());
    is_clean(&run.folder());

    let run = Run::new();
    // Without learning the first is the best: equal ones do not replace it. Slow, so that the disk keeps up.
    let more = ["optimizer.learning_rate=1e-30", "checkpoint.keep_last=1", "checkpoint.keep_best=loss"];
    run.train_with_fault("slow:160", &more).success();
    assert_eq!(run.steps().len(), 2, "{:?}", run.steps());
    assert!(run.steps()[0] < 404 && run.steps()[1] == 404, "{:?}", run.steps());
}

#[test]
fn sigusr1_writes_a_checkpoint_and_goes_on() {
    let run = Run::new();
    let more = ["checkpoint.every_epochs=0", "schedule.epochs=1000"];
    let mut events = Events::of(Process::start(run.train(&more).arg("--json")));
    events.await_step(30);
    events.process.signal(Signal::USR1);
    let there = || run.folder().join("checkpoints").is_dir().then(|| run.steps()).filter(|steps| !steps.is_empty());
    let steps = eventually("a checkpoint", there);
    assert!(steps.len() == 1 && steps[0] >= 30, "{steps:?}");
    events.await_step(steps[0] + 10);
    assert_eq!(events.seen("job").last().unwrap()["state"], "running");
}

/// With other workers; a checkpoint that another build wrote is warned of.
#[test]
fn a_stopped_run_goes_on_in_its_folder_or_a_new_one() {
    let run = Run::new();
    run.stop_at(130, &["cluster.workers=2", "checkpoint.every_epochs=0"]);
    let stopped = run.steps();
    assert_eq!(stopped.len(), 1);

    let copy = run.0.path().join("copy");
    let mut command = train(&recipe(RECIPE), &copy, &job::SETTINGS);
    let ended = Ended::of(command.arg("--from").arg(run.folder()));
    assert!(ended.stderr.contains(&format!("from step {} (checkpoint)", stopped[0])), "{ended:?}");
    ended.success();
    has_clean_state(&copy);
    assert_eq!(run.steps(), stopped, "what is gone on from is left as it is");

    with_another_build(&run.folder().join("checkpoints"));
    let ended = run.go_on(&["cluster.workers=3"]);
    for words in ["was written by build older with ", "the weights may differ from those of a run without a stop"] {
        assert!(ended.stderr.contains(words), "{words:?} is not in {ended:?}");
    }
    ended.success();
    is_clean(&run.folder());
    let again = run.go_on(&[]);
    assert_eq!(again.code, Some(0), "a completed run completes again: {again:?}");
    is_clean(&run.folder());
}

/// Has the only checkpoint say that another build wrote it, sealed anew.
fn with_another_build(checkpoints: &Path) {
    let path = checkpoints.join(names(checkpoints).remove(0)).join("checkpoint.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let build = json(&path)["content"]["about"]["fingerprint"]["build"].as_str().unwrap().to_owned();
    let content = text.split_once("\"content\":").unwrap().1.strip_suffix("}\n").unwrap();
    let content = content.replace(&format!("\"build\":\"{build}\""), "\"build\":\"older\"");
    let seal = blake3::hash(format!("1\n{content}").as_bytes()).to_hex();
    std::fs::write(path, format!("{{\"version\":1,\"seal\":\"{seal}\",\"content\":{content}}}\n")).unwrap();
}

#[test]
fn a_submitted_job_goes_on_from_a_run() {
    let run = Run::new();
    run.stop_at(130, &["cluster.workers=2"]);
    let cluster = Cluster::start();
    let _agent = cluster.agent(2);
    let (file, folder) = (recipe(RECIPE).display().to_string(), run.folder().display().to_string());
    let settings = job::settings(&["cluster.workers=2"]);
    let arguments: Vec<&str> = [file.as_str(), "--from", &folder].into_iter().chain(set(&settings)).collect();
    let job = cluster.run("submit", &arguments).success().trim().to_owned();
    cluster.run("wait", &[&job]).success();
    has_clean_state(&cluster.folder(&job));
    let generations = json(&cluster.folder(&job).join("run.json"))["generations"].take();
    assert_eq!(
        (&generations[0]["from"], &generations[0]["first_step"]),
        (&"checkpoint".into(), &run.steps().pop().into())
    );
}

#[test]
fn checkpoint_returns_when_it_is_on_disk() {
    let cluster = Cluster::start();
    let _agent = cluster.agent(2);
    let more = ["cluster.workers=2", "schedule.epochs=1000", "checkpoint.every_epochs=0"];
    let job = cluster.submit(RECIPE, &job::settings(&more));
    cluster.watch(&job).await_step(10);
    let answer = cluster.ask("checkpoint", &[&job]).remove(0);
    assert_eq!(steps_of(&cluster.folder(&job)), [answer["step"].as_u64().unwrap()], "{answer}");
    cluster.run("cancel", &[&job]).success();
}

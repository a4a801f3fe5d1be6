//! Signals and sudden deaths: what is said, how it exits, who goes on, and that no process stays behind.

mod lockstep;

use std::path::PathBuf;

use lockstep::cluster::Cluster;
use lockstep::process::{Ended, Process, Watched};
use lockstep::{ENDLESS, eventually, host, json, lockstep as binary, names, recipe, train};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// `train` of an endless job with two workers, which make steps.
struct Training {
    process: Process,
    workers: Vec<Watched>,
    scratch: TempDir,
}

impl Training {
    fn start(settings: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let settings = [&ENDLESS, settings].concat();
        let mut command = train(&recipe("mnist-mlp.toml"), &scratch.path().join("run"), &settings);
        let mut process = Process::start(command.args(["--workers", "2"]));
        process.await_line(" running: ");
        let workers = process.children();
        assert_eq!(workers.len(), 2);
        Self { process, workers, scratch }
    }

    fn run(scratch: &TempDir) -> PathBuf {
        scratch.path().join("run")
    }

    fn summary(scratch: &TempDir) -> Value {
        json(&Self::run(scratch).join("summary.json"))
    }
}

/// Sizes of a run's generations.
fn members(run: &Value) -> Vec<usize> {
    let generations = run["generations"].as_array().unwrap().iter();
    generations.map(|generation| generation["members"].as_array().unwrap().len()).collect()
}

/// A signal to `train` stops it after the step in flight, and the command that it prints goes on behind that step.
fn stops_in_order(signal: Signal, reason: &str) {
    let Training { process, workers, scratch } = Training::start(&[]);
    process.signal(signal);
    let ended = process.wait();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    assert!(ended.stderr.contains(&format!("stopping: {reason}: stops after the step in flight")), "{ended:?}");
    assert!(ended.stdout.contains("interrupted after step "), "{ended:?}");
    workers.iter().for_each(Watched::await_end);
    let summary = Training::summary(&scratch);
    let step = summary["steps"].as_u64().unwrap();
    assert_eq!(summary["stop_reason"], "interrupted");
    assert!(step > 0 && summary["train_loss"].is_number(), "{summary}");
    goes_on(&ended, step);
}

fn goes_on(ended: &Ended, step: u64) {
    let command = ended.stderr.lines().find_map(|line| line.strip_prefix("go on with: lockstep "));
    let command = command.unwrap_or_else(|| panic!("no command: {ended:?}"));
    let mut train = Process::start(&mut binary(command.split(' ')));
    train.await_line(&format!("from step {step} (checkpoint)"));
    train.await_line(" running: ");
    train.signal(Signal::INT);
    assert_eq!(train.wait().code, Some(75));
}

#[test]
fn ctrl_c_stops_after_the_step_in_flight() {
    stops_in_order(Signal::INT, "stopped by Ctrl-C");
}

#[test]
fn sigterm_stops_after_the_step_in_flight() {
    stops_in_order(Signal::TERM, "stopped by SIGTERM");
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_the_step() {
    let Training { mut process, workers, scratch } = Training::start(&[]);
    workers[0].signal(Signal::STOP);
    process.signal(Signal::INT);
    process.await_line(" stopping: ");
    process.signal(Signal::INT);
    let ended = process.wait();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    workers.iter().for_each(Watched::await_end);
    let summary = Training::summary(&scratch);
    assert_eq!(
        (&summary["stop_reason"], &summary["reason"]),
        (&"interrupted".into(), &"stopped by Ctrl-C twice".into())
    );
}

#[test]
fn workers_die_with_a_train_that_is_killed() {
    let Training { process, workers, scratch } = Training::start(&[]);
    process.signal(Signal::KILL);
    assert_eq!(process.wait().signal, Some(Signal::KILL.as_raw()));
    workers.iter().for_each(Watched::await_end);
    assert!(!names(&Training::run(&scratch)).contains(&"summary.json".to_owned()));
}

#[test]
fn a_killed_worker_is_told_by_rank_host_and_signal_and_replaced() {
    let Training { mut process, workers, scratch } = Training::start(&[]);
    workers[1].signal(Signal::KILL);
    workers[1].await_end();
    process.await_line(" recovering: ");
    process.await_line(" 2 workers ready: ");
    let now = process.children();
    assert_eq!(now.len(), 2);
    assert!(now.iter().any(|worker| worker.id() == workers[0].id()), "the survivor goes on");
    process.signal(Signal::INT);
    let ended = process.wait();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    now.iter().for_each(Watched::await_end);
    let run = json(&Training::run(&scratch).join("run.json"));
    assert_eq!(members(&run), [2, 1, 2], "the survivor waits for nobody: {run}");
}

#[test]
fn a_job_that_may_lose_no_worker_fails_by_rank_host_and_signal() {
    let Training { process, workers, scratch } = Training::start(&["cluster.max_restarts=0"]);
    workers[1].signal(Signal::KILL);
    let ended = process.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    workers.iter().for_each(Watched::await_end);
    let reason = format!("on host {}: killed by SIGKILL", host());
    assert!(ended.stdout.contains(&reason) && ended.stdout.contains("rank "), "{ended:?}");
    let summary = Training::summary(&scratch);
    assert_eq!(summary["stop_reason"], "failed");
    assert!(summary["reason"].as_str().unwrap().contains(&reason), "{summary}");
}

#[test]
fn workers_die_with_an_agent_that_is_killed_and_the_job_goes_on_without_it() {
    let cluster = Cluster::start();
    let agents = [cluster.agent(1), cluster.agent(1)];
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let workers = agents.each_ref().map(|agent| agent.children().remove(0));
    let [mut first, second] = agents;
    first.kill();
    workers[0].await_end();
    let line = cluster.await_log(&job, "coordinator | lost ");
    assert!(line.contains(&format!("on host {}: ", host())), "{line}");
    cluster.await_log(&job, "running: 1 worker ready: ");
    assert!(workers[1].runs(), "the survivor goes on");

    let third = cluster.agent(1);
    cluster.await_log(&job, "running: 2 workers ready: generation 3");
    let replacement = third.children();
    cluster.run("cancel", &[&job]).success();
    assert_eq!(cluster.run("wait", &[&job]).code, Some(3));
    assert_eq!(members(&json(&cluster.folder(&job).join("run.json"))), [2, 1, 2]);
    replacement.iter().chain(&workers).for_each(Watched::await_end);
    eventually("the survivor's agent has no worker", || second.children().is_empty().then_some(()));
}

#[test]
fn workers_leave_in_order_with_an_agent_that_is_told_to_end() {
    let cluster = Cluster::start();
    let agents = [cluster.agent(1), cluster.agent(1)];
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let workers = agents.each_ref().map(|agent| agent.children().remove(0));
    let [first, second] = agents;
    first.signal(Signal::TERM);
    let ended = first.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    workers[0].await_end();
    cluster.await_log(&job, "running: 1 worker ready: ");
    assert!(workers[1].runs());

    // Without the other one the job has no worker: it waits, and goes on behind the step at which it stopped.
    second.signal(Signal::TERM);
    assert_eq!(second.wait().code, Some(0));
    workers[1].await_end();
    let logs = cluster.run("logs", &[&job]).success();
    assert!(!logs.contains("lost rank"), "nothing was lost: {logs}");
    let recorded = cluster.show(&job)["progress"]["step"].as_u64().unwrap();
    let _third = cluster.agent(2);
    cluster.watch(&job).await_step(recorded + 1);
    let generations = json(&cluster.folder(&job).join("run.json"))["generations"].take();
    let newest = &generations.as_array().unwrap().last().unwrap();
    assert!(newest["from"] == "checkpoint" && newest["first_step"].as_u64() >= Some(recorded), "{newest}");
}

#[test]
fn a_second_signal_ends_an_agent_and_its_workers_at_once() {
    let cluster = Cluster::start();
    let agent = cluster.agent(2);
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let workers = agent.children();
    workers[0].signal(Signal::STOP);
    // Two kinds, since a second signal of one kind is lost while the first waits to be seen.
    agent.signal(Signal::TERM);
    agent.signal(Signal::INT);
    let ended = agent.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    workers.iter().for_each(Watched::await_end);
}

#[test]
fn agents_and_workers_outlive_a_coordinator_that_is_killed_and_come_back_to_it() {
    let mut cluster = Cluster::start();
    let mut agent = cluster.agent(2);
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let workers = agent.children();
    let recorded = cluster.show(&job)["progress"]["step"].as_u64().unwrap_or(0);
    cluster.serve.kill();
    agent.await_line(&format!("lost the coordinator at {}", cluster.address));
    cluster.revive();
    agent.await_line(&format!("the coordinator at {} is back", cluster.address));
    cluster.watch(&job).await_step(recorded + 1);
    assert!(workers.iter().all(Watched::runs));
    assert_eq!(cluster.show(&job)["generation"], 1, "no step was lost");

    // Nobody outlives an agent, also while there is no coordinator.
    cluster.serve.kill();
    agent.kill();
    workers.iter().for_each(Watched::await_end);
}

#[test]
fn a_cancelled_job_ends_in_order_and_is_told_by_the_exit_code() {
    let cluster = Cluster::start();
    let agent = cluster.agent(2);
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    let waiting = cluster.begin("wait", &[&job]);
    cluster.await_running(&job);
    let workers = agent.children();
    cluster.run("cancel", &[&job]).success();
    let waited = waiting.wait();
    assert_eq!(waited.code, Some(3), "{waited:?}");
    assert!(waited.stdout.contains(&format!("job {job} cancelled: ")), "{waited:?}");
    assert_eq!(cluster.run("watch", &[&job]).code, Some(3));
    assert_eq!(cluster.show(&job)["state"], "cancelled");
    workers.iter().for_each(Watched::await_end);
}

//! Signals and sudden deaths: what is said, how it exits, and that no process stays behind.

mod lockstep;

use lockstep::cluster::Cluster;
use lockstep::process::{Process, Watched};
use lockstep::{ENDLESS, host, json, names, recipe, train};
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
    fn start() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = train(&recipe("mnist-mlp.toml"), &scratch.path().join("run"), &ENDLESS);
        let mut process = Process::start(command.args(["--workers", "2"]));
        process.await_line(" running: ");
        let workers = process.children();
        assert_eq!(workers.len(), 2);
        Self { process, workers, scratch }
    }

    fn summary(scratch: &TempDir) -> Value {
        json(&scratch.path().join("run/summary.json"))
    }
}

/// A signal to `train` stops it after the step in flight.
fn stops_in_order(signal: Signal, reason: &str) {
    let Training { process, workers, scratch } = Training::start();
    process.signal(signal);
    let ended = process.wait();
    assert_eq!(ended.code, Some(75), "{ended:?}");
    assert!(ended.stderr.contains(&format!("stopping: {reason}: stops after the step in flight")), "{ended:?}");
    assert!(ended.stdout.contains("interrupted after step "), "{ended:?}");
    workers.iter().for_each(Watched::await_end);
    let summary = Training::summary(&scratch);
    assert_eq!(summary["stop_reason"], "interrupted");
    assert!(summary["steps"].as_u64() > Some(0) && summary["train_loss"].is_number(), "{summary}");
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
    let Training { mut process, workers, scratch } = Training::start();
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
    let Training { process, workers, scratch } = Training::start();
    process.signal(Signal::KILL);
    assert_eq!(process.wait().signal, Some(Signal::KILL.as_raw()));
    workers.iter().for_each(Watched::await_end);
    assert!(!names(&scratch.path().join("run")).contains(&"summary.json".to_owned()));
}

#[test]
fn a_killed_worker_fails_the_job_by_rank_host_and_signal() {
    let Training { process, workers, scratch } = Training::start();
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
fn workers_die_with_an_agent_that_is_killed_and_the_job_fails_by_host() {
    let cluster = Cluster::start();
    let agents = [cluster.agent(1), cluster.agent(1)];
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let workers = agents.each_ref().map(|agent| agent.children().remove(0));
    let [first, second] = agents;
    first.signal(Signal::KILL);
    let waited = cluster.run("wait", &[&job]);
    assert_eq!(waited.code, Some(1), "{waited:?}");
    workers.iter().for_each(Watched::await_end);
    let shown = cluster.show(&job);
    let reason = shown["reason"].as_str().unwrap();
    assert!(reason.contains("agent") && reason.contains(&host()), "{reason}");
    assert_eq!(second.children().len(), 0);
}

#[test]
fn workers_die_with_an_agent_that_is_told_to_end() {
    let cluster = Cluster::start();
    let agent = cluster.agent(2);
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let workers = agent.children();
    agent.signal(Signal::TERM);
    let ended = agent.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    workers.iter().for_each(Watched::await_end);
    assert_eq!(cluster.run("wait", &[&job]).code, Some(1));
}

#[test]
fn agents_and_workers_end_with_a_coordinator_that_is_killed() {
    let cluster = Cluster::start();
    let agent = cluster.agent(2);
    let job = cluster.submit("mnist-mlp.toml", &ENDLESS);
    cluster.await_running(&job);
    let workers = agent.children();
    cluster.serve.signal(Signal::KILL);
    let ended = agent.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&format!("error: lost the coordinator at {}", cluster.address)), "{ended:?}");
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

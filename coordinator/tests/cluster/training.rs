use lockstep_coordinator::StateFolder;
use lockstep_coordinator::client::{View, exit_code, follow};
use lockstep_proto::wire::{self, worker_command};

use crate::peers::{Agent, Server, Worker, submit, two_running};

#[tokio::test]
async fn a_job_runs_from_submission_to_summary() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let server = Server::start(StateFolder::Dir(folder.path().join("state"))).await;
    let (job, agents, mut workers) = two_running(&server, &run).await;

    let follower = {
        let (mut client, id) = (server.client().await, job.job.clone());
        tokio::spawn(async move { follow(&mut client, &id, View::Quiet).await.unwrap() })
    };
    workers[0].report(0, &[50, 100]).await;
    workers[1].report(0, &[50, 100]).await;
    let hash = workers[0].put("final/model.safetensors", b"weights").await.unwrap();
    workers[0].finished("completed", &hash);
    workers[1].finished("completed", "");
    for worker in &mut workers {
        assert!(matches!(worker.command().await, worker_command::Command::Leave(_)));
    }
    let ended = follower.await.unwrap();
    assert_eq!((ended.state.as_str(), exit_code(&ended)), ("completed", 0), "{}", ended.reason);
    assert_eq!(ended.placements.iter().map(|p| p.lanes).collect::<Vec<_>>(), [1, 1]);

    let text = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    assert_eq!(text("final/model.safetensors"), "weights");
    assert_eq!(text("metrics.jsonl").lines().count(), 2, "only rank 0's reports are kept");
    let summary: serde_json::Value = serde_json::from_str(&text("summary.json")).unwrap();
    assert_eq!(summary["weights_sha256"], hash);
    assert_eq!(summary["samples_per_second"], 3200.0);
    assert_eq!(summary["stop_reason"], "completed");
    let run_json: serde_json::Value = serde_json::from_str(&text("run.json")).unwrap();
    assert_eq!(run_json["dataset"], "mnist");
    assert_eq!(run_json["generations"][0]["members"][1]["host"], "host-b");
    assert!(text("curves.svg").starts_with("<svg"));
    assert_eq!(text("job.toml"), crate::peers::job_toml(2));
    drop(agents);
    server.stop().await;
}

#[tokio::test]
async fn a_lost_worker_is_named_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, agents, [mut first, second]) = two_running(&server, &folder.path().join("run")).await;
    let id = second.id.clone();
    second.vanish();
    let worker_command::Command::Abort(abort) = first.command().await else { panic!("not an abort") };
    assert!(abort.reason.starts_with("rank 1 on host host-b: lost"), "{}", abort.reason);
    agents[1].exited(&id, "killed by SIGKILL");
    let ended = follow(&mut server.client().await, &job.job, View::Quiet).await.unwrap();
    assert_eq!(ended.reason, "rank 1 on host host-b: killed by SIGKILL");
    assert_eq!(exit_code(&ended), 1);
    server.stop().await;
}

#[tokio::test]
async fn freed_slots_go_to_the_next_job() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let mut agent = Agent::welcome(&server, "a", 1).await;
    let mut client = server.client().await;
    let first = submit(&mut client, 1, &folder.path().join("first")).await;
    let second = submit(&mut client, 1, &folder.path().join("second")).await;
    assert_eq!(second.state, "queued");
    for job in [first, second] {
        let mut worker = Worker::join(&server, &mut agent).await;
        assert_eq!(worker.job, job.job);
        worker.begin().await;
        worker.finished("completed", "");
        assert!(matches!(worker.command().await, worker_command::Command::Leave(_)));
        let ended = follow(&mut client, &job.job, View::Quiet).await.unwrap();
        assert_eq!(ended.state, "completed");
        agent.exited(&worker.id, "exited with code 0");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_agent_that_vanishes_takes_its_job_along() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, [first, second], workers) = two_running(&server, &folder.path().join("run")).await;
    second.vanish();
    let ended = follow(&mut server.client().await, &job.job, View::Quiet).await.unwrap();
    assert_eq!(ended.state, "failed");
    let expected = "rank 1 on host host-b: the agent of host host-b was lost: ";
    assert!(ended.reason.starts_with(expected), "{}", ended.reason);
    drop((first, workers));
    server.stop().await;
}

#[tokio::test]
async fn what_can_not_be_stored_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let server = Server::start(StateFolder::Memory).await;
    let (job, _agents, mut workers) = two_running(&server, &run).await;
    for worker in &mut workers {
        worker.report(0, &[1]).await;
    }
    std::fs::remove_dir_all(&run).unwrap();
    let evaluation = wire::EvaluationReport { step: 2, split: "test".into(), ..Default::default() };
    let report = wire::Report { report: Some(wire::report::Report::Evaluation(evaluation)) };
    workers[0].reports(1, vec![report]);
    for worker in &mut workers {
        assert!(matches!(worker.command().await, worker_command::Command::Abort(_)));
        assert!(matches!(worker.command().await, worker_command::Command::Leave(_)));
    }
    let ended = follow(&mut server.client().await, &job.job, View::Quiet).await.unwrap();
    assert_eq!(ended.state, "failed");
    assert!(ended.reason.starts_with(&format!("run folder {}: ", run.display())), "{}", ended.reason);
    server.stop().await;
}

use lockstep_coordinator::StateFolder;
use lockstep_coordinator::client::{View, exit_code, follow};
use lockstep_proto::wire;

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
    workers[0].report(&[50, 100]).await;
    workers[1].report(&[50, 100]).await;
    let hash = workers[0].put("final/model.safetensors", b"weights").await.unwrap();
    workers[0].finished("completed", &hash);
    workers[1].finished("completed", "");
    for worker in &mut workers {
        worker.leaves().await;
    }
    let ended = follower.await.unwrap();
    assert_eq!((ended.state.as_str(), exit_code(&ended)), ("completed", 0), "{}", ended.reason);
    assert_eq!(ended.placements.iter().map(|p| p.lanes).collect::<Vec<_>>(), [1, 1]);

    let text = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    assert_eq!(text("final/model.safetensors"), "weights");
    assert_eq!(text("metrics.jsonl").lines().count(), 2, "a step is reported once, whoever tells of it");
    let json = |name: &str| serde_json::from_str::<serde_json::Value>(&text(name)).unwrap();
    let summary = json("summary.json");
    assert_eq!(summary["weights_sha256"], hash);
    assert_eq!(summary["samples_per_second"], 3200.0);
    assert_eq!(summary["stop_reason"], "completed");
    let run_json = json("run.json");
    assert_eq!(run_json["dataset"], "mnist");
    assert_eq!(run_json["generations"][0]["members"][1]["host"], "host-b");
    assert_eq!(json("ledger.json")["rows"][0]["steps"], 100);
    assert!(text("curves.svg").starts_with("<svg"));
    assert_eq!(text("job.toml"), crate::peers::job_toml(2));
    drop(agents);
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_is_done_before_its_last_step_has_completed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    for (why, reason, at) in [
        ("target", "the target is reached after step 50", Some(50)),
        ("plateau", "no lower loss in 0 evaluations: stopped after step 50", None),
        ("time", "its time is over after step 50", None),
    ] {
        let run = folder.path().join(why);
        let (job, agents, mut workers) = two_running(&server, &run).await;
        workers[0].report(&[50]).await;
        workers[1].report(&[50]).await;
        let hash = workers[0].put("final/model.safetensors", b"weights").await.unwrap();
        workers[0].finished(why, &hash);
        workers[1].finished(why, "");
        for worker in &mut workers {
            worker.leaves().await;
        }
        let ended = follow(&mut server.client().await, &job.job, View::Quiet).await.unwrap();
        assert_eq!((ended.state.as_str(), exit_code(&ended), ended.reason.as_str()), ("completed", 0, reason));
        let summary = std::fs::read_to_string(run.join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!((&summary["stop_reason"], &summary["steps_to_target"]), (&why.into(), &at.into()));
        drop(agents);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_lost_worker_is_named_and_replaced_at_a_step_boundary() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, [_a, mut b], [mut first, second]) = two_running(&server, &folder.path().join("run")).await;
    first.report(&[10]).await;
    b.exited(&second.id, "killed by SIGKILL");
    second.vanish();
    assert_eq!(first.aborts().await, "rank 1 on host host-b: killed by SIGKILL");
    first.begin().await;
    let start = first.begin.start.as_ref().unwrap();
    assert_eq!((first.begin.members.len(), start.step, start.share), (1, 10, false));
    first.report(&[20]).await;

    let mut third = Worker::join(&server, &mut b).await;
    first.stops("regrouped").await;
    first.begin().await;
    third.begin().await;
    let start = third.begin.start.as_ref().unwrap();
    assert_eq!((start.step, start.source, start.share), (20, 0, true));
    for worker in [&mut first, &mut third] {
        worker.finished("completed", "");
    }
    let ended = follow(&mut server.client().await, &job.job, View::Quiet).await.unwrap();
    assert_eq!((ended.state.as_str(), ended.generation), ("completed", 3), "{}", ended.reason);
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
        worker.leaves().await;
        let ended = follow(&mut client, &job.job, View::Quiet).await.unwrap();
        assert_eq!(ended.state, "completed");
        agent.exited(&worker.id, "exited with code 0");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_agent_that_comes_back_tells_which_of_its_workers_ended() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (_job, [a, b], [mut first, second]) = two_running(&server, &folder.path().join("run")).await;
    a.vanish();
    b.vanish();
    let a = Agent::comes_back(&server, "a", 1, &[&first.id]).await;
    let mut b = Agent::comes_back(&server, "b", 1, &[]).await;
    assert_eq!(first.aborts().await, "rank 1 on host host-b: it ended while its agent had no coordinator");
    assert_ne!(b.start().await.worker, second.id);
    drop((a, second));
    server.stop().await;
}

#[tokio::test]
async fn what_can_not_be_stored_is_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let server = Server::start(StateFolder::Memory).await;
    let (job, _agents, mut workers) = two_running(&server, &run).await;
    for worker in &mut workers {
        worker.report(&[1]).await;
    }
    std::fs::remove_dir_all(&run).unwrap();
    let evaluation = wire::EvaluationReport { step: 2, split: "test".into(), ..Default::default() };
    workers[0].reports(&[2], vec![evaluation]);
    for worker in &mut workers {
        worker.aborts().await;
        worker.leaves().await;
    }
    let ended = follow(&mut server.client().await, &job.job, View::Quiet).await.unwrap();
    assert_eq!(ended.state, "failed");
    assert!(ended.reason.starts_with(&format!("run folder {}: ", run.display())), "{}", ended.reason);
    server.stop().await;
}

use lockstep_coordinator::StateFolder;
use lockstep_coordinator::client::{ClientError, LogsArgs, PullArgs, Remote, logs, pull};
use lockstep_proto::wire::{self, agent_event};

use crate::peers::{Server, two_running};

#[tokio::test]
async fn workers_store_only_what_they_may() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let server = Server::start(StateFolder::Memory).await;
    let (_job, _agents, workers) = two_running(&server, &run).await;
    let denied = workers[1].put("final/model.safetensors", b"x").await.unwrap_err();
    assert_eq!(denied.code(), tonic::Code::PermissionDenied);
    for path in ["job.toml", "../../x", "/tmp/x", "final/../job.toml"] {
        let refused = workers[0].put(path, b"x").await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{path}");
    }
    workers[0].put("final/model.safetensors", b"x").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_run_is_pulled_whole_into_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let server = Server::start(StateFolder::Memory).await;
    let (job, _agents, workers) = two_running(&server, &run).await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
    workers[0].put("final/model.safetensors", &bytes).await.unwrap();
    let remote = Remote { coordinator: server.url.clone(), json: false };
    let args = PullArgs { job: job.job, to: folder.path().join("copy") };
    assert_eq!(pull(&remote, &args).await.unwrap(), 0);
    assert_eq!(std::fs::read(args.to.join("final/model.safetensors")).unwrap(), bytes);
    assert!(args.to.join("job.toml").exists());
    let again = pull(&remote, &args).await.unwrap_err();
    assert!(matches!(again, ClientError::NotEmpty(_)) && again.exit_code() == 2);
    server.stop().await;
}

#[tokio::test]
async fn logs_come_with_what_the_coordinator_decided() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, agents, mut workers) = two_running(&server, &folder.path().join("run")).await;
    let lines = wire::LogLines { worker: workers[0].id.clone(), lines: vec!["hello\x1b[2J".into()] };
    agents[0].send(agent_event::Event::LogLines(lines));
    let request = wire::LogsRequest { job: job.job.clone(), follow: true };
    let mut stream = server.client().await.logs(request).await.unwrap().into_inner();
    let mut seen = Vec::new();
    for worker in &mut workers {
        worker.report(&[1]).await;
        worker.finished("completed", "");
    }
    for (agent, worker) in agents.iter().zip(&workers) {
        agent.exited(&worker.id, "exited with code 0");
    }
    while let Some(line) = stream.message().await.unwrap() {
        seen.push((line.worker, line.line));
    }
    assert!(seen.contains(&(workers[0].id.clone(), "hello\u{fffd}[2J".into())), "{seen:?}");
    assert!(seen.contains(&(String::new(), "running: 2 workers ready: generation 1".into())), "{seen:?}");
    let remote = Remote { coordinator: server.url.clone(), json: true };
    assert_eq!(logs(&remote, &LogsArgs { job: job.job, follow: true }).await.unwrap(), 0);
    server.stop().await;
}

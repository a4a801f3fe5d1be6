use lockstep_coordinator::client::{self, ClientError, Remote, SubmitArgs};
use lockstep_coordinator::{ServeError, ServeOptions, StateFolder, listen, serve};
use lockstep_proto::wire::{self, agent_command, worker_command, worker_event};
use tokio_util::sync::CancellationToken;

use crate::peers::{Agent, Server, Worker, job_toml, two_running};

#[tokio::test]
async fn another_version_is_refused_with_both_named() {
    let server = Server::start(StateFolder::Memory).await;
    let mut agent = Agent::join(&server, "a", 1, "0.0.9").await;
    let agent_command::Command::Refused(refused) = agent.command().await else { panic!("not refused") };
    assert!(refused.reason.contains("version 0.0.9") && refused.reason.contains(lockstep_proto::VERSION));
    server.stop().await;
}

#[tokio::test]
async fn a_worker_that_was_not_started_is_refused() {
    let server = Server::start(StateFolder::Memory).await;
    let mut worker = Worker::hello(&server, "x-1", "a", None).await;
    let worker_command::Command::Refused(refused) = worker.command().await else { panic!("not refused") };
    assert_eq!(refused.reason, "no worker x-1 was started");
    server.stop().await;
}

#[tokio::test]
async fn bad_submissions_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("precious"), "x").unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let mut client = server.client().await;
    let run_folder = folder.path().to_string_lossy().into_owned();
    let bad = [
        SubmitArgs { toml: job_toml(1), run_folder, ..Default::default() },
        SubmitArgs { toml: "batch = 3".into(), ..Default::default() },
        SubmitArgs { toml: job_toml(1).replace("micro_batch = 32", "micro_batch = 0"), ..Default::default() },
        SubmitArgs { toml: "x = 1\n".repeat(100_000), ..Default::default() },
    ];
    for args in bad {
        let error = client::submit_job(&mut client, args).await.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
    }
    let jobs = client.list(wire::ListRequest {}).await.unwrap().into_inner().jobs;
    assert_eq!(jobs, []);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    server.stop().await;
}

#[tokio::test]
async fn nobody_there_is_bad_input_with_a_hint() {
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let remote = Remote { coordinator: url.clone(), json: false };
    let error = client::list(&remote).await.unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let expected = format!("cannot reach the coordinator at {url}: is `lockstep serve` running?");
    assert!(error.to_string().starts_with(&expected), "{error}");
    let remote = Remote { coordinator: "nowhere".into(), json: false };
    assert!(matches!(client::list(&remote).await, Err(ClientError::Address(_))));
}

#[tokio::test]
async fn a_port_in_use_and_a_state_in_use_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    assert!(matches!(listen(address).await, Err(ServeError::PortInUse(_))));
    let state = StateFolder::Dir(folder.path().into());
    let server = Server::start(state.clone()).await;
    let options = ServeOptions { state, allow_run_folder: false };
    let second = serve(listener, options, CancellationToken::new()).await.unwrap_err();
    assert!(second.to_string().contains("is in use by another coordinator"), "{second}");
    server.stop().await;
}

#[tokio::test]
async fn numbers_that_can_not_be_counted_on_from_end_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (_job, _agents, [mut first, _second]) = two_running(&server, &folder.path().join("run")).await;
    let held = Some(wire::Held { step: u64::MAX, digest: String::new() });
    first.send(worker_event::Event::Ready(wire::Ready { generation: first.generation(), held }));
    assert_eq!(first.complaint().await.code(), tonic::Code::InvalidArgument);
    let attachment = wire::Attachment { highest_generation: u64::MAX, ..Default::default() };
    let mut stranger = Worker::hello(&server, "x-1", "a", Some(attachment)).await;
    assert_eq!(stranger.complaint().await.code(), tonic::Code::InvalidArgument);
    server.stop().await;
}

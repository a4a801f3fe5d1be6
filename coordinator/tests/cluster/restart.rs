use lockstep_coordinator::StateFolder;
use lockstep_proto::wire;

use crate::peers::{Server, Worker, submit, two_running};

#[tokio::test]
async fn after_a_restart_running_jobs_have_failed_and_queued_ones_wait() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::Dir(folder.path().join("state"));
    let server = Server::start(state.clone()).await;
    let (running, agents, workers) = two_running(&server, &folder.path().join("run")).await;
    let queued = submit(&mut server.client().await, 1, &folder.path().join("queued")).await;
    server.stop().await;
    drop((agents, workers));

    let server = Server::start(state).await;
    let mut client = server.client().await;
    let jobs = client.list(wire::ListRequest {}).await.unwrap().into_inner().jobs;
    let states: Vec<_> = jobs.iter().map(|job| (job.job.as_str(), job.state.as_str())).collect();
    let mut expected = [(running.job.as_str(), "failed"), (queued.job.as_str(), "queued")];
    expected.sort_unstable();
    assert_eq!(states, expected);
    let failed = client.show(wire::JobRequest { job: running.job }).await.unwrap().into_inner();
    assert!(failed.reason.starts_with("the coordinator restarted while the job was "), "{}", failed.reason);

    let mut agent = crate::peers::Agent::welcome(&server, "c", 1).await;
    let mut worker = Worker::join(&server, &mut agent).await;
    assert_eq!(worker.job, queued.job);
    worker.begin().await;
    server.stop().await;
}

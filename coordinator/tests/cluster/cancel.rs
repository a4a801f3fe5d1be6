use lockstep_coordinator::StateFolder;
use lockstep_coordinator::client::{View, exit_code, follow};
use lockstep_proto::wire::{self, agent_command, worker_command};

use crate::peers::{Agent, Server, Worker, submit, two_running};

#[tokio::test]
async fn a_running_job_stops_after_the_step_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, _agents, mut workers) = two_running(&server, &folder.path().join("run")).await;
    let mut client = server.client().await;
    // Wait until both are known to be ready: the acknowledgement comes after.
    for worker in &mut workers {
        worker.report(0, &[1]).await;
    }
    let request = wire::JobRequest { job: job.job[2..].to_owned() };
    let view = client.cancel(request.clone()).await.unwrap().into_inner();
    assert_eq!(view.state, "stopping");
    for worker in &mut workers {
        let worker_command::Command::Stop(stop) = worker.command().await else { panic!("not a stop") };
        assert_eq!((stop.generation, stop.reason.as_str()), (worker.generation(), "cancelled"));
        worker.finished("cancelled", "");
    }
    let ended = follow(&mut client, &job.job, View::Quiet).await.unwrap();
    assert_eq!((ended.state.as_str(), exit_code(&ended)), ("cancelled", 3));
    let again = client.cancel(request).await.unwrap_err();
    assert_eq!(again.code(), tonic::Code::FailedPrecondition);
    server.stop().await;
}

#[tokio::test]
async fn a_starting_job_is_cancelled_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let mut agent = Agent::welcome(&server, "a", 1).await;
    let mut client = server.client().await;
    let job = submit(&mut client, 1, &folder.path().join("run")).await;
    let start = agent.start().await;
    let view = client.cancel(wire::JobRequest { job: job.job.clone() }).await.unwrap().into_inner();
    assert_eq!(view.state, "cancelled");
    let agent_command::Command::StopWorker(stop) = agent.command().await else { panic!("not a stop") };
    assert_eq!(stop.worker, start.worker);
    let mut late = Worker::hello(&server, &start.worker, "a").await;
    assert!(matches!(late.command().await, worker_command::Command::Refused(_)));
    server.stop().await;
}

#[tokio::test]
async fn an_interrupt_ends_all_jobs_and_the_second_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, _agents, mut workers) = two_running(&server, &folder.path().join("run")).await;
    for worker in &mut workers {
        worker.report(0, &[1]).await;
    }
    let queued = submit(&mut server.client().await, 2, &folder.path().join("queued")).await;
    server.handle.interrupt("Ctrl-C").await;
    for worker in &mut workers {
        let worker_command::Command::Stop(stop) = worker.command().await else { panic!("not a stop") };
        assert_eq!(stop.reason, "interrupted");
    }
    server.handle.interrupt("Ctrl-C").await;
    for job in [job, queued] {
        let ended = follow(&mut server.client().await, &job.job, View::Quiet).await.unwrap();
        assert_eq!((ended.state.as_str(), exit_code(&ended)), ("interrupted", 75));
    }
    for worker in &mut workers {
        assert!(matches!(worker.command().await, worker_command::Command::Abort(_)));
    }
    server.stop().await;
}

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
        worker.report(&[1]).await;
    }
    let request = wire::JobRequest { job: job.job[2..].to_owned() };
    let view = client.cancel(request.clone()).await.unwrap().into_inner();
    assert_eq!(view.state, "stopping");
    for worker in &mut workers {
        worker.stops("cancelled").await;
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
    let mut late = Worker::hello(&server, &start.worker, "a", None).await;
    assert!(matches!(late.command().await, worker_command::Command::Refused(_)));
    server.stop().await;
}

#[tokio::test]
async fn an_interrupt_ends_all_jobs_and_the_second_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, _agents, mut workers) = two_running(&server, &folder.path().join("run")).await;
    for worker in &mut workers {
        worker.report(&[1]).await;
    }
    let queued = submit(&mut server.client().await, 2, &folder.path().join("queued")).await;
    server.handle.interrupt("Ctrl-C").await;
    for worker in &mut workers {
        let worker_command::Command::Stop(stop) = worker.order().await else { panic!("not a stop") };
        assert_eq!(stop.reason, "interrupted");
    }
    server.handle.interrupt("Ctrl-C").await;
    for job in [job, queued] {
        let ended = follow(&mut server.client().await, &job.job, View::Quiet).await.unwrap();
        assert_eq!((ended.state.as_str(), exit_code(&ended)), ("interrupted", 75));
    }
    for worker in &mut workers {
        worker.aborts().await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_paused_job_gives_its_slots_back_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, mut agents, mut workers) = two_running(&server, &folder.path().join("run")).await;
    let mut client = server.client().await;
    for worker in &mut workers {
        worker.report(&[1]).await;
    }
    let request = wire::JobRequest { job: job.job };
    assert_eq!(client.pause(request.clone()).await.unwrap().into_inner().state, "pausing");
    workers[0].wrote_checkpoint();
    for worker in &mut workers {
        worker.stops("paused").await;
    }
    for (agent, worker) in agents.iter().zip(&mut workers) {
        worker.leaves().await;
        agent.exited(&worker.id, "exited with code 0");
    }
    let view = client.show(request.clone()).await.unwrap().into_inner();
    assert_eq!((view.state.as_str(), view.checkpoints.len()), ("paused", 1), "{}", view.reason);
    client.resume(request.clone()).await.unwrap();
    for agent in &mut agents {
        workers[0] = Worker::join(&server, agent).await;
    }
    workers[0].begin().await;
    let start = workers[0].begin.start.as_ref().unwrap();
    assert_eq!((start.step, start.checkpoint.as_str(), start.share), (1, "step-1", true));
    server.stop().await;
}

#[tokio::test]
async fn checkpoint_and_scale_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(StateFolder::Memory).await;
    let (job, _agents, mut workers) = two_running(&server, &folder.path().join("run")).await;
    for worker in &mut workers {
        worker.report(&[1]).await;
    }
    let mut client = server.client().await;
    let asked = {
        let (mut client, request) = (client.clone(), wire::JobRequest { job: job.job.clone() });
        tokio::spawn(async move { client.checkpoint(request).await.unwrap().into_inner() })
    };
    assert!(matches!(workers[0].order().await, worker_command::Command::WriteCheckpoint(_)));
    workers[0].wrote_checkpoint();
    assert_eq!(asked.await.unwrap().name, "step-1");

    let too_many = wire::ScaleRequest { job: job.job.clone(), workers: 1_000_000 };
    assert_eq!(client.scale(too_many).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    let down = wire::ScaleRequest { job: job.job, workers: 1 };
    assert_eq!(client.scale(down).await.unwrap().into_inner().workers, 1);
    for worker in &mut workers {
        worker.stops("regrouped").await;
    }
    workers[0].begin().await;
    workers[1].leaves().await;
    assert_eq!(workers[0].begin.members.len(), 1);
    server.stop().await;
}

use lockstep_coordinator::StateFolder;
use lockstep_coordinator::client::{View, follow};
use lockstep_proto::wire::{self, worker_command};

use crate::peers::{Agent, Server, Worker, submit, two_running};

fn lines(run: &std::path::Path) -> Vec<u64> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let step = |line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap();
    text.lines().map(step).collect()
}

#[tokio::test]
async fn workers_come_back_to_a_coordinator_that_was_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let (run, state) = (folder.path().join("run"), StateFolder::Dir(folder.path().join("state")));
    let server = Server::start(state.clone()).await;
    let (job, agents, mut workers) = two_running(&server, &run).await;
    workers[0].report(&[10, 20]).await;
    let queued = submit(&mut server.client().await, 1, &folder.path().join("queued")).await;
    server.stop().await;
    drop(agents);

    let server = Server::start(state).await;
    let mut client = server.client().await;
    let waits = client.show(wire::JobRequest { job: job.job.clone() }).await.unwrap().into_inner();
    assert_eq!((waits.state.as_str(), waits.progress.unwrap().step), ("recovering", 20), "{}", waits.reason);
    let [first, second] = workers;
    let a = Agent::comes_back(&server, "a", 1, &[&first.id]).await;
    let b = Agent::comes_back(&server, "b", 1, &[&second.id]).await;
    let mut first = first.comes_back(&server).await;
    let mut second = second.comes_back(&server).await;
    // What was reported before comes again: nobody knows whether it was heard.
    first.report(&[10, 20, 30]).await;
    second.report(&[30]).await;
    assert_eq!(lines(&run), [10, 20, 30]);
    for worker in [&mut first, &mut second] {
        worker.finished("completed", "");
    }
    let ended = follow(&mut client, &job.job, View::Quiet).await.unwrap();
    assert_eq!((ended.state.as_str(), ended.generation), ("completed", 1), "{}", ended.reason);

    a.exited(&first.id, "exited with code 0");
    let mut a = a;
    let worker = Worker::join(&server, &mut a).await;
    assert_eq!(worker.job, queued.job);
    drop(b);
    server.stop().await;
}

#[tokio::test]
async fn a_coordinator_that_knows_nothing_takes_the_job_over() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let server = Server::start(StateFolder::Dir(folder.path().join("state"))).await;
    let (job, agents, mut workers) = two_running(&server, &run).await;
    workers[0].report(&[10, 20]).await;
    server.stop().await;
    drop(agents);

    let server = Server::start(StateFolder::Dir(folder.path().join("another"))).await;
    let [first, second] = workers;
    let mut first = first.comes_back(&server).await;
    first.report(&[20, 30]).await;
    let mut second = second.comes_back(&server).await;
    second.report(&[30]).await;
    assert_eq!(lines(&run), [10, 20, 30], "what an earlier coordinator wrote stays");
    let request = wire::JobRequest { job: job.job };
    let view = server.client().await.show(request).await.unwrap().into_inner();
    assert_eq!((view.state.as_str(), view.generation), ("running", 1), "{}", view.reason);
    assert_eq!(view.run_folder, run.to_string_lossy());
    let text = std::fs::read_to_string(run.join("job.toml")).unwrap();
    assert_eq!(text, crate::peers::job_toml(2));

    // Its order reaches both: they are its workers now.
    for worker in [&mut first, &mut second] {
        worker.finished("completed", "");
    }
    first.leaves().await;
    second.leaves().await;
    server.stop().await;
}

#[tokio::test]
async fn a_worker_that_was_left_behind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::Dir(folder.path().join("state"));
    let server = Server::start(state.clone()).await;
    let (_job, agents, [mut first, second]) = two_running(&server, &folder.path().join("run")).await;
    first.report(&[10]).await;
    agents[1].exited(&second.id, "killed by SIGKILL");
    first.aborts().await;
    first.begin().await;
    first.report(&[20]).await;
    let mut late = second.says_hello_again(&server).await;
    let worker_command::Command::Refused(refused) = late.command().await else { panic!("not refused") };
    assert!(refused.reason.ends_with("has ended, as its agent told"), "{}", refused.reason);
    drop(agents);
    server.stop().await;
}

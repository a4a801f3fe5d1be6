//! A server, and hand-driven agents and workers.

use std::path::{Path, PathBuf};

use lockstep_coordinator::client::{self, Client, SubmitArgs};
use lockstep_coordinator::{Coordinator, Handle, ServeError, ServeOptions, StateFolder, listen};
use lockstep_proto::job::Job;
use lockstep_proto::wire::{self, agent_command, agent_event, worker_command, worker_event};
use lockstep_proto::{VERSION, identity::Generation};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

/// A running coordinator.
pub struct Server {
    pub url: String,
    pub handle: Handle,
    shutdown: CancellationToken,
    served: JoinHandle<Result<(), ServeError>>,
}

impl Server {
    pub async fn start(state: StateFolder) -> Self {
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let coordinator = Coordinator::open(&ServeOptions { state, allow_run_folder: true }).unwrap();
        let handle = coordinator.handle();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(coordinator.serve(listener, shutdown.clone()));
        Self { url, handle, shutdown, served }
    }

    pub async fn client(&self) -> Client {
        client::connect(&self.url).await.unwrap()
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.served.await.unwrap().unwrap();
    }
}

/// A job of so many workers, as text.
pub fn job_toml(workers: u32) -> String {
    let mut job = Job::default();
    job.data.path = PathBuf::from("/data");
    job.cluster.workers = workers;
    job.to_toml()
}

/// Hands a job in whose run goes to `run`.
pub async fn submit(client: &mut Client, workers: u32, run: &Path) -> wire::JobView {
    let args = SubmitArgs {
        name: "test".into(),
        toml: job_toml(workers),
        run_folder: run.to_string_lossy().into_owned(),
        command: "lockstep submit test.toml".into(),
        ..Default::default()
    };
    client::submit_job(client, args).await.unwrap()
}

/// An agent in the hands of a test.
pub struct Agent {
    pub node: String,
    events: mpsc::UnboundedSender<wire::AgentEvent>,
    commands: tonic::Streaming<wire::AgentCommand>,
}

impl Agent {
    /// Joins; the caller looks at the answer.
    pub async fn join(server: &Server, node: &str, slots: u32, version: &str) -> Self {
        Self::join_with(server, node, slots, version, &[]).await
    }

    /// Comes back after its stream has ended, with the processes that it runs, and is welcomed.
    pub async fn comes_back(server: &Server, node: &str, slots: u32, workers: &[&str]) -> Self {
        let mut agent = Self::join_with(server, node, slots, VERSION, workers).await;
        assert!(matches!(agent.command().await, agent_command::Command::Welcome(_)));
        agent
    }

    async fn join_with(server: &Server, node: &str, slots: u32, version: &str, workers: &[&str]) -> Self {
        let (events, outbox) = mpsc::unbounded_channel();
        let hello = wire::AgentHello {
            version: version.into(),
            node: node.into(),
            host: format!("host-{node}"),
            slots,
            threads: 1,
            workers: workers.iter().map(|worker| (*worker).to_owned()).collect(),
            process: format!("process-{node}"),
            device: "cpu".into(),
            gpus: Vec::new(),
        };
        let event = Some(agent_event::Event::Hello(hello));
        events.send(wire::AgentEvent { event }).unwrap();
        let mut client = server.client().await;
        let commands = client.agent(UnboundedReceiverStream::new(outbox)).await.unwrap().into_inner();
        Self { node: node.into(), events, commands }
    }

    /// Joins and is welcomed.
    pub async fn welcome(server: &Server, node: &str, slots: u32) -> Self {
        let mut agent = Self::join(server, node, slots, VERSION).await;
        assert!(matches!(agent.command().await, agent_command::Command::Welcome(_)));
        agent
    }

    pub async fn command(&mut self) -> agent_command::Command {
        self.commands.message().await.unwrap().unwrap().command.unwrap()
    }

    pub fn send(&self, event: agent_event::Event) {
        self.events.send(wire::AgentEvent { event: Some(event) }).unwrap();
    }

    /// Takes an order to start a worker, and says that it is done.
    pub async fn start(&mut self) -> wire::StartWorker {
        let agent_command::Command::StartWorker(start) = self.command().await else {
            panic!("not an order to start a worker");
        };
        self.send(agent_event::Event::WorkerStarted(wire::WorkerStarted { worker: start.worker.clone(), pid: 1 }));
        start
    }

    pub fn exited(&self, worker: &str, cause: &str) {
        let clean = cause == "exited with code 0";
        let exited = wire::WorkerExited { worker: worker.into(), cause: cause.into(), clean };
        self.send(agent_event::Event::WorkerExited(exited));
    }

    /// Ends the stream from this side, as a process that ends does.
    pub fn vanish(self) {}
}

/// A worker in the hands of a test.
pub struct Worker {
    pub id: String,
    pub job: String,
    pub begin: wire::Begin,
    /// Steps committed.
    pub step: u64,
    node: String,
    assignment: Option<wire::Assignment>,
    server: String,
    events: mpsc::UnboundedSender<wire::WorkerEvent>,
    commands: tonic::Streaming<wire::WorkerCommand>,
}

impl Worker {
    /// Starts on an agent's order, is welcomed, told what it is for, and prepares.
    pub async fn join(server: &Server, agent: &mut Agent) -> Self {
        let start = agent.start().await;
        let mut worker = Self::hello(server, &start.worker, &agent.node, None).await;
        assert!(matches!(worker.command().await, worker_command::Command::Welcome(_)));
        let worker_command::Command::Assignment(assignment) = worker.command().await else {
            panic!("not an assignment");
        };
        assert_eq!(assignment.job, start.job);
        (worker.job, worker.assignment) = (start.job, Some(assignment));
        worker.send(worker_event::Event::Prepared(prepared()));
        worker
    }

    /// Says hello; the caller looks at the answer.
    pub async fn hello(server: &Server, id: &str, node: &str, attachment: Option<wire::Attachment>) -> Self {
        let (events, outbox) = mpsc::unbounded_channel();
        let fingerprint = wire::Fingerprint {
            build: "b".into(),
            device: "cpu".into(),
            instruction_set: "avx2".into(),
            canary: "00".into(),
            libraries: String::new(),
        };
        let hello = wire::WorkerHello {
            version: VERSION.into(),
            worker: id.into(),
            node: node.into(),
            data_address: "127.0.0.1:1".into(),
            unix_address: "u".into(),
            threads: 1,
            fingerprint: Some(fingerprint),
            attachment,
            transport: None,
        };
        events.send(wire::WorkerEvent { event: Some(worker_event::Event::Hello(hello)) }).unwrap();
        let mut client = server.client().await;
        let commands = client.worker(UnboundedReceiverStream::new(outbox)).await.unwrap().into_inner();
        Self {
            id: id.into(),
            job: String::new(),
            begin: wire::Begin::default(),
            step: 0,
            node: node.into(),
            assignment: None,
            server: server.url.clone(),
            events,
            commands,
        }
    }

    /// Comes back to another coordinator in the middle of its generation, and says again what may be lost.
    pub async fn comes_back(self, server: &Server) -> Self {
        let mut worker = self.says_hello_again(server).await;
        assert!(matches!(worker.command().await, worker_command::Command::Welcome(_)));
        worker.send(worker_event::Event::Prepared(prepared()));
        worker.ready();
        worker
    }

    /// Says hello with what it did before; the caller looks at the answer.
    pub async fn says_hello_again(self, server: &Server) -> Self {
        let attachment = wire::Attachment {
            assignment: self.assignment.clone(),
            highest_generation: self.begin.generation.as_ref().unwrap().number,
            prepared: Some(prepared()),
            generation: Some(wire::Begin { secret: Vec::new(), ..self.begin.clone() }),
            held: None,
        };
        let worker = Self::hello(server, &self.id, &self.node, Some(attachment)).await;
        let Self { job, begin, step, assignment, .. } = self;
        Self { job, begin, step, assignment, ..worker }
    }

    pub async fn command(&mut self) -> worker_command::Command {
        self.commands.message().await.unwrap().unwrap().command.unwrap()
    }

    /// Why the coordinator ends the stream.
    pub async fn complaint(&mut self) -> tonic::Status {
        loop {
            match self.commands.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the stream ended without a complaint"),
                Err(status) => return status,
            }
        }
    }

    /// The next command that is more than an acknowledgement.
    pub async fn order(&mut self) -> worker_command::Command {
        loop {
            match self.command().await {
                worker_command::Command::Acknowledge(_) => {}
                other => return other,
            }
        }
    }

    pub fn send(&self, event: worker_event::Event) {
        self.events.send(wire::WorkerEvent { event: Some(event) }).unwrap();
    }

    pub fn generation(&self) -> Option<wire::GenerationId> {
        self.begin.generation.clone()
    }

    /// Takes the order to begin, and says that it is ready.
    pub async fn begin(&mut self) {
        let worker_command::Command::Begin(begin) = self.order().await else { panic!("not a begin") };
        Generation::try_from(begin.generation.clone()).unwrap();
        assert_eq!(begin.secret.len(), 32);
        assert_eq!(begin.members[begin.rank as usize].worker, self.id);
        self.step = begin.start.as_ref().unwrap().step;
        self.begin = begin;
        self.ready();
    }

    fn ready(&self) {
        let ready = wire::Ready { generation: self.generation(), held: Some(held(self.step)) };
        self.send(worker_event::Event::Ready(ready));
    }

    /// Reports these steps, waits until they are durable.
    pub async fn report(&mut self, steps: &[u64]) {
        self.reports(steps, Vec::new());
        loop {
            let worker_command::Command::Acknowledge(acknowledge) = self.command().await else {
                panic!("not an acknowledgement");
            };
            if acknowledge.step == self.step {
                return;
            }
        }
    }

    /// Reports steps and evaluations; all of the ledger with it.
    pub fn reports(&mut self, steps: &[u64], evaluations: Vec<wire::EvaluationReport>) {
        self.step = steps.last().copied().unwrap_or(self.step);
        let step = |step: &u64| wire::StepReport {
            step: *step,
            loss: 1.0 / *step as f64,
            accuracy: 0.5,
            samples_per_second: 1000.0,
            ..Default::default()
        };
        let report = |report| wire::Report { report: Some(report) };
        let steps = steps.iter().map(|s| report(wire::report::Report::Step(step(s))));
        let evaluations = evaluations.into_iter().map(|e| report(wire::report::Report::Evaluation(e)));
        let row = wire::LedgerRow {
            to: self.step * 32,
            steps: self.step,
            generation: 1,
            samples: self.step * 32,
            ..Default::default()
        };
        self.send(worker_event::Event::Reports(wire::Reports {
            generation: self.generation(),
            step: self.step,
            first_row: 0,
            rows: vec![row],
            reports: steps.chain(evaluations).collect(),
        }));
    }

    /// Waits for the order to stop, and stops.
    pub async fn stops(&mut self, why: &str) {
        let worker_command::Command::Stop(stop) = self.order().await else { panic!("not a stop") };
        assert_eq!((stop.generation, stop.reason.as_str()), (self.generation(), why));
        self.finished(why, "");
    }

    pub fn finished(&self, stop_reason: &str, weights_sha256: &str) {
        let outcome = wire::Outcome {
            stop_reason: stop_reason.into(),
            steps: self.step,
            epochs: 2,
            samples: 6400,
            seconds: 2.0,
            train_loss: 0.25,
            test_loss: Some(0.5),
            test_error: Some(0.047),
            test_top5_error: None,
            reason: String::new(),
            weights_sha256: weights_sha256.into(),
        };
        let (generation, held) = (self.generation(), Some(held(self.step)));
        let finished = wire::Finished { generation, held, outcome: Some(outcome) };
        self.send(worker_event::Event::Finished(finished));
    }

    /// Takes the order to leave the generation at once; gives the reason.
    pub async fn aborts(&mut self) -> String {
        let worker_command::Command::Abort(abort) = self.order().await else { panic!("not an abort") };
        assert_eq!(abort.generation, self.generation());
        let (generation, held) = (self.generation(), Some(held(self.step)));
        let left = wire::Left { generation, held, cause: "told to leave".into(), ..Default::default() };
        self.send(worker_event::Event::Left(left));
        abort.reason
    }

    pub fn wrote_checkpoint(&self) {
        let (name, digest, dir) = (format!("step-{}", self.step), held(self.step).digest, "/checkpoints".into());
        let written = wire::CheckpointWritten { step: self.step, name, digest, bytes: 10, seconds: 0.1, dir };
        self.send(worker_event::Event::CheckpointWritten(written));
    }

    /// Waits until there is nothing more to do.
    pub async fn leaves(&mut self) {
        assert!(matches!(self.order().await, worker_command::Command::Leave(_)));
    }

    /// Stores a file under a name; gives its hash.
    pub async fn put(&self, path: &str, bytes: &[u8]) -> Result<String, tonic::Status> {
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let (head, tail) = bytes.split_at(bytes.len() / 2);
        let first = wire::FileChunk {
            job: self.job.clone(),
            worker: self.id.clone(),
            path: path.into(),
            data: head.into(),
            ..Default::default()
        };
        let last = wire::FileChunk { data: tail.into(), last: true, sha256: sha256.clone(), ..Default::default() };
        let mut client = client::connect(&self.server).await.unwrap();
        client.put_file(tokio_stream::iter([first, last])).await?;
        Ok(sha256)
    }

    /// Ends the stream from this side, as a process that ends does.
    pub fn vanish(self) {}
}

fn prepared() -> wire::Prepared {
    wire::Prepared {
        dataset: "mnist".into(),
        total_steps: 100,
        total_epochs: 2,
        parameters: 10,
        train_samples: 3200,
        sample: vec![1, 28, 28],
        sees_run_folder: true,
        ..Default::default()
    }
}

fn held(step: u64) -> wire::Held {
    wire::Held { step, digest: format!("digest-{step}") }
}

/// Two workers of one job on two agents, both training.
pub async fn two_running(server: &Server, run: &Path) -> (wire::JobView, [Agent; 2], [Worker; 2]) {
    let mut first = Agent::welcome(server, "a", 1).await;
    let mut second = Agent::welcome(server, "b", 1).await;
    let job = submit(&mut server.client().await, 2, run).await;
    let mut workers = [Worker::join(server, &mut first).await, Worker::join(server, &mut second).await];
    for worker in &mut workers {
        worker.begin().await;
    }
    (job, [first, second], workers)
}

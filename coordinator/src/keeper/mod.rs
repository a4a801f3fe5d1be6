//! Owns the cluster and carries its commands out: database, run folders, streams to agents, workers and watchers.
//!
//! One thread takes requests one after the other, so records are durable before anything that relies on them is
//! said. It never waits for a peer: who doesn't read what it is sent is cut off.

mod clock;
mod noise;
mod orders;
mod outlets;
mod queries;
mod records;
mod request;
mod view;
mod watchers;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use lockstep_proto::identity::JobId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub use outlets::{Outlet, Stream};
pub use request::{LogsReply, Request, Watching};
pub use view::view;

use crate::cluster::event::Wish;
use crate::cluster::job::Job;
use crate::cluster::{Cluster, Command, Entropy, Event, Ticket};
use crate::run_folder::RunFolder;
use crate::store::{StateFolder, Store, StoreError};
use clock::Clock;
use lockstep_proto::wire;
use outlets::Outlets;
use watchers::Watchers;

/// The answer to a request about a job.
pub type JobReply = oneshot::Sender<Result<wire::JobView, Status>>;
/// The answer to a request for a checkpoint.
pub type CheckpointReply = oneshot::Sender<Result<wire::CheckpointView, Status>>;

/// Who waits for an answer of the cluster.
enum Waiting {
    ForJob(JobReply),
    ForCheckpoint(CheckpointReply),
}

/// The cluster with everything that its commands touch.
pub struct Keeper {
    cluster: Cluster,
    store: Store,
    clock: Clock,
    runs: HashMap<JobId, RunFolder>,
    outlets: Outlets,
    watchers: Watchers,
    tickets: HashMap<Ticket, Waiting>,
    tickets_given: u64,
}

enum Next {
    Request(Box<Request>),
    Tick,
    Over,
}

impl Keeper {
    /// Opens the state; jobs of an earlier life are taken in.
    pub fn open(state: &StateFolder, seed: [u8; 32]) -> Result<Self, StoreError> {
        let store = Store::open(state)?;
        let clock = Clock::start();
        let runs = match state {
            StateFolder::Dir(folder) => folder.join("runs"),
            StateFolder::Memory => std::env::temp_dir(),
        };
        let mut jobs = Vec::new();
        for mut restored in store.jobs()? {
            if !restored.record.state.ended() {
                restored.measured = RunFolder::measured(&restored.record.run_folder);
            }
            jobs.push(Job::restored(restored, clock.now()));
        }
        let mut cluster = Cluster::new(runs, Entropy::new(seed));
        let commands = cluster.restore(jobs);
        let keeper = Self {
            cluster,
            store,
            clock,
            runs: HashMap::new(),
            outlets: Outlets::default(),
            watchers: Watchers::default(),
            tickets: HashMap::new(),
            tickets_given: 0,
        };
        for command in commands {
            if let Command::SaveJob { record } = command {
                keeper.store.save_job(&record)?;
            }
        }
        Ok(keeper)
    }

    /// Serves requests until told to end or nobody is left to ask. Blocks its thread.
    pub fn run(
        mut self,
        mut inbox: mpsc::Receiver<Request>,
        runtime: &tokio::runtime::Handle,
        shutdown: &CancellationToken,
    ) {
        loop {
            let wait = self.cluster.deadline().map(|deadline| deadline.since(self.clock.now()));
            match runtime.block_on(next(&mut inbox, wait, shutdown)) {
                Next::Request(request) => self.handle(*request),
                Next::Tick => self.happen(Event::Tick),
                Next::Over => return,
            }
        }
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::Event(event) => {
                self.forget_stream(&event);
                self.happen(event);
            }
            Request::Connect { connection, outlet, event } => {
                self.outlets.connect(connection, outlet);
                self.happen(event);
            }
            Request::Submit { submission, reply } => self.submit(submission, reply),
            Request::Ask { job, wish, reply } => {
                let ticket = self.ticket(Waiting::ForJob(reply));
                self.happen(Event::Asked { ticket, job, wish });
            }
            Request::Checkpoint { job, reply } => {
                let ticket = self.ticket(Waiting::ForCheckpoint(reply));
                self.happen(Event::Asked { ticket, job, wish: Wish::Checkpoint });
            }
            Request::List { reply } => self.list(reply),
            Request::Show { job, reply } => self.show(&job, reply),
            Request::Watch { job, reply } => self.watch(&job, reply),
            Request::Logs { job, follow, reply } => self.logs(&job, follow, reply),
            Request::Log { worker, lines } => self.log(&worker, lines),
            Request::RunFolderOf { job, reply } => self.run_folder_of(&job, reply),
            Request::RunFolderFor { job, worker, reply } => {
                self.run_folder_for(&job, &worker, reply);
            }
        }
    }

    /// Lets the cluster decide, and carries the decision out, with what comes of that.
    fn happen(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let commands = self.cluster.step(self.clock.now(), event);
            events.extend(self.carry_out(commands));
        }
        let Self { watchers, cluster, .. } = self;
        watchers.close_logs(|job| cluster.has_workers(job));
    }

    /// A stream that has ended takes no more commands.
    fn forget_stream(&mut self, event: &Event) {
        if let Event::AgentLost { node, connection, .. } = event {
            self.outlets.drop_agent(node, *connection);
        }
        if let Event::WorkerLost { worker, connection, .. } = event {
            self.outlets.drop_worker(worker, *connection);
        }
    }

    fn ticket(&mut self, reply: Waiting) -> Ticket {
        self.tickets_given += 1;
        let ticket = Ticket(self.tickets_given);
        self.tickets.insert(ticket, reply);
        ticket
    }
}

async fn next(inbox: &mut mpsc::Receiver<Request>, wait: Option<Duration>, shutdown: &CancellationToken) -> Next {
    let tick = async {
        match wait {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        request = inbox.recv() => request.map_or(Next::Over, |request| Next::Request(Box::new(request))),
        () = tick => Next::Tick,
        () = shutdown.cancelled() => Next::Over,
    }
}

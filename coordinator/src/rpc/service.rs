//! The gRPC service: each method hands over to the file of its kind.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lockstep_proto::wire;
use lockstep_proto::wire::cluster_server::Cluster;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request as GrpcRequest, Response, Status, Streaming};

use crate::cluster::Connection;
use crate::cluster::event::Wish;
use crate::cluster::job::MOST_WORKERS;
use crate::keeper::Request;

/// A stream of answers.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What all methods need.
#[derive(Clone)]
pub struct Service {
    requests: mpsc::Sender<Request>,
    connections: Arc<AtomicU64>,
    /// Whether submissions may name their run folder.
    pub allow_run_folder: bool,
    /// Set when the server is to end.
    pub over: CancellationToken,
}

impl Service {
    /// A service in front of a keeper.
    pub fn new(requests: mpsc::Sender<Request>, allow_run_folder: bool, over: CancellationToken) -> Self {
        Self { requests, connections: Arc::default(), allow_run_folder, over }
    }

    /// A number that no other connection has.
    pub fn connection(&self) -> Connection {
        Connection(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// Hands a request to the keeper.
    pub async fn send(&self, request: Request) -> Result<(), Status> {
        self.requests.send(request).await.map_err(|_| over())
    }

    async fn ask_of(&self, job: String, wish: Wish) -> Result<Response<wire::JobView>, Status> {
        self.ask(|reply| Request::Ask { job, wish, reply }).await?.map(Response::new)
    }

    /// Hands a request to the keeper and waits for its answer.
    pub async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Status> {
        let (reply, answer) = oneshot::channel();
        self.send(request(reply)).await?;
        answer.await.map_err(|_| over())
    }
}

fn over() -> Status {
    Status::unavailable("the coordinator is ending")
}

#[tonic::async_trait]
impl Cluster for Service {
    type AgentStream = Answers<wire::AgentCommand>;
    type WorkerStream = Answers<wire::WorkerCommand>;
    type WatchStream = Answers<wire::WatchEvent>;
    type LogsStream = Answers<wire::LogLine>;
    type PullStream = Answers<wire::FileChunk>;

    async fn agent(
        &self,
        request: GrpcRequest<Streaming<wire::AgentEvent>>,
    ) -> Result<Response<Self::AgentStream>, Status> {
        Ok(Response::new(self.attend_agent(request.into_inner())))
    }

    async fn worker(
        &self,
        request: GrpcRequest<Streaming<wire::WorkerEvent>>,
    ) -> Result<Response<Self::WorkerStream>, Status> {
        Ok(Response::new(self.attend_worker(request.into_inner())))
    }

    async fn put_file(
        &self,
        request: GrpcRequest<Streaming<wire::FileChunk>>,
    ) -> Result<Response<wire::PutFileReply>, Status> {
        self.store_file(request.into_inner()).await.map(Response::new)
    }

    async fn submit(&self, request: GrpcRequest<wire::SubmitRequest>) -> Result<Response<wire::JobView>, Status> {
        self.submit_job(request.into_inner()).await.map(Response::new)
    }

    async fn list(&self, _request: GrpcRequest<wire::ListRequest>) -> Result<Response<wire::ListReply>, Status> {
        self.ask(|reply| Request::List { reply }).await.map(Response::new)
    }

    async fn show(&self, request: GrpcRequest<wire::JobRequest>) -> Result<Response<wire::JobView>, Status> {
        let job = request.into_inner().job;
        self.ask(|reply| Request::Show { job, reply }).await?.map(Response::new)
    }

    async fn watch(&self, request: GrpcRequest<wire::JobRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.watch_job(request.into_inner().job).await.map(Response::new)
    }

    async fn logs(&self, request: GrpcRequest<wire::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        self.read_logs(request.into_inner()).await.map(Response::new)
    }

    async fn cancel(&self, request: GrpcRequest<wire::JobRequest>) -> Result<Response<wire::JobView>, Status> {
        self.ask_of(request.into_inner().job, Wish::Cancel).await
    }

    async fn pause(&self, request: GrpcRequest<wire::JobRequest>) -> Result<Response<wire::JobView>, Status> {
        self.ask_of(request.into_inner().job, Wish::Pause).await
    }

    async fn resume(&self, request: GrpcRequest<wire::JobRequest>) -> Result<Response<wire::JobView>, Status> {
        self.ask_of(request.into_inner().job, Wish::Resume).await
    }

    async fn scale(&self, request: GrpcRequest<wire::ScaleRequest>) -> Result<Response<wire::JobView>, Status> {
        let wire::ScaleRequest { job, workers } = request.into_inner();
        if workers > MOST_WORKERS {
            return Err(Status::invalid_argument(format!("{workers} workers: {MOST_WORKERS} are the most")));
        }
        self.ask_of(job, Wish::Scale(workers)).await
    }

    async fn checkpoint(
        &self,
        request: GrpcRequest<wire::JobRequest>,
    ) -> Result<Response<wire::CheckpointView>, Status> {
        let job = request.into_inner().job;
        self.ask(|reply| Request::Checkpoint { job, reply }).await?.map(Response::new)
    }

    async fn pull(&self, request: GrpcRequest<wire::JobRequest>) -> Result<Response<Self::PullStream>, Status> {
        self.pull_run(request.into_inner().job).await.map(Response::new)
    }
}

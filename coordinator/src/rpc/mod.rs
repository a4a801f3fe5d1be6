//! The coordinator's server: messages become events, commands become messages. Decides nothing.

mod agents;
mod checked;
mod clients;
mod files;
mod noise;
mod service;
mod stream;
mod workers;

use std::net::SocketAddr;
use std::time::Duration;

use lockstep_proto::wire::cluster_server::ClusterServer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::cluster::Event;
use crate::keeper::{Keeper, Request};
use crate::store::{StateFolder, StoreError};
use service::Service;

pub use checked::worker_hello;
pub use workers::news;

/// Requests that may wait for the keeper; who brings more waits as well.
const INBOX: usize = 1024;
/// A connection that answers no ping for this long is lost.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How to serve.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where state is kept.
    pub state: StateFolder,
    /// Whether submissions may name their run folder: only where client and coordinator are one process.
    pub allow_run_folder: bool,
}

/// Why the coordinator does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken.
    #[error("{0} is in use: is another coordinator running? choose another with --listen")]
    PortInUse(SocketAddr),
    /// The address can't be listened on.
    #[error("cannot listen on {address}: {cause}: choose another with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        cause: std::io::Error,
    },
    /// The state can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system gives no random bytes.
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    /// The server broke down.
    #[error("server: {0}")]
    Server(#[from] tonic::transport::Error),
    /// The keeper's thread broke down.
    #[error("the coordinator's thread ended: {0}")]
    Keeper(#[from] tokio::task::JoinError),
}

impl ServeError {
    /// Whether another address or state folder would do.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::PortInUse(_) | Self::Listen { .. } => true,
            Self::Store(error) => error.is_bad_input(),
            Self::Random(_) | Self::Server(_) | Self::Keeper(_) => false,
        }
    }
}

/// Listens on an address.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AddrInUse => ServeError::PortInUse(address),
        _ => ServeError::Listen { address, cause },
    })
}

/// A coordinator whose state is open, before and while it serves.
pub struct Coordinator {
    keeper: Keeper,
    inbox: mpsc::Receiver<Request>,
    requests: mpsc::Sender<Request>,
    allow_run_folder: bool,
}

/// Reaches a coordinator of the same process.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Request>);

impl Handle {
    /// Ends all jobs: after the step in flight, or at once when said twice. The reason: "stopped by Ctrl-C".
    pub async fn interrupt(&self, reason: &str) {
        let event = Event::Interrupted { reason: reason.to_owned() };
        // A coordinator that has ended has no jobs to end.
        let _ = self.0.send(Request::Event(event)).await;
    }

    /// Asks for checkpoints of all jobs, at the next step boundary.
    pub async fn write_checkpoints(&self) {
        let _ = self.0.send(Request::Event(Event::CheckpointsWanted)).await;
    }
}

impl Coordinator {
    /// Opens the state.
    pub fn open(options: &ServeOptions) -> Result<Self, ServeError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(ServeError::Random)?;
        let keeper = Keeper::open(&options.state, seed)?;
        let (requests, inbox) = mpsc::channel(INBOX);
        Ok(Self { keeper, inbox, requests, allow_run_folder: options.allow_run_folder })
    }

    /// A way to reach it from inside of its process.
    pub fn handle(&self) -> Handle {
        Handle(self.requests.clone())
    }

    /// Serves until told to end.
    pub async fn serve(self, listener: TcpListener, shutdown: CancellationToken) -> Result<(), ServeError> {
        let Self { keeper, inbox, requests, allow_run_folder } = self;
        // The keeper also ends when the server does, whatever the reason.
        let over = shutdown.child_token();
        let keeper = {
            let (runtime, over) = (tokio::runtime::Handle::current(), over.clone());
            tokio::task::spawn_blocking(move || keeper.run(inbox, &runtime, &over))
        };
        let service = Service::new(requests, allow_run_folder, over.clone());
        let _end_keeper = over.clone().drop_guard();
        let server = Server::builder()
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .add_service(ClusterServer::new(service))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                shutdown.clone().cancelled_owned(),
            );
        // Streams of agents and workers live until the keeper lets go of them: don't wait for each.
        let mut keeper = keeper;
        let served = tokio::select! {
            served = server => served.map_err(ServeError::from),
            () = shutdown.cancelled() => Ok(()),
            ended = &mut keeper => return ended.map_err(ServeError::from),
        };
        over.cancel();
        keeper.await?;
        served
    }
}

/// Opens the state and serves until told to end.
pub async fn serve(
    listener: TcpListener,
    options: ServeOptions,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    Coordinator::open(&options)?.serve(listener, shutdown).await
}

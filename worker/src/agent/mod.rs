//! The agent: offers a node's slots to the coordinator, starts one worker process a slot, forwards their logs and
//! says how they ended.
//!
//! All of it runs on one thread. The kernel ends a worker when the thread that started it ends (parent-death signal),
//! so that thread has to live as long as the agent.

mod child;
mod exit_cause;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::wire::{self, agent_command, agent_event, cluster_client::ClusterClient};
use lockstep_proto::{VERSION, innermost};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use child::Launch;

/// What an agent offers and where it reports.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The coordinator's address, `http://host:port`.
    pub coordinator: String,
    /// Workers at a time.
    pub slots: u32,
    /// Threads a worker gets if its job asks for none.
    pub threads: u32,
    /// The binary that is started as a worker.
    pub executable: PathBuf,
    /// Whether workers' log lines also go to this process' standard error.
    pub echo: bool,
}

/// Why an agent ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Not an address.
    #[error("{0:?} is not an address of a coordinator: write it like http://127.0.0.1:7070")]
    Address(String),
    /// No coordinator at this address.
    #[error("cannot reach the coordinator at {address}: {reason}; is `lockstep serve` running there?")]
    Unreachable {
        /// As given.
        address: String,
        /// Of the connection.
        reason: String,
    },
    /// The coordinator does not want this agent.
    #[error("the coordinator refused this agent: {0}")]
    Refused(String),
    /// The coordinator went away.
    #[error("lost the coordinator at {address}: {reason}")]
    Lost {
        /// As given.
        address: String,
        /// Of the stream.
        reason: String,
    },
    /// No runtime on this machine.
    #[error("cannot start the agent: {0}")]
    Runtime(#[from] std::io::Error),
}

impl AgentError {
    /// Whether the user named the wrong coordinator, or runs the wrong version.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Address(_) | Self::Unreachable { .. } | Self::Refused(_) => true,
            Self::Lost { .. } | Self::Runtime(_) => false,
        }
    }
}

/// Between signs of life; the coordinator's loss detection is a multiple of it.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const END_WITHIN: Duration = Duration::from_secs(10);

/// Runs an agent on this thread until `shutdown` or until the coordinator is lost; ends its workers before it returns.
///
/// # Errors
/// If the coordinator can't be reached, refuses the agent, or goes away.
pub fn run(options: AgentOptions, shutdown: CancellationToken) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, Agent::join_and_serve(options, shutdown))
}

struct Agent {
    options: AgentOptions,
    node: NodeId,
    to_coordinator: mpsc::UnboundedSender<wire::AgentEvent>,
    stops: HashMap<WorkerId, CancellationToken>,
    /// One task a worker process; it ends with the process.
    workers: JoinSet<WorkerId>,
}

impl Agent {
    async fn join_and_serve(options: AgentOptions, shutdown: CancellationToken) -> Result<(), AgentError> {
        let node = random_node();
        let (to_coordinator, outbox) = mpsc::unbounded_channel();
        let unreachable = |reason: String| AgentError::Unreachable { address: options.coordinator.clone(), reason };
        let mut client = connect(&options.coordinator).await?;
        let hello = wire::AgentHello {
            version: VERSION.into(),
            node: node.to_string(),
            host: host_name(),
            slots: options.slots,
            threads: options.threads,
        };
        let mut agent =
            Self { options: options.clone(), node, to_coordinator, stops: HashMap::new(), workers: JoinSet::new() };
        agent.send(agent_event::Event::Hello(hello));
        let inbox = client.agent(UnboundedReceiverStream::new(outbox)).await;
        let inbox = inbox.map_err(|status| unreachable(status.message().to_owned()))?.into_inner();
        let ended = agent.serve(inbox, &shutdown).await;
        agent.end_workers().await;
        ended
    }

    async fn serve(
        &mut self,
        mut inbox: tonic::Streaming<wire::AgentCommand>,
        shutdown: &CancellationToken,
    ) -> Result<(), AgentError> {
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = alive.tick() => self.send(agent_event::Event::Alive(wire::AgentAlive {})),
                Some(Ok(worker)) = self.workers.join_next() => {
                    self.stops.remove(&worker);
                }
                message = inbox.message() => match message {
                    Ok(Some(wire::AgentCommand { command: Some(command) })) => self.obey(command)?,
                    Ok(Some(wire::AgentCommand { command: None })) => {}
                    Ok(None) => return Err(self.lost("the stream ended")),
                    Err(status) => return Err(self.lost(status.message())),
                },
            }
        }
    }

    fn obey(&mut self, command: agent_command::Command) -> Result<(), AgentError> {
        match command {
            agent_command::Command::Welcome(_) => {
                tracing::info!(coordinator = %self.options.coordinator, slots = self.options.slots, "joined");
            }
            agent_command::Command::Refused(refused) => return Err(AgentError::Refused(refused.reason)),
            agent_command::Command::StartWorker(start) => self.start(start),
            agent_command::Command::StopWorker(stop) => {
                if let Some(token) = WorkerId::try_from(stop.worker).ok().and_then(|id| self.stops.get(&id)) {
                    tracing::info!(reason = %stop.reason, "ending a worker");
                    token.cancel();
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, start: wire::StartWorker) {
        let Ok(worker) = WorkerId::try_from(start.worker.clone()) else { return };
        let stop = CancellationToken::new();
        self.stops.insert(worker.clone(), stop.clone());
        let launch = Launch {
            executable: self.options.executable.clone(),
            coordinator: self.options.coordinator.clone(),
            node: self.node.clone(),
            worker: worker.clone(),
            threads: if start.threads == 0 { self.options.threads } else { start.threads },
            echo: self.options.echo,
        };
        let to_coordinator = self.to_coordinator.clone();
        self.workers.spawn_local(async move {
            child::attend(launch, stop, to_coordinator).await;
            worker
        });
    }

    /// Ends all workers and waits until the kernel has taken them.
    async fn end_workers(&mut self) {
        for stop in self.stops.values() {
            stop.cancel();
        }
        let all_gone = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(END_WITHIN, all_gone).await.is_err() {
            tracing::warn!("some workers have not ended yet; they end with this process");
        }
    }

    fn send(&self, event: agent_event::Event) {
        // A closed channel shows as the end of the inbox, which is handled there.
        let _ = self.to_coordinator.send(wire::AgentEvent { event: Some(event) });
    }

    fn lost(&self, reason: &str) -> AgentError {
        AgentError::Lost { address: self.options.coordinator.clone(), reason: reason.to_owned() }
    }
}

/// A client of the coordinator, with its connection watched.
///
/// # Errors
/// If the address is none or nobody answers.
pub(crate) async fn connect(address: &str) -> Result<ClusterClient<tonic::transport::Channel>, AgentError> {
    let endpoint = tonic::transport::Endpoint::from_shared(address.to_owned()).ok();
    let endpoint = endpoint
        .filter(|endpoint| endpoint.uri().scheme().is_some() && endpoint.uri().host().is_some())
        .ok_or_else(|| AgentError::Address(address.to_owned()))?
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    let unreachable = |reason| AgentError::Unreachable { address: address.to_owned(), reason };
    let channel = endpoint.connect().await.map_err(|error| unreachable(innermost(&error)))?;
    Ok(ClusterClient::new(channel))
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn random_node() -> NodeId {
    let mut bytes = [0u8; 8];
    // The kernel's generator answers small requests whole once the machine is up.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    NodeId::try_from(text).unwrap_or_else(|_| unreachable!("hex digits are plain characters"))
}

//! What an agent is started with, how it is told to end, and why it ends.

use std::path::PathBuf;

use lockstep_proto::gpu::Gpu;
use lockstep_proto::identity::NodeId;
use lockstep_proto::slot::SlotDevice;
use tokio_util::sync::CancellationToken;

use crate::datasets::NamedFolder;

/// What an agent offers and where it reports.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The coordinator's address, `http://host:port`.
    pub coordinator: String,
    /// Workers at a time.
    pub slots: u32,
    /// What they compute with.
    pub device: SlotDevice,
    /// The node's GPUs. Those that are not excluded are for the slots, at least one for each.
    pub gpus: Vec<Gpu>,
    /// Why it is the CPU where a GPU would have been taken.
    pub instead: Option<String>,
    /// Threads a worker gets if its job asks for none.
    pub threads: u32,
    /// The binary that is started as a worker.
    pub executable: PathBuf,
    /// Whether workers' log lines also go to this process' standard error.
    pub echo: bool,
    /// The node's name; random without one.
    pub name: Option<NodeId>,
    /// Its own folders of datasets that jobs name.
    pub data: Vec<NamedFolder>,
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
    /// No runtime on this machine.
    #[error("cannot start the agent: {0}")]
    Runtime(#[from] std::io::Error),
}

impl AgentError {
    /// Whether the user named the wrong coordinator, or runs the wrong version.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Address(_) | Self::Unreachable { .. } | Self::Refused(_) => true,
            Self::Runtime(_) => false,
        }
    }
}

/// How an agent is told to end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// In order: its workers are taken out of their jobs at a step boundary first.
    pub leave: CancellationToken,
    /// At once.
    pub now: CancellationToken,
}

impl From<CancellationToken> for Shutdown {
    /// Told by a single token to end at once.
    fn from(now: CancellationToken) -> Self {
        Self { leave: CancellationToken::new(), now }
    }
}

//! The job-control command line: each verb asks a coordinator and prints for people or, with `--json`, for programs.

mod error;
mod follow;
pub mod gpus;
mod json;
mod noise;
mod pull;
mod screen;
mod summary;
mod table;
mod verbs;

use std::time::Duration;

use lockstep_proto::innermost;
use lockstep_proto::wire::{self, cluster_client::ClusterClient};
use tonic::transport::{Channel, Endpoint};

pub use error::ClientError;
pub use follow::{Patience, View, await_end, follow, has_ended};
pub use pull::{PullArgs, pull, pull_run};
pub use summary::print_summary;
pub use table::{columns, duration, grouped, percent, print};
pub use verbs::{
    LogsArgs, SubmitArgs, ask_for_checkpoint, cancel, checkpoint, list, list_agents, list_all, logs, pause, resume,
    scale, show, submit, submit_job, wait, watch,
};

/// A connection to a coordinator.
pub type Client = ClusterClient<Channel>;

/// How long a coordinator may take to answer the first knock.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of an answer: a coordinator that has had many jobs lists them all.
const LARGEST_ANSWER: usize = 256 << 20;

/// Which coordinator, and how to print.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `http://host:port`.
    pub coordinator: String,
    /// For programs, not for people.
    pub json: bool,
}

/// Exit codes of all verbs.
pub mod exit {
    /// The job completed, or the request was carried out.
    pub const COMPLETED: u8 = 0;
    /// The job failed.
    pub const FAILED: u8 = 1;
    /// What the user gave can't be used.
    pub const BAD_INPUT: u8 = 2;
    /// The job was cancelled.
    pub const CANCELLED: u8 = 3;
    /// The job was ended by a signal.
    pub const INTERRUPTED: u8 = 75;
}

/// Connects to a coordinator.
pub async fn connect(url: &str) -> Result<Client, ClientError> {
    let malformed = || ClientError::Address(url.to_owned());
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| malformed())?;
    if endpoint.uri().scheme().is_none() || endpoint.uri().host().is_none() {
        return Err(malformed());
    }
    let endpoint =
        endpoint.connect_timeout(CONNECT_LIMIT).http2_keep_alive_interval(CONNECT_LIMIT).keep_alive_while_idle(true);
    let unreachable = |e| ClientError::Unreachable { url: url.to_owned(), cause: innermost(&e) };
    let channel = endpoint.connect().await.map_err(unreachable)?;
    Ok(ClusterClient::new(channel).max_decoding_message_size(LARGEST_ANSWER))
}

/// The exit code that tells how a job ended.
pub fn exit_code(job: &wire::JobView) -> u8 {
    match job.state.as_str() {
        "completed" => exit::COMPLETED,
        "cancelled" => exit::CANCELLED,
        "interrupted" => exit::INTERRUPTED,
        _ if job.bad_input => exit::BAD_INPUT,
        _ => exit::FAILED,
    }
}

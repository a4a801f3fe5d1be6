//! What the rpc side asks of the keeper.

use std::path::PathBuf;

use lockstep_proto::identity::{JobId, WorkerId};
use lockstep_proto::wire;
use tokio::sync::{broadcast, oneshot};
use tonic::Status;

use super::{CheckpointReply, JobReply, Outlet};
use crate::cluster::event::Wish;
use crate::cluster::{Connection, Event, Submission};

/// A request; answers go through its `reply`.
pub enum Request {
    /// Something happened.
    Event(Event),
    /// An agent or worker said hello.
    Connect {
        /// Its number.
        connection: Connection,
        /// Where to write to it.
        outlet: Outlet,
        /// Its hello.
        event: Event,
    },
    /// A user hands a job in.
    Submit {
        /// What.
        submission: Box<Submission>,
        /// The new job.
        reply: JobReply,
    },
    /// A user wants something of a job.
    Ask {
        /// Its id, maybe shortened.
        job: String,
        /// What; no checkpoint.
        wish: Wish,
        /// What it is then.
        reply: JobReply,
    },
    /// A user wants a checkpoint.
    Checkpoint {
        /// Its id, maybe shortened.
        job: String,
        /// The checkpoint, once on disk.
        reply: CheckpointReply,
    },
    /// All jobs and agents.
    List {
        /// Jobs in the order of submission, agents in that in which they joined.
        reply: oneshot::Sender<wire::ListReply>,
    },
    /// One job.
    Show {
        /// Its id, maybe shortened.
        job: String,
        /// What it is.
        reply: JobReply,
    },
    /// One job from now on.
    Watch {
        /// Its id, maybe shortened.
        job: String,
        /// What it is, and what it becomes.
        reply: oneshot::Sender<Result<Watching, Status>>,
    },
    /// A job's log.
    Logs {
        /// Its id, maybe shortened.
        job: String,
        /// Whether lines to come are wanted.
        follow: bool,
        /// The lines.
        reply: oneshot::Sender<Result<LogsReply, Status>>,
    },
    /// A worker wrote log lines.
    Log {
        /// Which.
        worker: WorkerId,
        /// Without line ends.
        lines: Vec<String>,
    },
    /// Where a job's files are.
    RunFolderOf {
        /// Its id, maybe shortened.
        job: String,
        /// The id and the folder.
        reply: oneshot::Sender<Result<(JobId, PathBuf), Status>>,
    },
    /// Where a worker may store a file.
    RunFolderFor {
        /// The job.
        job: JobId,
        /// The worker: rank 0 of it, now.
        worker: WorkerId,
        /// The folder.
        reply: oneshot::Sender<Result<PathBuf, Status>>,
    },
}

/// A job from now on.
pub struct Watching {
    /// What it is, and the evaluations that it had.
    pub now: Vec<wire::WatchEvent>,
    /// What it becomes; closed when it has ended, nothing if it has.
    pub later: Option<broadcast::Receiver<wire::WatchEvent>>,
}

/// A job's log.
pub struct LogsReply {
    /// The lines so far.
    pub lines: Vec<wire::LogLine>,
    /// Lines to come; closed when no more will.
    pub later: Option<broadcast::Receiver<wire::LogLine>>,
}

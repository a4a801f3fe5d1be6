//! Where a study's runs are trained: in this process, or on a cluster. All else about a study is the same.

use std::path::PathBuf;
use std::pin::Pin;

use anyhow::Result;
use lockstep_proto::job::Job;
use lockstep_proto::wire::JobView;
use lockstep_study::run::Found;

/// A run that is to be trained.
pub struct Run {
    pub key: String,
    /// For people.
    pub name: String,
    pub job: Job,
    /// Where it goes.
    pub folder: PathBuf,
    /// What lies there can be gone on with by who trains there.
    pub go_on: bool,
    /// The id of its data.
    pub dataset: String,
    /// The fingerprint that it must have where somebody has trained it already; none where any will do.
    pub wanted: Option<String>,
}

/// How a run has ended.
pub struct RunEnd {
    pub job: JobView,
    /// What was found of it, which is in its folder if it came to a result.
    pub found: Found,
    /// An earlier call, or another study, has had it trained, at least in part.
    pub begun_before: bool,
}

/// What became of a run that was handed in.
pub enum Came {
    /// It has ended.
    Ended(Box<RunEnd>),
    /// It goes on without this process.
    GoesOn,
    /// It came to nothing that anybody could tell, through no fault of its own: it can be handed in again.
    Nothing,
    /// It can't be used, nor could others that are trained like it: what the user has to change.
    Unusable(String),
}

/// A run that was handed in, until it has ended.
pub type Following = Pin<Box<dyn Future<Output = Result<Came>> + Send>>;

/// Where runs are trained.
pub trait Site {
    /// Looks how many more runs can be handed in, while so many are trained that were handed in before. It may be broken off.
    async fn look_around(&mut self, running: usize) -> Result<()>;

    /// Whether a run can be handed in now, which takes the room of one.
    fn admits(&mut self, key: &str) -> bool;

    /// Hands in a run that was admitted. Nothing if it can't be now: it is to be looked around again. It may be broken off
    /// where nothing more is to be handed in.
    async fn hand_in(&mut self, run: Run) -> Result<Option<Following>>;

    /// Returns when it is to be looked around again though no run has ended.
    ///
    /// # Errors
    /// If nothing more can be trained.
    async fn changes(&mut self) -> Result<()>;

    /// Why nothing is trained, if that is new.
    fn news(&mut self) -> Option<String>;

    /// The user wants it to stop: at the second time at once.
    async fn stop(&mut self, reason: &'static str);

    /// The user wants checkpoints of all that is trained.
    async fn write_checkpoints(&mut self);

    /// Nothing more is to be trained. In order: nobody was hurried, and nothing broke.
    async fn end(self, in_order: bool) -> Result<()>;
}

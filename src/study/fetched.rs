//! Run folders on their way from a cluster: a run is in the study's folder whole, or not at all.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use lockstep_coordinator::client::{self, Client, ClientError, Patience};
use lockstep_proto::job::Data;
use lockstep_proto::wire::JobView;
use lockstep_study::run::{self, Found};
use tokio::sync::Semaphore;

use super::folder::{remove, remove_folder};
use super::site::Run;

/// Run folders that come at a time.
const AT_A_TIME: usize = 4;

/// What came of a job that has ended.
pub enum Fetched {
    /// A result, which is in its folder now.
    Result(Found),
    /// None; why, where it is not that the job has failed.
    Nothing(Option<String>),
    /// It is of other data than the study's: in words.
    OtherData(String),
}

/// Where run folders come in. It is removed when the last of this is dropped.
#[derive(Clone)]
pub struct Inbox(Arc<Room>);

struct Room {
    folder: PathBuf,
    coming: Semaphore,
}

impl Inbox {
    /// Empties it: a call that was killed may have left something.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(folder: PathBuf) -> Result<Self> {
        remove(&folder)?;
        Ok(Self(Arc::new(Room { folder, coming: Semaphore::new(AT_A_TIME) })))
    }

    /// Copies the run folder of a job that has ended, and puts it in place of what the run's folder holds if it has come to a
    /// result. A coordinator that is away is waited for.
    ///
    /// # Errors
    /// If this machine has no room, or the coordinator stays away.
    pub async fn fetch(&self, client: &mut Client, job: &JobView, run: &Run) -> Result<Fetched> {
        if !matches!(job.state.as_str(), "completed" | "failed") {
            return Ok(Fetched::Nothing(None));
        }
        let _turn = self.0.coming.acquire().await?;
        let folder = self.0.folder.join(&run.key);
        let pulled = pull(client, &job.job, &folder).await;
        let fetched = match pulled {
            Ok(()) => found(&folder, job, run),
            Err(error) if error.is_lost() || error.is_of_this_machine() => return Err(error.into()),
            Err(error) => Fetched::Nothing(Some(error.to_string())),
        };
        match fetched {
            Fetched::Result(_) => put(&folder, &run.folder).with_context(|| run.folder.display().to_string())?,
            Fetched::Nothing(_) | Fetched::OtherData(_) => remove(&folder)?,
        }
        Ok(fetched)
    }
}

/// What there is in a run folder that has come whole.
fn found(folder: &Path, job: &JobView, run: &Run) -> Fetched {
    match run::dataset(folder) {
        Ok(Some(dataset)) if dataset != run.dataset => return Fetched::OtherData(other_data(&run.job.data)),
        Ok(_) => {}
        Err(error) => return Fetched::Nothing(Some(error.to_string())),
    }
    match run::look(folder, &run.key) {
        Ok(Found::Finished(outcome)) if run.wanted.as_ref().is_some_and(|wanted| *wanted != outcome.fingerprint) => {
            Fetched::Nothing(Some("it is of another fingerprint".to_owned()))
        }
        Ok(found @ Found::Finished(_)) => Fetched::Result(found),
        Ok(Found::Nothing | Found::Unfinished { .. }) => {
            let strange = job.state == "completed";
            Fetched::Nothing(strange.then(|| "its run folder has no result".to_owned()))
        }
        Err(error) => Fetched::Nothing(Some(error.to_string())),
    }
}

fn other_data(data: &Data) -> String {
    let name = if data.name.is_empty() { data.path.display().to_string() } else { data.name.clone() };
    format!("an agent's data {name:?} are another dataset than this machine's: give both the same")
}

impl Drop for Room {
    fn drop(&mut self) {
        // The next call empties it.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Tries again where the coordinator is away, or a file has gone while it was sent, as checkpoints do that are kept no longer.
/// Who has sent something was not away until then.
async fn pull(client: &mut Client, job: &str, to: &Path) -> Result<(), ClientError> {
    let mut patience = Patience::default();
    loop {
        let failed = |cause| ClientError::Folder { path: to.to_owned(), cause };
        remove_folder(to).map_err(failed)?;
        match client::pull_run(client, job, to).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_of_this_machine() || error.exit_code() == client::exit::BAD_INPUT => {
                return Err(error);
            }
            Err(error) => {
                if error.is_lost() && to.exists() {
                    patience = Patience::default();
                }
                patience.spend(error).await?;
            }
        }
    }
}

/// Gives a folder that is whole its name. What has that name goes at once, not file by file.
fn put(whole: &Path, name: &Path) -> io::Result<()> {
    let replaced = whole.with_extension("replaced");
    match std::fs::rename(name, &replaced) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    std::fs::rename(whole, name)?;
    File::open(name.parent().unwrap_or(Path::new(".")))?.sync_all()?;
    remove_folder(&replaced)
}

//! Training in this process: a coordinator and an agent of its own.

use anyhow::{Result, anyhow};
use lockstep_coordinator::client::{self, Client, SubmitArgs};
use lockstep_proto::job::Cluster;
use lockstep_study::grid::Grid;
use lockstep_study::run;
use lockstep_study::table::StudyFolder;
use lockstep_worker::datasets::NamedFolder;

use super::folder;
use super::site::{Came, Following, Run, RunEnd, Site};
use super::unpacked::Unpacked;
use crate::command_line;
use crate::device::Offered;
use crate::embedded::Embedded;

/// Runs that wait for a slot at the coordinator, so that one begins at once where another has ended.
const WAITING: usize = 2;

/// This machine.
pub struct Here {
    embedded: Embedded,
    client: Client,
    unpacked: Unpacked,
    /// Runs at a time.
    most: usize,
    /// Runs that can be handed in now.
    room: usize,
}

impl Here {
    /// Starts both. `data`: this machine's folders of named datasets.
    ///
    /// # Errors
    /// If this machine has no room for them.
    pub async fn start(
        grid: &Grid,
        folder: &StudyFolder,
        offered: &Offered,
        mut data: Vec<NamedFolder>,
    ) -> Result<Self> {
        let cluster = grid.cluster();
        let most = most(cluster, offered);
        let unpacked = Unpacked::of(grid, folder.0.join(".data"))?;
        data.extend(unpacked.folders()?);
        let slots = most * (cluster.workers + cluster.spares);
        let embedded = Embedded::start(slots, cluster.threads.max(1), offered, data).await?;
        let client = client::connect(&embedded.address).await?;
        Ok(Self { embedded, client, unpacked, most: most as usize, room: 0 })
    }
}

impl Site for Here {
    async fn look_around(&mut self, running: usize) -> Result<()> {
        self.room = (self.most + WAITING).saturating_sub(running);
        Ok(())
    }

    fn admits(&mut self, _: &str) -> bool {
        let admitted = self.room > 0;
        self.room -= usize::from(admitted);
        admitted
    }

    async fn hand_in(&mut self, mut run: Run) -> Result<Option<Following>> {
        if !run.go_on {
            // What lies under its key is its own: maybe less than a run, where a call was killed just then.
            folder::remove(&run.folder)?;
        }
        self.unpacked.name(&mut run.job);
        let submission = SubmitArgs {
            name: run.name,
            toml: run.job.to_toml(),
            run_folder: run.folder.display().to_string(),
            command: command_line(),
            from: Vec::new(),
            go_on: run.go_on,
        };
        let submitted = client::submit_job(&mut self.client, submission).await?;
        let mut client = self.client.clone();
        Ok(Some(Box::pin(async move {
            let job = client::await_end(&mut client, &submitted.job).await?;
            let found = run::look(&run.folder, &run.key)?;
            Ok(Came::Ended(Box::new(RunEnd { job, found, begun_before: run.go_on })))
        })))
    }

    async fn changes(&mut self) -> Result<()> {
        self.embedded.agent_ends().await;
        Err(anyhow!("the agent ended before the study"))
    }

    fn news(&mut self) -> Option<String> {
        None
    }

    async fn stop(&mut self, reason: &'static str) {
        self.embedded.handle.interrupt(reason).await;
    }

    async fn write_checkpoints(&mut self) {
        self.embedded.handle.write_checkpoints().await;
    }

    async fn end(self, in_order: bool) -> Result<()> {
        self.embedded.end(in_order).await
    }
}

/// As many runs as this machine's cores have threads for, or its GPUs workers; at least one.
fn most(cluster: &Cluster, offered: &Offered) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runs = match offered.most() {
        Some(gpus) => gpus / cluster.workers.max(1),
        None => (cores / (cluster.workers * cluster.threads).max(1) as usize) as u32,
    };
    runs.max(1)
}

//! `train`: a coordinator, an agent and a submitted job in one process, until the job has ended.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use lockstep_coordinator::client::{self, SubmitArgs, View};
use lockstep_coordinator::run_folder::RunFolder;
use lockstep_proto::job::Job;
use lockstep_proto::wire::JobView;
use lockstep_worker::trainer;

use crate::arguments::{Shown, Train};
use crate::device::{self, Offered};
use crate::dry_run;
use crate::embedded::{Asked, Embedded, Signals};
use crate::run_folder;
use crate::{BadInput, load_job, recipe_name, trained};

/// Trains a job on this machine; returns the exit code.
///
/// # Errors
/// If the job or the run folder can't be used, or this machine lacks something.
pub fn train(arguments: &Train) -> Result<u8> {
    if arguments.dry_run {
        let file = arguments.job.as_deref().ok_or_else(|| BadInput("name a job file".into()))?;
        return dry_run::tell(&Training::job(file, arguments)?, arguments.shown.json);
    }
    Training::prepare(arguments)?.to_its_end(view(&arguments.shown))
}

/// What is to be trained, and where its files go.
pub struct Training {
    pub job: Job,
    /// What its workers compute with.
    pub offered: Offered,
    pub name: String,
    pub folder: PathBuf,
    /// Places whose checkpoints may be gone on from, beside the folder's own.
    pub from: Vec<String>,
    /// The folder is a run's already.
    pub go_on: bool,
}

impl Training {
    /// Trains until the job has ended; returns the exit code.
    ///
    /// # Errors
    /// If this machine lacks something.
    pub fn to_its_end(&self, view: View) -> Result<u8> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let job = runtime.block_on(self.train(view))?;
        if job.state == "interrupted" && !job.checkpoints.is_empty() && view != View::Json {
            let folder = shortest(&self.folder);
            eprintln!("go on with: lockstep train --from {}", folder.display());
        }
        Ok(client::exit_code(&job))
    }

    /// Looks at all that the user gave before anything is written: where it costs nothing to be wrong.
    fn prepare(arguments: &Train) -> Result<Self> {
        let source = arguments.from.as_deref().map(run_folder::of_run).transpose()?;
        let file = match (&arguments.job, &source) {
            (Some(job), _) => job,
            (None, Some((_, job))) => job,
            (None, None) => return Err(BadInput("name a job file, or a run with --from".into()).into()),
        };
        let job = Self::job(file, arguments)?;
        let offered = device::offered(job.cluster.device, Some(job.cluster.workers))?;
        offered.check(job.cluster.workers, "cluster.workers")?;
        offered.remarks().iter().for_each(|remark| eprintln!("{remark}"));
        let go_on = arguments.job.is_none();
        let places = match &source {
            Some((folder, toml)) => {
                let original = load_job(toml, &[])?;
                if go_on {
                    check_probes(&job, &original, folder)?;
                }
                vec![run_folder::checkpoints_of(folder, &original)]
            }
            None => Vec::new(),
        };
        for remark in trainer::check(&job, &places).map_err(trained)? {
            eprintln!("{remark}");
        }
        let (folder, name) = match source {
            Some((folder, _)) if go_on => {
                let name = folder.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned());
                (folder, name)
            }
            _ => {
                let name = recipe_name(file);
                (run_folder::prepare(arguments.out.as_deref(), &name, arguments.overwrite)?, name)
            }
        };
        Ok(Self { job, offered, name, folder, from: places, go_on })
    }

    fn job(file: &Path, arguments: &Train) -> Result<Job> {
        let mut overrides = arguments.set.clone();
        // A JSON string is one of TOML.
        let text = |path: &PathBuf| serde_json::Value::from(path.to_string_lossy());
        overrides.extend(arguments.init_from.as_ref().map(|path| format!("model.init_from={}", text(path))));
        overrides.extend(arguments.new_head.then(|| "model.new_head=true".to_owned()));
        overrides.extend(arguments.size.settings());
        let mut job = load_job(file, &overrides)?;
        settle_threads(&mut job);
        Ok(job)
    }

    /// Trains it, from the start of all processes to their end.
    async fn train(&self, view: View) -> Result<JobView> {
        let signals = Signals::listen()?;
        let (workers, threads) = (self.job.cluster.workers, self.job.cluster.threads);
        let mut embedded = Embedded::start(workers, threads, &self.offered, Vec::new()).await?;
        let followed = self.submit_and_follow(&mut embedded, view, signals).await;
        // Workers that completed may still have checkpoints to remove.
        let in_order = matches!(&followed, Ok((job, hurried)) if job.state != "failed" && !hurried);
        let ended = embedded.end(in_order).await;
        let (job_view, _) = followed?;
        ended?;
        match view {
            View::Bar => client::print_summary(&job_view)?,
            View::Quiet | View::Json if job_view.state == "failed" => eprintln!("error: {}", job_view.reason),
            View::Quiet | View::Json => {}
        }
        Ok(job_view)
    }

    /// Gives the job as it ended, and whether the user asked twice to stop.
    async fn submit_and_follow(
        &self,
        embedded: &mut Embedded,
        view: View,
        mut signals: Signals,
    ) -> Result<(JobView, bool)> {
        let mut connection = client::connect(&embedded.address).await?;
        let submission = SubmitArgs {
            name: self.name.clone(),
            toml: self.job.to_toml(),
            run_folder: self.folder.display().to_string(),
            command: crate::command_line(),
            from: self.from.clone(),
            go_on: self.go_on,
        };
        let submitted = client::submit_job(&mut connection, submission).await?;
        let following = client::follow(&mut connection, &submitted.job, view);
        tokio::pin!(following);
        let (mut asked, mut hurried) = (false, false);
        loop {
            tokio::select! {
                ended = &mut following => return Ok((ended?, hurried)),
                signal = signals.next() => match signal {
                    Asked::Stop(reason) => {
                        hurried = std::mem::replace(&mut asked, true);
                        embedded.handle.interrupt(reason).await;
                    }
                    Asked::Checkpoint => embedded.handle.write_checkpoints().await,
                },
                () = embedded.agent_ends() => return Err(anyhow!("the agent ended before the job")),
            }
        }
    }
}

/// A run has one measure under each title: what it has under a probe's stays there, and another's would not be kept.
fn check_probes(job: &Job, original: &Job, folder: &Path) -> Result<()> {
    let unlike = job.probes_unlike(original);
    if unlike.is_empty() {
        return Ok(());
    }
    let probed = RunFolder::probed(folder).map_err(BadInput::from_display)?;
    match unlike.into_iter().find(|title| probed.contains(*title)) {
        None => Ok(()),
        Some(title) => {
            let line = format!(
                "probe {title}: it has other keys than in {}, which has results of that title: give it another `name`, or \
                 fork the run",
                folder.display()
            );
            Err(BadInput(line).into())
        }
    }
}

/// Threads for which the job says that the machine is to decide.
pub fn settle_threads(job: &mut Job) {
    if job.cluster.threads == 0 {
        job.cluster.threads = threads_left(job.cluster.workers);
    }
}

/// A path as a user would type it here.
fn shortest(folder: &Path) -> &Path {
    let here = std::env::current_dir().unwrap_or_default();
    folder.strip_prefix(here).unwrap_or(folder)
}

/// How progress is shown.
pub fn view(shown: &Shown) -> View {
    if shown.quiet {
        View::Quiet
    } else if shown.json {
        View::Json
    } else {
        View::Bar
    }
}

/// An even share of the cores.
fn threads_left(workers: u32) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    (cores / workers).max(1)
}

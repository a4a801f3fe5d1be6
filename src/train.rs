//! `train`: a coordinator, an agent and a submitted job in one process, until the job has ended.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use lockstep_coordinator::client::{self, SubmitArgs, View};
use lockstep_coordinator::{Coordinator, Handle, ServeOptions, StateFolder, listen};
use lockstep_proto::job::Job;
use lockstep_proto::wire::JobView;
use lockstep_worker::agent::{self, AgentError, AgentOptions, Shutdown};
use lockstep_worker::trainer;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::arguments::Train;
use crate::device::{self, Offered};
use crate::dry_run;
use crate::run_folder;
use crate::{BadInput, load_job, recipe_name};

/// Trains a job on this machine; returns the exit code.
///
/// # Errors
/// If the job or the run folder can't be used, or this machine lacks something.
pub fn train(arguments: &Train) -> Result<u8> {
    if arguments.dry_run {
        let file = arguments.job.as_deref().ok_or_else(|| BadInput("name a job file".into()))?;
        return dry_run::tell(&Training::job(file, arguments)?, arguments.json);
    }
    Training::prepare(arguments)?.to_its_end(view(arguments.quiet, arguments.json))
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
        let job = runtime.block_on(Embedded::run(self, view))?;
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
            Some((folder, toml)) => vec![run_folder::checkpoints_of(folder, &load_job(toml, &[])?)],
            None => Vec::new(),
        };
        for remark in trainer::check(&job, &places).map_err(BadInput::from_display)? {
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
        overrides.extend(arguments.workers.map(|workers| format!("cluster.workers={workers}")));
        overrides.extend(arguments.threads.map(|threads| format!("cluster.threads={threads}")));
        let mut job = load_job(file, &overrides)?;
        settle_threads(&mut job);
        Ok(job)
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
pub fn view(quiet: bool, json: bool) -> View {
    if quiet {
        View::Quiet
    } else if json {
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

/// The parts that run inside of this process.
struct Embedded {
    address: String,
    coordinator: tokio::task::JoinHandle<Result<(), lockstep_coordinator::ServeError>>,
    handle: Handle,
    agent: JoinHandle<Result<(), AgentError>>,
    agent_ended: tokio::sync::oneshot::Receiver<()>,
    end_agent: Shutdown,
    shutdown: CancellationToken,
    /// The user asked twice to stop.
    hurried: bool,
}

impl Embedded {
    async fn run(run: &Training, view: View) -> Result<JobView> {
        let signals = Signals::listen()?;
        let mut embedded = Self::start(&run.job, &run.offered).await?;
        let followed = embedded.submit_and_follow(run, view, signals).await;
        // Workers that completed may still have checkpoints to remove.
        let in_order = matches!(&followed, Ok(job) if job.state != "failed") && !embedded.hurried;
        let ended = embedded.end(in_order).await;
        let job_view = followed?;
        ended?;
        match view {
            View::Bar => client::print_summary(&job_view)?,
            View::Quiet | View::Json if job_view.state == "failed" => eprintln!("error: {}", job_view.reason),
            View::Quiet | View::Json => {}
        }
        Ok(job_view)
    }

    async fn start(job: &Job, offered: &Offered) -> Result<Self> {
        let listener = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let coordinator = Coordinator::open(&ServeOptions { state: StateFolder::Memory, allow_run_folder: true })?;
        let handle = coordinator.handle();
        let (shutdown, end_agent) = (CancellationToken::new(), Shutdown::default());
        let coordinator = tokio::spawn(coordinator.serve(listener, shutdown.clone()));
        let options = AgentOptions {
            coordinator: address.clone(),
            slots: job.cluster.workers,
            device: offered.device,
            gpus: offered.gpus.clone(),
            instead: offered.instead.clone(),
            threads: job.cluster.threads,
            executable: std::env::current_exe().context("cannot find this program's own file")?,
            echo: false,
            data: Vec::new(),
            name: None,
        };
        let (ending, agent_ended) = tokio::sync::oneshot::channel();
        let agent_shutdown = end_agent.clone();
        // A thread of its own, which lives as long as the agent: workers die with the thread that started them.
        let agent = std::thread::Builder::new().name("agent".into()).spawn(move || {
            let ended = agent::run(options, agent_shutdown);
            // The receiver is gone once the job has ended.
            let _ = ending.send(());
            ended
        })?;
        Ok(Self { address, coordinator, handle, agent, agent_ended, end_agent, shutdown, hurried: false })
    }

    async fn submit_and_follow(&mut self, run: &Training, view: View, mut signals: Signals) -> Result<JobView> {
        let mut connection = client::connect(&self.address).await?;
        let submission = SubmitArgs {
            name: run.name.clone(),
            toml: run.job.to_toml(),
            run_folder: run.folder.display().to_string(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            from: run.from.clone(),
            go_on: run.go_on,
        };
        let submitted = client::submit_job(&mut connection, submission).await?;
        let following = client::follow(&mut connection, &submitted.job, view);
        tokio::pin!(following);
        let mut asked = false;
        loop {
            tokio::select! {
                ended = &mut following => return Ok(ended?),
                signal = signals.next() => match signal {
                    Asked::Stop(reason) => {
                        self.hurried = std::mem::replace(&mut asked, true);
                        self.handle.interrupt(reason).await;
                    }
                    Asked::Checkpoint => self.handle.write_checkpoints().await,
                },
                _ = &mut self.agent_ended => return Err(anyhow!("the agent ended before the job")),
            }
        }
    }

    /// Ends agent, workers and coordinator, in this order.
    async fn end(self, in_order: bool) -> Result<()> {
        if in_order {
            self.end_agent.leave.cancel();
        } else {
            self.end_agent.now.cancel();
        }
        let agent = tokio::task::spawn_blocking(move || self.agent.join()).await?;
        self.shutdown.cancel();
        agent.map_err(|_| anyhow!("the agent panicked"))??;
        Ok(self.coordinator.await??)
    }
}

/// What a signal asks for.
enum Asked {
    /// The first stops after the step in flight, with a checkpoint; the second at once.
    Stop(&'static str),
    /// A checkpoint, and to go on.
    Checkpoint,
}

/// Ctrl-C, SIGTERM and SIGUSR1.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    user: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop("stopped by Ctrl-C"),
            _ = self.terminate.recv() => Asked::Stop("stopped by SIGTERM"),
            _ = self.user.recv() => Asked::Checkpoint,
        }
    }
}

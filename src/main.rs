//! The command line: arguments become one call into a crate, and its outcome an exit code.

mod arguments;
mod bench;
mod chaos;
mod checkpoints;
mod data;
mod device;
mod diff;
mod doctor;
mod dry_run;
mod embedded;
mod eval;
mod export;
mod fork;
mod ledger;
mod model;
mod picture;
mod predict;
mod run;
mod run_folder;
mod selftest;
mod study;
mod train;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use arguments::{Agent, Arguments, BenchVerb, Client, List, ModelVerb, OneJob, Scale, Serve, Submit, Verb, Worker};
use clap::Parser;
use lockstep_coordinator::client::{self, ClientError, LogsArgs, PullArgs, Remote, SubmitArgs, exit};
use lockstep_coordinator::{Coordinator, ServeError, ServeOptions, StateFolder, listen};
use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::job::{self, Job};
use lockstep_study::recipe::RecipeError;
use lockstep_worker::agent::{AgentError, AgentOptions, Shutdown, preflight};
use lockstep_worker::process::WorkerOptions;
use lockstep_worker::program::Program;
use lockstep_worker::trained::UseError;
use lockstep_worker::trainer::{self, TrainerError};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the user gave can't be used; the line says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

impl BadInput {
    fn from_display(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| default_log_level(&arguments.verb).into()),
        )
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(arguments.verb) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            if error.downcast_ref::<ClientError>().is_some_and(ClientError::is_broken_pipe) {
                return ExitCode::SUCCESS;
            }
            eprintln!("error: {}", in_one_line(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// An error with its causes, each unless it was said already.
fn in_one_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.as_str() {
        "" => cause,
        said if said.contains(&cause) => line,
        said => format!("{said}: {cause}"),
    })
}

/// Services tell what they do; verbs for people only what is wrong, and `train` that as its outcome.
fn default_log_level(verb: &Verb) -> &'static str {
    match verb {
        Verb::Serve(_) | Verb::Agent(_) => "info",
        Verb::Train(_) | Verb::Fork(_) | Verb::Study(_) => "off",
        _ => "warn",
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return error.exit_code();
    }
    let bad_input = error.is::<BadInput>()
        || error.is::<job::JobError>()
        || error.is::<RecipeError>()
        || error.downcast_ref().is_some_and(ServeError::is_bad_input)
        || error.downcast_ref().is_some_and(AgentError::is_bad_input);
    if bad_input { exit::BAD_INPUT } else { exit::FAILED }
}

fn run(verb: Verb) -> Result<u8> {
    match verb {
        Verb::Train(arguments) => train::train(&arguments),
        Verb::Fork(arguments) => fork::fork(&arguments),
        Verb::Diff(arguments) => diff::diff(&arguments),
        Verb::Serve(arguments) => serve(arguments),
        Verb::Agent(arguments) => agent(arguments),
        Verb::Worker(arguments) => worker(arguments),
        Verb::Preflight(arguments) => Ok(preflight::child::run(arguments.errand, arguments.parent)),
        Verb::Submit(arguments) => submit(arguments),
        Verb::List(List { agents: false, client }) => on_runtime(client::list(&remote(client))),
        Verb::List(List { agents: true, client }) => on_runtime(client::list_agents(&remote(client))),
        Verb::Show(OneJob { job, client }) => on_runtime(client::show(&remote(client), &job)),
        Verb::Watch(OneJob { job, client }) => on_runtime(client::watch(&remote(client), &job)),
        Verb::Logs(logs) => {
            let OneJob { job, client } = logs.job;
            on_runtime(client::logs(&remote(client), &LogsArgs { job, follow: logs.follow }))
        }
        Verb::Pause(OneJob { job, client }) => on_runtime(client::pause(&remote(client), &job)),
        Verb::Resume(OneJob { job, client }) => on_runtime(client::resume(&remote(client), &job)),
        Verb::Scale(Scale { job, workers, client }) => on_runtime(client::scale(&remote(client), &job, workers)),
        Verb::Checkpoint(OneJob { job, client }) => on_runtime(client::checkpoint(&remote(client), &job)),
        Verb::Cancel(OneJob { job, client }) => on_runtime(client::cancel(&remote(client), &job)),
        Verb::Wait(OneJob { job, client }) => on_runtime(client::wait(&remote(client), &job)),
        Verb::Pull(pull) => {
            let OneJob { job, client } = pull.job;
            on_runtime(client::pull(&remote(client), &PullArgs { job, to: pull.to }))
        }
        Verb::Ledger(ledger) => {
            let proven = ledger::prove_run(&ledger.run, ledger.json)?;
            Ok(if proven { exit::COMPLETED } else { exit::FAILED })
        }
        Verb::Eval(arguments) => eval::eval(&arguments).map(|()| exit::COMPLETED),
        Verb::Predict(arguments) => predict::predict(&arguments).map(|()| exit::COMPLETED),
        Verb::Export(arguments) => export::export(&arguments).map(|()| exit::COMPLETED),
        Verb::Model(ModelVerb::Show(arguments)) => model::show(&arguments).map(|()| exit::COMPLETED),
        Verb::Data(verb) => data::data(&verb),
        Verb::Study(verb) => study::study(&verb),
        Verb::Chaos(arguments) => chaos::chaos(&arguments),
        Verb::Doctor(arguments) => doctor::doctor(&arguments),
        Verb::Selftest(arguments) => selftest::selftest(&arguments),
        Verb::Bench(BenchVerb::Gpu(arguments)) => bench::gpu(&arguments),
        Verb::Bench(BenchVerb::Data(arguments)) => bench::data::data(&arguments),
    }
}

fn remote(client: Client) -> Remote {
    Remote { coordinator: client.coordinator.address, json: client.json }
}

fn on_runtime(verb: impl Future<Output = Result<u8, ClientError>>) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(verb)?)
}

fn load_job(path: &Path, overrides: &[String]) -> Result<Job> {
    let mut job = Job::load(path, job::environment(), overrides)?;
    trainer::seal_weights(&mut job).map_err(trained)?;
    Ok(job)
}

/// A model that can't be used, as the user's mistake or the machine's.
fn used(error: UseError) -> anyhow::Error {
    if error.is_bad_input() { BadInput::from_display(error).into() } else { error.into() }
}

/// Writes to the standard output; a reader that has gone is no failure of the program.
fn print(text: &str) -> Result<()> {
    client::print(text).map_err(|error| ClientError::from(error).into())
}

/// What this process was called with, for people: not all need be Unicode.
fn command_words() -> impl Iterator<Item = String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned())
}

/// The same on a line.
fn command_line() -> String {
    command_words().collect::<Vec<_>>().join(" ")
}

/// A job that can't be trained here, as the user's mistake or the machine's.
fn trained(error: TrainerError) -> anyhow::Error {
    if error.bad_input() { BadInput::from_display(error).into() } else { error.into() }
}

/// The job file's stem, for people.
fn recipe_name(path: &Path) -> String {
    path.file_stem().map_or_else(|| "job".into(), |stem| stem.to_string_lossy().into_owned())
}

fn submit(arguments: Submit) -> Result<u8> {
    let job = load_job(&arguments.file.job, &arguments.file.set)?;
    let from = match &arguments.from {
        Some(run) => {
            let (folder, toml) = run_folder::of_run(run)?;
            vec![run_folder::checkpoints_of(&folder, &load_job(&toml, &[])?)]
        }
        None => Vec::new(),
    };
    let submission = SubmitArgs {
        name: recipe_name(&arguments.file.job),
        toml: job.to_toml(),
        run_folder: String::new(),
        command: command_line(),
        from,
        go_on: false,
    };
    on_runtime(client::submit(&remote(arguments.client), submission))
}

fn serve(arguments: Serve) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = listen(arguments.listen).await?;
        // Absolute, as clients see the run folders in it.
        let state = std::path::absolute(&arguments.state).context("the state folder")?;
        let options = ServeOptions { state: StateFolder::Dir(state.clone()), allow_run_folder: false };
        let coordinator = Coordinator::open(&options)?;
        let shutdown = cancelled_by_signal()?;
        tracing::info!(address = %listener.local_addr()?, state = %state.display(), "serving");
        coordinator.serve(listener, shutdown).await?;
        Ok(exit::COMPLETED)
    })
}

fn agent(arguments: Agent) -> Result<u8> {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let threads = arguments.threads.max(1);
    let offered = device::offered(arguments.device.into(), arguments.slots)?;
    let slots = arguments.slots.or(offered.most()).unwrap_or((cores / threads).max(1));
    offered.check(slots, "--slots")?;
    let options = AgentOptions {
        coordinator: arguments.coordinator.address,
        slots,
        device: offered.device,
        gpus: offered.gpus,
        instead: offered.instead,
        threads,
        executable: std::env::current_exe().context("cannot find this program's own file")?,
        echo: true,
        name: arguments.name.map(NodeId::try_from).transpose().map_err(BadInput::from_display)?,
        data: arguments.data,
    };
    // Found out once, for all of its workers. What can't be read is theirs to tell.
    let _ = Program::own();
    // Signals are waited for on a runtime of their own: the agent keeps this thread.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shutdown = {
        let _context = runtime.enter();
        leave_by_signal()?
    };
    lockstep_worker::agent::run(options, shutdown)?;
    Ok(exit::COMPLETED)
}

/// Ctrl-C or SIGTERM makes an agent leave in order, a second one at once.
fn leave_by_signal() -> Result<Shutdown> {
    let shutdown = Shutdown { leave: CancellationToken::new(), now: CancellationToken::new() };
    let tokens = [shutdown.leave.clone(), shutdown.now.clone()];
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        for token in tokens {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(shutdown)
}

/// A token that Ctrl-C or SIGTERM cancels, from now on.
fn cancelled_by_signal() -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

fn worker(arguments: Worker) -> Result<u8> {
    let options = WorkerOptions {
        coordinator: arguments.coordinator.address,
        worker: WorkerId::try_from(arguments.worker).map_err(BadInput::from_display)?,
        node: NodeId::try_from(arguments.node).map_err(BadInput::from_display)?,
        threads: arguments.threads,
        hardware: arguments.device,
        parent: arguments.parent,
        data: arguments.data,
        program: arguments.program,
    };
    Ok(lockstep_worker::process::run(&options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_of_the_machine_is_no_bad_input() {
        let code = |error: TrainerError| exit_code(&trained(error));
        let codes = [code(TrainerError::Machine("no room".into())), code(TrainerError::Job("no such key".into()))];
        assert_eq!(codes, [exit::FAILED, exit::BAD_INPUT]);
    }
}

//! One worker process: started, its output forwarded, its end reported.

use std::path::PathBuf;
use std::process::Stdio;

use lockstep_proto::identity::{NodeId, WorkerId};
use lockstep_proto::wire::{self, agent_event};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::datasets::NamedFolder;
use crate::program::Program;
use crate::trainer::Hardware;

use super::exit_cause::{self, By};
use super::out_of_memory::OomKills;

/// What a worker process is started with.
pub(super) struct Launch {
    pub executable: PathBuf,
    pub coordinator: String,
    pub node: NodeId,
    pub worker: WorkerId,
    pub threads: u32,
    pub hardware: Hardware,
    pub echo: bool,
    pub data: Vec<NamedFolder>,
}

/// Longest log line that is passed on; the rest of a longer one becomes further lines.
const MAX_LINE: u64 = 8 << 10;
/// Log lines that the report of an unclean end repeats.
const LAST_LINES: usize = 3;

/// The variable by which the C library is told how to be.
const TUNABLES: &str = "GLIBC_TUNABLES";

type Events = mpsc::UnboundedSender<wire::AgentEvent>;

/// Starts a worker and stays with it until it has ended. `stop` ends it at once.
pub(super) async fn attend(launch: Launch, stop: CancellationToken, events: Events) {
    let send = |event| {
        // The agent outlives its workers' tasks, except when it is ending anyway.
        let _ = events.send(wire::AgentEvent { event: Some(event) });
    };
    let exited = |cause: String, clean| {
        agent_event::Event::WorkerExited(wire::WorkerExited { worker: launch.worker.to_string(), cause, clean })
    };
    let oom_kills = OomKills::look();
    let mut child = match command(&launch).spawn() {
        Ok(child) => child,
        Err(error) => {
            let cause = format!("could not start {}: {error}", launch.executable.display());
            return send(exited(cause, false));
        }
    };
    let pid = child.id().unwrap_or_default();
    send(agent_event::Event::WorkerStarted(wire::WorkerStarted { worker: launch.worker.to_string(), pid }));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let forwarding = async {
        let (_, last) = tokio::join!(forward(stdout, &launch, &events), forward(stderr, &launch, &events));
        last
    };
    let (status, last_lines) = tokio::join!(wait(&mut child, &stop), forwarding);
    match status {
        Ok(status) => {
            let by = if stop.is_cancelled() {
                By::Agent
            } else if oom_kills.more_since() {
                By::WantOfMemory
            } else {
                By::Others
            };
            let mut cause = exit_cause::in_words(status, by);
            if !status.success() && !last_lines.is_empty() {
                cause = format!("{cause}; last lines: {}", last_lines.join(" | "));
            }
            send(exited(cause, status.success()));
        }
        Err(error) => send(exited(format!("could not be waited for: {error}"), false)),
    }
}

fn command(launch: &Launch) -> Command {
    let mut command = Command::new(&launch.executable);
    command
        .arg("worker")
        .args(["--coordinator", &launch.coordinator])
        .args(["--worker", launch.worker.as_str()])
        .args(["--node", launch.node.as_str()])
        .args(["--threads", &launch.threads.to_string()])
        .args(["--device", &launch.hardware.to_string()])
        .args(["--parent", &std::process::id().to_string()])
        .args(Program::known().iter().flat_map(|program| ["--program".to_owned(), program.to_string()]))
        .args(launch.data.iter().flat_map(|folder| ["--data".to_owned(), folder.to_string()]))
        .envs(large_pages(&std::env::var(TUNABLES).unwrap_or_default()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: a terminal's Ctrl-C reaches only the parent, which stops the job in order.
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Lets the C library ask for large pages beside the tunables that are `said`, where these don't say otherwise: a worker's
/// memory is a dataset that is read in any order, and vectors of megabytes.
fn large_pages(said: &str) -> Option<(&'static str, String)> {
    const LARGE_PAGES: &str = "glibc.malloc.hugetlb";
    let tunables = [said, &format!("{LARGE_PAGES}=1")].join(":");
    (!said.contains(LARGE_PAGES)).then(|| (TUNABLES, tunables.trim_start_matches(':').to_owned()))
}

async fn wait(child: &mut Child, stop: &CancellationToken) -> std::io::Result<std::process::ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = stop.cancelled() => {}
    }
    child.start_kill()?;
    child.wait().await
}

/// Passes on a stream of log lines; returns the last few.
async fn forward(stream: Option<impl AsyncRead + Unpin>, launch: &Launch, events: &Events) -> Vec<String> {
    let mut last = Vec::new();
    let Some(stream) = stream else { return last };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return last,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if launch.echo {
            eprintln!("{}: {text}", launch.worker);
        }
        if last.len() == LAST_LINES {
            last.remove(0);
        }
        last.push(text.clone());
        let lines = wire::LogLines { worker: launch.worker.to_string(), lines: vec![text] };
        let _ = events.send(wire::AgentEvent { event: Some(agent_event::Event::LogLines(lines)) });
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn large_pages_are_asked_for_unless_somebody_says_otherwise() {
        let asked = |said| large_pages(said).map(|(_, tunables)| tunables);
        assert_eq!(asked("").as_deref(), Some("glibc.malloc.hugetlb=1"));
        assert_eq!(
            asked("glibc.malloc.arena_max=2").as_deref(),
            Some("glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1")
        );
        assert_eq!(asked("glibc.malloc.arena_max=2:glibc.malloc.hugetlb=0"), None);
    }

    #[test]
    fn a_worker_is_told_what_its_agent_knows() {
        let program = Program::own().unwrap();
        let launch = Launch {
            executable: "lockstep".into(),
            coordinator: "http://127.0.0.1:7070".into(),
            node: NodeId::try_from("N").unwrap(),
            worker: WorkerId::try_from("W").unwrap(),
            threads: 2,
            hardware: Hardware::Cpu,
            echo: false,
            data: vec!["digits=/data/digits".parse().unwrap()],
        };
        let command = command(&launch);
        let arguments: Vec<&OsStr> = command.as_std().get_args().collect();
        let has = |option: &str, value: &str| arguments.windows(2).any(|pair| pair == [option, value]);
        assert!(has("--program", &program.to_string()), "{arguments:?}");
        assert!(has("--data", "digits=/data/digits") && has("--threads", "2"), "{arguments:?}");
    }
}

//! A coordinator and its agents, each a process, on a port that the kernel chose.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::events::Events;
use super::process::{Ended, Process};
use super::{json_lines, lockstep_in, recipe, set};

/// A coordinator, at first with an empty state folder.
pub struct Cluster {
    /// `http://127.0.0.1:port`.
    pub address: String,
    /// The coordinator.
    pub serve: Process,
    state: TempDir,
    /// The network namespace that it and its clients are in.
    namespace: Option<String>,
}

impl Cluster {
    /// Starts it.
    pub fn start() -> Self {
        Self::start_in(None, "127.0.0.1:0")
    }

    /// Starts it in a network namespace.
    pub fn start_in(namespace: Option<&str>, listen: &str) -> Self {
        let state = tempfile::tempdir().unwrap();
        let (serve, line) = serve(namespace, listen, state.path());
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = format!("http://{}", address.expect("serve tells its address"));
        Self { address, serve, state, namespace: namespace.map(str::to_owned) }
    }

    /// Starts the coordinator again, which has ended, on the same port and state.
    pub fn revive(&mut self) {
        let address = self.address.strip_prefix("http://").unwrap();
        self.serve = serve(self.namespace.as_deref(), address, self.state.path()).0;
    }

    /// Empties the database of a coordinator that has ended.
    pub fn forget(&self) {
        std::fs::write(self.state.path().join("coordinator.db"), "").unwrap();
        for beside in ["coordinator.db-wal", "coordinator.db-shm"] {
            // SQLite may have removed them.
            let _ = std::fs::remove_file(self.state.path().join(beside));
        }
    }

    /// Starts an agent and waits until it has joined.
    pub fn agent(&self, slots: u32) -> Process {
        self.agent_of(self.agent_command(slots))
    }

    /// What starts an agent.
    pub fn agent_command(&self, slots: u32) -> Command {
        self.agent_by_way_of(&self.address, None, slots)
    }

    /// What starts an agent that finds the coordinator at another address, such as a proxy's, or from another
    /// network namespace.
    pub fn agent_by_way_of(&self, address: &str, namespace: Option<&str>, slots: u32) -> Command {
        let slots = slots.to_string();
        lockstep_in(
            namespace,
            ["agent", "--device", "cpu", "--slots", &slots, "--threads", "1", "--coordinator", address],
        )
    }

    /// Starts an agent by its command and waits until it has joined.
    pub fn agent_of(&self, mut command: Command) -> Process {
        let mut agent = Process::start(&mut command);
        agent.await_line("joined");
        agent
    }

    /// Starts a client verb.
    pub fn begin(&self, verb: &str, arguments: &[&str]) -> Process {
        let mut command = lockstep_in(self.namespace.as_deref(), [verb]);
        Process::start(command.args(arguments).args(["--coordinator", &self.address]))
    }

    /// Runs a client verb.
    pub fn run(&self, verb: &str, arguments: &[&str]) -> Ended {
        self.begin(verb, arguments).wait()
    }

    /// Runs a client verb with `--json`, which goes well; gives what it prints.
    pub fn ask(&self, verb: &str, arguments: &[&str]) -> Vec<Value> {
        json_lines(&self.run(verb, &[arguments, &["--json"]].concat()).success())
    }

    /// Submits a recipe with these keys set; gives the job's id.
    pub fn submit(&self, name: &str, settings: &[&str]) -> String {
        let job = recipe(name).display().to_string();
        let arguments: Vec<&str> = std::iter::once(job.as_str()).chain(set(settings)).collect();
        self.run("submit", &arguments).success().trim().to_owned()
    }

    /// What `show` tells of a job.
    pub fn show(&self, job: &str) -> Value {
        self.ask("show", &[job]).remove(0)
    }

    /// Waits until workers make steps.
    pub fn await_running(&self, job: &str) {
        self.begin("watch", &[job]).await_line(" running: ");
    }

    /// Follows a job.
    pub fn watch(&self, job: &str) -> Events {
        Events::of(self.begin("watch", &[job, "--json"]))
    }

    /// Waits until the logs of a job that goes on hold these words; gives the line.
    pub fn await_log(&self, job: &str, words: &str) -> String {
        self.begin("logs", &[job, "--follow"]).await_line(words)
    }

    /// A job's run folder.
    pub fn folder(&self, job: &str) -> PathBuf {
        self.state.path().join("runs").join(job)
    }

    /// The coordinator's state folder.
    pub fn state(&self) -> &Path {
        self.state.path()
    }
}

/// Starts a coordinator; gives the line that says where it listens as well.
fn serve(namespace: Option<&str>, listen: &str, state: &Path) -> (Process, String) {
    let mut command = lockstep_in(namespace, ["serve", "--listen", listen, "--state"]);
    let mut serve = Process::start(command.arg(state));
    let line = serve.await_line("serving");
    (serve, line)
}

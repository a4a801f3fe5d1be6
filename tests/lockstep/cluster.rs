//! A coordinator and its agents, each a process, on a port that the kernel chose.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Ended, Process};
use super::{json_lines, lockstep, recipe, set};

/// A coordinator with an empty state folder.
pub struct Cluster {
    /// `http://127.0.0.1:port`.
    pub address: String,
    /// The coordinator.
    pub serve: Process,
    state: TempDir,
}

impl Cluster {
    /// Starts it.
    pub fn start() -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut serve = lockstep(["serve", "--listen", "127.0.0.1:0", "--state"]);
        let mut serve = Process::start(serve.arg(state.path()));
        let line = serve.await_line("serving");
        let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        let address = format!("http://{}", address.expect("serve tells its address"));
        Self { address, serve, state }
    }

    /// Starts an agent and waits until it has joined.
    pub fn agent(&self, slots: u32) -> Process {
        let slots = slots.to_string();
        let arguments = ["agent", "--slots", &slots, "--threads", "1", "--coordinator", &self.address];
        let mut agent = Process::start(&mut lockstep(arguments));
        agent.await_line("joined");
        agent
    }

    /// Starts a client verb.
    pub fn begin(&self, verb: &str, arguments: &[&str]) -> Process {
        let mut command = lockstep([verb]);
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

    /// The coordinator's state folder.
    pub fn state(&self) -> &Path {
        self.state.path()
    }
}

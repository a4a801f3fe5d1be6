//! Processes that chaos started, and their children. Nobody else's are touched.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process of this program, with its own log. It is killed when this is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts this program with these arguments; what it says goes to `log`, behind what is there.
    pub fn start(arguments: &[&str], log: &Path) -> Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let file = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        command.env("RUST_LOG", "info");
        // An end of this process must not leave it behind; Ctrl-C reaches it as well.
        let child = command.spawn().with_context(|| format!("cannot start {arguments:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Waits until its log, from byte `from` on, has a line with these words; gives that line.
    pub fn await_line(&mut self, from: u64, words: &str, limit: Duration) -> Result<String> {
        let started = Instant::now();
        loop {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let new = text.get(usize::try_from(from)?..).unwrap_or_default();
            if let Some(line) = new.lines().find(|line| line.contains(words)) {
                return Ok(line.to_owned());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(anyhow!("it ended with {status}; see {}", self.log.display()));
            }
            if started.elapsed() > limit {
                return Err(anyhow!("no line with {words:?} within {limit:?}; see {}", self.log.display()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(Pid::from_child(&self.child), signal);
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it has ended by itself; false if it takes longer.
    pub fn wait(&mut self, limit: Duration) -> bool {
        let started = Instant::now();
        while started.elapsed() < limit {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Its direct children, such as the workers of an agent.
    pub fn children(&self) -> Vec<Descendant> {
        let own = Pid::from_child(&self.child);
        let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
        let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut ids: Vec<Pid> = ids.filter_map(Pid::from_raw).filter(|&pid| parent(pid) == Some(own)).collect();
        ids.sort_by_key(|pid| pid.as_raw_nonzero());
        // One that ends just now is none any more. The parent is looked at again behind the descriptor, since ids are
        // used again.
        let watch =
            |pid| Some(Descendant(pidfd_open(pid, PidfdFlags::empty()).ok()?)).filter(|_| parent(pid) == Some(own));
        ids.into_iter().filter_map(watch).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A stopped process takes only SIGKILL.
        self.kill();
    }
}

/// A child of a process of ours, held by a descriptor that no later process of the same id gets.
pub struct Descendant(OwnedFd);

impl Descendant {
    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // It may have ended.
        let _ = pidfd_send_signal(&self.0, signal);
    }
}

/// The parent of a process, if it still runs.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // Behind the name, which is in parentheses and may hold anything: state, parent.
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_whitespace().nth(1)?.parse().ok()?)
}

//! A process of the binary under test: its lines as they come, signals, its end.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// Far more than anything here takes, even on a machine that is busy with something else.
const LIMIT: Duration = Duration::from_secs(60);

enum Line {
    Out(String),
    Err(String),
}

/// A running process. It is killed when this is dropped.
pub struct Process {
    child: Child,
    lines: Receiver<Line>,
    deadline: Instant,
    stdout: String,
    stderr: String,
}

impl Process {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        forward(child.stdout.take().unwrap(), sender.clone(), Line::Out);
        forward(child.stderr.take().unwrap(), sender, Line::Err);
        let deadline = Instant::now() + LIMIT;
        Self { child, lines, deadline, stdout: String::new(), stderr: String::new() }
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Reads on until a line holds these words; gives that line.
    pub fn await_line(&mut self, words: &str) -> String {
        loop {
            match self.next_line() {
                Some(line) if line.contains(words) => return line,
                Some(_) => {}
                None => panic!("no line with {words:?}:\n{}{}", self.stdout, self.stderr),
            }
        }
    }

    /// Its direct children, such as the workers of an agent.
    pub fn children(&self) -> Vec<Watched> {
        let own = self.pid();
        let processes = std::fs::read_dir("/proc").unwrap();
        let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        ids.filter_map(Pid::from_raw).filter(|&pid| parent(pid) == Some(own)).map(Watched::new).collect()
    }

    /// Reads on until it has ended.
    pub fn wait(mut self) -> Ended {
        while self.next_line().is_some() {}
        let status = self.child.wait().unwrap();
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        Ended { code: status.code(), signal: status.signal(), stdout, stderr }
    }

    /// The next line of either stream; none when both have ended.
    fn next_line(&mut self) -> Option<String> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let (line, text) = match self.lines.recv_timeout(left) {
            Ok(Line::Out(line)) => (line, &mut self.stdout),
            Ok(Line::Err(line)) => (line, &mut self.stderr),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("nothing more within {LIMIT:?}:\n{}{}", self.stdout, self.stderr)
            }
        };
        text.push_str(&line);
        text.push('\n');
        Some(line)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes lines on until the stream ends.
fn forward(stream: impl Read + Send + 'static, to: Sender<Line>, kind: fn(String) -> Line) {
    std::thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        // Nobody listens any more once the test has seen enough.
        lines.for_each(|line| drop(to.send(kind(line))));
    });
}

/// The parent of a process, if it still runs.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // Behind the name, which is in parentheses and may hold anything: state, parent.
    let (_, rest) = stat.rsplit_once(')')?;
    Pid::from_raw(rest.split_whitespace().nth(1)?.parse().ok()?)
}

/// A process that somebody else started, watched through a descriptor that no later process of the same id gets.
pub struct Watched {
    pid: Pid,
    descriptor: OwnedFd,
}

impl Watched {
    fn new(pid: Pid) -> Self {
        Self { pid, descriptor: pidfd_open(pid, PidfdFlags::empty()).unwrap() }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        rustix::process::pidfd_send_signal(&self.descriptor, signal).unwrap();
    }

    /// Waits until it has ended.
    pub fn await_end(&self) {
        let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(ended, 1, "process {} still runs", self.pid.as_raw_nonzero());
    }
}

/// How a process ended, and all it said.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none after a signal.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All of it.
    pub stdout: String,
    /// All of it.
    pub stderr: String,
}

impl Ended {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        Process::start(command).wait()
    }

    /// Its standard output, if it went well.
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// It refused bad input as it should, in one line with these words.
    pub fn is_refused_with(&self, words: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let line = self.stderr.strip_prefix("error: ").and_then(|rest| rest.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("no error line: {self:?}"));
        assert!(!line.contains('\n'), "more than one line: {line}");
        for word in words {
            assert!(line.contains(word), "{word:?} is not in: {line}");
        }
    }
}

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
pub const LIMIT: Duration = Duration::from_secs(60);

enum Line {
    Out(String),
    Err(String),
}

/// A running process. It is killed when this is dropped; a test that fails prints what it said.
pub struct Process {
    child: Child,
    lines: Receiver<Line>,
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
        Self { child, lines, stdout: String::new(), stderr: String::new() }
    }

    /// Its id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Reads on until a line holds these words; gives that line.
    pub fn await_line(&mut self, words: &str) -> String {
        let found = self.find_line(|line| line.contains(words));
        found.unwrap_or_else(|| panic!("no line with {words:?}:\n{}{}", self.stdout, self.stderr))
    }

    /// Reads on until such a line; gives it, or nothing if it has ended before.
    pub fn find_line(&mut self, is_it: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let line = self.next_line(deadline)?;
            if is_it(&line) {
                return Some(line);
            }
        }
    }

    /// Reads on until this time has passed or it has ended.
    pub fn read_for(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.note(line);
        }
    }

    /// Its direct children, such as the workers of an agent.
    pub fn children(&self) -> Vec<Watched> {
        let own = self.pid();
        let processes = std::fs::read_dir("/proc").unwrap();
        let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let ours = ids.filter_map(Pid::from_raw).filter(|&pid| parent(pid) == Some(own));
        // One may end at this very moment; its id may be another's by then.
        ours.filter_map(Watched::new).filter(|child| parent(child.pid) == Some(own) && child.runs()).collect()
    }

    /// Reads on until it has ended.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + LIMIT;
        while self.next_line(deadline).is_some() {}
        let status = self.child.wait().unwrap();
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        Ended { code: status.code(), signal: status.signal(), stdout, stderr }
    }

    /// The next line of either stream; none when both have ended.
    fn next_line(&mut self, deadline: Instant) -> Option<String> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(self.note(line)),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                panic!("nothing more within {LIMIT:?}:\n{}{}", self.stdout, self.stderr)
            }
        }
    }

    /// Keeps a line.
    fn note(&mut self, line: Line) -> String {
        let (line, text) = match line {
            Line::Out(line) => (line, &mut self.stdout),
            Line::Err(line) => (line, &mut self.stderr),
        };
        text.push_str(&line);
        text.push('\n');
        line
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(1)) {
                self.note(line);
            }
            eprintln!("process {} said:\n{}{}", self.child.id(), self.stdout, self.stderr);
        }
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
    fn new(pid: Pid) -> Option<Self> {
        Some(Self { pid, descriptor: pidfd_open(pid, PidfdFlags::empty()).ok()? })
    }

    /// Its id.
    pub fn id(&self) -> Pid {
        self.pid
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], Some(&now)).unwrap() == 0
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        let sent = rustix::process::pidfd_send_signal(&self.descriptor, signal);
        assert!(matches!(sent, Ok(()) | Err(rustix::io::Errno::SRCH)), "{sent:?}");
    }

    /// Waits until it has ended.
    pub fn await_end(&self) {
        let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], Some(&limit)).unwrap();
        assert_eq!(ended, 1, "process {} still runs", self.pid.as_raw_nonzero());
    }
}

/// Workers that stand still until this is dropped, and with them their job; far shorter than counts as a loss.
pub struct Frozen(Vec<Watched>);

impl Frozen {
    /// Stops all workers of these agents.
    pub fn workers_of<'a>(agents: impl IntoIterator<Item = &'a Process>) -> Self {
        let frozen = Self(agents.into_iter().flat_map(Process::children).collect());
        frozen.0.iter().for_each(|worker| worker.signal(Signal::STOP));
        frozen
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.0.iter().for_each(|worker| worker.signal(Signal::CONT));
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

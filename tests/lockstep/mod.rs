//! Runs the real binary: processes with a time limit that end with their test, and what they leave behind.

#![allow(dead_code, reason = "each test file uses its own part")]

pub mod cluster;
pub mod events;
pub mod gpu;
pub mod job;
pub mod network;
pub mod noise;
pub mod outcome;
pub mod pictures;
pub mod process;
pub mod proxy;
pub mod random;
pub mod study;
pub mod undecodable;
pub mod web;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Ten steps of 64 samples: a whole epoch of a job that takes no time.
pub const TINY: [&str; 3] = ["data.limit=640", "schedule.epochs=1", "metrics.every=4"];

/// More epochs than any test waits for.
pub const ENDLESS: [&str; 1] = ["schedule.epochs=1000000"];

/// The binary, with nothing of the environment that would change what it does.
pub fn lockstep(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    lockstep_in(None, arguments)
}

/// The same in a network namespace; the process is the binary's itself.
pub fn lockstep_in(namespace: Option<&str>, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let binary = env!("CARGO_BIN_EXE_lockstep");
    let mut command = Command::new(if namespace.is_some() { "ip" } else { binary });
    if let Some(namespace) = namespace {
        command.args(["netns", "exec", namespace, binary]);
    }
    let ours = |name: &OsStr| name.to_string_lossy().starts_with("LOCKSTEP_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").args(arguments);
    command
}

/// `train` of a job file into a run folder, with these keys set.
pub fn train(job: &Path, out: &Path, settings: &[&str]) -> Command {
    let mut command = lockstep(["train"]);
    command.arg(job).arg("--out").arg(out).args(set(settings));
    command
}

/// `--set` before each of these.
pub fn set<'a>(settings: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    settings.iter().flat_map(|setting| ["--set", setting])
}

/// A recipe that ships.
pub fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name)
}

/// The JSON in a file.
pub fn json(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A JSON object a line.
pub fn json_lines(text: &str) -> Vec<Value> {
    let parsed = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parsed).collect()
}

/// The keys of a JSON object, sorted.
pub fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// SHA-256 of a run's weights.
pub fn weights_sha256(run: &Path) -> String {
    let weights = std::fs::read(run.join("final/model.safetensors")).unwrap();
    Sha256::digest(weights).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files below a folder, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// Names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// This machine as agents name it.
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Looks again and again until there is something; what is waited for, in words, if there never is.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + process::LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {:?}", process::LIMIT);
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

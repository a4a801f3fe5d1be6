//! Checkpoints, runs, ledgers and databases that can't be used: damaged ones are named and set aside, all others are
//! refused in one line with exit code 2; nothing is lost or overwritten.

mod lockstep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lockstep::cluster::Cluster;
use lockstep::events::Events;
use lockstep::job::{self, RECIPE, has_clean_state};
use lockstep::process::{Ended, Process};
use lockstep::{TINY, files, json, lockstep as binary, names, recipe, set, train};
use rustix::process::Signal;
use tempfile::TempDir;

/// A run that was stopped in the middle, with three checkpoints.
struct Stopped(TempDir);

impl Stopped {
    fn new() -> Self {
        let stopped = Self(tempfile::tempdir().unwrap());
        let more = ["checkpoint.every_steps=20", "checkpoint.every_epochs=0", "checkpoint.keep_last=3"];
        let mut command = train(&recipe(RECIPE), &stopped.folder(), &job::settings(&more));
        let mut events = Events::of(Process::start(command.args(["--workers", "1", "--json"])));
        events.await_step(90);
        // On a busy machine one that is due while another is being written is left out.
        events.find(|_| stopped.checkpoints().len() >= 3).expect("three checkpoints before the last step");
        events.process.signal(Signal::INT);
        assert_eq!(events.wait().code, Some(75));
        assert_eq!(stopped.checkpoints().len(), 3);
        stopped
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("run")
    }

    /// By step.
    fn checkpoints(&self) -> Vec<PathBuf> {
        let folder = self.folder().join("checkpoints");
        names(&folder).iter().filter(|name| name.starts_with("step-")).map(|name| folder.join(name)).collect()
    }

    fn newest(&self) -> PathBuf {
        self.checkpoints().pop().unwrap()
    }

    fn go_on(&self, settings: &[&str]) -> Ended {
        Ended::of(binary(["train", "--from"]).arg(self.folder()).args(set(settings)))
    }

    /// Going on with these settings is refused with these words, and nothing has changed.
    fn is_refused(&self, settings: &[&str], words: &[&str]) {
        let before = contents(&self.folder());
        self.go_on(settings).is_refused_with(words);
        is_unchanged(&self.folder(), &before);
    }
}

/// All files below a folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(folder).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// A folder holds what it held.
fn is_unchanged(folder: &Path, before: &BTreeMap<PathBuf, Vec<u8>>) {
    let now = contents(folder);
    let changed = |path: &&PathBuf| now.get(*path) != before.get(*path);
    let changed: Vec<_> = now.keys().chain(before.keys()).filter(changed).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

/// Changes a file.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn flip_a_bit(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 16;
}

fn step_of(checkpoint: &Path) -> u64 {
    let name = checkpoint.file_name().unwrap().to_str().unwrap();
    name.strip_prefix("step-").unwrap().split('-').next().unwrap().parse().unwrap()
}

/// The newest two are damaged, each by one of these; the third is gone on from.
fn damaged_ones_are_set_aside(damages: [fn(&Path); 2]) {
    let stopped = Stopped::new();
    let checkpoints = stopped.checkpoints();
    for (checkpoint, damage) in checkpoints[1..].iter().zip(damages) {
        damage(checkpoint);
    }
    let ended = stopped.go_on(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains(&format!("from step {} (checkpoint)", step_of(&checkpoints[0]))), "{ended:?}");
    for checkpoint in &checkpoints[1..] {
        let name = checkpoint.file_name().unwrap().to_str().unwrap();
        let told = ended.stderr.lines().find(|line| line.contains(name) && line.contains("is damaged: "));
        let told = told.unwrap_or_else(|| panic!("{name} is not told: {ended:?}"));
        assert!(told.contains(&format!("it is set aside as damaged-{name}")), "{told}");
        assert!(stopped.folder().join("checkpoints").join(format!("damaged-{name}")).is_dir());
    }
    has_clean_state(&stopped.folder());
}

#[test]
fn bits_that_changed() {
    damaged_ones_are_set_aside([
        |checkpoint| edit(&checkpoint.join("state.safetensors"), |bytes| flip_a_bit(bytes)),
        |checkpoint| edit(&checkpoint.join("checkpoint.json"), |bytes| flip_a_bit(bytes)),
    ]);
}

#[test]
fn files_that_are_cut_off() {
    damaged_ones_are_set_aside([
        |checkpoint| edit(&checkpoint.join("state.safetensors"), |bytes| bytes.truncate(bytes.len() / 2)),
        |checkpoint| edit(&checkpoint.join("checkpoint.json"), |bytes| bytes.truncate(bytes.len() / 2)),
    ]);
}

#[test]
fn files_that_are_missing() {
    damaged_ones_are_set_aside([
        |checkpoint| std::fs::remove_file(checkpoint.join("state.safetensors")).unwrap(),
        |checkpoint| std::fs::remove_file(checkpoint.join("checkpoint.json")).unwrap(),
    ]);
}

#[test]
fn files_of_another_checkpoint() {
    damaged_ones_are_set_aside([
        |checkpoint| {
            let before = checkpoint.parent().unwrap().join(names(checkpoint.parent().unwrap()).remove(0));
            std::fs::copy(before.join("state.safetensors"), checkpoint.join("state.safetensors")).unwrap();
        },
        |checkpoint| {
            let before = checkpoint.parent().unwrap().join(names(checkpoint.parent().unwrap()).remove(0));
            std::fs::copy(before.join("checkpoint.json"), checkpoint.join("checkpoint.json")).unwrap();
        },
    ]);
}

#[test]
fn none_that_is_whole() {
    let stopped = Stopped::new();
    for checkpoint in stopped.checkpoints() {
        edit(&checkpoint.join("state.safetensors"), |bytes| flip_a_bit(bytes));
    }
    let ended = stopped.go_on(&[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("no checkpoint to go on from"), "{ended:?}");
    let aside = names(&stopped.folder().join("checkpoints"));
    assert!(
        aside.len() == 3 && aside.iter().all(|name| name.starts_with("damaged-step-")),
        "nothing is lost: {aside:?}"
    );
}

#[test]
fn another_model_another_data_set_and_a_newer_program() {
    let stopped = Stopped::new();
    let name = stopped.newest().file_name().unwrap().to_str().unwrap().to_owned();
    let first =
        "belongs to another model: its tensor parameters/fc2.weight is of shape [84, 120], this job has one of [10, ";
    stopped.is_refused(&["model.name=mlp"], &[&name, first]);
    let another = [&name, "belongs to another data set: 6410 samples in the order of seed 1 of "];
    stopped.is_refused(&["data.limit=6400"], &[&another[..], &["this job has 6400 samples"]].concat());
    stopped
        .is_refused(&["seed.order=2"], &[&another[..], &["this job has 6410 samples in the order of seed 2"]].concat());

    edit(&stopped.newest().join("checkpoint.json"), |bytes| {
        let content = "{\"what\":\"nobody knows yet\"}";
        let seal = blake3::hash(format!("2\n{content}").as_bytes()).to_hex();
        *bytes = format!("{{\"version\":2,\"seal\":\"{seal}\",\"content\":{content}}}").into_bytes();
    });
    stopped.is_refused(&[], &[&name, "was written by a newer program: version 2"]);
}

#[test]
fn runs_that_are_none_or_have_no_checkpoint() {
    let here = tempfile::tempdir().unwrap();
    let refused = |from: &Path, words: &[&str]| {
        let before = contents(here.path());
        Ended::of(binary(["train", "--from"]).arg(from).current_dir(here.path())).is_refused_with(words);
        let mut command = binary(["train"]);
        let command = command.arg(recipe(RECIPE)).args(["--out", "new", "--from"]).arg(from);
        Ended::of(command.current_dir(here.path())).is_refused_with(words);
        is_unchanged(here.path(), &before);
    };
    refused(&here.path().join("absent"), &["absent holds no run"]);
    std::fs::create_dir(here.path().join("notes")).unwrap();
    std::fs::write(here.path().join("notes/thesis.tex"), "years of work").unwrap();
    refused(&here.path().join("notes"), &["notes holds no run: job.toml is missing"]);

    let run = here.path().join("run");
    let settings = [&TINY[..], &["checkpoint.every_epochs=0"]].concat();
    Ended::of(train(&recipe(RECIPE), &run, &settings).args(["--workers", "1"])).success();
    std::fs::remove_dir_all(run.join("checkpoints")).unwrap_or_default();
    refused(&run, &["no checkpoint to go on from"]);

    let cluster = Cluster::start();
    let (job, notes) = (recipe(RECIPE).display().to_string(), here.path().join("notes").display().to_string());
    cluster.run("submit", &[&job, "--from", &notes]).is_refused_with(&["notes holds no run"]);
    assert!(cluster.ask("list", &[]).is_empty());
}

#[test]
fn a_place_that_can_not_be_written_to() {
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("file"), "").unwrap();
    for (place, words) in [
        ("/proc/checkpoints", "/proc/checkpoints"),
        ("file", "file: not a directory"),
        ("ftp://host/folder", "give a folder or s3://bucket/prefix"),
    ] {
        let place = format!("checkpoint.dir={place}");
        let ended = Ended::of(train(&recipe(RECIPE), Path::new("run"), &[&place]).current_dir(here.path()));
        ended.is_refused_with(&[words]);
        assert_eq!(names(here.path()), ["file"]);
    }
}

#[test]
fn a_database_of_a_newer_program() {
    let state = tempfile::tempdir().unwrap();
    let serve = || binary(["serve", "--listen", "127.0.0.1:0", "--state", state.path().to_str().unwrap()]);
    let mut first = Process::start(&mut serve());
    first.await_line("serving");
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code, Some(0));
    // SQLite keeps the user's version at byte 60 of the header.
    edit(&state.path().join("coordinator.db"), |bytes| bytes[60..64].copy_from_slice(&99u32.to_be_bytes()));
    let before = contents(state.path());
    Ended::of(&mut serve()).is_refused_with(&["coordinator.db has schema version 99", "use the newer program"]);
    is_unchanged(state.path(), &before);
}

#[test]
fn ledgers_that_prove_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("run");
    Ended::of(train(&recipe(RECIPE), &run, &TINY).args(["--workers", "1", "--quiet"])).success();
    let ledger = || Ended::of(binary(["ledger"]).arg(&run));
    ledger().success();
    let whole = json(&run.join("ledger.json"));
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut ledger = whole.clone();
        change(&mut ledger["rows"][0]);
        std::fs::write(run.join("ledger.json"), ledger.to_string()).unwrap();
    };
    with(&|row| row["hashes"] = (row["hashes"].as_u64().unwrap() ^ 1).into());
    let ended = ledger();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("took other samples than those of their positions"), "{ended:?}");
    with(&|row| row["samples"] = 639.into());
    assert_eq!(ledger().code, Some(1));
    with(&|row| row["to"] = u64::MAX.into());
    assert_ne!(ledger().code, Some(0));
    std::fs::write(run.join("ledger.json"), "{").unwrap();
    ledger().is_refused_with(&["run is no run: ledger.json: "]);
    Ended::of(binary(["ledger"]).arg(scratch.path())).is_refused_with(&["is no run: job.toml"]);
}

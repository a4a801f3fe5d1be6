//! Jobs, data and run folders that can't be used: each is refused in one line that names the file or key and what to
//! do, with exit code 2, and nothing is left behind.

mod lockstep;

use std::path::{Path, PathBuf};

use lockstep::process::Ended;
use lockstep::{json, lockstep as binary, names, recipe, train};
use tempfile::TempDir;

/// `train` in an empty folder, with these arguments, is refused with these words; the folder is empty afterwards.
fn train_is_refused(job: &Path, arguments: &[&str], words: &[&str]) {
    let here = tempfile::tempdir().unwrap();
    for out in [&["--out", "run"][..], &[]] {
        let mut command = binary(["train"]);
        let ended = Ended::of(command.arg(job).args(arguments).args(out).current_dir(here.path()));
        ended.is_refused_with(words);
        assert_eq!(names(here.path()), [""; 0], "{words:?}");
    }
}

fn mlp() -> PathBuf {
    recipe("mnist-mlp.toml")
}

#[test]
fn keys_and_values_that_no_job_has() {
    let cases: [(&str, &[&str]); 8] = [
        ("batch.sise=64", &["--set batch.sise=64", "unknown key `batch.sise`", "did you mean `batch.size`?"]),
        ("optimiser.momentum=0", &["`optimiser", "did you mean `optimizer"]),
        ("batch.size=many", &["`batch.size` must be an integer", "the string \"many\""]),
        ("model.hidden=300", &["`model.hidden` must be a list", "the integer 300"]),
        ("batch.size=100", &["100 is not divisible by `batch.micro_batch` = 32", "batch.size to 96 or 128"]),
        ("model.name=lenet", &["`model.name` = \"lenet\" is unknown", "choose mlp, lenet5", "did you mean lenet5?"]),
        ("schedule.epochs=0", &["`schedule.epochs` = 0", "must be 1 to"]),
        ("batch.size", &["--set batch.size", "write key=value"]),
    ];
    for (setting, words) in cases {
        train_is_refused(&mlp(), &["--set", setting], words);
    }
    train_is_refused(&mlp(), &["--workers", "0"], &["cluster.workers", "must be 1 to"]);
}

#[test]
fn job_files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let written = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let absent = folder.path().join("absent.toml");
    train_is_refused(&absent, &[], &["absent.toml: cannot be read: No such file or directory"]);
    train_is_refused(&written("a.toml", "[batch]\nsize = = 3"), &[], &["a.toml:2: "]);
    let misspelt = written("b.toml", "[data]\npath = '/'\nvalidate = 10");
    train_is_refused(&misspelt, &[], &["b.toml: unknown key `data.validate`", "did you mean `data.validation`?"]);
    train_is_refused(&written("c.toml", ""), &[], &["c.toml: `data.path` is not set"]);
}

#[test]
fn the_environment_is_refused_by_the_name_of_the_variable() {
    let here = tempfile::tempdir().unwrap();
    let mut command = binary(["train"]);
    let command = command.arg(mlp()).current_dir(here.path()).env("LOCKSTEP__BATCH__SIZE", "many");
    Ended::of(command).is_refused_with(&["$LOCKSTEP__BATCH__SIZE", "`batch.size` must be an integer"]);
    assert_eq!(names(here.path()), [""; 0]);
}

/// A dataset of 64 training and 16 test images, all black, all zeros.
struct Digits(TempDir);

impl Digits {
    fn new() -> Self {
        let digits = Self(tempfile::tempdir().unwrap());
        for (name, count) in [("train", 64u32), ("t10k", 16)] {
            let sizes = [count, 28, 28].map(u32::to_be_bytes).concat();
            let images = [&[0, 0, 8, 3], &sizes[..], &vec![0; count as usize * 28 * 28]].concat();
            let labels = [&[0, 0, 8, 1], &sizes[..4], &vec![0; count as usize]].concat();
            digits.write(&format!("{name}-images-idx3-ubyte"), &images);
            digits.write(&format!("{name}-labels-idx1-ubyte"), &labels);
        }
        digits
    }

    fn write(&self, file: &str, bytes: &[u8]) {
        std::fs::write(self.0.path().join(file), bytes).unwrap();
    }

    fn change(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.0.path().join(file)).unwrap();
        change(&mut bytes);
        self.write(file, &bytes);
    }

    fn path(&self) -> String {
        format!("data.path={}", self.0.path().display())
    }

    fn are_refused_with(&self, words: &[&str]) {
        train_is_refused(&mlp(), &["--set", &self.path()], words);
    }
}

#[test]
fn data_that_is_not_there() {
    train_is_refused(&mlp(), &["--set", "data.path=nowhere"], &["nowhere: no such folder", "set data.path"]);
    let digits = Digits::new();
    std::fs::remove_file(digits.0.path().join("train-labels-idx1-ubyte")).unwrap();
    digits.are_refused_with(&["train-labels-idx1-ubyte[.gz]: no such file", "data.path needs"]);
}

#[test]
fn data_that_is_broken() {
    let digits = Digits::new();
    digits.change("train-images-idx3-ubyte", |bytes| bytes.truncate(1000));
    digits.are_refused_with(&["train-images-idx3-ubyte: is truncated", "50192 bytes, but there are 1000", "again"]);

    let digits = Digits::new();
    digits.change("t10k-images-idx3-ubyte", |bytes| bytes.truncate(7));
    digits.are_refused_with(&["t10k-images-idx3-ubyte: ends inside the idx header"]);

    let digits = Digits::new();
    digits.write("t10k-labels-idx1-ubyte", b"<html>Not Found</html>");
    digits.are_refused_with(&["t10k-labels-idx1-ubyte: is not an idx file", "check data.path"]);

    let digits = Digits::new();
    digits.write("train-images-idx3-ubyte", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]);
    digits.are_refused_with(&["train-images-idx3-ubyte: its gzip data is damaged", "get the file again"]);

    let digits = Digits::new();
    digits.change("train-labels-idx1-ubyte", |bytes| bytes[8 + 5] = 10);
    digits.are_refused_with(&["train-labels-idx1-ubyte: label 10 of sample 5 is out of range", "data.classes = 10"]);
}

#[test]
fn jobs_that_do_not_fit_their_data() {
    let digits = Digits::new();
    let with = |setting: &str, words: &[&str]| {
        train_is_refused(&mlp(), &["--set", &digits.path(), "--set", setting], words);
    };
    with("data.validation=64", &["data.validation = 64 leaves no training sample", "hold out fewer"]);
    with("batch.size=128", &["batch.size 128 is larger than the 64 training samples", "data.last_batch"]);
}

#[test]
fn run_folders_are_replaced_only_if_asked_and_only_if_they_are_runs() {
    let digits = Digits::new();
    let scratch = tempfile::tempdir().unwrap();
    let run = scratch.path().join("run");
    let data = digits.path();
    let train = |out: &Path, more: &[&str]| Ended::of(train(&mlp(), out, &[&data, "schedule.epochs=1"]).args(more));
    train(&run, &["--quiet"]).success();

    std::fs::write(run.join("notes"), "").unwrap();
    train(&run, &[]).is_refused_with(&["run folder", "run is not empty", "--overwrite", "another --out"]);
    assert!(run.join("notes").exists());
    train(&run, &["--quiet", "--overwrite"]).success();
    assert!(!run.join("notes").exists() && run.join("summary.json").exists());

    let precious = scratch.path().join("precious");
    std::fs::create_dir(&precious).unwrap();
    std::fs::write(precious.join("job.toml"), "my own").unwrap();
    train(&precious, &["--overwrite"]).is_refused_with(&["precious is not empty and holds no run", "another --out"]);
    assert_eq!(names(&precious), ["job.toml"]);
    train(&precious.join("job.toml"), &[]).is_refused_with(&["job.toml: Not a directory", "another --out"]);
    train(Path::new("/proc/run"), &[]).is_refused_with(&["run folder /proc/run", "choose another"]);
    assert_eq!(names(scratch.path()), ["precious", "run"]);
}

#[test]
fn runs_that_are_none_and_ledgers_that_prove_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let nowhere = scratch.path().join("nowhere");
    let from = |run: &Path| Ended::of(binary(["train", "--from"]).arg(run).current_dir(scratch.path()));
    from(&nowhere).is_refused_with(&["nowhere holds no run: job.toml is missing"]);
    let ledger = |run: &Path| Ended::of(binary(["ledger"]).arg(run));
    ledger(&nowhere).is_refused_with(&["nowhere is no run: job.toml: No such file"]);
    assert_eq!(names(scratch.path()), [""; 0]);

    let (digits, run) = (Digits::new(), scratch.path().join("run"));
    Ended::of(train(&mlp(), &run, &[&digits.path(), "schedule.epochs=1"]).arg("--quiet")).success();
    let file = run.join("ledger.json");
    let mut content = json(&file);
    let hashes = content["rows"][0]["hashes"].as_u64().unwrap();
    content["rows"][0]["hashes"] = hashes.wrapping_add(1).into();
    std::fs::write(&file, content.to_string()).unwrap();
    let ended = ledger(&run);
    assert!(ended.code == Some(1) && ended.stdout.contains("not proven"), "{ended:?}");
    assert!(ended.stdout.contains("problem: steps 0 to 1 took other samples"), "{ended:?}");
    std::fs::write(&file, "{").unwrap();
    ledger(&run).is_refused_with(&["run is no run: ledger.json: "]);

    std::fs::remove_dir_all(run.join("checkpoints")).unwrap();
    from(&run).is_refused_with(&["checkpoints: no checkpoint to go on from"]);
}

#[test]
fn names_that_are_not_unicode_are_names_all_the_same() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join(std::ffi::OsStr::from_bytes(b"j\xffb.toml"));
    std::fs::copy(mlp(), &job).unwrap();
    // A port that was free just now.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = binary(["submit", "--coordinator", &format!("http://{free}")]);
    Ended::of(command.arg(&job)).is_refused_with(&["cannot reach the coordinator at"]);
}

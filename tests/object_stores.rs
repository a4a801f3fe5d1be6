//! Datasets in object stores, with the real binary: the same bits as from a disk, whatever the server and the cache do.

mod lockstep;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use lockstep::lockstep as binary;
use lockstep::outcome::Outcome;
use lockstep::pictures::Stage;
use lockstep::process::{Ended, Process};
use lockstep::web::Web;
use rustix::process::Signal;

impl Stage {
    /// `train` on a place instead, with a cache of this name.
    fn train_on(&self, place: &str, cache: &str, run: &str, settings: &[&str]) -> Command {
        let path = format!("data.path={place}");
        let mut command = self.train(run, &[settings, &[path.as_str()]].concat());
        command.env("LOCKSTEP_CACHE", self.cache(cache)).args(["--threads", "1"]);
        command
    }

    fn cache(&self, name: &str) -> PathBuf {
        self.path(&format!("cache-{name}"))
    }

    fn comes_to(&self, expected: &Outcome, command: &mut Command, run: &str) {
        Ended::of(command.arg("--json")).success();
        assert_eq!(&Outcome::of(&self.path(run)), expected, "{run}");
    }

    fn kept_shards(&self, cache: &str) -> usize {
        fs::read_dir(self.cache(cache).join("data/shards")).map_or(0, Iterator::count)
    }
}

/// A real S3 server, for as long as this lives.
struct S3 {
    server: Child,
    port: String,
}

impl S3 {
    /// Of a folder's files; none if there is no such server.
    fn serve(folder: &Path) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut python = Command::new("python3");
        python.env("PYTHONPATH", root.join("target/moto")).arg(root.join("tests/lockstep/s3_server.py")).arg(folder);
        let server = python.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut server = server.ok()?;
        let mut port = String::new();
        BufReader::new(server.stdout.take()?).read_line(&mut port).ok()?;
        if port.is_empty() {
            println!("skipped: there is no Python with the package moto");
            let _ = server.wait();
            return None;
        }
        Some(Self { server, port: port.trim().to_owned() })
    }

    fn keys(&self, command: &mut Command) {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let keys = [("ENDPOINT_URL", endpoint.as_str()), ("ALLOW_HTTP", "true"), ("REGION", "us-east-1")];
        let secrets = [("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret")];
        for (name, value) in keys.into_iter().chain(secrets) {
            command.env(format!("AWS_{name}"), value);
        }
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn a_bucket_trains_to_the_same_bits() {
    let stage = Stage::prepared();
    let Some(s3) = S3::serve(&stage.path("data")) else { return };
    let alone = stage.outcome("alone", "1", "1");
    for (run, workers, cache, settings) in [
        ("cold", "1", "kept", &[][..]),
        ("warm", "2", "kept", &[]),
        ("uncached", "3", "none", &["data.cache_bytes=0"]),
        ("unforeseen", "2", "none", &["data.cache_bytes=0", "data.prefetch_bytes=0"]),
    ] {
        let mut train = stage.train_on("s3://data/set", cache, run, settings);
        s3.keys(&mut train);
        stage.comes_to(&alone, train.args(["--workers", workers]), run);
    }
    assert!(stage.kept_shards("kept") > 0);
    assert_eq!(stage.kept_shards("none"), 0);

    let mut verify = binary(["data", "verify", "--decode", "s3://data/set"]);
    s3.keys(verify.env("LOCKSTEP_CACHE", stage.cache("kept")));
    assert!(Ended::of(&mut verify).success().contains("s3://data/set/train: as it was prepared: 61 samples"));

    let mut train = stage.train_on("s3://data/elsewhere", "kept", "elsewhere", &[]);
    s3.keys(&mut train);
    Ended::of(&mut train)
        .is_refused_with(&["s3://data/elsewhere/train/manifest.json: cannot be read", "no such object"]);
    let mut train = stage.train_on("s3://Data", "kept", "named", &[]);
    s3.keys(&mut train);
    Ended::of(&mut train).is_refused_with(&["\"Data\" is no name of a bucket"]);
}

#[test]
fn a_bucket_asks_for_credentials() {
    let stage = Stage::prepared();
    let web = Web::serve(stage.path("data"));
    web.is_forbidden.store(true, Ordering::Relaxed);
    let mut train = stage.train_on("s3://data/set", "kept", "keys", &[]);
    let keys = [("ENDPOINT_URL", web.url.trim_end_matches("/data")), ("ALLOW_HTTP", "true"), ("REGION", "x")];
    let wrong = [("ACCESS_KEY_ID", "wrong"), ("SECRET_ACCESS_KEY", "wrong")];
    keys.into_iter().chain(wrong).for_each(|(name, value)| _ = train.env(format!("AWS_{name}"), value));
    Ended::of(&mut train)
        .is_refused_with(&["s3://data/set/train/manifest.json: cannot be read", "set AWS_ACCESS_KEY_ID"]);
}

#[test]
fn a_bad_server_changes_no_bit() {
    let stage = Stage::prepared();
    let web = Web::serve(stage.path("data"));
    let alone = stage.outcome("alone", "1", "1");
    web.fails.store(5, Ordering::Relaxed);
    web.cuts.store(7, Ordering::Relaxed);
    for (run, settings) in [("kept", &[][..]), ("none", &["data.cache_bytes=0"])] {
        stage.comes_to(&alone, stage.train_on(&web.url, run, run, settings).args(["--workers", "2"]), run);
    }
    let asked = web.asked.lock().unwrap().len();
    assert!(asked > 20, "of {asked} answers some were bad");
    assert_eq!((stage.kept_shards("kept"), stage.kept_shards("none")), (2, 0));
}

#[test]
fn what_is_kept_is_not_asked_for_again() {
    let stage = Stage::prepared();
    let web = Web::serve(stage.path("data"));
    let alone = stage.outcome("alone", "1", "1");
    stage.comes_to(&alone, &mut stage.train_on(&web.url, "cache", "cold", &[]), "cold");
    assert_eq!(stage.kept_shards("cache"), 2);
    web.asked.lock().unwrap().clear();
    stage.comes_to(&alone, &mut stage.train_on(&web.url, "cache", "warm", &[]), "warm");
    let asked = web.asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|path| path.ends_with("manifest.json")), "{asked:?}");

    // What was kept and is damaged is brought again, from where it was prepared.
    for entry in fs::read_dir(stage.cache("cache").join("data/shards")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes.iter_mut().skip(512).for_each(|byte| *byte ^= 1);
        fs::write(path, bytes).unwrap();
    }
    stage.comes_to(&alone, &mut stage.train_on(&web.url, "cache", "damaged", &[]), "damaged");
}

/// Threads that read lanes before they are computed, of files on a disk and on a server.
#[test]
fn reading_ahead_changes_no_bit() {
    let stage = Stage::prepared();
    let web = Web::serve(stage.path("data"));
    for (job, settings) in [("sgd", &[][..]), ("sam", &["optimizer.sam=0.05"])] {
        let name = |run: &str| format!("{job}-{run}");
        let run = |run: &str, workers: &str, threads: &str| {
            let threads = format!("data.threads={threads}");
            let settings = [settings, &[threads.as_str()]].concat();
            let mut train = stage.train(&name(run), &settings);
            Ended::of(train.args(["--json", "--threads", "2", "--workers", workers])).success();
            Outcome::of(&stage.path(&name(run)))
        };
        let alone = run("alone", "1", "0");
        assert_eq!(run("one", "1", "1"), alone);
        assert_eq!(run("three", "2", "3"), alone);
        let mut train = stage.train_on(&web.url, job, &name("remote"), &[settings, &["data.threads=2"]].concat());
        stage.comes_to(&alone, train.args(["--workers", "2"]), &name("remote"));
    }
}

#[test]
fn a_loader_is_measured_stage_by_stage() {
    let stage = Stage::prepared();
    let job = lockstep::recipe("mnist-mlp.toml");
    let data = format!("data.path={}", stage.path("data").display());
    let settings = [data.as_str(), "data.classes=3", "data.size=16", "augment.flip=true"];
    let bench = |settings: &[&str], more: &[&str]| {
        let mut bench = binary(["bench", "data", "--seconds", "0.05", "--threads", "2"]);
        Ended::of(bench.arg(&job).args(more).args(lockstep::set(settings))).success()
    };
    let said = bench(&settings, &["--images", "100"]);
    for words in ["read, checksum", "decode, crop, resize, augment", "2 threads", "GPUs that train 100 images/s"] {
        assert!(said.contains(words), "{words:?}: {said}");
    }
    let report: serde_json::Value = serde_json::from_str(&bench(&settings, &["--json"])).unwrap();
    assert_eq!(report["stages"].as_array().map(Vec::len), Some(4), "{report}");
    let rates = ["stages", "loader"].map(|part| report[part].as_array().unwrap().clone()).concat();
    assert!(rates.iter().all(|row| row["images_per_second"].as_f64() > Some(0.0)), "{report}");
    // Digits live in memory: there is no file to read or decode.
    let report: serde_json::Value = serde_json::from_str(&bench(&[], &["--json"])).unwrap();
    assert_eq!((report["stages"].as_array().map(Vec::len), report["overhead"].is_null()), (Some(1), true), "{report}");
    let mut bench = binary(["bench", "data", "--seconds", "0"]);
    assert_eq!(Ended::of(bench.arg(&job)).code, Some(2));
}

#[test]
fn a_kill_changes_no_bit() {
    let stage = Stage::prepared();
    let web = Web::serve(stage.path("data"));
    let long = ["schedule.epochs=150"];
    Ended::of(stage.train("clean", &long).args(["--json", "--workers", "1", "--threads", "1"])).success();
    let mut train =
        Process::start(stage.train_on(&web.url, "cache", "killed", &long).args(["--json", "--workers", "2"]));
    train.await_line("\"step\":4");
    train.children()[0].signal(Signal::KILL);
    let ended = train.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    Outcome::of(&stage.path("clean")).is_that_of(&stage.path("killed"));
}

/// Shards one after the other, with a cache that has no room for them all.
#[test]
fn the_windowed_order_is_the_same_bits_from_a_small_cache() {
    let stage = Stage::prepared();
    let web = Web::serve(stage.path("data"));
    let windowed = ["data.order=windowed", "data.block=10", "data.streams=2", "data.window=8"];
    let none: [&str; 0] = [];
    let train = |run: &str, workers: &str| {
        Ended::of(stage.train(run, &windowed).args(["--json", "--threads", "1", "--workers", workers])).success();
        Outcome::of(&stage.path(run))
    };
    let one = train("one", "1");
    assert_eq!(train("three", "3"), one);
    assert_ne!(stage.outcome("global", "1", "1"), one);
    let remote = [&windowed[..], &["data.cache_bytes=300000"], &none].concat();
    stage.comes_to(&one, stage.train_on(&web.url, "cache", "remote", &remote).args(["--workers", "2"]), "remote");
    let mut train = stage.train("lanes", &["data.order=windowed", "data.block=10", "data.streams=3"]);
    Ended::of(&mut train).is_refused_with(&["`data.streams` = 3 does not divide the 4 lanes"]);
    let mut train = stage.train("block", &["data.order=windowed"]);
    Ended::of(&mut train).is_refused_with(&["`data.block` = 0", "lockstep data inspect"]);
}

#[test]
fn what_is_wrong_on_a_server_is_told_in_one_line() {
    let stage = Stage::prepared();
    let web = Web::serve(stage.path("data"));
    let refused = |run: &str, settings: &[&str], words: &[&str]| {
        let mut train = stage.train_on(&web.url, run, run, settings);
        Ended::of(train.args(["--quiet", "--workers", "2"])).is_refused_with(words);
    };
    let shard: PathBuf = stage.path("data/train/shard-000000.tar");
    let whole = fs::read(&shard).unwrap();
    let mut flipped = whole.clone();
    flipped[700] ^= 1;
    fs::write(&shard, flipped).unwrap();
    let name = format!("{}/train/shard-000000.tar", web.url);
    refused("flipped", &["data.cache_bytes=0"], &[&name, "sample 0 at byte 512 is damaged", "CRC-32"]);
    fs::write(&shard, &whole[..1000]).unwrap();
    refused("cut", &[], &[&name, "cannot be read"]);
    fs::remove_file(&shard).unwrap();
    refused("missing", &[], &[&name, "no such object"]);
    fs::write(&shard, &whole).unwrap();
    web.knows_no_ranges.store(true, Ordering::Relaxed);
    refused("ranges", &[], &["cannot be read"]);
    web.knows_no_ranges.store(false, Ordering::Relaxed);
    fs::remove_file(stage.path("data/test/manifest.json")).unwrap();
    refused("test", &[], &["there is no prepared test split"]);
    let inspect = Ended::of(binary(["data", "inspect", "http://"]).env("LOCKSTEP_CACHE", stage.path("x")));
    inspect.is_refused_with(&["is no folder of a web server"]);
    let mut nowhere = binary(["data", "inspect", &web.url]);
    let nowhere = Ended::of(nowhere.env_remove("HOME").env_remove("XDG_CACHE_HOME").env("LOCKSTEP_CACHE", "relative"));
    nowhere.is_refused_with(&["set $LOCKSTEP_CACHE to the absolute path"]);
}

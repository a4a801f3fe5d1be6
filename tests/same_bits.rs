//! The promise, with the real binary and real processes: the same weights for any number of workers and threads,
//! over shared memory and over TCP, in one process tree or through a coordinator and two agents.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sha2::{Digest, Sha256};

fn lockstep() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lockstep"))
}

fn recipe(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(name)
}

/// A short run of a recipe: few steps over few samples, with a kept short last batch.
struct Case {
    recipe: &'static str,
    lanes: u32,
    micro_batch: u32,
}

impl Case {
    fn settings(&self) -> Vec<String> {
        let batch = self.lanes * self.micro_batch;
        let samples = 3 * batch + self.micro_batch + 1;
        let mut settings = Vec::new();
        for (key, value) in [
            ("batch.size", batch),
            ("batch.micro_batch", self.micro_batch),
            ("data.limit", samples),
            ("data.validation", 1000),
            ("schedule.epochs", 2),
            ("metrics.every", 1),
        ] {
            settings.extend(["--set".into(), format!("{key}={value}")]);
        }
        settings.extend(["--set".into(), "data.last_batch=keep".into()]);
        settings
    }

    /// SHA-256 of the weights that `train` with these further arguments leaves.
    fn train(&self, arguments: &[&str]) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("run");
        let output = lockstep()
            .arg("train")
            .arg(recipe(self.recipe))
            .args(self.settings())
            .args(arguments)
            .args(["--quiet", "--out"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        weights_sha256(&out)
    }

    /// All ways to run the case give one hash.
    fn check(&self) {
        let serial = self.train(&["--workers", "1", "--threads", "1"]);
        for (workers, threads) in [(1, 2), (2, 1), (2, 2), (3, 1), (5, 1)] {
            let (workers, threads) = (workers.to_string(), threads.to_string());
            let hash = self.train(&["--workers", &workers, "--threads", &threads]);
            assert_eq!(hash, serial, "{workers} workers of {threads} threads");
        }
        let tcp = ["--set", "cluster.transport=tcp", "--workers", "3", "--threads", "1"];
        assert_eq!(self.train(&tcp), serial, "over TCP");
        assert_eq!(self.submit_to_two_agents(), serial, "through a coordinator and two agents");
    }

    /// Two agents with two slots each, and a job of four workers.
    fn submit_to_two_agents(&self) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let state = scratch.path().join("state");
        let serve =
            lockstep().args(["serve", "--listen", "127.0.0.1:0", "--state"]).arg(&state).stderr(Stdio::piped()).spawn();
        let mut serve = Ended(serve.unwrap());
        let address = address_of(&mut serve.0);
        let agent = || {
            let mut agent = lockstep();
            agent.args(["agent", "--slots", "2", "--threads", "1", "--coordinator", &address]).stderr(Stdio::null());
            Ended(agent.spawn().unwrap())
        };
        let _agents = [agent(), agent()];
        let client = |verb: &str, arguments: &[String]| {
            let output = lockstep().arg(verb).args(arguments).args(["--coordinator", &address]).output().unwrap();
            assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let mut job = vec![recipe(self.recipe).display().to_string(), "--set".into(), "cluster.workers=4".into()];
        job.extend(self.settings());
        let id = client("submit", &job);
        client("wait", std::slice::from_ref(&id));
        let pulled = scratch.path().join("pulled");
        client("pull", &[id.clone(), pulled.display().to_string()]);
        let hash = weights_sha256(&pulled);
        assert_eq!(hash, weights_sha256(&state.join("runs").join(id)));
        hash
    }
}

/// Ends a process when the test is over, however it ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address that `serve` logs; its further lines are read so that it never waits for a full pipe.
fn address_of(serve: &mut Child) -> String {
    let mut lines = BufReader::new(serve.stderr.take().unwrap()).lines();
    let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let start = line.find("127.0.0.1:")?;
        let port = &line[start..];
        Some(format!("http://{}", &port[..port.find(char::is_whitespace).unwrap_or(port.len())]))
    });
    std::thread::spawn(move || lines.for_each(drop));
    address.expect("serve logs its address")
}

/// SHA-256 of a run's weights; its summary says the same.
fn weights_sha256(run: &Path) -> String {
    let weights = std::fs::read(run.join("final/model.safetensors")).unwrap();
    let hash: String = Sha256::digest(weights).iter().map(|byte| format!("{byte:02x}")).collect();
    let summary: serde_json::Value = serde_json::from_slice(&std::fs::read(run.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["weights_sha256"], hash);
    hash
}

#[test]
fn mlp_with_eight_lanes() {
    Case { recipe: "mnist-mlp.toml", lanes: 8, micro_batch: 16 }.check();
}

#[test]
fn mlp_with_three_lanes_so_that_workers_hold_none() {
    Case { recipe: "mnist-mlp.toml", lanes: 3, micro_batch: 20 }.check();
}

#[test]
fn lenet5_with_four_lanes() {
    Case { recipe: "mnist-lenet5.toml", lanes: 4, micro_batch: 32 }.check();
}

#[test]
fn lenet5_with_seven_lanes() {
    Case { recipe: "mnist-lenet5.toml", lanes: 7, micro_batch: 9 }.check();
}

//! The promise, with the real binary and real processes: the same weights, ledger and losses for any number of
//! workers and threads, over shared memory and over TCP, in one process tree or through a coordinator and two agents.

mod lockstep;

use lockstep::cluster::Cluster;
use lockstep::outcome::Outcome;
use lockstep::process::Ended;
use lockstep::recipe;

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
        let numbers = [
            ("batch.size", batch),
            ("batch.micro_batch", self.micro_batch),
            ("data.limit", samples),
            ("data.validation", 1000),
            ("schedule.epochs", 2),
            ("metrics.every", 1),
        ];
        let settings = numbers.iter().map(|(key, value)| format!("{key}={value}"));
        settings.chain(["data.last_batch=keep".into()]).collect()
    }

    /// What `train` with these further arguments comes to.
    fn train(&self, arguments: &[&str]) -> Outcome {
        let scratch = tempfile::tempdir().unwrap();
        let out = scratch.path().join("run");
        let settings = self.settings();
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut train = lockstep::train(&recipe(self.recipe), &out, &settings);
        Ended::of(train.arg("--quiet").args(arguments)).success();
        Outcome::of(&out)
    }

    /// All ways to run the case give the same.
    fn check(&self) {
        let serial = self.train(&["--workers", "1", "--threads", "1"]);
        for (workers, threads) in [(1, 2), (2, 1), (2, 2), (3, 1), (5, 1)] {
            let (workers, threads) = (workers.to_string(), threads.to_string());
            let outcome = self.train(&["--workers", &workers, "--threads", &threads]);
            assert_eq!(outcome, serial, "{workers} workers of {threads} threads");
        }
        let tcp = ["--set", "cluster.transport=tcp", "--workers", "3", "--threads", "1"];
        assert_eq!(self.train(&tcp), serial, "over TCP");
        assert_eq!(self.submit_to_two_agents(), serial, "through a coordinator and two agents");
    }

    /// Two agents with two slots each, and a job of four workers.
    fn submit_to_two_agents(&self) -> Outcome {
        let cluster = Cluster::start();
        let _agents = [cluster.agent(2), cluster.agent(2)];
        let settings = self.settings();
        let settings: Vec<&str> = settings.iter().map(String::as_str).chain(["cluster.workers=4"]).collect();
        let id = cluster.submit(self.recipe, &settings);
        cluster.run("wait", &[&id]).success();
        let scratch = tempfile::tempdir().unwrap();
        let pulled = scratch.path().join("pulled");
        cluster.run("pull", &[&id, pulled.to_str().unwrap()]).success();
        let outcome = Outcome::of(&pulled);
        outcome.is_that_of(&cluster.folder(&id));
        outcome
    }
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

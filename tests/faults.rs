//! Faults, with the real binary and real processes. The oracle is one: weights, ledger and metrics of a run are those
//! of the same job without faults.

mod lockstep;

use std::time::Duration;

use lockstep::cluster::Cluster;
use lockstep::events::Events;
use lockstep::job::{self, RECIPE, STEPS, is_clean};
use lockstep::process::{Frozen, Process, Watched};
use lockstep::{eventually, host, json, names, recipe, train};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Worker,
    /// With all of its workers; another takes its place.
    Agent,
    /// It is started again.
    Coordinator,
    /// It is started again on an emptied database.
    Memory,
}

const VICTIMS: [Victim; 4] = [Victim::Worker, Victim::Agent, Victim::Coordinator, Victim::Memory];

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

/// A coordinator and two agents, one of which a job of three workers fills.
struct Stage {
    cluster: Cluster,
    agents: [Process; 2],
}

impl Stage {
    fn new() -> Self {
        let cluster = Cluster::start();
        let agents = [cluster.agent(2), cluster.agent(2)];
        Self { cluster, agents }
    }

    /// Trains the job, kills one or two processes meanwhile, and compares what comes out.
    fn torment(&mut self, seed: u64) {
        let mut random = Random(seed);
        let job = self.cluster.submit(RECIPE, &job::settings(&["cluster.workers=3"]));
        let mut events = self.cluster.watch(&job);
        let mut step = 0;
        for fault in 0..1 + random.below(2) {
            step += 1 + random.below(STEPS / 4);
            let victim = VICTIMS[if fault == 0 { seed % 4 } else { random.below(4) } as usize];
            let (after, who) = (Duration::from_millis(random.below(40)), random.below(12));
            println!("seed {seed}: {victim:?} number {who} is killed {after:?} after step {step}");
            events.await_step(step);
            events.pass(after);
            self.kill(victim, who as usize);
        }
        let ended = events.wait();
        assert_eq!(ended.code, Some(0), "seed {seed}: {ended:?}");
        is_clean(&self.cluster.folder(&job));
    }

    fn kill(&mut self, victim: Victim, who: usize) {
        let agent = &mut self.agents[who % 2];
        match victim {
            Victim::Worker => {
                let workers: Vec<Watched> = self.agents.iter().flat_map(Process::children).collect();
                // All may be about to be started again.
                if !workers.is_empty() {
                    workers[who % workers.len()].signal(Signal::KILL);
                }
            }
            Victim::Agent => {
                agent.kill();
                *agent = self.cluster.agent(2);
            }
            Victim::Coordinator => {
                self.cluster.serve.kill();
                self.cluster.revive();
            }
            Victim::Memory => {
                self.cluster.serve.kill();
                self.cluster.forget();
                self.cluster.revive();
            }
        }
    }
}

fn seeds(seeds: std::ops::Range<u64>) {
    let mut stage = Stage::new();
    seeds.for_each(|seed| stage.torment(seed));
}

#[test]
fn killed_processes_change_no_bit_seeds_0_to_4() {
    seeds(0..5);
}

#[test]
fn killed_processes_change_no_bit_seeds_5_to_9() {
    seeds(5..10);
}

#[test]
fn killed_processes_change_no_bit_seeds_10_to_14() {
    seeds(10..15);
}

#[test]
fn killed_processes_change_no_bit_seeds_15_to_19() {
    seeds(15..20);
}

/// `train` of the job with four workers.
struct Training {
    events: Events,
    workers: Vec<Watched>,
    scratch: TempDir,
}

impl Training {
    fn start(more: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = train(&recipe(RECIPE), &scratch.path().join("run"), &job::settings(more));
        let mut events = Events::of(Process::start(command.args(["--workers", "4", "--json"])));
        events.await_workers(4);
        let workers = events.process.children();
        assert_eq!(workers.len(), 4);
        Self { events, workers, scratch }
    }
}

/// Memberships as `run.json` tells of them.
fn generations(run: &std::path::Path) -> Vec<Value> {
    json(&run.join("run.json"))["generations"].as_array().unwrap().clone()
}

/// Lanes of each member of a generation, by rank.
fn lanes(generation: &Value) -> Vec<u64> {
    let members = generation["members"].as_array().unwrap();
    members.iter().map(|member| member["lanes"].as_u64().unwrap()).collect()
}

#[test]
fn a_killed_worker_costs_train_no_bit() {
    let mut training = Training::start(&[]);
    training.events.await_step(40);
    training.workers[1].signal(Signal::KILL);
    let lost = training.events.find(|event| event["reason"].as_str().is_some_and(|why| why.contains("SIGKILL")));
    let reason = lost.expect("the loss is told")["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("rank ") && reason.contains(&host()), "{reason}");
    training.workers[1].await_end();
    let Training { events, scratch, .. } = training;
    let run = scratch.path().join("run");
    assert_eq!(events.wait().code, Some(0));
    is_clean(&run);
    let members: Vec<usize> = generations(&run).iter().map(|generation| lanes(generation).len()).collect();
    assert!(members.starts_with(&[4, 3]), "survivors wait for nobody: {members:?}");
}

/// A paused job has given its slots back; a pause is no loss, however long. A stopped worker is one.
#[test]
fn a_stopped_worker_is_given_up_and_a_pause_is_no_loss() {
    let stage = Stage::new();
    let cluster = &stage.cluster;
    let job = cluster.submit(RECIPE, &job::settings(&["cluster.workers=1"]));
    let mut events = cluster.watch(&job);
    events.await_step(30);
    let frozen = Frozen::workers_of(&stage.agents);
    cluster.run("scale", &[&job, "4"]).success();
    events.await_joiners();
    drop(frozen);
    events.await_workers(4);
    let frozen = Frozen::workers_of(&stage.agents);
    cluster.run("scale", &[&job, "2"]).success();
    drop(frozen);
    events.await_workers(2);
    let frozen = Frozen::workers_of(&stage.agents);
    cluster.run("pause", &[&job]).success();
    drop(frozen);
    let paused = events.await_state("paused");
    assert!(paused["reason"].as_str().unwrap().starts_with("paused by a user after step "), "{paused}");

    let mut training = Training::start(&["schedule.epochs=1000"]);
    // By then it has told of its phase.
    training.events.pass(Duration::from_millis(1500));
    training.workers[2].signal(Signal::STOP);
    let other = cluster.submit(RECIPE, &job::settings(&["cluster.workers=4"]));
    cluster.run("wait", &[&other]).success();
    is_clean(&cluster.folder(&other));
    let silent = |event: &Value| event["reason"].as_str().is_some_and(|why| why.contains("no sign of life for 10 s"));
    let lost = training.events.find(silent).expect("the silence is told");
    let reason = lost["reason"].as_str().unwrap();
    for words in ["rank ", &host(), "phase ", "step ", "lanes "] {
        assert!(reason.contains(words), "{words:?} is not in {reason}");
    }
    training.workers[2].await_end();

    assert_eq!(cluster.show(&job)["state"], "paused");
    cluster.run("resume", &[&job]).success();
    training.events.await_workers(4);
    training.events.process.signal(Signal::TERM);
    assert_eq!(training.events.wait().code, Some(75));
    assert_eq!(events.wait().code, Some(0));
    is_clean(&cluster.folder(&job));
}

#[test]
fn a_spare_takes_over() {
    let stage = Stage::new();
    let job = stage.cluster.submit(RECIPE, &job::settings(&["cluster.workers=2", "cluster.spares=1"]));
    let mut events = stage.cluster.watch(&job);
    events.await_step(20);
    // Ranks go node by node; the third has no lanes.
    stage.agents[0].children()[0].signal(Signal::KILL);
    assert_eq!(events.wait().code, Some(0));
    is_clean(&stage.cluster.folder(&job));
    let generations = generations(&stage.cluster.folder(&job));
    assert_eq!(lanes(&generations[0]), [2, 2, 0]);
    assert_eq!(lanes(&generations[1]), [2, 2]);
}

/// An agent that is told to end has its workers taken out of their jobs at a step boundary. Nothing is done twice.
#[test]
fn an_agent_leaves_in_order_and_joins_again() {
    let cluster = Cluster::start();
    let named = || {
        let mut command = cluster.agent_command(2);
        command.args(["--name", "leaver"]);
        cluster.agent_of(command)
    };
    let (leaver, other) = (named(), cluster.agent(2));
    let job = cluster.submit(RECIPE, &job::settings(&["cluster.workers=4"]));
    let mut events = cluster.watch(&job);
    events.await_step(30);
    let workers = leaver.children();
    leaver.signal(Signal::TERM);
    let ended = leaver.wait();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    workers.iter().for_each(Watched::await_end);
    events.await_workers(2);
    let frozen = Frozen::workers_of([&other]);
    let again = named();
    events.await_joiners();
    drop(frozen);
    events.await_workers(4);
    assert_eq!(again.children().len(), 2);
    assert!(events.find(|_| false).is_none());
    let steps: Vec<u64> = events.seen("step").map(|event| event["step"].as_u64().unwrap()).collect();
    assert!(steps.is_sorted_by(|a, b| a < b), "a step came twice: {steps:?}");
    is_clean(&cluster.folder(&job));
    let members: Vec<usize> = generations(&cluster.folder(&job)).iter().map(|record| lanes(record).len()).collect();
    assert_eq!(members, [4, 2, 4]);
}

/// Names of a run's checkpoints.
fn checkpoints(run: &std::path::Path) -> Vec<String> {
    let all = if run.join("checkpoints").exists() { names(&run.join("checkpoints")) } else { Vec::new() };
    all.into_iter().filter(|name| name.starts_with("step-")).collect()
}

/// The step of a checkpoint's name.
fn step_of(name: &str) -> u64 {
    name.strip_prefix("step-").and_then(|rest| rest.split('-').next()).unwrap().parse().unwrap()
}

#[test]
fn workers_go_on_without_a_coordinator() {
    let mut stage = Stage::new();
    let more = ["cluster.workers=3", "schedule.epochs=1000", "checkpoint.every_steps=20"];
    let job = stage.cluster.submit(RECIPE, &job::settings(&more));
    let run = stage.cluster.folder(&job);
    for forget in [false, true] {
        stage.cluster.watch(&job).await_workers(3);
        stage.cluster.serve.kill();
        let before = checkpoints(&run).last().map_or(0, |name| step_of(name));
        let further = || checkpoints(&run).last().map(|name| step_of(name)).filter(|&step| step >= before + 60);
        let reached = eventually("checkpoints without a coordinator", further);
        if forget {
            stage.cluster.forget();
        }
        stage.cluster.revive();
        eventually("the job", || (stage.cluster.run("show", &[&job]).code == Some(0)).then_some(()));
        let mut events = stage.cluster.watch(&job);
        events.await_workers(3);
        events.await_step(reached);
    }
    assert_eq!(generations(&run).len(), 1, "no generation ended for want of a coordinator");
    stage.cluster.run("cancel", &[&job]).success();
    assert_eq!(stage.cluster.run("wait", &[&job]).code, Some(3));
}

#[test]
fn too_many_losses_fail_a_job_by_the_last_cause() {
    // Steps that take long, so that there is no progress between the losses.
    let more = ["batch.size=4096", "batch.micro_batch=1024", "data.limit=40960", "cluster.max_restarts=1"];
    let mut training = Training::start(&more);
    training.workers[3].signal(Signal::KILL);
    training.events.find(|event| event["reason"].as_str().is_some_and(|why| why.contains("SIGKILL"))).unwrap();
    // What the same generation loses is the same loss.
    training.events.await_workers(3);
    training.workers[0].signal(Signal::KILL);
    let ended = training.events.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for words in ["killed by SIGKILL", "the last of 2 losses without progress (cluster.max_restarts is 1)", &host()] {
        assert!(ended.stderr.contains(words), "{words:?} is not in {ended:?}");
    }
}

#[test]
fn checkpoints_without_room_pause_a_job_until_there_is_some() {
    let stage = Stage::new();
    let more = ["cluster.workers=3", "checkpoint.every_steps=20", "checkpoint.max_bytes=4000000"];
    let job = stage.cluster.submit(RECIPE, &job::settings(&more));
    let mut events = stage.cluster.watch(&job);
    let folder = stage.cluster.folder(&job).join("checkpoints");
    events.await_step(21);
    eventually("a checkpoint", || folder.is_dir().then_some(()));
    let filler = folder.join("filler");
    std::fs::File::create(&filler).unwrap().set_len(4_000_000).unwrap();
    let paused = events.await_state("paused");
    let reason = paused["reason"].as_str().unwrap();
    for words in ["could not write the checkpoint of step ", "no room for ", "goes on when there is room"] {
        assert!(reason.contains(words), "{words:?} is not in {reason}");
    }
    std::fs::remove_file(&filler).unwrap();
    events.await_state("running");
    assert_eq!(events.wait().code, Some(0));
    is_clean(&stage.cluster.folder(&job));
}

#[test]
fn a_worker_that_computes_wrongly_is_found_and_excluded() {
    let cluster = Cluster::start();
    let mut wrong = cluster.agent_command(1);
    wrong.env("LOCKSTEP_FAULT", "gradient:1:43");
    let _agents = [cluster.agent(1), cluster.agent_of(wrong), cluster.agent(1)];
    let more = ["cluster.workers=3", "cluster.replay_every=5", "checkpoint.every_steps=20"];
    let job = cluster.submit(RECIPE, &job::settings(&more));
    let waited = cluster.run("wait", &[&job]);
    assert_eq!(waited.code, Some(0), "{waited:?}");
    is_clean(&cluster.folder(&job));
    let logged = cluster.run("logs", &[&job]).success();
    for words in ["rank 1", "computed another gradient of lane", "excluded after 2 disagreements"] {
        assert!(logged.contains(words), "{words:?} is not in {logged}");
    }
    let generations = generations(&cluster.folder(&job));
    assert_eq!(lanes(generations.last().unwrap()).len(), 2);
}

#[test]
fn lanes_move_from_slow_to_fast_workers() {
    let cluster = Cluster::start();
    let slow = |times: u32| {
        let mut agent = cluster.agent_command(1);
        agent.env("LOCKSTEP_FAULT", format!("slow:{times}"));
        cluster.agent_of(agent)
    };
    let _agents = [slow(40), slow(160)];
    let job = cluster.submit(RECIPE, &job::settings(&["cluster.workers=2", "cluster.rebalance=true"]));
    cluster.run("wait", &[&job]).success();
    is_clean(&cluster.folder(&job));
    let mut deals: Vec<Vec<u64>> = generations(&cluster.folder(&job)).iter().map(lanes).collect();
    deals.iter_mut().for_each(|deal| deal.sort_unstable());
    assert_eq!(deals, [[2, 2], [1, 3]]);
}

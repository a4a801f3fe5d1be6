//! Nodes that can't reach others, in network namespaces. The bits are those of a run without faults.

mod lockstep;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lockstep::cluster::Cluster;
use lockstep::events::Events;
use lockstep::job::{self, RECIPE, is_clean};
use lockstep::json;
use lockstep::network::Network;
use lockstep::process::{Process, Watched};
use serde_json::Value;

/// A job of two workers, on the first two of some nodes with a slot each, which has made some steps.
struct Stage {
    _agents: Vec<Process>,
    workers: Vec<Watched>,
    cluster: Cluster,
    network: Network,
    job: String,
    events: Events,
}

impl Stage {
    fn new(nodes: usize) -> Self {
        let network = Network::new(nodes);
        let cluster = Cluster::start_in(Some(network.coordinator()), &network.listen());
        let agent = |node| cluster.agent_of(cluster.agent_by_way_of(&cluster.address, Some(network.node(node)), 1));
        let agents: Vec<Process> = (0..nodes).map(agent).collect();
        let job = cluster.submit(RECIPE, &job::settings(&["cluster.workers=2"]));
        let mut events = cluster.watch(&job);
        events.await_step(20);
        let workers: Vec<Watched> = agents.iter().flat_map(Process::children).collect();
        assert_eq!(workers.len(), 2);
        Self { _agents: agents, workers, cluster, network, job, events }
    }

    /// The job completes with the bits of a run without faults; gives its generations.
    fn completes(self) -> (Vec<Value>, String) {
        let ended = self.events.wait();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let run = self.cluster.folder(&self.job);
        is_clean(&run);
        let Value::Array(generations) = json(&run.join("run.json"))["generations"].take() else { panic!("none") };
        (generations, self.cluster.run("logs", &[&self.job]).success())
    }
}

/// How many members generations had.
fn sizes(generations: &[Value]) -> Vec<usize> {
    generations.iter().map(|generation| generation["members"].as_array().unwrap().len()).collect()
}

fn a_node_is_cut_off_for_good() {
    let stage = Stage::new(2);
    let cut = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    stage.network.cut(1);
    let (generations, logs) = stage.completes();
    assert_eq!(sizes(&generations), [2, 1], "{logs}");
    assert!(logs.contains("coordinator | lost rank 1 on host "), "{logs}");
    let others_went_on = generations[1]["began"].as_f64().unwrap() - cut;
    println!("others went on {others_went_on:.1} s after a node was cut off");
    assert!(others_went_on < 30.0, "{others_went_on}");
}

fn a_node_comes_back_after_its_workers_were_given_up() {
    let mut stage = Stage::new(2);
    stage.network.cut(0);
    // The job would be done by its other worker before the node is back.
    stage.cluster.run("pause", &[&stage.job]).success();
    stage.events.await_state("paused");
    assert!(stage.workers[0].runs(), "it computes on, though nobody needs it");
    stage.network.mend(0);
    stage.workers[0].await_end();
    stage.cluster.run("resume", &[&stage.job]).success();
    stage.events.await_workers(2);
    let (generations, logs) = stage.completes();
    let members = generations.last().unwrap()["members"].as_array().unwrap();
    assert_ne!(members[0]["node"], members[1]["node"], "both nodes take part again: {logs}");
    assert!(logs.contains("coordinator | lost rank 0 on host "), "{logs}");
}

fn a_node_is_cut_off_for_less_than_a_loss_takes() {
    let mut stage = Stage::new(2);
    stage.network.cut(1);
    stage.events.pass(Duration::from_millis(2500));
    stage.network.mend(1);
    let (generations, logs) = stage.completes();
    assert!(sizes(&generations).len() <= 2, "{generations:?} {logs}");
    assert!(!logs.contains("coordinator | lost "), "{logs}");
}

fn two_nodes_do_not_reach_each_other() {
    let stage = Stage::new(3);
    stage.network.separate(0, 1);
    let (generations, logs) = stage.completes();
    println!("two nodes did not reach each other: generations of {:?} workers", sizes(&generations));
    assert!(logs.contains("gets no more lanes of this job: not reached over the data plane: "), "{logs}");
}

#[test]
fn nodes_do_not_reach_others_and_the_bits_stay_the_same() {
    if let Err(reason) = Network::is_possible() {
        println!("skipped: {reason}");
        return;
    }
    let scenarios: [(&str, fn()); 4] = [
        ("a node is cut off for good", a_node_is_cut_off_for_good),
        ("a node comes back after its workers were given up", a_node_comes_back_after_its_workers_were_given_up),
        ("a node is cut off for less than a loss takes", a_node_is_cut_off_for_less_than_a_loss_takes),
        ("two nodes do not reach each other", two_nodes_do_not_reach_each_other),
    ];
    // Together: most of their time is spent waiting.
    std::thread::scope(|scope| {
        for (name, scenario) in scenarios {
            std::thread::Builder::new().name(name.into()).spawn_scoped(scope, scenario).unwrap();
        }
    });
}

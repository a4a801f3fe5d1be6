//! Streams to the coordinator that are slow, stand still or break, again and again, at bytes that a seed chooses. The
//! bits are those of a run without faults. The data plane between workers is left alone: their addresses are told by
//! the workers themselves.

mod lockstep;

use std::time::Duration;

use lockstep::cluster::Cluster;
use lockstep::job::{self, RECIPE, has_clean_state};
use lockstep::json;
use lockstep::proxy::{Choose, Harm, Proxy, What};
use lockstep::random::Random;

/// Another one can be named: `$STREAMS_SEED`.
const SEED: u64 = 1;

/// What may happen on the way to the coordinator, up to `most` times a node.
struct Weather {
    name: &'static str,
    most: u32,
    choose: Choose,
    /// Whether all of it has to pass without a loss.
    harmless: bool,
}

const WEATHERS: [Weather; 3] = [
    Weather { name: "cut", most: 20, choose: cuts, harmless: false },
    Weather { name: "stalled for less than a loss takes", most: 3, choose: short_stalls, harmless: true },
    Weather { name: "stalled for longer than a loss takes", most: 2, choose: long_stalls, harmless: false },
];

/// Anywhere: within the first words of a stream, or in the middle of a file.
fn cuts(random: &mut Random) -> Harm {
    Harm { jitter: 3, after: random.of_any_size(16, 16 << 10), what: What::Cut }
}

fn short_stalls(random: &mut Random) -> Harm {
    let time = Duration::from_millis(random.between(200, 2500));
    Harm { jitter: 10, after: random.of_any_size(256, 8 << 10), what: What::Stall(time) }
}

/// A worker is given up after 10 s.
fn long_stalls(random: &mut Random) -> Harm {
    let time = Duration::from_millis(random.between(11_000, 14_000));
    Harm { jitter: 10, after: random.of_any_size(256, 2 << 10), what: What::Stall(time) }
}

impl Weather {
    fn train(&self, seed: u64) {
        let cluster = Cluster::start();
        let proxies = [0, 1].map(|node| Proxy::start(&cluster.address, seed + node, self.most, self.choose));
        let by_way_of = |proxy: &Proxy| cluster.agent_of(cluster.agent_by_way_of(&proxy.address, None, 1));
        let _agents = proxies.each_ref().map(by_way_of);
        // An agent's very first connection has to stand; what its workers have is harmed from the beginning.
        proxies.iter().for_each(Proxy::begin);
        let job = cluster.submit(RECIPE, &job::settings(&["cluster.workers=2", "cluster.max_restarts=1000000"]));
        let ended = cluster.watch(&job).wait();
        let happened = proxies.each_ref().map(Proxy::happened);
        let run = cluster.folder(&job);
        let generations = json(&run.join("run.json"))["generations"].as_array().map_or(0, Vec::len);
        println!("{}: seed {seed}, {happened:?} times, {generations} generations", self.name);
        assert_eq!(ended.code, Some(0), "{}: seed {seed}: {ended:?}", self.name);
        assert!(happened.iter().sum::<u32>() > 0, "{}: seed {seed}: nothing happened", self.name);
        has_clean_state(&run);
        if self.harmless {
            assert_eq!(generations, 1, "{}: seed {seed}", self.name);
        }
    }
}

#[test]
fn streams_break_and_stand_still_and_the_bits_stay_the_same() {
    let seed = std::env::var("STREAMS_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    std::thread::scope(|scope| {
        for weather in &WEATHERS {
            let thread = std::thread::Builder::new().name(weather.name.into());
            thread.spawn_scoped(scope, move || weather.train(seed)).unwrap();
        }
    });
}

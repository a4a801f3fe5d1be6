//! Seeded histories of a cluster in which messages, processes, disks and clocks fail: none may break an invariant.

use lockstep_simulation::{Bug, Options, run, runner};

/// Fits two minutes of two cores.
const HISTORIES: u64 = 100_000;
/// Lines of a trace that are shown.
const SHOWN: usize = 200;

/// Shows the end of a seed's trace.
fn show(seed: u64) {
    let history = run(seed, &Options { trace: true, ..Options::default() });
    let hidden = history.lines.len().saturating_sub(SHOWN);
    println!("the last {SHOWN} of {} lines of the history of seed {seed}:", history.lines.len());
    history.lines.iter().skip(hidden).for_each(|line| println!("{line}"));
}

#[test]
fn no_history_breaks_an_invariant() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (first, count) = match std::env::var("LOCKSTEP_SIMULATION_SEED") {
        Ok(seed) => (seed.parse().expect("LOCKSTEP_SIMULATION_SEED is a number"), 1),
        Err(_) => (0, HISTORIES),
    };
    let summary = runner::histories(first, count, threads, 1, &Options::default());
    print!("{}", summary.table());
    if count == 1 {
        show(first);
    }
    if let Some((seed, violation)) = summary.violations.first() {
        show(*seed);
        panic!("seed {seed}: {violation}");
    }
    assert_eq!(summary.histories, count);
}

#[test]
fn a_seed_replays_to_the_same_trace() {
    for seed in 0..50 {
        let traced = Options { trace: true, ..Options::default() };
        let (first, second) = (run(seed, &traced), run(seed, &traced));
        assert_eq!(first.lines, second.lines, "seed {seed}");
        assert_eq!((first.end, first.hash), (second.end, second.hash), "seed {seed}");
        // Whether lines are kept changes nothing.
        assert_eq!(first.hash, run(seed, &Options::default()).hash, "seed {seed}");
    }
}

/// How many of some thousand seeds find a planted bug.
fn caught(bug: Bug, word: &str) -> usize {
    let options = Options { bug: Some(bug), ..Options::default() };
    let summary = runner::histories(0, 3_000, 2, u64::MAX, &options);
    summary.violations.iter().filter(|(_, violation)| violation.contains(word)).count()
}

#[test]
fn a_worker_that_accepts_old_generations_is_caught() {
    assert!(caught(Bug::AcceptsOldGenerations, "but has been in") > 0);
}

#[test]
fn a_worker_that_commits_before_all_contributions_arrived_is_caught() {
    assert!(caught(Bug::CommitsEarly, "that is not the step's") > 100);
}

#[test]
fn a_coordinator_that_acknowledges_what_is_not_recorded_is_caught() {
    assert!(caught(Bug::AcknowledgesBeforeRecording, "are acknowledged") > 100);
}

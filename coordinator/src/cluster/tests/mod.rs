//! Transcripts: what happens, in words, and what is ordered.

mod checkpoints;
mod corruption;
mod losses;
mod memory;
mod note;
mod paths;
mod peers;
mod queueing;
mod regrouping;
mod reports;
mod restarts;
mod script;
mod stage;
mod transport;
mod wishes;

use expect_test::Expect;

/// Plays a script, one event a line, and compares what the cluster orders.
fn check(script: &str, expected: Expect) {
    expected.assert_eq(&script::play(script));
}

/// The same for what happens after another script, which is left out.
fn check_after(before: &str, script: &str, expected: Expect) {
    let all = script::play(&format!("{before}\n{script}"));
    let before = script::play(before);
    expected.assert_eq(all.strip_prefix(&before).expect("the same beginning"));
}

/// Two workers of job J on two agents, both computing, 50 steps recorded.
const RUNNING: &str = "
    agent A joins with 1 slots
    agent B joins with 1 slots
    submit J workers 2 lanes 5
    J gets ready
    J.0 reports to 50
";

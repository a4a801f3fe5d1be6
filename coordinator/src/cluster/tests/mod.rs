//! Transcripts: what happens, in words, and what is ordered.

mod losses;
mod paths;
mod queueing;
mod script;

use expect_test::Expect;

/// Plays a script, one event a line, and compares what the cluster orders.
fn check(script: &str, expected: Expect) {
    expected.assert_eq(&script::play(script));
}

/// Two workers of job J on two agents, both training.
const TRAINING: &str = "
    agent A joins with 1 slots
    agent B joins with 1 slots
    submit J workers 2 lanes 5
    J.0 joins
    J.1 joins
    J.0 ready
    J.1 ready
";

/// The same for what happens to a job that trains; the way there is left out.
fn check_training(script: &str, expected: Expect) {
    let before = script::play(TRAINING);
    let all = script::play(&format!("{TRAINING}{script}"));
    expected.assert_eq(all.strip_prefix(&before).unwrap_or(&all));
}

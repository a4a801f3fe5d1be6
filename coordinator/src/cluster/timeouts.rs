//! How long anything may take before it counts as lost: one budget, from which all limits derive.

use std::time::Duration;

/// Between signs of life of a worker.
pub const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// A worker or agent that says nothing for this long is lost, and so is one whose progress does not change for as long
/// (or for [`STUCK_FACTOR`] times the longest that its phase has taken before; for [`PREPARE`] where it computes what it
/// never has). Every phase is progress, and every lane in one.
pub const SILENCE: Duration = Duration::from_secs(10);
/// See [`SILENCE`].
pub const STUCK_FACTOR: u32 = 10;
/// A connection that was closed may be made again for this long: a process that lives does so within a second.
pub const RECONNECT: Duration = Duration::from_secs(3);
/// Workers and agents may take this long to come back to a coordinator that was restarted.
pub const REATTACH: Duration = Duration::from_secs(10);
/// A started process may take this long until it is prepared: it reads the data set. So may the first lane of a kind.
pub const PREPARE: Duration = Duration::from_secs(120);
/// A worker that was told to leave may take this long.
pub const LEAVE: Duration = Duration::from_secs(5);
/// A newcomer that is prepared waits this long for others that come up, so that one regrouping serves them all.
pub const GATHER: Duration = Duration::from_secs(1);
/// Between tries to write where the disk was full.
pub const RETRY: Duration = Duration::from_secs(2);
/// A coordinator that was late by more than this was stopped itself: nobody is judged by its clock.
pub const OVERSLEPT: Duration = Duration::from_secs(2);

/// The budget in words, one line a limit, for people.
pub fn lines() -> Vec<(String, &'static str)> {
    let seconds = |limit: Duration| format!("{} s", limit.as_secs_f64());
    vec![
        (seconds(ALIVE_EVERY), "between signs of life"),
        (seconds(SILENCE), "without a sign of life: a worker or agent is lost"),
        (
            format!("{} s or {STUCK_FACTOR} × the phase's longest", SILENCE.as_secs()),
            "without a finished lane or phase: a worker is stuck, and ended; 120 s the first time",
        ),
        (seconds(RECONNECT), "to come back after a closed connection"),
        (seconds(REATTACH), "to come back to a coordinator that was restarted"),
        (seconds(PREPARE), "from the start of a process until it is prepared"),
        (seconds(LEAVE), "to leave when told to"),
        (seconds(RETRY), "between tries to write to a full disk"),
    ]
}

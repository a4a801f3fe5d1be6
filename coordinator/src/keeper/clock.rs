//! The one clock of the coordinator: wall time that never goes back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cluster::Timestamp;

/// Wall time at the start, plus what has passed since.
pub struct Clock {
    start: Instant,
    wall: Timestamp,
}

impl Clock {
    /// Reads the wall clock once.
    #[expect(clippy::disallowed_methods, reason = "the place where time enters the coordinator")]
    pub fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { start: Instant::now(), wall: Timestamp::from_millis(0).plus(wall) }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.wall.plus(self.start.elapsed())
    }
}

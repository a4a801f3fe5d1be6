//! Points at which a test can have the process killed, as a power cut would.
//!
//! `LOCKSTEP_FAULT=checkpoint:half-state:2` kills the process with SIGKILL when it comes to `half-state` for the
//! second time. Without the feature `fault-points` nothing of this is in the program.

/// A point of a write or a removal, in the order of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "fault-points"), allow(dead_code))]
pub(crate) enum Point {
    BeforeState,
    HalfState,
    AfterState,
    HalfManifest,
    BeforeRename,
    AfterRename,
    BeforeDelete,
    HalfDelete,
}

/// Does nothing.
#[cfg(not(feature = "fault-points"))]
#[inline(always)]
pub(crate) fn point(_: Point) {}

#[cfg(feature = "fault-points")]
pub(crate) use armed::point;

#[cfg(feature = "fault-points")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::Point;

    /// Where to die, and how many times that is passed before.
    struct Fault {
        point: String,
        left: AtomicU64,
    }

    impl Point {
        fn name(self) -> &'static str {
            match self {
                Self::BeforeState => "before-state",
                Self::HalfState => "half-state",
                Self::AfterState => "after-state",
                Self::HalfManifest => "half-manifest",
                Self::BeforeRename => "before-rename",
                Self::AfterRename => "after-rename",
                Self::BeforeDelete => "before-delete",
                Self::HalfDelete => "half-delete",
            }
        }
    }

    /// Kills the process if it is time.
    pub(crate) fn point(point: Point) {
        static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
        let Some(fault) = FAULT.get_or_init(|| parse(&std::env::var("LOCKSTEP_FAULT").ok()?)) else { return };
        if fault.point == point.name() && fault.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // It cannot fail on the own process.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }

    fn parse(text: &str) -> Option<Fault> {
        let mut words = text.strip_prefix("checkpoint:")?.split(':');
        let point = words.next()?.to_owned();
        let left = words.next().map_or(Ok(1), str::parse).ok()?;
        Some(Fault { point, left: AtomicU64::new(left) })
    }
}

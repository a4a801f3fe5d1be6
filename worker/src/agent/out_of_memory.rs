//! Whether the kernel ended a process for want of memory: it counts such ends in the control group.

use std::path::{Path, PathBuf};

/// A look at the count of this process' control group; workers are in the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct OomKills(Option<u64>);

impl OomKills {
    /// Looks now. Where there is no such count, no increase is ever seen.
    pub(super) fn look() -> Self {
        let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self(events_file(&group).and_then(|file| std::fs::read_to_string(file).ok()).and_then(|text| count(&text)))
    }

    /// Whether the kernel has ended a process since.
    pub(super) fn more_since(self) -> bool {
        matches!((self.0, Self::look().0), (Some(before), Some(now)) if now > before)
    }
}

/// Where a group of the unified hierarchy counts, from `/proc/self/cgroup`.
fn events_file(group: &str) -> Option<PathBuf> {
    let path = group.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new("/sys/fs/cgroup").join(path).join("memory.events"))
}

fn count(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let file = events_file("1:name=systemd:/x\n0::/user.slice/a.scope\n").unwrap();
        assert_eq!(file, Path::new("/sys/fs/cgroup/user.slice/a.scope/memory.events"));
        assert_eq!(events_file("0::/\n").unwrap(), Path::new("/sys/fs/cgroup/memory.events"));
        assert_eq!(count("low 0\nmax 7\noom 2\noom_kill 1\n"), Some(1));
        assert_eq!(count("low 0\n"), None);
        assert!(!OomKills::look().more_since());
    }
}

//! Folders that are half written or half removed: `.writing-HOST-PID-RANDOM-COUNT` and `.deleting-…`.
//!
//! On a shared disk the writer may be alive on another machine. A leftover goes when its writer was of this machine
//! and is dead, or after a day.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

pub(super) const WRITING: &str = ".writing-";
pub(super) const DELETING: &str = ".deleting-";

/// No write takes this long.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// Who writes.
struct Me {
    /// Host name, and the number of the space that process ids count in: containers may share a host's name.
    host: String,
    pid: i32,
    /// Tells this process from an earlier one of its number, as containers have them.
    random: String,
}

fn me() -> &'static Me {
    static ME: OnceLock<Me> = OnceLock::new();
    ME.get_or_init(|| {
        let mut random = [0u8; 8];
        // Without it the process id alone has to do.
        let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        let word = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).take(64).collect::<String>();
        let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let host = format!(
            "{}.{}",
            word(&rustix::system::uname().nodename().to_string_lossy()),
            word(&space.to_string_lossy())
        );
        Me { host, pid: getpid().as_raw_nonzero().get(), random: format!("{:016x}", u64::from_le_bytes(random)) }
    })
}

/// A name that no other process and no other write has.
pub(super) fn name(kind: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let Me { host, pid, random } = me();
    format!("{kind}{host}-{pid}-{random}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Whether `name` in the folder `root` is a leftover that nobody works on any more.
pub(super) fn is_dead(root: &Path, name: &str) -> bool {
    if name.starts_with(DELETING) {
        // Anybody may go on with a removal.
        return true;
    }
    let Some(writer) = name.strip_prefix(WRITING) else { return false };
    let words: Vec<&str> = writer.split('-').collect();
    let dead = match words[..] {
        [host, pid, random, _] if host == me().host => pid.parse().is_ok_and(|pid| is_gone(pid, random)),
        _ => false,
    };
    dead || is_old(&root.join(name))
}

fn is_gone(pid: i32, random: &str) -> bool {
    if pid == me().pid {
        return random != me().random;
    }
    Pid::from_raw(pid).is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

fn is_old(path: &Path) -> bool {
    let modified = path.symlink_metadata().and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > OLD))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_dead_writers_leftovers_go() {
        let folder = tempfile::tempdir().unwrap();
        let me = me();
        let parent = std::os::unix::process::parent_id();
        // Far above the largest process id that the kernel deals.
        let nobody = i32::MAX;
        for (name, dead) in [
            (name(WRITING), false),
            (format!("{WRITING}{}-{}-0000-0", me.host, me.pid), true),
            (format!("{WRITING}{}-{nobody}-0000-0", me.host), true),
            (format!("{WRITING}{}-{parent}-0000-0", me.host), false),
            (format!("{WRITING}elsewhere-{nobody}-0000-0"), false),
            (format!("{WRITING}nonsense"), false),
            (format!("{WRITING}{}--1-0000-0", me.host), false),
            (name(DELETING), true),
            ("step-000000000001-g1".into(), false),
            ("notes".into(), false),
        ] {
            fs::create_dir(folder.path().join(&name)).unwrap();
            assert_eq!(is_dead(folder.path(), &name), dead, "{name}");
        }
        let old = format!("{WRITING}elsewhere-1-0000-0");
        fs::create_dir(folder.path().join(&old)).unwrap();
        let before = SystemTime::now() - OLD - Duration::from_secs(1);
        File::open(folder.path().join(&old)).unwrap().set_modified(before).unwrap();
        assert!(is_dead(folder.path(), &old));
    }
}

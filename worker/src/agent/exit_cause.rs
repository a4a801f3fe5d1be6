//! How a process ended, in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Who ends processes by SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The agent, as it was told.
    Agent,
    /// The kernel has counted an end for want of memory.
    WantOfMemory,
    /// Anybody.
    Others,
}

/// "exited with code 1", "killed by SIGKILL (…)". `by`: whose a SIGKILL would be.
pub(super) fn in_words(status: ExitStatus, by: By) -> String {
    match (status.code(), status.signal()) {
        (None, Some(9)) if by == By::Agent => "killed by its agent (SIGKILL)".into(),
        (None, Some(9)) if by == By::WantOfMemory => "killed by SIGKILL: out of memory".into(),
        (Some(101), _) => "exited with code 101 (a panic)".into(),
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("killed by {}", signal_name(signal)),
        (None, None) => "ended in an unknown way".into(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL (an instruction this processor lacks)",
        6 => "SIGABRT",
        7 => "SIGBUS (memory gone: a full /dev/shm or a failing disk)",
        8 => "SIGFPE",
        9 => "SIGKILL (somebody's, or the kernel's for want of memory)",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        other => return format!("signal {other}"),
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        assert_eq!(in_words(ExitStatus::from_raw(3 << 8), By::Others), "exited with code 3");
        assert_eq!(in_words(ExitStatus::from_raw(101 << 8), By::Agent), "exited with code 101 (a panic)");
        assert!(in_words(ExitStatus::from_raw(9), By::Others).starts_with("killed by SIGKILL (somebody"));
        assert_eq!(in_words(ExitStatus::from_raw(9), By::WantOfMemory), "killed by SIGKILL: out of memory");
        assert_eq!(in_words(ExitStatus::from_raw(40), By::Others), "killed by signal 40");
    }
}

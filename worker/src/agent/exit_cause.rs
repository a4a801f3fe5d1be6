//! How a process ended, in words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// "exited with code 1", "killed by SIGKILL (…)".
pub(super) fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
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
        assert_eq!(in_words(ExitStatus::from_raw(3 << 8)), "exited with code 3");
        assert_eq!(in_words(ExitStatus::from_raw(101 << 8)), "exited with code 101 (a panic)");
        assert!(in_words(ExitStatus::from_raw(9)).starts_with("killed by SIGKILL"));
        assert_eq!(in_words(ExitStatus::from_raw(40)), "killed by signal 40");
    }
}

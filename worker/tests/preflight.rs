//! Preflights whose processes hang, crash or talk nonsense, as drivers have them do: the GPU is left out with the reason,
//! and who asked goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockstep_proto::wire;
use lockstep_worker::agent::preflight::{Preflight, PreflightError};
use prost::Message;
use tempfile::TempDir;

/// A program that takes the preflight's place.
struct Program {
    folder: TempDir,
    /// A file that is being written while another test starts a process is open there too, and can't be run.
    _alone: MutexGuard<'static, ()>,
}

impl Program {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { folder: tempfile::tempdir().unwrap(), _alone: alone }
    }

    /// It tells of two GPUs, and then does `check` for each; `$3` is which.
    fn preflight(&self, check: &str, within: Duration) -> Preflight {
        let gpu = |index| wire::Gpu { index, name: "made up".into(), ..Default::default() };
        let reply = wire::PreflightReply { gpus: vec![gpu(0), gpu(1)], failure: String::new() };
        let (folder, executable) = (self.folder.path().display(), self.folder.path().join("program"));
        fs::write(self.folder.path().join("reply"), reply.encode_to_vec()).unwrap();
        fs::write(&executable, format!("#!/bin/sh\nif [ $3 = all ]; then cat '{folder}/reply'; exit; fi\n{check}\n"))
            .unwrap();
        fs::set_permissions(&executable, fs::Permissions::from_mode(0o755)).unwrap();
        Preflight { executable, within }
    }
}

/// Why GPU 1 is left out, where GPU 0 passes.
fn exclusion(check: &str, within: Duration) -> String {
    let gpus = Program::new().preflight(&format!("[ $3 = 0 ] && exit\n{check}"), within).look(None).unwrap();
    assert_eq!(gpus.iter().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(gpus[0].excluded, None);
    gpus[1].exclusion().unwrap()
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_process_that_hangs_is_given_up() {
    let why = exclusion("exec tail -f /dev/null", Duration::from_secs(1));
    assert_eq!(why, "GPU 1 (made up) is excluded: it did not answer within 1 s");
}

#[test]
fn a_process_that_crashes_tells_how() {
    let why = exclusion("echo the driver has said this >&2; kill -SEGV $$", LONG);
    assert!(why.contains("killed by SIGSEGV; last line: the driver has said this"), "{why}");
    let why = exclusion("exit 3", LONG);
    assert!(why.ends_with("its preflight failed: exited with code 3"), "{why}");
}

#[test]
fn nonsense_is_no_answer() {
    let why = exclusion("echo nonsense", LONG);
    assert!(why.contains("gave no answer"), "{why}");
}

#[test]
fn no_more_are_checked_than_are_wanted() {
    let program = Program::new();
    let preflight = program.preflight("", LONG);
    let indices = |wanted| preflight.look(wanted).unwrap().iter().map(|gpu| gpu.index).collect::<Vec<_>>();
    assert_eq!((indices(Some(1)), indices(Some(5)), indices(None)), (vec![0], vec![0, 1], vec![0, 1]));
    // The next takes the place of one that fails.
    let preflight = program.preflight("[ $3 = 1 ] || exit 4", LONG);
    assert_eq!(preflight.look(Some(1)).unwrap().len(), 2);
}

#[test]
fn where_none_is_good_each_has_its_reason() {
    let error = Program::new().preflight("exit $((5 + $3))", LONG).look(None).unwrap_err();
    assert!(matches!(error, PreflightError::AllExcluded(_)));
    let words = error.to_string();
    for part in ["no GPU can be used", "GPU 0 (made up)", "exited with code 5", "GPU 1 (made up)", "code 6"] {
        assert!(words.contains(part), "{part:?}: {words}");
    }
    let nobody = Preflight { executable: "/nowhere/lockstep".into(), within: LONG };
    assert!(nobody.look(None).unwrap_err().to_string().contains("could not be started"));
}

use std::path::PathBuf;

use lockstep_proto::identity::JobId;

use super::{LogRow, StateFolder, Store, StoreError};
use crate::cluster::Timestamp;
use crate::cluster::facts::{Outcome, StopReason};
use crate::cluster::record::{Placement, Record, StateName};

fn record(job: &str) -> Record {
    Record {
        job: JobId::try_from(job).unwrap(),
        name: "mnist-mlp".into(),
        toml: "seed = { init = 1 }".into(),
        command: "lockstep submit".into(),
        run_folder: PathBuf::from("/runs/a"),
        state: StateName::Completed,
        reason: "all 10 steps are done".into(),
        bad_input: false,
        submitted: Timestamp::from_millis(1000),
        started: Some(Timestamp::from_millis(2000)),
        ended: None,
        outcome: Some(Outcome {
            stop_reason: StopReason::Completed,
            steps: 10,
            epochs: 1,
            samples: 640,
            seconds: 0.1,
            train_loss: None,
            test_loss: Some(0.1 + 0.2),
            test_error: Some(0.03),
            weights_sha256: "ab".into(),
        }),
        placements: vec![Placement {
            rank: 0,
            worker: "a-g1-0".into(),
            node: "n1".into(),
            host: "host".into(),
            lanes: 2,
            threads: 1,
            instruction_set: "avx2".into(),
        }],
        workers: 1,
    }
}

#[test]
fn jobs_come_back_as_they_were_saved() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::Dir(folder.path().join("state"));
    let store = Store::open(&state).unwrap();
    store.save_job(&record("a")).unwrap();
    store.save_job(&record("b")).unwrap();
    store.save_job(&record("a")).unwrap();
    drop(store);
    let jobs = Store::open(&state).unwrap().jobs().unwrap();
    assert_eq!(jobs, [record("a"), record("b")]);
}

#[test]
fn a_second_coordinator_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::Dir(folder.path().into());
    let first = Store::open(&state).unwrap();
    assert!(matches!(Store::open(&state), Err(StoreError::InUse(_))));
    drop(first);
    Store::open(&state).unwrap();
}

#[test]
fn a_newer_schema_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::Dir(folder.path().into());
    let store = Store::open(&state).unwrap();
    store.database.pragma_update(None, "user_version", 7).unwrap();
    drop(store);
    let error = Store::open(&state).err().unwrap().to_string();
    assert!(error.ends_with("has schema version 7, this program knows up to 1: use the newer program"));
}

#[test]
fn only_the_newest_log_lines_are_kept() {
    let mut store = Store::open(&StateFolder::Memory).unwrap();
    let job = JobId::try_from("a").unwrap();
    let row = |line: usize| LogRow { worker: "a-g1-0".into(), time: Timestamp::from_millis(5), line: line.to_string() };
    let rows: Vec<_> = (0..10_007).map(row).collect();
    store.add_logs(&job, &rows[..9_000]).unwrap();
    store.add_logs(&job, &rows[9_000..]).unwrap();
    let kept = store.logs(&job).unwrap();
    assert_eq!(kept.len(), 10_000);
    assert_eq!(kept[0].line, "7");
    assert_eq!(store.logs(&JobId::try_from("b").unwrap()).unwrap(), []);
}

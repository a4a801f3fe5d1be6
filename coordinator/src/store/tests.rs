use std::path::{Path, PathBuf};

use lockstep_proto::identity::JobId;
use lockstep_proto::ledger::{Ledger, LedgerRow};
use rusqlite::Connection;

use super::{LogRow, StateFolder, Store, StoreError};
use crate::cluster::Timestamp;
use crate::cluster::facts::{CheckpointFact, Fingerprint, Outcome, RunFacts, StopReason};
use crate::cluster::record::{GenerationRecord, Member, Placement, Record, Restored, StateName};

fn job(id: &str) -> JobId {
    JobId::try_from(id).unwrap()
}

fn placement() -> Placement {
    Placement {
        rank: 0,
        worker: "a-1".into(),
        node: "n1".into(),
        host: "host".into(),
        lanes: 2,
        threads: 1,
        instruction_set: "avx2".into(),
    }
}

fn record(id: &str) -> Record {
    Record {
        job: job(id),
        name: "mnist-mlp".into(),
        toml: "seed = { init = 1 }".into(),
        command: "lockstep submit".into(),
        run_folder: PathBuf::from("/runs/a"),
        state: StateName::Recovering,
        reason: "all 10 steps are done".into(),
        bad_input: false,
        diverged: Some(9),
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
            test_top5_error: None,
            reason: String::new(),
            weights_sha256: "ab".into(),
        }),
        placements: vec![placement()],
        workers: 1,
        from: vec!["/other/checkpoints".into()],
        generation: 3,
        members: vec![Member {
            worker: "a-1".into(),
            node: "n1".into(),
            data_address: "127.0.0.1:1".into(),
            unix_address: "u".into(),
            threads: 1,
            lanes: 2,
        }],
        generation_id: Some([7; 16]),
        facts: RunFacts {
            dataset: "d".into(),
            total_steps: 10,
            total_epochs: 1,
            parameters: 5,
            train_samples: 640,
            sample: [1, 28, 28],
        },
        fingerprint: Fingerprint {
            build: "b".into(),
            device: "cpu".into(),
            instruction_set: "avx2".into(),
            canary: "00".into(),
            libraries: String::new(),
        },
    }
}

fn generation(number: u64) -> GenerationRecord {
    GenerationRecord {
        number,
        id: "07".repeat(16),
        began: 1.5,
        reason: "starts".into(),
        first_step: 10 * (number - 1),
        from: "memory".into(),
        transport: "NCCL 2.28.9".into(),
        members: vec![placement()],
    }
}

fn row(first_step: u64, generation: u64) -> LedgerRow {
    let (from, to) = (first_step * 64, first_step * 64 + 640);
    LedgerRow {
        epoch: 0,
        from,
        to,
        first_step,
        steps: 10,
        generation,
        samples: 640,
        hashes: u64::MAX,
        skipped: vec![from],
    }
}

fn checkpoint(step: u64) -> CheckpointFact {
    let (name, digest) = (format!("step-{step}"), format!("digest-{step}"));
    CheckpointFact { step, name, digest, bytes: 9, seconds: 0.5, dir: "/c".into() }
}

fn bare(id: &str) -> Restored {
    Restored {
        record: record(id),
        recorded_step: 0,
        ledger: Ledger::default(),
        checkpoints: Vec::new(),
        generations: Vec::new(),
        measured: Vec::new(),
    }
}

#[test]
fn all_of_a_job_comes_back_as_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateFolder::Dir(folder.path().join("state"));
    let mut store = Store::open(&state).unwrap();
    store.save_job(&record("a")).unwrap();
    store.save_job(&record("b")).unwrap();
    store.save_job(&record("a")).unwrap();
    store.save_generation(&job("a"), &generation(1)).unwrap();
    store.save_generation(&job("a"), &generation(2)).unwrap();
    store.save_progress(&job("a"), 0, &[row(0, 1), row(10, 1), row(20, 2)], 30).unwrap();
    store.save_progress(&job("a"), 1, &[row(10, 2)], 20).unwrap();
    store.save_checkpoints(&job("a"), &[checkpoint(10)]).unwrap();
    store.save_checkpoints(&job("a"), &[checkpoint(10), checkpoint(20)]).unwrap();
    drop(store);
    let mut ledger = Ledger::default();
    ledger.replace_from(0, &[row(0, 1), row(10, 2)]).unwrap();
    let whole = Restored {
        recorded_step: 20,
        ledger,
        checkpoints: vec![checkpoint(10), checkpoint(20)],
        generations: vec![generation(1), generation(2)],
        ..bare("a")
    };
    assert_eq!(Store::open(&state).unwrap().jobs().unwrap(), [whole, bare("b")]);
}

#[test]
fn steps_above_a_step_can_be_voided() {
    let mut store = Store::open(&StateFolder::Memory).unwrap();
    store.save_job(&record("a")).unwrap();
    store.save_progress(&job("a"), 0, &[row(0, 1), row(10, 2)], 20).unwrap();
    store.save_progress(&job("a"), 1, &[], 15).unwrap();
    let restored = store.jobs().unwrap().remove(0);
    assert_eq!((restored.recorded_step, restored.ledger.rows()), (15, &[row(0, 1)][..]));
}

/// Writes what version 1 wrote.
fn version_1(path: &Path) {
    let database = Connection::open(path).unwrap();
    database
        .execute_batch(
            r#"
            CREATE TABLE jobs (
                job TEXT PRIMARY KEY, name TEXT NOT NULL, toml TEXT NOT NULL, command TEXT NOT NULL,
                run_folder TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, bad_input INTEGER NOT NULL,
                submitted INTEGER NOT NULL, started INTEGER, ended INTEGER, outcome TEXT, placements TEXT NOT NULL,
                workers INTEGER NOT NULL
            ) STRICT;
            CREATE TABLE generations (
                job TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, members TEXT NOT NULL,
                PRIMARY KEY (job, number)
            ) STRICT;
            CREATE TABLE logs (
                row INTEGER PRIMARY KEY, job TEXT NOT NULL, worker TEXT NOT NULL, time INTEGER NOT NULL,
                line TEXT NOT NULL
            ) STRICT;
            CREATE INDEX logs_by_job ON logs (job, row);
            INSERT INTO jobs VALUES ('a', 'old', 'x = 1', 'lockstep submit', '/runs/a', 'running', 'its reason', 0,
                1000, 2000, NULL, NULL, '[]', 2);
            INSERT INTO generations VALUES ('a', 1, '00', '[]');
            INSERT INTO logs (job, worker, time, line) VALUES ('a', 'a-g1-0', 5, 'a line');
            PRAGMA user_version = 1;
            "#,
        )
        .unwrap();
}

#[test]
fn a_database_of_version_1_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    version_1(&folder.path().join("coordinator.db"));
    let state = StateFolder::Dir(folder.path().into());
    let mut store = Store::open(&state).unwrap();
    let restored = store.jobs().unwrap().remove(0);
    assert_eq!((restored.record.name.as_str(), restored.record.workers), ("old", 2));
    assert_eq!((restored.record.state, restored.record.generation), (StateName::Running, 0));
    assert_eq!((restored.record.members.len(), restored.record.facts), (0, RunFacts::default()));
    assert_eq!(restored.record.diverged, None);
    assert_eq!(store.logs(&job("a")).unwrap()[0].line, "a line");
    // It is one of this version now.
    store.save_progress(&job("a"), 0, &[row(0, 1)], 10).unwrap();
    drop(store);
    assert_eq!(Store::open(&state).unwrap().jobs().unwrap()[0].recorded_step, 10);
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
    assert!(error.ends_with("has schema version 7, this program knows up to 3: use the newer program"), "{error}");
}

#[test]
fn steps_that_no_run_has_are_told_and_not_left_out() {
    let store = Store::open(&StateFolder::Memory).unwrap();
    store.save_job(&record("a")).unwrap();
    store.database.execute("UPDATE jobs SET diverged = -1", []).unwrap();
    let error = store.jobs().expect_err("is no count").to_string();
    assert!(error.ends_with("diverged -1"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("coordinator.db"), "precious words, and no database at all").unwrap();
    let error = Store::open(&StateFolder::Dir(folder.path().into())).err().unwrap();
    assert!(matches!(error, StoreError::NoDatabase { .. }) && error.is_bad_input(), "{error}");
}

#[test]
fn only_the_newest_log_lines_are_kept() {
    let mut store = Store::open(&StateFolder::Memory).unwrap();
    let row = |line: usize| LogRow { worker: "a-1".into(), time: Timestamp::from_millis(5), line: line.to_string() };
    let rows: Vec<_> = (0..10_007).map(row).collect();
    store.add_logs(&job("a"), &rows[..9_000]).unwrap();
    store.add_logs(&job("a"), &rows[9_000..]).unwrap();
    let kept = store.logs(&job("a")).unwrap();
    assert_eq!(kept.len(), 10_000);
    assert_eq!(kept[0].line, "7");
    assert_eq!(store.logs(&job("b")).unwrap(), []);
}

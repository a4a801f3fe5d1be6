//! Run folders, good and bad.

use std::path::Path;

use lockstep_proto::job::Job;

use super::*;
use crate::grid::key;

const RUN: &str = r#"{ "dataset": "digits", "fingerprint": { "build": "1+a", "device": "cpu", "instruction_set": "avx2",
    "canary": "ff" } }"#;

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

/// A run that has ended so.
fn run(stop_reason: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let job = Job { data: lockstep_proto::job::Data { path: "x".into(), ..Default::default() }, ..Job::default() };
    write(folder.path(), "job.toml", &job.to_toml());
    write(folder.path(), "run.json", RUN);
    write(
        folder.path(),
        "summary.json",
        &format!(r#"{{ "stop_reason": "{stop_reason}", "steps": 7, "test_error": 0.5 }}"#),
    );
    write(
        folder.path(),
        "metrics.jsonl",
        r#"{"kind":"step","step":1,"epoch":0,"samples":2,"loss":9,"accuracy":0.1,"learning_rate":0.1,"samples_per_second":1,"seconds":{"data":0,"forward":0,"backward":0,"reduce":0,"commit":0}}
{"kind":"step","step":3,"epoch":1,"samples":6,"loss":null,"accuracy":0.5,"learning_rate":0.1,"samples_per_second":1,"seconds":{"data":0,"forward":0,"backward":0,"reduce":0,"commit":0},"noise":{"scale":7,"steps":3,"layers":[]}}
{"kind":"step","step":4,"epoch":1,"samples":8,"loss":1,"accuracy":0.75,"learning_rate":0.1,"samples_per_second":1,"seconds":{"data":0,"forward":0,"backward":0,"reduce":0,"commit":0}}
{"kind":"evaluation","step":4,"epoch":2,"split":"validation","loss":0.25,"accuracy":0.75,"samples":8}
"#,
    );
    (folder, key(&job, "digits"))
}

#[test]
fn what_a_run_came_to_is_read() {
    let (folder, key) = run("completed");
    let Found::Finished(outcome) = look(folder.path(), &key).unwrap() else { panic!("it has finished") };
    assert_eq!(outcome.fingerprint, "build 1+a, cpu (x86-64), canary ff");
    assert_eq!((outcome.steps, outcome.test_error), (Some(7), Some(0.5)));
    assert_eq!((outcome.validation_loss, outcome.validation_error), (Some(0.25), Some(0.25)));
    assert_eq!(outcome.train_accuracy, Some(0.625), "of the last epoch");
    assert!(!outcome.diverged());
    let (folder, key) = run("nonfinite");
    assert!(matches!(look(folder.path(), &key).unwrap(), Found::Finished(outcome) if outcome.diverged()));
}

#[test]
fn a_gap_probe_goes_before_the_steps() {
    let (folder, key) = run("completed");
    let path = folder.path().join("metrics.jsonl");
    let probe = r#"{"kind":"probe","step":4,"epoch":2,"probe":"gap","measure":"gap","on":"train","samples":9,
        "figures":{"train_loss":[0.125],"train_accuracy":[1.0]}}"#;
    let text = std::fs::read_to_string(&path).unwrap() + &probe.replace('\n', "") + "\n";
    std::fs::write(&path, text).unwrap();
    let Found::Finished(outcome) = look(folder.path(), &key).unwrap() else { panic!("it has finished") };
    assert_eq!((outcome.train_loss, outcome.train_accuracy), (Some(0.125), Some(1.0)));
}

#[test]
fn what_has_not_come_to_an_end_is_no_result() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(look(empty.path(), "0").unwrap(), Found::Nothing);
    for reason in ["interrupted", "failed", "cancelled", "time", "paused", ""] {
        let (folder, key) = run(reason);
        let found = look(folder.path(), &key).unwrap();
        assert_eq!(found, Found::Unfinished { fingerprint: "build 1+a, cpu (x86-64), canary ff".into() }, "{reason}");
    }
    let (folder, key) = run("completed");
    std::fs::remove_file(folder.path().join("summary.json")).unwrap();
    assert!(matches!(look(folder.path(), &key).unwrap(), Found::Unfinished { .. }));
}

#[test]
fn what_can_not_be_believed_is_told_with_file_and_line() {
    let told = |name: &str, text: &str| {
        let (folder, key) = run("completed");
        write(folder.path(), name, text);
        let line = look(folder.path(), &key).unwrap_err().to_string();
        assert!(line.contains(name) && !line.contains('\n'), "{line}");
        line
    };
    told("summary.json", "{");
    told("run.json", "[]");
    told("job.toml", "batch.size = \"x\"");
    let step = r#"{"kind":"step","step":1,"epoch":0,"samples":2,"loss":9,"accuracy":0.1,"learning_rate":0.1,"samples_per_second":1,"seconds":{"data":0,"forward":0,"backward":0,"reduce":0,"commit":0}}"#;
    assert!(told("metrics.jsonl", &format!("{step}\n{{}}\n")).contains("line 2: "));
    assert!(told("metrics.jsonl", step).contains("line 1: is cut off"));
    let (folder, _) = run("completed");
    let line = look(folder.path(), "0123456789abcdef").unwrap_err().to_string();
    assert!(line.contains("not 0123456789abcdef: remove the folder"), "{line}");
}

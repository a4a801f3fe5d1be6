//! Jobs that are done before their last step, with the real binary.

mod lockstep;

use std::path::Path;

use lockstep::process::Ended;
use lockstep::{json, json_lines, recipe, train, weights_sha256};
use serde_json::Value;

/// AdamW along one cycle, clipped and averaged, looked at every five steps.
const SETTINGS: [&str; 14] = [
    "optimizer.name=adamw",
    "optimizer.learning_rate=0.01",
    "optimizer.momentum=0",
    "optimizer.weight_decay=0.01",
    "optimizer.decay_biases=false",
    "optimizer.clip_norm=1",
    "optimizer.ema=0.8",
    "schedule.learning_rate=one_cycle",
    "schedule.epochs=4",
    "batch.micro_batch=16",
    "batch.size=64",
    "batch.growth=[[1, 128]]",
    "data.limit=3200",
    "evaluate.every_steps=5",
];

/// What a run with these further settings and workers comes to.
fn run(out: &Path, more: &[&str], workers: &str) -> Value {
    let settings = [&SETTINGS[..], &["data.validation=500", "metrics.every=1"], more].concat();
    let mut command = train(&recipe("mnist-lenet5.toml"), out, &settings);
    Ended::of(command.args(["--quiet", "--threads", "1", "--workers", workers])).success();
    let summary = json(&out.join("summary.json"));
    assert_eq!(summary["weights_sha256"], weights_sha256(out));
    let proof = Ended::of(lockstep::lockstep(["ledger", "--json"]).arg(out)).success();
    assert_eq!(json_lines(&proof)[0]["proven"], true, "{proof}");
    summary
}

#[test]
fn a_target_is_reached_at_the_same_step_by_any_number_of_workers() {
    let scratch = tempfile::tempdir().unwrap();
    let more = ["schedule.target_accuracy=0.8"];
    let summaries = ["1", "2", "3"].map(|workers| run(&scratch.path().join(workers), &more, workers));
    for summary in &summaries {
        assert_eq!(summary["stop_reason"], "target", "{summary}");
        assert_eq!(summary["steps_to_target"], summary["steps"]);
        let steps = summary["steps"].as_u64().unwrap();
        assert!(steps.is_multiple_of(5) && steps < 50 + 3 * 25, "{summary}");
        assert_eq!(
            (&summary["weights_sha256"], steps),
            (&summaries[0]["weights_sha256"], summaries[0]["steps"].as_u64().unwrap())
        );
    }
    // The newest evaluation has the accuracy that the job was for.
    let lines = json_lines(&std::fs::read_to_string(scratch.path().join("2/metrics.jsonl")).unwrap());
    let evaluations: Vec<_> = lines.iter().filter(|line| line["split"] == "validation").collect();
    let accuracy = |line: &Value| line["accuracy"].as_f64().unwrap();
    let (last, before) = evaluations.split_last().unwrap();
    assert!(accuracy(last) >= 0.8 && before.iter().all(|line| accuracy(line) < 0.8));
}

#[test]
fn time_is_over() {
    let scratch = tempfile::tempdir().unwrap();
    let summary = run(&scratch.path().join("run"), &["schedule.max_minutes=1e-12"], "2");
    assert_eq!(summary["stop_reason"], "time", "{summary}");
    assert_eq!(
        (&summary["reason"], &summary["steps_to_target"]),
        (&"its time is over after step 1".into(), &Value::Null)
    );
}

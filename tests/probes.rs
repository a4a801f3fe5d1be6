//! Probes with the real binary: what is in `metrics.jsonl`, whoever trains.

mod lockstep;

use std::path::Path;

use lockstep::process::Ended;
use lockstep::{TINY, json_lines, recipe, train};
use serde_json::{Value, json};

const PROBES: &str = "probe=[{ measure = 'gap', every = 5, samples = 200 }, { measure = 'weights' }, \
                      { name = 'turned', measure = 'rotations', on = 'validation', strengths = [0.0, 30.0] }]";

/// The lines of a run's metrics.
fn lines(out: &Path, workers: &str) -> Vec<Value> {
    let settings = [&TINY[..], &["data.validation=500", PROBES]].concat();
    let mut command = train(&recipe("mnist-mlp.toml"), out, &settings);
    Ended::of(command.args(["--quiet", "--threads", "1", "--workers", workers])).success();
    json_lines(&std::fs::read_to_string(out.join("metrics.jsonl")).unwrap())
}

#[test]
fn probes_are_lines_of_the_metrics_and_the_same_for_any_number_of_workers() {
    let scratch = tempfile::tempdir().unwrap();
    let [one, three] = ["1", "3"].map(|workers| lines(&scratch.path().join(workers), workers));
    let probes =
        |lines: &[Value]| -> Vec<Value> { lines.iter().filter(|line| line["kind"] == "probe").cloned().collect() };
    let all = probes(&one);
    assert_eq!(probes(&three), all);
    let taken: Vec<_> = all.iter().map(|line| json!([line["step"], line["probe"]])).collect();
    assert_eq!(taken, [json!([5, "gap"]), json!([10, "gap"]), json!([10, "weights"]), json!([10, "turned"])]);

    let evaluation = one.iter().find(|line| line["kind"] == "evaluation" && line["split"] == "validation").unwrap();
    let (gap, turned) = (&all[1], &all[3]);
    assert_eq!((&gap["measure"], &gap["on"], &gap["samples"]), (&json!("gap"), &json!("subset"), &json!(200)));
    assert_eq!(gap["figures"]["held_out_loss"], json!([evaluation["loss"]]));
    assert_eq!(gap["figures"]["held_out_accuracy"], json!([evaluation["accuracy"]]));
    assert_eq!((&turned["measure"], &turned["samples"]), (&json!("rotations"), &json!(500)));
    assert_eq!(turned["figures"]["strength"], json!([0.0, 30.0]));
    assert_eq!(turned["figures"]["loss"][0], evaluation["loss"]);
    let norms = &all[2]["figures"];
    let square = |name: &str| norms[name][0].as_f64().unwrap().powi(2);
    assert!((square("norm") - square("norm/fc1") - square("norm/fc2")).abs() < 1e-9 * square("norm"), "{norms}");
}

#[test]
fn a_dry_run_says_what_probes_take() {
    let settings = [&TINY[..], &["data.validation=500", PROBES]].concat();
    let mut command = lockstep::lockstep(["train", "--dry-run"]);
    let told = Ended::of(command.arg(recipe("mnist-mlp.toml")).args(lockstep::set(&settings))).success();
    for line in [
        "gap: 2 times, a pass over 700 samples",
        "weights: 1 times, of the weights alone",
        "turned: 1 times, 2 passes over 500 samples",
    ] {
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn a_probe_that_does_not_apply_is_one_line() {
    let scratch = tempfile::tempdir().unwrap();
    let probe = "probe=[{ measure = 'shifts', strengths = [1.0, 40.0] }]";
    let settings = [&TINY[..], &[probe]].concat();
    let out = scratch.path().join("run");
    let line = "probe shifts: `strengths` has 40, which moves images out of sight: stay below 28";
    Ended::of(&mut train(&recipe("mnist-mlp.toml"), &out, &settings)).is_refused_with(&[line]);
    assert!(!out.exists());
}

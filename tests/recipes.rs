//! The recipes as they ship reach the test errors that they promise.

mod lockstep;

use lockstep::outcome::Outcome;
use lockstep::{json, recipe, train};

/// Trains a recipe as it is; its test error has to stay below `limit`.
fn check(name: &str, limit: f64) {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("run");
    let output = train(&recipe(name), &out, &[]).arg("--quiet").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = json(&out.join("summary.json"));
    let error = summary["test_error"].as_f64().unwrap();
    assert!(error < limit, "test error {error} of {name}");
    println!("{name}: test error {error}");
    // Each sample of each epoch was in at most one step.
    Outcome::of(&out);
}

#[test]
fn the_mlp_of_1998_reaches_the_published_error() {
    check("mnist-mlp.toml", 0.047);
}

#[test]
fn lenet5_stays_under_one_percent() {
    check("mnist-lenet5.toml", 0.01);
}

//! The recipes as they ship reach the test errors that they promise.

use std::path::Path;
use std::process::Command;

/// Trains a recipe as it is; its test error has to stay below `limit`.
fn check(recipe: &str, limit: f64) {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("run");
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .arg("train")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes").join(recipe))
        .args(["--quiet", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = std::fs::read(out.join("summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let error = summary["test_error"].as_f64().unwrap();
    assert!(error < limit, "test error {error} of {recipe}");
    println!("{recipe}: test error {error}");
}

#[test]
fn the_mlp_of_1998_reaches_the_published_error() {
    check("mnist-mlp.toml", 0.047);
}

#[test]
fn lenet5_stays_under_one_percent() {
    check("mnist-lenet5.toml", 0.01);
}

//! Checkpoints on a real disk: written, killed, damaged, found again.

mod bucket;
mod damage;
mod folder;
mod kill;
mod writer;

use std::path::Path;

use lockstep_checkpoint::{About, Fingerprint, Name, Place, Snapshot, Tensor, Wanted};
use tempfile::TempDir;

/// A state of two tensors of a few pieces, another one for every step.
pub fn snapshot(step: u64, generation: u64) -> Snapshot {
    let tensor = |name: &str, shape: &[usize], scale: f32| Tensor {
        name: name.into(),
        shape: shape.into(),
        values: (0..shape.iter().product()).map(|i| (i as f32 + step as f32) * scale).collect(),
    };
    let row = format!(
        r#"[{{"epoch":0,"from":0,"to":{samples},"first_step":0,"steps":{step},"generation":{generation},
        "samples":{samples},"hashes":18446744073709551615}}]"#,
        samples = step * 64
    );
    let about = About {
        step,
        position: step * 64,
        samples: step * 64,
        generation,
        job: "job".into(),
        dataset: "digits".into(),
        model: "mlp".into(),
        fingerprint: Fingerprint { build: "0.1.0".into(), ..Fingerprint::default() },
        digest: format!("digest of {step}"),
        ledger: serde_json::from_str(&row).unwrap(),
        ..About::default()
    };
    Snapshot { about, tensors: vec![tensor("w", &[300, 100], 0.5), tensor("b", &[7], -1.0)] }
}

/// What its job wants.
pub fn wanted() -> Wanted {
    let tensors = vec![("w".into(), vec![300, 100]), ("b".into(), vec![7])];
    Wanted { dataset: "digits".into(), model: "mlp".into(), tensors }
}

/// A checkpoint's name.
pub fn name(step: u64, generation: u64) -> Name {
    Name { step, generation }
}

/// A place in a folder that does not exist yet.
pub fn place() -> (TempDir, Place) {
    let folder = tempfile::tempdir().unwrap();
    let place = at(&folder.path().join("run/checkpoints"));
    (folder, place)
}

/// A place at a path.
pub fn at(path: &Path) -> Place {
    Place::open(path.to_str().unwrap()).unwrap()
}

/// All names in a place's folder, sorted.
pub fn entries(place: &Place) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(place.to_string()) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The newest step, and how many remarks there are.
pub fn newest(place: &Place) -> (Option<Name>, usize) {
    let found = place.newest(&wanted()).unwrap();
    (found.newest.map(|(name, _)| name), found.remarks.len())
}

//! A run's key: what its results are a function of, its fingerprint aside.

use lockstep_proto::job::Job;
use toml::Value;

/// 16 hex digits of the BLAKE3 of the job's hash, the dataset's id, and what is measured on the way: `[evaluate]`,
/// `[metrics]` and each `[[probe]]`. Where it runs, where its files are and when it writes checkpoints have no part in it.
pub fn key(job: &Job, dataset: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("job {}\ndata {dataset}\n", job.hash()).as_bytes());
    let measured = |key: &str| ["evaluate.", "metrics.", "probe"].iter().any(|table| key.starts_with(table));
    for (key, value) in job.keys().into_iter().filter(|(key, _)| measured(key)) {
        hasher.update(format!("{key} = {}\n", without_places(value)).as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

/// Probes without the paths of their files, which their hashes tell; nor what those are where there are none, so that keys
/// are those from before there were any.
fn without_places(mut value: Value) -> Value {
    for probe in value.as_array_mut().into_iter().flatten().filter_map(Value::as_table_mut) {
        probe.remove("from");
        if probe.get("from_blake3").and_then(Value::as_str) == Some("") {
            probe.remove("from_blake3");
        }
    }
    value
}

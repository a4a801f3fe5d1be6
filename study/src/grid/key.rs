//! A run's key: what its results are a function of, its fingerprint aside.

use lockstep_proto::job::Job;

/// 16 hex digits of the BLAKE3 of the job's hash, the dataset's id, and what is measured on the way: `[evaluate]`,
/// `[metrics]` and each `[[probe]]`. Where it runs and when it writes checkpoints have no part in it.
pub fn key(job: &Job, dataset: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("job {}\ndata {dataset}\n", job.hash()).as_bytes());
    let measured = |key: &str| ["evaluate.", "metrics.", "probe"].iter().any(|table| key.starts_with(table));
    for (key, value) in job.keys().iter().filter(|(key, _)| measured(key)) {
        hasher.update(format!("{key} = {value}\n").as_bytes());
    }
    hasher.finalize().to_hex()[..16].to_owned()
}

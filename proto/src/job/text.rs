//! A job as text: resolved, as processes pass it on and run folders keep it.

use toml::{Table, Value};

use super::error::JobError;
use super::layer::{expand_seed, parse_table};
use super::read::read;
use super::spec::Job;
use super::validate::validate;

/// Most bytes of a job's text.
pub const MAX_JOB_BYTES: u64 = 64 << 10;

/// Keys of `[data]` and `[model]` that are no part of what is learned or from what: where samples are, how they get to
/// a worker, and in how much memory it computes.
const MEANS: [&str; 7] = [
    "data.cache_bytes",
    "data.name",
    "data.path",
    "data.prefetch_bytes",
    "data.skip_bad",
    "data.threads",
    "model.recompute",
];

/// What else doesn't change a run's results, and so isn't part of a job's hash, by how keys begin. The data is told by
/// its own id, initial weights by their own hash.
const NOT_HASHED: [&str; 6] = ["checkpoint.", "cluster.", "metrics.", "probe", "published.", "model.init_from"];

/// Whether a key of `[data]` or `[model]` says only where samples are, how they get to a worker, or in how much memory
/// it computes. The data is told by its own id.
pub fn is_means(key: &str) -> bool {
    MEANS.contains(&key)
}

impl Job {
    /// Reads text that [`Job::to_toml`] wrote, maybe on another machine: nothing about it is trusted. Absent keys
    /// have their defaults; paths are taken as they are.
    pub fn from_toml(text: &str) -> Result<Self, JobError> {
        const ORIGIN: &str = "job";
        if text.len() as u64 > MAX_JOB_BYTES {
            return Err(JobError::TooLarge { origin: ORIGIN.to_owned(), limit: MAX_JOB_BYTES });
        }
        let mut table = parse_table(text, ORIGIN)?;
        expand_seed(&mut table);
        let job = read(table, ORIGIN)?;
        validate(&job).map_err(|violation| violation.into_error(ORIGIN))?;
        Ok(job)
    }

    /// The whole job with every key, for [`Job::from_toml`].
    ///
    /// # Panics
    /// If an integer is above `i64::MAX` or `data.path` is not UTF-8, which TOML cannot say. No job that was read has
    /// those.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("TOML can say every job that was read")
    }

    /// BLAKE3 in hexadecimal of all that the results depend on: every key but those of `[checkpoint]`,
    /// `[cluster]`, `[metrics]`, `[[probe]]` and `[published]`, the paths `data.path` and `model.init_from`, what data may take on the way
    /// (`data.threads`, `data.prefetch_bytes`, `data.cache_bytes`), `data.skip_bad`, and `model.recompute`.
    ///
    /// # Panics
    /// As [`Job::to_toml`].
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for (key, value) in self.keys() {
            if !is_means(&key) && !NOT_HASHED.iter().any(|left_out| key.starts_with(left_out)) {
                hasher.update(format!("{key} = {value}\n").as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Every key with its value, as `table.key`, sorted.
    ///
    /// # Panics
    /// As [`Job::to_toml`].
    pub fn keys(&self) -> Vec<(String, Value)> {
        flatten(&self.to_table())
    }

    pub(super) fn to_table(&self) -> Table {
        Table::try_from(self).expect("TOML can say every job that was read")
    }
}

/// Every key with its value, as `table.key`, sorted.
pub(super) fn flatten(table: &Table) -> Vec<(String, Value)> {
    let mut keys: Vec<(String, Value)> = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                keys.extend(flatten(inner).into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => keys.push((name.clone(), value.clone())),
        }
    }
    keys.sort_by(|a, b| a.0.cmp(&b.0));
    keys
}

/// Every table and key that a job has.
pub(super) fn known_keys() -> Vec<String> {
    let table = Job::default().to_table();
    let mut known: Vec<String> = table.keys().cloned().collect();
    known.extend(flatten(&table).into_iter().map(|(key, _)| key));
    known
}

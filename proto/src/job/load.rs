//! A job as people write it: defaults < job file < environment < `--set`.

use std::path::Path;

use config::{Config, ConfigError, Map, Source, ValueKind};
use toml::{Table, Value};

use super::error::JobError;
use super::layer::Layer;
use super::read::read;
use super::spec::Job;
use super::validate::validate;

impl Job {
    /// Reads a job file, then `environment` (`LOCKSTEP__BATCH__SIZE` = `128`; other variables are passed over; see
    /// [`environment()`]), then `overrides` (`batch.size=128`). Values of both are TOML; a bare word is a string.
    ///
    /// A relative `data.path` starts at the job file's folder, or at the current folder if the environment or an
    /// override says it. The result has absolute paths.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> Result<Self, JobError> {
        Layers::of_file(path)?.environment(environment)?.overrides(overrides)?.job()
    }

    /// The defaults with `overrides`, as in [`Job::load`].
    pub fn from_overrides(overrides: &[String]) -> Result<Self, JobError> {
        Layers::of_defaults().overrides(overrides)?.job()
    }
}

/// What people say of a job in several places, later ones above earlier ones.
#[derive(Clone, Debug)]
pub struct Layers(Vec<Layer>);

impl Layers {
    /// Begins with the defaults.
    pub fn of_defaults() -> Self {
        Self(vec![Layer { origin: "the defaults".to_owned(), table: Table::new() }])
    }

    /// Begins with a job file, whose keys lie above the defaults.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of_file(path: &Path) -> Result<Self, JobError> {
        Ok(Self(vec![Layer::of_file(path)?]))
    }

    /// Variables, as in [`Job::load`].
    ///
    /// # Errors
    /// The first that can't be read.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, JobError> {
        // Sorted: LOCKSTEP__SEED comes before LOCKSTEP__SEED__INIT whatever the environment's order.
        let mut variables: Vec<(String, String)> = variables.into_iter().collect();
        variables.sort();
        for (name, value) in &variables {
            self.0.extend(Layer::of_variable(name, value).transpose()?);
        }
        Ok(self)
    }

    /// `key=value`, as in [`Job::load`].
    ///
    /// # Errors
    /// The first that can't be read.
    pub fn overrides(mut self, overrides: &[String]) -> Result<Self, JobError> {
        for text in overrides {
            self.0.push(Layer::of_override(text)?);
        }
        Ok(self)
    }

    /// A part of a job. `origin`: where it was said; relative paths in it start at `folder`.
    ///
    /// # Errors
    /// The first key that no job has, or whose value is of the wrong type.
    pub fn table(mut self, origin: &str, table: Table, folder: &Path) -> Result<Self, JobError> {
        self.0.push(Layer::new(table, origin.to_owned(), folder)?);
        Ok(self)
    }

    /// What each place says, with its name: tables of tables, whichever way it was written.
    pub fn said(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.0.iter().map(|layer| (layer.origin.as_str(), &layer.table))
    }

    /// All layers together, checked.
    ///
    /// # Errors
    /// A value that no run can have, with the place that said it.
    pub fn job(&self) -> Result<Job, JobError> {
        merge(&self.0)
    }
}

/// This process's variables that are meant for jobs.
pub fn environment() -> Vec<(String, String)> {
    // Not `vars()`, which panics at the first variable that is not UTF-8, whatever its name.
    let variables = std::env::vars_os().map(|(name, value)| (name.into_string(), value));
    variables.filter_map(|(name, value)| Some((name.ok()?, value.to_string_lossy().into_owned()))).collect()
}

pub(super) fn merge(layers: &[Layer]) -> Result<Job, JobError> {
    let file = &layers[0].origin;
    let failed = |error: ConfigError| JobError::Override { origin: file.clone(), problem: error.to_string() };
    let defaults = Layer { origin: file.clone(), table: Job::default().to_table() };
    let builder = Config::builder().add_source(defaults);
    let builder = layers.iter().fold(builder, |builder, layer| builder.add_source(layer.clone()));
    let merged = builder.build().and_then(|merged| merged.collect()).map_err(failed)?;
    let table = merged.iter().map(|(key, value)| (key.clone(), from_config(value)));
    let job = read(table.collect::<Table>(), file)?;
    validate(&job).map_err(|violation| {
        let origin = latest_origin(&merged, layers, &violation.keys);
        violation.into_error(origin)
    })?;
    if job.data.path.as_os_str().is_empty() && job.data.name.is_empty() {
        let problem = "`data.path` is not set: name the folder of the data".to_owned();
        return Err(JobError::Invalid { origin: file.clone(), key: "data.path", problem });
    }
    Ok(job)
}

/// Of the places that said `keys`, the last.
fn latest_origin<'a>(merged: &Map<String, config::Value>, layers: &'a [Layer], keys: &[&str]) -> &'a str {
    let said_by = |key: &&str| {
        let (table, key) = key.split_once('.')?;
        let ValueKind::Table(table) = &merged.get(table)?.kind else { return None };
        let origin = table.get(key)?.origin();
        layers.iter().rposition(|layer| Some(layer.origin.as_str()) == origin)
    };
    &layers[keys.iter().filter_map(said_by).max().unwrap_or(0)].origin
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, ConfigError> {
        Ok(self.table.iter().map(|(key, value)| (key.clone(), to_config(value, &self.origin))).collect())
    }
}

fn to_config(value: &Value, origin: &String) -> config::Value {
    let kind = match value {
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Integer(number) => ValueKind::I64(*number),
        Value::Float(number) => ValueKind::Float(*number),
        Value::Boolean(value) => ValueKind::Boolean(*value),
        Value::Datetime(time) => ValueKind::String(time.to_string()),
        Value::Array(items) => ValueKind::Array(items.iter().map(|item| to_config(item, origin)).collect()),
        Value::Table(table) => {
            ValueKind::Table(table.iter().map(|(key, value)| (key.clone(), to_config(value, origin))).collect())
        }
    };
    config::Value::new(Some(origin), kind)
}

/// The inverse of [`to_config`]; kinds that it never makes become strings, which [`read`] refuses by name.
fn from_config(value: &config::Value) -> Value {
    match &value.kind {
        ValueKind::I64(number) => Value::Integer(*number),
        ValueKind::Float(number) => Value::Float(*number),
        ValueKind::Boolean(value) => Value::Boolean(*value),
        ValueKind::String(text) => Value::String(text.clone()),
        ValueKind::Array(items) => Value::Array(items.iter().map(from_config).collect()),
        ValueKind::Table(table) => {
            Value::Table(table.iter().map(|(key, value)| (key.clone(), from_config(value))).collect())
        }
        other => Value::String(other.to_string()),
    }
}

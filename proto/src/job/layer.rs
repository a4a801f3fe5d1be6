//! One layer of a job: a file, an environment variable or a `--set`, with its name and its paths made absolute.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::JobError;
use super::nearest::{nearest_key, shortened};
use super::read::read;
use super::text::{MAX_JOB_BYTES, known_keys};

const PREFIX: &str = "LOCKSTEP__";

/// Keys that hold paths: table, name, both. An address with a scheme is no path.
const PATHS: [(&str, &str, &str); 4] = [
    ("data", "path", "data.path"),
    ("checkpoint", "dir", "checkpoint.dir"),
    ("model", "init_from", "model.init_from"),
    ("probe", "from", "probe.from"),
];

/// Keys that one place says, checked but not yet merged.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) origin: String,
    pub(super) table: Table,
}

impl Layer {
    /// The job file. Relative paths in it start at its folder.
    pub(super) fn of_file(path: &Path) -> Result<Self, JobError> {
        let origin = path.display().to_string();
        let text = text_of_file(path)?;
        let read_error = |source| JobError::Read { path: path.to_owned(), source };
        let folder = std::path::absolute(path).map_err(read_error)?.parent().map(Path::to_owned).unwrap_or_default();
        Self::new(parse_table(&text, &origin)?, origin, &folder)
    }

    /// A variable such as `LOCKSTEP__BATCH__SIZE`; `None` for those that aren't meant for jobs.
    pub(super) fn of_variable(name: &str, value: &str) -> Option<Result<Self, JobError>> {
        let key = name.strip_prefix(PREFIX)?.to_lowercase();
        let origin = format!("${}", shortened(name));
        Some(Self::of_assignment(&key.replace("__", "."), value, origin))
    }

    /// `key=value`, as given to `--set`.
    pub(super) fn of_override(text: &str) -> Result<Self, JobError> {
        let origin = format!("--set {}", shortened(text));
        match text.split_once('=') {
            Some((key, value)) => Self::of_assignment(key.trim(), value, origin),
            None => Err(JobError::Override { origin, problem: "write key=value, such as batch.size=64".to_owned() }),
        }
    }

    /// Relative paths start at the current folder.
    fn of_assignment(key: &str, value: &str, origin: String) -> Result<Self, JobError> {
        let unnamed = |part: &str| part.trim().is_empty();
        if key.split('.').any(unnamed) {
            let problem = "names no key: write table.key=value, such as batch.size=64".to_owned();
            return Err(JobError::Override { origin, problem });
        }
        // Two levels are all that a job has. Refused here: a key of many levels would be a table as deep.
        if key.matches('.').count() > 1 {
            let nearest = nearest_key(key, &known_keys());
            return Err(JobError::UnknownKey { origin, key: shortened(key), nearest });
        }
        let value = parse_value(value).map_err(|message| JobError::Override {
            origin: origin.clone(),
            problem: format!("its value is not TOML: {message}"),
        })?;
        let table = match key.split_once('.') {
            Some((table, key)) => {
                let inner = Table::from_iter([(key.trim().to_owned(), value)]);
                Table::from_iter([(table.trim().to_owned(), Value::Table(inner))])
            }
            None => Table::from_iter([(key.to_owned(), value)]),
        };
        let here = std::env::current_dir().unwrap_or_default();
        Self::new(table, origin, &here)
    }

    /// Relative paths start at `folder`.
    pub(super) fn new(mut table: Table, origin: String, folder: &Path) -> Result<Self, JobError> {
        expand_seed(&mut table);
        // Before merging, so that the error names this layer.
        read(table.clone(), &origin)?;
        for (table_name, name, key) in PATHS {
            for inner in tables(table.get_mut(table_name)) {
                if let Some(Value::String(path)) = inner.get_mut(name)
                    && !path.is_empty()
                    && !path.contains("://")
                {
                    let invalid = |problem| JobError::Invalid { origin: origin.clone(), key, problem };
                    *path = absolute(folder, path).map_err(|text| invalid(format!("`{key}` = {text}")))?;
                }
            }
        }
        Ok(Self { origin, table })
    }
}

/// A table, or each of a list of tables.
fn tables(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    let (one, many) = match value {
        Some(Value::Array(tables)) => (None, Some(tables)),
        one => (one, None),
    };
    one.into_iter().chain(many.into_iter().flatten())
}

/// The text of a file that people write.
///
/// # Errors
/// If there is none, or it is no text, or longer than any job.
pub fn text_of_file(path: &Path) -> Result<String, JobError> {
    let origin = path.display().to_string();
    let read_error = |source| JobError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read_error)?;
    file.take(MAX_JOB_BYTES + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > MAX_JOB_BYTES {
        return Err(JobError::TooLarge { origin, limit: MAX_JOB_BYTES });
    }
    String::from_utf8(bytes).map_err(|error| JobError::Syntax {
        line: 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|&&b| b == b'\n').count(),
        origin,
        message: "is not UTF-8 text".to_owned(),
    })
}

/// `path` from `folder`, without `..` where it exists.
fn absolute(folder: &Path, path: &str) -> Result<String, String> {
    let joined = folder.join(path);
    let tidy = std::fs::canonicalize(&joined).unwrap_or(joined);
    let text = PathBuf::into_os_string(tidy).into_string();
    text.map_err(|text| format!("{text:?} is not UTF-8: rename the folder"))
}

/// TOML, or the line that isn't. `origin`: where it was said.
///
/// # Errors
/// With the line.
pub fn parse_table(text: &str, origin: &str) -> Result<Table, JobError> {
    text.parse::<Table>().map_err(|error| {
        let before = error.span().and_then(|span| text.as_bytes().get(..span.start)).unwrap_or_default();
        JobError::Syntax {
            origin: origin.to_owned(),
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            message: error.message().lines().collect::<Vec<_>>().join(", "),
        }
    })
}

/// A TOML value; what cannot be one is a string without its quotes.
fn parse_value(text: &str) -> Result<Value, String> {
    let text = text.trim();
    match text.parse::<Value>() {
        Ok(value) => Ok(value),
        Err(error) if text.starts_with(['[', '{', '"', '\'']) => Err(error.message().replace('\n', ", ")),
        Err(_) => Ok(Value::String(text.to_owned())),
    }
}

/// `seed = 1` says all three seeds.
pub(super) fn expand_seed(table: &mut Table) {
    if let Some(seed @ Value::Integer(0..)) = table.get_mut("seed") {
        let each = ["init", "order", "augment"].map(|name| (name.to_owned(), seed.clone()));
        *seed = Value::Table(Table::from_iter(each));
    }
}

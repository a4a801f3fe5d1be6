//! `recipes/REFERENCE.md` says what the code does.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use toml::Value;

use crate::job::text::flatten;
use crate::job::{Job, Probe};

const HINT: &str = "recipes/REFERENCE.md";

/// The keys and defaults of the reference's tables: a `## [table]` heading, then rows `| key | values | default | …`.
fn documented() -> BTreeMap<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(HINT);
    let text = fs::read_to_string(path).unwrap();
    let mut table = "";
    let mut keys = BTreeMap::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## `[") {
            table = heading.trim_matches(['[', ']', '`']);
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{HINT}: {line}");
            assert!(!cells[1].is_empty() && !cells[3].is_empty(), "{HINT}: {line}");
            let key = format!("{table}.{}", cells[0].trim_matches('`'));
            let default = cells[2].trim_matches('`').parse::<Value>();
            let default = default.unwrap_or_else(|error| panic!("{HINT}: default of {key}: {error}"));
            assert!(keys.insert(key.clone(), default).is_none(), "{HINT}: {key} comes twice");
        }
    }
    keys
}

#[test]
fn every_key_is_documented_with_its_default_and_no_other() {
    let mut keys: BTreeMap<String, Value> = flatten(&Job::default().to_table()).into_iter().collect();
    // Of tables that come any number of times, the keys of one.
    keys.remove("probe");
    let of_probe = toml::Table::try_from(Probe::default()).unwrap();
    keys.extend(of_probe.into_iter().map(|(key, default)| (format!("probe.{key}"), default)));
    let documented = documented();
    for (key, default) in &keys {
        assert_eq!(documented.get(key), Some(default), "{HINT}: `{key}`");
    }
    for key in documented.keys() {
        assert!(keys.contains_key(key), "{HINT}: no job has the key `{key}`");
    }
}

/// Words of a key that takes words are those that serde names when it is given another.
#[test]
fn every_word_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(HINT);
    let text = fs::read_to_string(path).unwrap();
    for (key, default) in flatten(&Job::default().to_table()) {
        let Value::String(_) = default else { continue };
        let Some((table, name)) = key.split_once('.') else { continue };
        let error = match Job::from_toml(&format!("{key} = 'no such word'")) {
            Err(crate::job::JobError::UnknownWord { known, .. }) => known,
            other => {
                assert!(
                    [
                        "checkpoint.dir",
                        "data.name",
                        "data.path",
                        "model.init_blake3",
                        "model.init_from",
                        "published.source"
                    ]
                    .contains(&key.as_str()),
                    "{key}: {other:?}"
                );
                continue;
            }
        };
        let section = text.split(&format!("## `[{table}]`")).nth(1).unwrap_or_default();
        let row = section.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap_or_default();
        let words = error.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        assert_eq!(row.split('|').nth(2).map(str::trim), Some(words.as_str()), "{HINT}: `{key}`");
    }
}

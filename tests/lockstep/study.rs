//! Small studies with the real binary, and what they come to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::process::Ended;
use super::{json_lines, names};

/// Two tuned cells, one scaled, one that diverges: 4 × 2 runs, and 2 × 3 that tune at least.
pub const RECIPE: &str = r#"
[study]
title = "Small"
base = "BASE"
seeds = 2

[set]
data = { validation = 320, limit = 640 }
model.hidden = [16]
schedule.epochs = 2
metrics.every = 5

[samples]
"evaluate.every_steps" = 320

[rate]
base_batch = 32
list = [1e30]

[tuning]
learning_rates = [1.0, 2.0, 4.0]
extend = 1

[[arm]]
name = "plain"
batch = [32, 64]
rate = "tuned"

[[arm]]
name = "scaled, by the root"
batch = 64
rate = "sqrt"

[[arm]]
name = "hot"
batch = 32
rate = "listed"
set.model.activation = "relu"
set.model.output_activation = "none"
set.loss.name = "cross_entropy"
"#;

/// Two runs, long enough to be stopped.
pub const LONG: &str = r#"
study = { base = "BASE", seeds = 2 }
set.data.limit = 6400
set.metrics.every = 1
rate.learning_rate = 1.0
arm = [{ name = "plain", batch = 64, rate = "fixed", set.schedule.epochs = 20 }]
"#;

/// Two runs that take no time.
pub const TINY: &str = r#"
study = { base = "BASE", seeds = 2 }
set.data.limit = 640
set.schedule.epochs = 1
set.model.hidden = [16]
rate.learning_rate = 1.0
arm = [{ name = "plain", batch = 64, rate = "fixed" }]
"#;

/// A recipe in a folder, and where its study goes.
pub struct Study {
    scratch: tempfile::TempDir,
}

impl Study {
    /// A recipe, in which BASE is the job that all begin with.
    pub fn new(recipe: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let study = Self { scratch };
        study.say(recipe);
        study
    }

    /// Another recipe in its place.
    pub fn say(&self, recipe: &str) {
        let base = super::recipe("mnist-mlp.toml").display().to_string();
        std::fs::write(self.scratch.path().join("small.toml"), recipe.replace("BASE", &base)).unwrap();
    }

    /// The study's.
    pub fn folder(&self) -> PathBuf {
        self.scratch.path().join("out")
    }

    /// `study run` of it.
    pub fn run(&self, arguments: &[&str]) -> Command {
        let mut command = super::lockstep(["study", "run"]);
        command.arg(self.scratch.path().join("small.toml")).arg("--out").arg(self.folder()).args(arguments);
        command
    }

    /// Trains it to its end; the runs that this took.
    pub fn finish(&self, arguments: &[&str]) -> BTreeSet<String> {
        let said = Ended::of(self.run(arguments).arg("--json")).success();
        runs(&json_lines(&said))
    }

    /// The text of a table.
    pub fn table(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder().join("tables").join(name)).unwrap()
    }
}

/// Keys of runs that were told of.
pub fn runs(lines: &[Value]) -> BTreeSet<String> {
    let ended = lines.iter().filter(|line| line["kind"] == "run");
    ended.map(|line| line["run"].as_str().unwrap().to_owned()).collect()
}

/// Every table is the same bytes.
pub fn same_tables(a: &Path, b: &Path) {
    let tables = names(&a.join("tables"));
    assert_eq!(tables, names(&b.join("tables")));
    assert_eq!(tables.len(), 8, "{tables:?}");
    for table in tables {
        let text = |study: &Path| std::fs::read_to_string(study.join("tables").join(&table)).unwrap();
        assert_eq!(text(a), text(b), "{table}");
        assert!(text(a).ends_with("\n"));
    }
}

//! The runs of a study that lie in its folder already, from earlier calls.
//!
//! Which runs a cell has is known only once it is tuned, and they may have been trained long before: so each is looked for
//! when the plan first names it, not once at the start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use lockstep_study::plan::{Known, Outcome, Planner, Survey, Task};
use lockstep_study::run::{self, Found};
use lockstep_study::table::StudyFolder;

use crate::BadInput;

/// What becomes of finished runs of another fingerprint: another build, another kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// They are neither used nor thrown away: the user has to say which.
    Keep,
    /// They are used, and told apart in the tables.
    Mix,
    /// They are trained again.
    Again,
}

/// What is known of a study's runs, by key.
pub struct Shelf {
    files: StudyFolder,
    /// The fingerprint of runs on this machine.
    own: String,
    policy: Foreign,
    looked: BTreeSet<String>,
    known: Known,
    /// Those that can be gone on with.
    begun: BTreeSet<String>,
    /// Finished ones of another fingerprint, with it.
    foreign: BTreeMap<String, String>,
    /// Those that can't be believed, with what is wrong.
    unreadable: BTreeMap<String, String>,
}

impl Shelf {
    /// Nothing has been looked at. `own`: the fingerprint of runs on this machine.
    pub fn new(files: StudyFolder, own: String, policy: Foreign) -> Self {
        let (looked, begun) = (BTreeSet::new(), BTreeSet::new());
        let (foreign, unreadable) = (BTreeMap::new(), BTreeMap::new());
        Self { files, own, policy, looked, known: Known::new(), begun, foreign, unreadable }
    }

    /// Where they lie.
    pub fn files(&self) -> &StudyFolder {
        &self.files
    }

    /// Finished runs that can be used.
    pub fn known(&self) -> &Known {
        &self.known
    }

    /// What there is to train by all that is known; takes in runs that the plan names for the first time.
    pub fn survey(&mut self, planner: &mut Planner) -> Survey {
        loop {
            let survey = planner.survey(&self.known);
            let before = self.known.len();
            for Task { key, .. } in &survey.tasks {
                if self.looked.insert(key.clone()) {
                    self.look(key);
                }
            }
            if self.known.len() == before {
                return survey;
            }
        }
    }

    fn look(&mut self, key: &str) {
        let folder = self.files.run(key);
        match run::look(&folder, key) {
            Err(error) => {
                self.unreadable.insert(key.to_owned(), error.to_string());
            }
            Ok(Found::Nothing) => {}
            Ok(Found::Finished(outcome)) => {
                let is_own = outcome.fingerprint == self.own;
                if !is_own {
                    self.foreign.insert(key.to_owned(), outcome.fingerprint.clone());
                }
                if is_own || self.policy == Foreign::Mix {
                    self.known.insert(key.to_owned(), *outcome);
                }
            }
            Ok(Found::Unfinished { fingerprint }) => {
                if fingerprint == self.own && has_checkpoint(&folder) {
                    self.begun.insert(key.to_owned());
                }
            }
        }
    }

    /// A run has come to its end.
    pub fn finished(&mut self, key: &str, outcome: Outcome) {
        self.known.insert(key.to_owned(), outcome);
    }

    /// Whether a run can go on from where it is.
    pub fn is_begun(&self, key: &str) -> bool {
        self.begun.contains(key)
    }

    /// Whether what lies there can't be used, but must stay as it is until the user says what becomes of it.
    pub fn is_withheld(&self, key: &str) -> bool {
        self.unreadable.contains_key(key) || (self.policy == Foreign::Keep && self.foreign.contains_key(key))
    }

    /// A line about runs of another fingerprint, if there are any.
    pub fn foreign_told(&self) -> Option<String> {
        let other = self.foreign.values().next()?;
        let (shown, count) = (self.files.0.display(), self.foreign.len());
        Some(format!(
            "{shown}: {count} finished runs have another fingerprint than this program on this machine ({other})"
        ))
    }

    /// Refuses to go on where runs are withheld.
    ///
    /// # Errors
    /// What is wrong with them, and what to do.
    pub fn check_withheld(&self) -> Result<()> {
        if let Some(problem) = self.unreadable.values().next() {
            return Err(BadInput(problem.clone()).into());
        }
        match self.foreign_told() {
            Some(told) if self.policy == Foreign::Keep => Err(BadInput(format!(
                "{told}: add --again to train them again, --mixed to go on with them, or choose another --out"
            ))
            .into()),
            Some(_) | None => Ok(()),
        }
    }
}

fn has_checkpoint(run: &Path) -> bool {
    let entries = std::fs::read_dir(run.join("checkpoints"));
    entries.is_ok_and(|mut entries| entries.any(|entry| entry.is_ok()))
}

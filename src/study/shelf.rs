//! The runs of a study that lie in its folder already, from earlier calls.
//!
//! Which runs a cell has is known only once it is tuned, and they may have been trained long before: so each is looked for
//! when the plan first names it, not once at the start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Result;
use lockstep_study::plan::{Known, Outcome, Planner, Survey, Task};
use lockstep_study::run::{self, Found};
use lockstep_study::table::{self, StudyFolder};

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

/// The fingerprint that a study's runs should have.
pub enum Own {
    /// Of this program on this machine, where they are trained.
    Machine(String),
    /// Of the study's first finished run, as `study.json` has it while a run of it lies there: else of the first of the plan
    /// that lies there, else of the first that ends. Nobody knows what a cluster computes with before it has.
    First(Option<String>),
}

impl Own {
    /// Whether it is this; the first that is asked for is, where it is not known.
    fn is(&mut self, fingerprint: &str) -> bool {
        match self {
            Self::Machine(own) => own == fingerprint,
            Self::First(own) => own.get_or_insert_with(|| fingerprint.to_owned()) == fingerprint,
        }
    }

    fn known(&self) -> Option<&str> {
        match self {
            Self::Machine(own) => Some(own),
            Self::First(own) => own.as_deref(),
        }
    }

    fn whose(&self) -> &'static str {
        match self {
            Self::Machine(_) => "this program on this machine",
            Self::First(_) => "the study's first finished run",
        }
    }
}

/// What is known of a study's runs, by key.
pub struct Shelf {
    files: StudyFolder,
    own: Own,
    policy: Foreign,
    looked: BTreeSet<String>,
    known: Known,
    /// Those that can be gone on with.
    begun: BTreeSet<String>,
    /// Finished ones of another fingerprint, with it.
    foreign: BTreeMap<String, String>,
    /// Those of them that must stay as they are until the user says what becomes of them.
    withheld: BTreeSet<String>,
    /// Those that can't be believed, with what is wrong.
    unreadable: BTreeMap<String, String>,
}

impl Shelf {
    /// What lies in a study's folder, and what there is to train by it.
    ///
    /// # Errors
    /// If the folder's `study.json` can't be read.
    pub fn of(files: StudyFolder, own: Own, policy: Foreign, planner: &mut Planner) -> Result<(Self, Survey)> {
        if let Own::First(None) = own {
            let said = table::own_fingerprint(&files.state()).map_err(BadInput)?;
            let mut shelf = Self::new(files.clone(), Own::First(said), policy);
            let survey = shelf.survey(planner);
            if shelf.known.values().any(|run| shelf.own.known() == Some(&run.fingerprint)) {
                return Ok((shelf, survey));
            }
        }
        let mut shelf = Self::new(files, own, policy);
        let survey = shelf.survey(planner);
        Ok((shelf, survey))
    }

    /// Nothing has been looked at.
    fn new(files: StudyFolder, own: Own, policy: Foreign) -> Self {
        let (looked, begun, withheld) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (foreign, unreadable) = (BTreeMap::new(), BTreeMap::new());
        Self { files, own, policy, looked, known: Known::new(), begun, foreign, withheld, unreadable }
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
                let stays = self.policy == Foreign::Keep;
                self.shelve(key, *outcome, stays);
            }
            Ok(Found::Unfinished { fingerprint }) => match &self.own {
                Own::Machine(own) if *own == fingerprint && has_checkpoint(&folder) => {
                    self.begun.insert(key.to_owned());
                }
                // A cluster has its own folders.
                Own::Machine(_) | Own::First(_) => {}
            },
        }
    }

    /// A run has come to its end; whether it is used. One of another fingerprint is not trained again at once: that would
    /// come to the same.
    pub fn finished(&mut self, key: &str, outcome: Outcome) -> bool {
        self.foreign.remove(key);
        self.shelve(key, outcome, true);
        self.known.contains_key(key)
    }

    /// Takes in a finished run. `stays`: if it is of another fingerprint, and those are not mixed.
    fn shelve(&mut self, key: &str, outcome: Outcome, stays: bool) {
        let is_own = self.own.is(&outcome.fingerprint);
        if !is_own {
            self.foreign.insert(key.to_owned(), outcome.fingerprint.clone());
        }
        if is_own || self.policy == Foreign::Mix {
            self.known.insert(key.to_owned(), outcome);
        } else if stays {
            self.withheld.insert(key.to_owned());
        }
    }

    /// Whether a run can go on from where it is.
    pub fn is_begun(&self, key: &str) -> bool {
        self.begun.contains(key)
    }

    /// The study's own fingerprint, where it is known.
    pub fn own(&self) -> Option<&str> {
        self.own.known()
    }

    /// The fingerprint that a run must have which somebody has trained already; none where any will do.
    pub fn wanted(&self) -> Option<&str> {
        self.own().filter(|_| self.policy == Foreign::Again)
    }

    /// Whether what lies there can't be used, but must stay as it is until the user says what becomes of it.
    pub fn is_withheld(&self, key: &str) -> bool {
        self.unreadable.contains_key(key) || self.withheld.contains(key)
    }

    /// A line about runs of another fingerprint that are used, if there are any.
    pub fn mixed_told(&self) -> Option<String> {
        let mixed = self.told(self.foreign.keys()).filter(|_| self.policy == Foreign::Mix);
        mixed.map(|told| format!("{told}: they are used, and marked in the tables"))
    }

    /// Refuses to go on where runs are withheld.
    ///
    /// # Errors
    /// What is wrong with them, and what to do.
    pub fn check_withheld(&self) -> Result<()> {
        if let Some(problem) = self.unreadable.values().next() {
            return Err(BadInput(problem.clone()).into());
        }
        let Some(told) = self.told(self.withheld.iter()) else { return Ok(()) };
        // Those that were trained again, and are of another one again, would be so once more.
        let again = if self.policy == Foreign::Again { "" } else { "--again to train them again, " };
        let elsewhere = match self.own {
            Own::Machine(_) => ", or choose another --out",
            // A coordinator has the same old jobs for any folder.
            Own::First(_) => "",
        };
        Err(BadInput(format!("{told}: add {again}--mixed to go on with them{elsewhere}")).into())
    }

    /// That these runs are of another fingerprint, if there are any.
    fn told<'a>(&self, mut keys: impl ExactSizeIterator<Item = &'a String>) -> Option<String> {
        let (shown, whose, count) = (self.files.0.display(), self.own.whose(), keys.len());
        let other = self.foreign.get(keys.next()?)?;
        Some(format!("{shown}: {count} finished runs have another fingerprint than {whose} ({other})"))
    }
}

fn has_checkpoint(run: &Path) -> bool {
    let entries = std::fs::read_dir(run.join("checkpoints"));
    entries.is_ok_and(|mut entries| entries.any(|entry| entry.is_ok()))
}

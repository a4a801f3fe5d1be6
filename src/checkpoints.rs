//! A run's checkpoints, to look at: nothing is changed of a run that may go on.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::Result;
use lockstep_checkpoint::{Error, Name, Place, Snapshot};

use crate::BadInput;
use crate::run::Run;

/// Steps that a line names.
const NAMED: usize = 12;

/// Which checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The newest that is whole.
    Latest,
    /// That of a step.
    Step(u64),
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(Self::Latest),
            number => number.parse().map(Self::Step).map_err(|_| "is no step: give a number, or latest".into()),
        }
    }
}

/// All of a run.
pub struct Checkpoints {
    place: Place,
    /// By step; of those that several generations have written, the newest last.
    names: BTreeMap<u64, Vec<Name>>,
}

impl Checkpoints {
    /// Lists them.
    ///
    /// # Errors
    /// If their place cannot be read.
    pub fn of(run: &Run) -> Result<Self> {
        let place = Place::open(&run.checkpoints()).map_err(BadInput::from_display)?;
        let mut names = BTreeMap::<u64, Vec<Name>>::new();
        for name in place.list().map_err(BadInput::from_display)? {
            names.entry(name.step).or_default().push(name);
        }
        Ok(Self { place, names })
    }

    /// Their steps, ascending.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.names.keys().copied()
    }

    /// Reads one.
    ///
    /// # Errors
    /// If there is none of that step: with those that there are. If it is damaged.
    pub fn at(&self, at: At) -> Result<Snapshot> {
        match at {
            At::Step(step) if self.names.contains_key(&step) => self.read(step),
            At::Step(step) => Err(self.without(step).into()),
            At::Latest => self.newest(),
        }
    }

    /// The state of a step: of any generation's checkpoint that is whole, since all hold the same.
    ///
    /// # Errors
    /// What is wrong with the last that was tried.
    pub fn read(&self, step: u64) -> Result<Snapshot> {
        let mut wrong = BadInput(format!("{}: no checkpoint of step {step}", self.place));
        for name in self.names.get(&step).into_iter().flatten().rev() {
            match self.place.read(*name) {
                Ok(snapshot) => return Ok(snapshot),
                Err(error) => wrong = BadInput(format!("{error}: take another step's")),
            }
        }
        Err(wrong.into())
    }

    fn newest(&self) -> Result<Snapshot> {
        for name in self.names.values().rev().flat_map(|names| names.iter().rev()) {
            match self.place.read(*name) {
                Ok(snapshot) => return Ok(snapshot),
                Err(error @ Error::Damaged { .. }) => eprintln!("{error}: the one before is taken"),
                Err(Error::Missing { .. }) => {}
                Err(error) => return Err(BadInput::from_display(error).into()),
            }
        }
        Err(BadInput(format!("{}: no checkpoint: train with checkpoint.every_steps", self.place)).into())
    }

    fn without(&self, step: u64) -> BadInput {
        let steps: Vec<String> = self.steps().map(|step| step.to_string()).collect();
        let there = match steps.len() {
            0 => "there is none".to_owned(),
            count if count > NAMED => {
                let (first, last) = (steps[..NAMED - 1].join(", "), &steps[count - 1]);
                format!("there are {count}, of steps {first}, … {last}")
            }
            _ => format!("there are those of steps {}", steps.join(", ")),
        };
        BadInput(format!(
            "{}: no checkpoint of step {step}: {there}; choose another --at, or train with checkpoint.every_steps, and \
             checkpoint.keep_every to keep them",
            self.place
        ))
    }
}

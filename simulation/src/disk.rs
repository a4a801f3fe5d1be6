//! A model of the folder that checkpoints are in, which all nodes see.

use std::collections::BTreeMap;

use lockstep_proto::wire;

use crate::model::State;

/// A checkpoint's name: step and generation.
type Name = (u64, u64);

/// Checkpoints by name.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    checkpoints: BTreeMap<Name, Saved>,
    /// There is no room.
    pub full: bool,
}

#[derive(Debug)]
struct Saved {
    state: State,
    damaged: bool,
}

impl Disk {
    /// Writes one; gives its name.
    pub fn write(&mut self, state: State) -> String {
        let name = (state.step, state.ledger.rows().last().map_or(0, |row| row.generation));
        self.checkpoints.insert(name, Saved { state, damaged: false });
        text(name)
    }

    /// The newest valid one; damaged ones are set aside.
    pub fn newest(&mut self) -> Option<(wire::Held, String)> {
        while let Some(last) = self.checkpoints.last_entry() {
            if !last.get().damaged {
                return Some((last.get().state.held(), text(*last.key())));
            }
            last.remove();
        }
        None
    }

    /// Reads one.
    pub fn read(&self, name: &str) -> Result<State, String> {
        let saved = parsed(name).and_then(|name| self.checkpoints.get(&name));
        match saved {
            Some(saved) if !saved.damaged => Ok(saved.state.clone()),
            Some(_) => Err("it is damaged".into()),
            None => Err("it is missing".into()),
        }
    }

    /// Deletes one.
    pub fn delete(&mut self, name: &str) {
        if let Some(name) = parsed(name) {
            self.checkpoints.remove(&name);
        }
    }

    /// The newest can't be read any more.
    pub fn damage_newest(&mut self) {
        if let Some(mut last) = self.checkpoints.last_entry() {
            last.get_mut().damaged = true;
        }
    }

    /// The newest is gone.
    pub fn lose_newest(&mut self) {
        self.checkpoints.pop_last();
    }
}

fn text((step, generation): Name) -> String {
    format!("step-{step:012}-g{generation}")
}

fn parsed(name: &str) -> Option<Name> {
    let (step, generation) = name.strip_prefix("step-")?.split_once("-g")?;
    Some((step.parse().ok()?, generation.parse().ok()?))
}

//! The ledger: which positions of which epoch are in which committed steps. It is part of a job's state, so it
//! travels with the weights and is rolled back with them.

use serde::{Deserialize, Serialize};

use crate::wire;

/// A run of steps of one epoch, committed in one generation: positions `from..to` of the epoch's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerRow {
    /// The epoch, from 0.
    pub epoch: u64,
    /// First position.
    pub from: u64,
    /// Behind the last position.
    pub to: u64,
    /// Count of committed steps before the first of these.
    pub first_step: u64,
    /// Steps.
    pub steps: u64,
    /// Number of the generation that committed them.
    pub generation: u64,
    /// Samples that the reductions counted.
    pub samples: u64,
    /// Sum of hashed sample ids from the reductions, modulo 2⁶⁴.
    pub hashes: u64,
    /// Samples at these positions that could not be decoded and were left out (`data.skip_bad`), in the order of
    /// positions. `samples` and `hashes` are without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<u64>,
}

impl LedgerRow {
    /// Count of committed steps with the last of these.
    pub fn last_step(&self) -> u64 {
        self.first_step.saturating_add(self.steps)
    }

    /// Whether `next` goes on where this ends, in the same epoch and generation.
    fn goes_on_with(&self, next: &Self) -> bool {
        (self.epoch, self.to, self.last_step(), self.generation)
            == (next.epoch, next.from, next.first_step, next.generation)
    }
}

impl From<LedgerRow> for wire::LedgerRow {
    fn from(row: LedgerRow) -> Self {
        let LedgerRow { epoch, from, to, first_step, steps, generation, samples, hashes, skipped } = row;
        Self { epoch, from, to, first_step, steps, generation, samples, hashes, skipped }
    }
}

impl From<wire::LedgerRow> for LedgerRow {
    fn from(row: wire::LedgerRow) -> Self {
        let wire::LedgerRow { epoch, from, to, first_step, steps, generation, samples, hashes, skipped } = row;
        Self { epoch, from, to, first_step, steps, generation, samples, hashes, skipped }
    }
}

/// Rows in the order of steps, without a gap between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger {
    rows: Vec<LedgerRow>,
}

/// Why rows do not follow a ledger's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger has {has} steps, the row begins at {begins}")]
pub struct Gap {
    /// Committed steps in the ledger.
    pub has: u64,
    /// First step of the row that does not fit.
    pub begins: u64,
}

impl Ledger {
    /// All rows.
    pub fn rows(&self) -> &[LedgerRow] {
        &self.rows
    }

    /// Committed steps.
    pub fn steps(&self) -> u64 {
        self.rows.last().map_or(0, LedgerRow::last_step)
    }

    /// Samples that steps of an epoch have left out.
    pub fn skipped_of(&self, epoch: u64) -> u64 {
        let rows = self.rows.iter().rev().take_while(|row| row.epoch == epoch);
        rows.map(|row| row.skipped.len() as u64).sum()
    }

    /// Adds a row behind the last; one that goes on in its epoch and generation makes it longer.
    ///
    /// # Errors
    /// If the row does not begin where the ledger ends.
    pub fn add(&mut self, row: LedgerRow) -> Result<(), Gap> {
        if row.first_step != self.steps() {
            return Err(Gap { has: self.steps(), begins: row.first_step });
        }
        match self.rows.last_mut() {
            Some(last) if last.goes_on_with(&row) => {
                last.to = row.to;
                last.steps = last.steps.saturating_add(row.steps);
                last.samples = last.samples.saturating_add(row.samples);
                last.hashes = last.hashes.wrapping_add(row.hashes);
                last.skipped.extend(row.skipped);
            }
            _ => self.rows.push(row),
        }
        Ok(())
    }

    /// Drops rows with steps above `step`: a generation that starts there commits them anew. A row that only begins
    /// below goes as a whole, since nobody knows the hashes of its parts.
    pub fn void_above(&mut self, step: u64) {
        while self.rows.last().is_some_and(|row| row.last_step() > step) {
            self.rows.pop();
        }
    }

    /// Takes `rows` in from row `index` on, in place of what was there; gives whether they fit.
    ///
    /// # Errors
    /// If the rows before are missing, or the new ones have gaps.
    pub fn replace_from(&mut self, index: usize, rows: &[LedgerRow]) -> Result<(), Gap> {
        let begins = rows.first().map_or(u64::MAX, |row| row.first_step);
        if index > self.rows.len() {
            return Err(Gap { has: self.steps(), begins });
        }
        let mut replaced = Self { rows: self.rows[..index].to_vec() };
        for row in rows {
            replaced.add(row.clone())?;
        }
        *self = replaced;
        Ok(())
    }

    /// The same without who committed: rows of successive generations are joined. Two runs of one job are equal if
    /// these are, whatever happened to them.
    pub fn across_generations(&self) -> Self {
        let mut joined = Self::default();
        for row in &self.rows {
            // Rows follow each other, as they do here.
            let _ = joined.add(LedgerRow { generation: 0, ..row.clone() });
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: u64, epoch: u64, from: u64, generation: u64) -> LedgerRow {
        LedgerRow {
            epoch,
            from,
            to: from + 4,
            first_step: step,
            steps: 1,
            generation,
            samples: 3,
            hashes: u64::MAX,
            skipped: vec![step],
        }
    }

    fn ledger(steps: &[(u64, u64, u64, u64)]) -> Ledger {
        let mut ledger = Ledger::default();
        for &(number, epoch, from, generation) in steps {
            ledger.add(step(number, epoch, from, generation)).unwrap();
        }
        ledger
    }

    #[test]
    fn steps_of_one_epoch_and_generation_are_one_row() {
        let ledger = ledger(&[(0, 0, 0, 1), (1, 0, 4, 1), (2, 0, 8, 2), (3, 1, 0, 2)]);
        let rows: Vec<_> = ledger.rows().iter().map(|row| (row.epoch, row.from, row.to, row.steps)).collect();
        assert_eq!(rows, [(0, 0, 8, 2), (0, 8, 12, 1), (1, 0, 4, 1)]);
        assert_eq!((ledger.rows()[0].hashes, &ledger.rows()[0].skipped[..]), (u64::MAX - 1, &[0, 1][..]));
        assert_eq!([0, 1, 2].map(|epoch| ledger.skipped_of(epoch)), [0, 1, 0]);
        assert_eq!(ledger.steps(), 4);
        assert_eq!(ledger.across_generations().rows().len(), 2);
    }

    #[test]
    fn a_gap_is_refused() {
        let mut ledger = ledger(&[(0, 0, 0, 1)]);
        assert_eq!(ledger.add(step(2, 0, 8, 1)), Err(Gap { has: 1, begins: 2 }));
        assert!(ledger.replace_from(2, &[step(1, 0, 4, 1)]).is_err());
        assert_eq!(ledger.steps(), 1);
    }

    #[test]
    fn rows_above_a_step_are_voided_whole() {
        let mut ledger = ledger(&[(0, 0, 0, 1), (1, 0, 4, 1), (2, 0, 8, 2), (3, 0, 12, 2)]);
        ledger.void_above(3);
        assert_eq!(ledger.steps(), 2);
        ledger.replace_from(1, &[step(2, 0, 8, 2), step(3, 0, 12, 3)]).unwrap();
        assert_eq!((ledger.steps(), ledger.rows().len()), (4, 3));
    }
}

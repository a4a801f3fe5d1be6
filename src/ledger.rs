//! `ledger RUN`: proves from a run's ledger that each sample of each epoch was in at most one committed step.
//!
//! A row says which positions of which epoch are in which steps, and what the reductions counted. Positions that
//! follow each other without gap or overlap are samples that come once, because an epoch's order is a permutation;
//! that the steps really took the samples of those positions shows in the sum of the hashed sample ids, which is
//! computed here again.

use std::path::Path;

use anyhow::Result;
use lockstep_coordinator::client::{columns, grouped};
use lockstep_dataset::Order;
use lockstep_proto::job::{Job, LastBatch};
use lockstep_proto::ledger::{Ledger, LedgerRow};
use lockstep_worker::trainer::sample_hash;
use serde::Deserialize;

use crate::BadInput;

/// Content of `ledger.json`.
#[derive(Debug, Deserialize)]
struct File {
    /// Samples of an epoch.
    train_samples: u64,
    rows: Ledger,
}

/// Reads, proves and prints; gives whether the proof holds.
///
/// # Errors
/// If the folder is no run.
pub fn prove_run(run: &Path, json: bool) -> Result<bool> {
    let no_run = |what: &str| BadInput(format!("{} is no run: {what}", run.display()));
    let toml = std::fs::read_to_string(run.join("job.toml")).map_err(|e| no_run(&format!("job.toml: {e}")))?;
    let job = Job::from_toml(&toml).map_err(|e| no_run(&e.to_string()))?;
    let text = std::fs::read(run.join("ledger.json")).map_err(|e| no_run(&format!("ledger.json: {e}")))?;
    let file: File = serde_json::from_slice(&text).map_err(|e| no_run(&format!("ledger.json: {e}")))?;
    let proof = Proof::of(&job, file.train_samples, &file.rows);
    if json {
        crate::print(&format!("{}\n", proof.json()))?;
    } else {
        crate::print(&proof.table())?;
    }
    Ok(proof.holds())
}

/// What was found, epoch by epoch.
struct Proof {
    epochs: Vec<Epoch>,
    problems: Vec<String>,
}

/// One epoch's committed steps.
struct Epoch {
    number: u64,
    steps: u64,
    samples: u64,
    /// Samples that could not be decoded and were left out.
    skipped: Vec<u64>,
    generations: Vec<u64>,
    /// All of its samples were taken, but for a short last batch that is dropped.
    whole: bool,
}

impl Proof {
    fn of(job: &Job, train_samples: u64, ledger: &Ledger) -> Self {
        let mut proof = Self { epochs: Vec::new(), problems: Vec::new() };
        let (mut step, mut at) = (0, (0, 0));
        for row in ledger.rows() {
            proof.follow(row, step, at);
            proof.recount(row, job, train_samples);
            step = row.last_step();
            let rest = train_samples.saturating_sub(row.to);
            let keep = job.data.last_batch == LastBatch::Keep;
            let whole = rest == 0 || (rest < u64::from(job.batch.size_at(row.epoch)) && !keep);
            at = if whole { (row.epoch.saturating_add(1), 0) } else { (row.epoch, row.to) };
            proof.add(row, whole);
        }
        proof.check_skipped(job.data.skip_bad.into());
        proof
    }

    /// A row goes on where the one before it ended.
    fn follow(&mut self, row: &LedgerRow, step: u64, (epoch, position): (u64, u64)) {
        if row.first_step != step {
            self.problems.push(format!("steps {step} to {} are missing or come twice", row.first_step));
        }
        if (row.epoch, row.from) != (epoch, position) {
            let found = format!("epoch {} position {}", row.epoch, row.from);
            self.problems.push(format!("step {step} takes {found} where epoch {epoch} position {position} is next"));
        }
    }

    /// The reductions counted each position once, and the samples of those positions.
    fn recount(&mut self, row: &LedgerRow, job: &Job, train_samples: u64) {
        let steps = format!("steps {} to {}", row.first_step, row.last_step());
        if row.to > train_samples || row.from > row.to {
            self.problems.push(format!("{steps} take positions {} to {} of {train_samples}", row.from, row.to));
            return;
        }
        let (positions, left_out) = (row.to - row.from, row.skipped.len() as u64);
        if row.samples.checked_add(left_out) != Some(positions) {
            let without = if left_out > 0 { format!(" and left out {left_out}") } else { String::new() };
            self.problems.push(format!("{steps} counted {} samples{without} at {positions} positions", row.samples));
        }
        let order = Order::of(job, row.epoch, train_samples);
        let mut skipped = row.skipped.iter().peekable();
        let counted = (row.from..row.to).map(|position| order.sample_at(position)).filter(|sample| {
            let is_left_out = skipped.next_if_eq(&sample).is_some();
            !is_left_out
        });
        let hashes = counted.fold(0u64, |sum, sample| sum.wrapping_add(sample_hash(sample)));
        if hashes != row.hashes || skipped.next().is_some() {
            self.problems.push(format!("{steps} took other samples than those of their positions"));
        }
    }

    /// No epoch left out more samples than the job says.
    fn check_skipped(&mut self, most: u64) {
        for epoch in self.epochs.iter().filter(|epoch| epoch.skipped.len() as u64 > most) {
            let (number, found) = (epoch.number, epoch.skipped.len());
            self.problems.push(format!("epoch {number} left out {found} samples, but data.skip_bad is {most}"));
        }
    }

    fn add(&mut self, row: &LedgerRow, whole: bool) {
        if self.epochs.last().is_none_or(|epoch| epoch.number != row.epoch) {
            let number = row.epoch;
            self.epochs.push(Epoch {
                number,
                steps: 0,
                samples: 0,
                skipped: Vec::new(),
                generations: Vec::new(),
                whole: false,
            });
        }
        let Some(epoch) = self.epochs.last_mut() else { return };
        epoch.steps += row.steps;
        epoch.samples += row.samples;
        epoch.skipped.extend(&row.skipped);
        epoch.whole |= whole;
        if epoch.generations.last() != Some(&row.generation) {
            epoch.generations.push(row.generation);
        }
    }

    fn holds(&self) -> bool {
        self.problems.is_empty()
    }

    fn table(&self) -> String {
        let mut rows = vec![["EPOCH", "STEPS", "SAMPLES", "WHOLE", "GENERATIONS"].map(String::from).to_vec()];
        rows.extend(self.epochs.iter().map(|epoch| {
            vec![
                epoch.number.to_string(),
                grouped(epoch.steps as f64),
                grouped(epoch.samples as f64),
                if epoch.whole { "yes" } else { "no" }.to_owned(),
                ranges(&epoch.generations),
            ]
        }));
        let mut text = columns(&rows);
        for Epoch { number, skipped, .. } in self.epochs.iter().filter(|epoch| !epoch.skipped.is_empty()) {
            let samples: Vec<String> = skipped.iter().map(u64::to_string).collect();
            text.push_str(&format!("\nepoch {number} left out samples that can't be decoded: {}", samples.join(", ")));
        }
        for problem in &self.problems {
            text.push_str(&format!("\nproblem: {problem}"));
        }
        let verdict = if self.holds() {
            "\nproven: each sample of each epoch was in at most one committed step\n"
        } else {
            "\nnot proven\n"
        };
        text + verdict
    }

    fn json(&self) -> serde_json::Value {
        let epoch = |epoch: &Epoch| {
            serde_json::json!({
                "epoch": epoch.number,
                "steps": epoch.steps,
                "samples": epoch.samples,
                "skipped": epoch.skipped,
                "whole": epoch.whole,
                "generations": epoch.generations,
            })
        };
        let epochs: Vec<_> = self.epochs.iter().map(epoch).collect();
        serde_json::json!({ "proven": self.holds(), "problems": self.problems, "epochs": epochs })
    }
}

/// "1–3, 7".
fn ranges(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let run = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}–{last}") };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: u64 = 11;

    fn job() -> Job {
        let mut job = Job::default();
        (job.batch.size, job.batch.micro_batch) = (4, 2);
        job
    }

    fn row(epoch: u64, from: u64, to: u64, first_step: u64, generation: u64) -> LedgerRow {
        let order = Order::new(0, epoch, SAMPLES);
        let hashes = (from..to).fold(0u64, |sum, position| sum.wrapping_add(sample_hash(order.sample_at(position))));
        let steps = (to - from).div_ceil(4);
        LedgerRow { epoch, from, to, first_step, steps, generation, samples: to - from, hashes, skipped: Vec::new() }
    }

    fn problems(rows: &[LedgerRow]) -> String {
        let mut ledger = Ledger::default();
        rows.iter().for_each(|row| ledger.add(row.clone()).unwrap());
        Proof::of(&job(), SAMPLES, &ledger).problems.join("; ")
    }

    #[test]
    fn a_whole_ledger_is_proven() {
        assert_eq!(problems(&[row(0, 0, 4, 0, 1), row(0, 4, 8, 1, 3), row(1, 0, 8, 2, 3), row(2, 0, 4, 4, 4)]), "");
    }

    #[test]
    fn short_last_batches_are_those_of_the_epochs_batch() {
        let mut job = job();
        job.batch.growth = vec![(1, 6)];
        let mut ledger = Ledger::default();
        // Epoch 0 drops three of eleven samples, epoch 1 five.
        for row in [row(0, 0, 8, 0, 1), row(1, 0, 6, 2, 1), row(2, 0, 6, 4, 1)] {
            ledger.add(LedgerRow { first_step: ledger.steps(), ..row }).unwrap();
        }
        assert_eq!(Proof::of(&job, SAMPLES, &ledger).problems, [""; 0]);
    }

    #[test]
    fn other_samples_gaps_and_repeats_are_found() {
        let swapped = LedgerRow { hashes: row(1, 0, 4, 0, 1).hashes, ..row(0, 0, 4, 0, 1) };
        assert!(problems(&[swapped]).contains("other samples"));
        assert!(problems(&[row(0, 0, 4, 0, 1), row(0, 0, 4, 1, 2)]).contains("takes epoch 0 position 0"));
        assert!(problems(&[row(0, 0, 4, 0, 1), row(1, 0, 4, 1, 1)]).contains("epoch 0 position 4 is next"));
        assert!(problems(&[LedgerRow { samples: 5, ..row(0, 0, 4, 0, 1) }]).contains("counted 5 samples"));
        assert!(problems(&[LedgerRow { to: 99, ..row(0, 0, 4, 0, 1) }]).contains("of 11"));
    }

    #[test]
    fn samples_that_were_left_out_are_counted_apart() {
        let without = |row: LedgerRow, skipped: &[u64]| {
            let hash = |sum: u64, sample: &u64| sum.wrapping_sub(sample_hash(*sample));
            let (samples, hashes) = (row.samples - skipped.len() as u64, skipped.iter().fold(row.hashes, hash));
            LedgerRow { samples, hashes, skipped: skipped.to_vec(), ..row }
        };
        let problems = |row: LedgerRow| {
            let mut job = job();
            job.data.skip_bad = 2;
            let mut ledger = Ledger::default();
            ledger.add(row).unwrap();
            Proof::of(&job, SAMPLES, &ledger).problems.join("; ")
        };
        let samples: Vec<u64> = (0..8).map(|position| Order::new(0, 0, SAMPLES).sample_at(position)).collect();
        let whole = row(0, 0, 8, 0, 1);
        assert_eq!(problems(without(whole.clone(), &[samples[1], samples[6]])), "");
        assert!(problems(without(whole.clone(), &[samples[6], samples[1]])).contains("other samples"));
        let absent = Order::new(0, 0, SAMPLES).sample_at(9);
        assert!(problems(without(whole.clone(), &[absent])).contains("other samples"));
        let lost = LedgerRow { skipped: Vec::new(), ..without(whole.clone(), &samples[..1]) };
        assert!(problems(lost).contains("counted 7 samples at 8 positions"));
        assert!(problems(without(whole, &samples[2..5])).contains("left out 3 samples, but data.skip_bad is 2"));
    }

    #[test]
    fn generations_are_told_as_ranges() {
        assert_eq!(ranges(&[1, 2, 3, 7, 9, 10]), "1–3, 7, 9–10");
    }
}

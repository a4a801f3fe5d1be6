//! What was committed and is not yet known to be durable. Every worker keeps it, whoever speaks, so that any of them
//! can speak next.

use std::collections::VecDeque;

use lockstep_proto::ledger::{Ledger, LedgerRow};
use lockstep_proto::wire;
use prost::Message;

use super::event::{Batch, Ready};

/// Rows, reports and bytes of reports of one message; more go in several, since messages are bounded.
const ROWS: usize = 20_000;
const REPORTS: usize = 2_000;
const REPORT_BYTES: usize = 1 << 20;

/// Ledger, reports, and how far the coordinator has them.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Reports up to this step are made; those above wait for an evaluation that is under way.
    reported: u64,
    ledger: Ledger,
    /// In the order of steps.
    reports: VecDeque<wire::Report>,
    /// Rows that the coordinator has.
    recorded_rows: usize,
    /// Rows below were said on this stream.
    said_rows: usize,
    /// So many of the first `reports` were said on this stream.
    said_reports: usize,
}

impl Journal {
    /// A generation begins: reports of steps that it commits anew are void, and the coordinator says what it has.
    pub(super) fn begin(&mut self, begin: &wire::Begin) {
        let start = begin.start.as_ref().map_or(0, |start| start.step);
        self.reports.retain(|report| step_of(report) <= start);
        self.drop_recorded(begin.recorded_step);
        self.recorded_rows = usize::try_from(begin.ledger_rows).unwrap_or(usize::MAX);
        self.say_again();
    }

    /// The trainer has the state that the generation starts from.
    pub(super) fn adopt(&mut self, ready: Ready, recorded_step: u64) {
        self.reported = ready.reported;
        self.ledger = Ledger::default();
        // Rows of a state have no gaps.
        let _ = self.ledger.replace_from(0, &ready.rows);
        ready.reports.into_iter().for_each(|report| self.keep(report));
        self.drop_recorded(recorded_step);
    }

    /// More was committed.
    pub(super) fn add(&mut self, batch: Batch) {
        self.reported = batch.reported;
        self.said_rows = self.said_rows.min(batch.first_row);
        let _ = self.ledger.replace_from(batch.first_row, &batch.rows);
        batch.reports.into_iter().for_each(|report| self.keep(report));
    }

    /// Keeps a report in the order of steps, unless it is there: an evaluation may be made twice.
    fn keep(&mut self, report: wire::Report) {
        let place = self.reports.partition_point(|other| step_of(other) <= step_of(&report));
        let twice = self.reports.range(..place).rev().take_while(|other| step_of(other) == step_of(&report));
        if !twice.into_iter().any(|other| kind_of(other) == kind_of(&report)) {
            self.said_reports = self.said_reports.min(place);
            self.reports.insert(place, report);
        }
    }

    /// Rows below `rows` are durable. Fewer than before mean that the coordinator asks for all from there; then this is
    /// true.
    pub(super) fn acknowledge_rows(&mut self, rows: u64) -> bool {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX).min(self.ledger.rows().len());
        let asks = rows < self.recorded_rows;
        self.recorded_rows = rows;
        if asks {
            self.say_again();
        }
        asks
    }

    /// What was not yet said on this stream; from now on it was.
    pub(super) fn say(&mut self, generation: &wire::GenerationId) -> Vec<wire::Reports> {
        let all = self.ledger.rows();
        let first = self.said_rows.min(all.len());
        let message = |first_row: usize, rows: &[LedgerRow]| wire::Reports {
            generation: Some(generation.clone()),
            first_row: first_row as u64,
            rows: rows.iter().cloned().map(Into::into).collect(),
            ..Default::default()
        };
        let mut messages = Vec::new();
        let (mut next, mut left) = (first, &all[first..]);
        while let (rows @ [_, ..], rest) = left.split_at(rows_of_a_message(left)) {
            messages.push(message(next, rows));
            (next, left) = (next + rows.len(), rest);
        }
        let whole = self.reports.partition_point(|report| step_of(report) <= self.reported);
        let unsaid = self.reports.iter().take(whole).skip(self.said_reports);
        for (index, reports) in in_parts(unsaid).into_iter().enumerate() {
            // The first go with the last rows.
            if index > 0 || messages.is_empty() {
                messages.push(message(all.len(), &[]));
            }
            if let Some(last) = messages.last_mut() {
                last.reports = reports;
            }
        }
        // Reports up to a message's step are in it or before.
        let mut step = self.reported;
        for message in messages.iter_mut().rev() {
            let ends = message.rows.last().map_or(u64::MAX, |row| row.first_step + row.steps);
            message.step = step.min(ends);
            step = message.reports.first().map_or(step, |report| step_of(report).saturating_sub(1));
        }
        (self.said_rows, self.said_reports) = (all.len(), whole);
        messages
    }

    /// Nothing that is not recorded counts as said: the stream is another.
    pub(super) fn say_again(&mut self) {
        // The last row that is recorded may have grown since.
        (self.said_rows, self.said_reports) = (self.recorded_rows.saturating_sub(1), 0);
    }

    /// Reports that the coordinator has not recorded.
    pub(super) fn unrecorded(&self) -> Vec<wire::Report> {
        self.reports.iter().cloned().collect()
    }

    /// Committed, as far as handed over.
    pub(super) fn step(&self) -> u64 {
        self.ledger.steps()
    }

    /// Reports up to `step` are durable.
    pub(super) fn drop_recorded(&mut self, step: u64) {
        while self.reports.front().is_some_and(|report| step_of(report) <= step) {
            self.reports.pop_front();
            self.said_reports = self.said_reports.saturating_sub(1);
        }
    }
}

/// How many rows go into one message: [`ROWS`], fewer if they list samples that were left out.
fn rows_of_a_message(rows: &[LedgerRow]) -> usize {
    // A row takes as many bytes as some sixteen samples.
    let mut weight = 0;
    let fit = rows.iter().take_while(|row| {
        weight += 1 + row.skipped.len() / 16;
        weight <= ROWS
    });
    fit.count().max(1).min(rows.len())
}

/// Cuts reports into parts of about [`REPORTS`] and [`REPORT_BYTES`], none of them between two of one step.
fn in_parts<'a>(reports: impl Iterator<Item = &'a wire::Report>) -> Vec<Vec<wire::Report>> {
    let (mut parts, mut bytes): (Vec<Vec<wire::Report>>, usize) = (Vec::new(), 0);
    for report in reports {
        let length = report.encoded_len();
        bytes += length;
        let has_room = |part: &Vec<wire::Report>| part.len() < REPORTS && bytes <= REPORT_BYTES;
        let fits = |part: &Vec<wire::Report>| has_room(part) || part.last().map(step_of) == Some(step_of(report));
        match parts.last_mut() {
            Some(part) if fits(part) => part.push(report.clone()),
            Some(_) | None => {
                parts.push(vec![report.clone()]);
                bytes = length;
            }
        }
    }
    parts
}

fn step_of(report: &wire::Report) -> u64 {
    match &report.report {
        Some(wire::report::Report::Step(report)) => report.step,
        Some(wire::report::Report::Evaluation(report)) => report.step,
        Some(wire::report::Report::Probe(report)) => report.step,
        None => 0,
    }
}

/// What tells reports of one step apart: the split of an evaluation, a probe's title.
fn kind_of(report: &wire::Report) -> (u8, &str) {
    match &report.report {
        Some(wire::report::Report::Step(_)) | None => (0, ""),
        Some(wire::report::Report::Evaluation(report)) => (1, &report.split),
        Some(wire::report::Report::Probe(report)) => (2, &report.probe),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_journal_is_said_in_several_messages() {
        let (epochs, steps) = (ROWS as u64 + 5, 2 * REPORTS as u64 + 1);
        let mut journal = Journal::default();
        let row = |epoch| LedgerRow {
            epoch,
            from: 0,
            to: 1,
            first_step: epoch,
            steps: 1,
            generation: 1,
            samples: 1,
            hashes: 0,
            skipped: Vec::new(),
        };
        let report = |step| wire::Report {
            report: Some(wire::report::Report::Step(wire::StepReport { step, ..Default::default() })),
        };
        journal.add(Batch {
            reported: epochs,
            first_row: 0,
            rows: (0..epochs).map(row).collect(),
            reports: (1..=steps).map(report).collect(),
        });
        let messages = journal.say(&wire::GenerationId::default());
        let said: Vec<_> = messages
            .iter()
            .map(|message| (message.first_row, message.rows.len(), message.reports.len(), message.step))
            .collect();
        let (rows, reports) = (ROWS as u64, REPORTS as u64);
        let last = [(epochs, 0, REPORTS, 2 * reports), (epochs, 0, 1, epochs)];
        assert_eq!(said[..2], [(0, ROWS, 0, 0), (rows, 5, REPORTS, reports)]);
        assert_eq!(said[2..], last);
        assert!(journal.say(&wire::GenerationId::default()).is_empty());
    }

    #[test]
    fn long_reports_are_said_in_more_messages() {
        let layer = wire::LayerNoise { name: "a".repeat(100), ..Default::default() };
        let noise = wire::NoiseScale { layers: vec![layer; 2_000], ..Default::default() };
        let report = |step| wire::StepReport { step, noise: Some(noise.clone()), ..Default::default() };
        let reports: Vec<_> =
            (1..=30).map(|step| wire::Report { report: Some(wire::report::Report::Step(report(step))) }).collect();
        let mut journal = Journal::default();
        journal.add(Batch { reported: 30, reports, ..Batch::default() });
        let messages = journal.say(&wire::GenerationId::default());
        assert_eq!(messages.iter().map(|message| message.reports.len()).sum::<usize>(), 30);
        let longest = messages.iter().map(wire::Reports::encoded_len).max().unwrap();
        assert!(messages.len() > 5 && longest <= REPORT_BYTES + 1000, "{} messages, {longest}", messages.len());
    }

    #[test]
    fn a_step_is_said_with_its_evaluation() {
        let step = wire::report::Report::Step(wire::StepReport { step: 4, ..Default::default() });
        let evaluation = wire::EvaluationReport { step: 4, split: "test".into(), ..Default::default() };
        let evaluation = wire::report::Report::Evaluation(evaluation);
        let batch = |reported, report| Batch {
            reported,
            reports: vec![wire::Report { report: Some(report) }],
            ..Batch::default()
        };
        let mut journal = Journal::default();
        journal.add(batch(3, step));
        assert!(journal.say(&wire::GenerationId::default()).is_empty(), "the evaluation is under way");
        journal.add(batch(4, evaluation));
        let said = journal.say(&wire::GenerationId::default());
        assert_eq!((said.len(), said[0].step, said[0].reports.len()), (1, 4, 2));
    }
}

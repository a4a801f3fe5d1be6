//! Committed steps: recorded once, whoever tells of them.

use std::collections::BTreeSet;

use lockstep_proto::identity::WorkerId;
use lockstep_proto::ledger::LedgerRow;

use super::team::Team;
use super::{EVALUATIONS_KEPT, Job, Recording, Turn};
use crate::cluster::command::Command;
use crate::cluster::event::Batch;
use crate::cluster::facts::{EvaluationReport, Report};
use crate::cluster::timeouts::ALIVE_EVERY;

impl Job {
    /// Records what is new of a batch. One that leaves a gap is not taken: the answer says where to begin again.
    pub(super) fn reported(&mut self, team: &mut Team, worker: &WorkerId, batch: Batch, turn: &mut Turn<'_>) {
        let newest = team.current.as_ref().map(|current| current.generation.number);
        let newest = newest.unwrap_or(self.highest_generation);
        if batch.generation.number != newest {
            turn.ignore(format!(
                "reports of worker {worker} for {:?} are ignored: the job's is {newest}",
                batch.generation
            ));
            return self.tell_durable(worker, turn);
        }
        if self.progress.incomplete == Some(newest) {
            return turn.ignore(format!("reports of worker {worker} are ignored: some before them were not recorded"));
        }
        let Batch { step, mut first_row, rows, mut reports, .. } = batch;
        let ledger = &mut self.progress.ledger;
        let ends = rows.last().map_or(ledger.steps(), LedgerRow::last_step);
        if rows.is_empty() {
            first_row = ledger.rows().len();
        }
        // One from a stream that broke may come behind what was said again on the next.
        let late = ends < ledger.steps();
        if late {
            return self.tell_durable(worker, turn);
        }
        if step > ends || ledger.replace_from(first_row, &rows).is_err() {
            self.progress.asked = Some(newest);
            return self.ask_for_all(worker, turn);
        }
        self.progress.asked = None;
        let recorded = self.progress.recorded_step;
        self.progress.batch = Some(Recording { generation: newest, first_row, step: recorded });
        reports.retain(|report| report.step() <= step);
        reports.retain(|report| report.step() > recorded || self.is_new_behind_step(report));
        self.take_in(&reports);
        let seconds = reports.iter().filter_map(|report| match report {
            Report::Step(step) => Some(&step.seconds),
            Report::Evaluation(_) | Report::Probe(_) => None,
        });
        // Small images in memory are augmented by those who compute: nobody waits.
        let reads_files = self.spec.data.size > 0;
        let seconds = seconds.filter(|_| reads_files);
        let told = seconds.filter_map(|seconds| self.waits.take_in(seconds)).collect();
        self.log(told, turn);
        self.progress.recorded_step = recorded.max(step);
        self.losses.progressed(self.progress.recorded_step);
        let step = self.progress.recorded_step;
        let job = self.id.clone();
        let told = !reports.is_empty();
        let evaluated = reports.iter().any(|report| matches!(report, Report::Evaluation(_)));
        turn.records.push(Command::AppendReports { job: job.clone(), first_row, rows, step, reports });
        if told {
            turn.records.push(Command::Notify { job, reason: None });
        }
        if evaluated {
            // The file is for people who look while it runs; what counts is in the database.
            self.save_ledger(turn);
        }
        self.acknowledge(team, worker, turn);
    }

    /// Keeps what those want to see who begin to watch late.
    pub(super) fn take_in(&mut self, reports: &[Report]) {
        for report in reports {
            match report {
                Report::Step(step) => self.progress.step = step.clone(),
                Report::Evaluation(evaluation) => self.remember(evaluation.clone()),
                Report::Probe(probe) => self.remember_probe(probe.step, &probe.probe),
            }
        }
    }

    /// Evaluations and probes may come after the step that they are of.
    fn is_new_behind_step(&self, report: &Report) -> bool {
        let progress = &self.progress;
        let is_known = match report {
            Report::Step(_) => return false,
            Report::Evaluation(new) => {
                progress.evaluations.iter().any(|known| (known.step, &known.split) == (new.step, &new.split))
            }
            Report::Probe(new) => progress.probed.0 == new.step && progress.probed.1.contains(&new.probe),
        };
        report.step() == progress.recorded_step && !is_known
    }

    fn remember_probe(&mut self, step: u64, title: &str) {
        if self.progress.probed.0 != step {
            self.progress.probed = (step, BTreeSet::new());
        }
        self.progress.probed.1.insert(title.to_owned());
    }

    /// Tells the sender at once, and the others now and then, what they need not keep.
    fn acknowledge(&self, team: &mut Team, worker: &WorkerId, turn: &mut Turn<'_>) {
        self.tell_durable(worker, turn);
        let Some(current) = &mut team.current else { return };
        if turn.now.since(current.acknowledged) >= ALIVE_EVERY {
            current.acknowledged = turn.now;
            current
                .members
                .iter()
                .filter(|member| *member != worker)
                .for_each(|member| self.tell_durable(member, turn));
        }
    }

    /// Tells a worker what is durable.
    pub(super) fn tell_durable(&self, worker: &WorkerId, turn: &mut Turn<'_>) {
        turn.orders.push(Command::Acknowledge {
            worker: worker.clone(),
            job: self.id.clone(),
            rows: self.complete_rows(),
            step: self.progress.recorded_step,
        });
    }

    /// Rows do not follow those that are recorded: maybe others committed the same steps in other generations.
    fn ask_for_all(&self, worker: &WorkerId, turn: &mut Turn<'_>) {
        let (worker, job, step) = (worker.clone(), self.id.clone(), self.progress.recorded_step);
        turn.orders.push(Command::Acknowledge { worker, job, rows: 0, step });
    }

    /// Rows of the ledger that grow no more: the last one may be known in part.
    pub(super) fn complete_rows(&self) -> u64 {
        self.progress.ledger.rows().len().saturating_sub(1) as u64
    }

    /// The newest batch did not reach the disk: it is forgotten. Reports behind it are of no use without it; the next
    /// generation's speaker says all of them again.
    pub(super) fn forget_unrecorded(&mut self) {
        let Some(Recording { generation, first_row, step }) = self.progress.batch.take() else { return };
        // Without new rows there is no gap.
        let _ = self.progress.ledger.replace_from(first_row, &[]);
        self.progress.incomplete = Some(generation);
        self.progress.recorded_step = step;
        self.progress.evaluations.retain(|evaluation| evaluation.step <= step);
        self.progress.probed.1.clear();
    }

    pub(super) fn save_ledger(&self, turn: &mut Turn<'_>) {
        turn.records.push(Command::SaveLedger {
            job: self.id.clone(),
            ledger: Box::new(self.progress.ledger.clone()),
            train_samples: self.progress.facts.train_samples,
        });
    }

    fn remember(&mut self, evaluation: EvaluationReport) {
        if self.progress.evaluations.len() == EVALUATIONS_KEPT {
            self.progress.evaluations.remove(0);
        }
        self.progress.evaluations.push(evaluation);
    }
}

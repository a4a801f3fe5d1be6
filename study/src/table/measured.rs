//! Tables of what was measured on the way, out of the lines of each run.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use lockstep_proto::report::{EvaluationReport, ProbeReport, Report, StepReport};

use super::file::Csv;
use super::{StudyFolder, TableError};
use crate::csv::Field;
use crate::plan::{Known, Task};
use crate::run::{RunError, lines};

/// The open files.
struct Tables {
    steps: Csv,
    layers: Csv,
    evaluations: Csv,
    probes: Csv,
    remarks: Csv,
}

/// Writes them, each run once, in the order of cells and seeds.
pub(super) fn write(folder: &StudyFolder, tables: &Path, finals: &[&Task], known: &Known) -> Result<(), TableError> {
    let failed = |cause| TableError::Io { path: tables.to_owned(), cause };
    let mut open = Tables::create(tables).map_err(failed)?;
    let mut seen = BTreeSet::new();
    for task in finals.iter().filter(|task| known.contains_key(&task.key)) {
        if seen.insert(&task.key) {
            let path = folder.run(&task.key).join("metrics.jsonl");
            lines(&path, |line| {
                open.add(&task.key, &line)
                    .map_err(|cause| RunError { path: tables.to_owned(), problem: cause.to_string() })
            })?;
        }
    }
    let Tables { steps, layers, evaluations, probes, remarks } = open;
    [steps, layers, evaluations, probes, remarks].into_iter().try_for_each(Csv::finish).map_err(failed)
}

impl Tables {
    fn create(tables: &Path) -> io::Result<Self> {
        let steps = [
            "job",
            "step",
            "epoch",
            "samples",
            "loss",
            "accuracy",
            "learning_rate",
            "noise_trace",
            "noise_squared_norm",
            "noise_scale",
            "noise_low",
            "noise_high",
            "noise_above",
            "lane_squared_norm",
            "implicit_gradient",
        ];
        let layers = ["job", "step", "layer", "noise_trace", "noise_squared_norm", "noise_scale"];
        let probes =
            ["job", "step", "epoch", "probe", "measure", "on", "samples", "method", "figure", "index", "value"];
        Ok(Self {
            steps: Csv::create(tables, "steps", &steps)?,
            layers: Csv::create(tables, "layers", &layers)?,
            evaluations: Csv::create(
                tables,
                "evaluations",
                &["job", "step", "epoch", "split", "loss", "accuracy", "samples"],
            )?,
            probes: Csv::create(tables, "probes", &probes)?,
            remarks: Csv::create(tables, "remarks", &["job", "step", "probe", "remark"])?,
        })
    }

    fn add(&mut self, job: &str, line: &Report) -> io::Result<()> {
        match line {
            Report::Step(step) => self.step(job, step),
            Report::Evaluation(evaluation) => {
                let EvaluationReport { step, epoch, split, loss, accuracy, samples, .. } = evaluation;
                self.evaluations.row(&[&job, step, epoch, split, loss, accuracy, samples])
            }
            Report::Probe(probe) => self.probe(job, probe),
        }
    }

    fn step(&mut self, job: &str, line: &StepReport) -> io::Result<()> {
        let noise = line.noise.clone().unwrap_or_default();
        let fields: [&dyn Field; 15] = [
            &job,
            &line.step,
            &line.epoch,
            &line.samples,
            &line.loss,
            &line.accuracy,
            &line.learning_rate,
            &noise.all.trace,
            &noise.all.squared_norm,
            &noise.all.scale,
            &noise.all.low,
            &noise.all.high,
            &noise.all.above,
            &noise.lane_squared_norm,
            &noise.implicit_gradient,
        ];
        self.steps.row(&fields)?;
        for layer in &noise.layers {
            self.layers.row(&[
                &job,
                &line.step,
                &layer.name,
                &layer.own.trace,
                &layer.own.squared_norm,
                &layer.own.scale,
            ])?;
        }
        Ok(())
    }

    fn probe(&mut self, job: &str, line: &ProbeReport) -> io::Result<()> {
        let ProbeReport { step, epoch, probe, measure, on, samples, method, figures, remarks } = line;
        for (figure, values) in figures {
            for (index, value) in values.iter().enumerate() {
                self.probes.row(&[&job, step, epoch, probe, measure, on, samples, method, figure, &index, value])?;
            }
        }
        remarks.iter().try_for_each(|remark| self.remarks.row(&[&job, step, probe, remark]))
    }
}

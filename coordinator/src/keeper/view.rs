//! Jobs and reports as the wire has them.

use lockstep_proto::identity::JobId;
use lockstep_proto::wire;

use super::noise;
use crate::cluster::facts::{CheckpointFact, EvaluationReport, Outcome, ProbeReport, StepReport};
use crate::cluster::scheduler::Offer;
use crate::cluster::{AgentHello, Job};
use crate::store::LogRow;

/// A job as clients see it.
pub fn view(job: &Job) -> wire::JobView {
    let record = job.record();
    let seconds = |time: Option<crate::cluster::Timestamp>| time.map_or(0.0, |time| time.seconds());
    let placement = |placement: &crate::cluster::record::Placement| {
        let seats = job.state.team().into_iter().flat_map(|team| &team.seats);
        let life = seats.filter(|seat| seat.worker.as_str() == placement.worker).map(|seat| &seat.life).next();
        let phases = life.into_iter().flat_map(|life| &life.phases);
        wire::Placement {
            worker: placement.worker.clone(),
            host: placement.host.clone(),
            rank: placement.rank,
            lanes: placement.lanes,
            instruction_set: placement.instruction_set.clone(),
            phase: life.map(|life| life.phase.clone()).unwrap_or_default(),
            step: life.map_or(0, |life| life.step),
            lane_seconds: life.map_or(0.0, |life| life.lane_seconds),
            phases: phases
                .map(|(phase, seconds)| wire::PhaseTime { phase: phase.clone(), seconds: *seconds })
                .collect(),
            gpu: life.and_then(|life| life.gpu).map(wire::GpuReading::from),
        }
    };
    wire::JobView {
        job: record.job.to_string(),
        name: record.name,
        state: record.state.as_str().into(),
        reason: record.reason,
        run_folder: record.run_folder.to_string_lossy().into_owned(),
        submitted: record.submitted.seconds(),
        started: seconds(record.started),
        ended: seconds(record.ended),
        workers: record.workers,
        threads: record.placements.iter().map(|p| p.threads).max().unwrap_or(0),
        progress: progress(job),
        outcome: record.outcome.map(outcome),
        bad_input: record.bad_input,
        placements: record.placements.iter().map(placement).collect(),
        published: published(&job.spec.published),
        generation: job.generation(),
        checkpoints: job.checkpoints.iter().map(|known| checkpoint(&job.id, known)).collect(),
        classes: job.spec.data.classes,
    }
}

/// An agent as clients see it.
pub fn agent(hello: &AgentHello, offer: &Offer) -> wire::AgentView {
    wire::AgentView {
        node: hello.node.to_string(),
        host: hello.host.clone(),
        device: hello.device.name().into(),
        slots: offer.slots,
        free: offer.free,
        gpus: hello.gpus.iter().cloned().map(wire::Gpu::from).collect(),
    }
}

fn published(published: &lockstep_proto::job::Published) -> Option<wire::Published> {
    let named = published.test_error > 0.0;
    named.then(|| wire::Published { test_error: published.test_error, source: published.source.clone() })
}

fn progress(job: &Job) -> Option<wire::Progress> {
    let (step, facts) = (&job.progress.step, &job.progress.facts);
    if facts.total_steps == 0 && step.step == 0 {
        return None;
    }
    Some(wire::Progress {
        step: step.step,
        total_steps: facts.total_steps,
        epoch: step.epoch,
        total_epochs: facts.total_epochs,
        loss: step.loss,
        accuracy: step.accuracy,
        learning_rate: step.learning_rate,
        samples_per_second: step.samples_per_second,
        seconds_left: job.seconds_left().unwrap_or(0.0),
        noise: step.noise.as_ref().map(noise::of_all),
    })
}

fn outcome(outcome: Outcome) -> wire::Outcome {
    wire::Outcome {
        stop_reason: outcome.stop_reason.as_str().into(),
        steps: outcome.steps,
        epochs: outcome.epochs,
        samples: outcome.samples,
        seconds: outcome.seconds,
        train_loss: outcome.train_loss.unwrap_or(f64::NAN),
        test_loss: outcome.test_loss,
        test_error: outcome.test_error,
        test_top5_error: outcome.test_top5_error,
        weights_sha256: outcome.weights_sha256,
        reason: outcome.reason,
    }
}

/// A checkpoint as the wire has it.
pub fn checkpoint(job: &JobId, checkpoint: &CheckpointFact) -> wire::CheckpointView {
    wire::CheckpointView {
        job: job.to_string(),
        step: checkpoint.step,
        name: checkpoint.name.clone(),
        dir: checkpoint.dir.clone(),
        bytes: checkpoint.bytes,
        digest: checkpoint.digest.clone(),
    }
}

/// A step report as the wire has it.
pub fn step(report: &StepReport) -> wire::StepReport {
    let seconds = &report.seconds;
    wire::StepReport {
        step: report.step,
        epoch: report.epoch,
        loss: report.loss,
        accuracy: report.accuracy,
        learning_rate: report.learning_rate,
        samples_per_second: report.samples_per_second,
        seconds: Some(wire::PhaseSeconds {
            data: seconds.data,
            forward: seconds.forward,
            backward: seconds.backward,
            reduce: seconds.reduce,
            commit: seconds.commit,
        }),
        samples: report.samples,
        noise: report.noise.as_ref().map(noise::noise),
    }
}

/// An evaluation as the wire has it.
pub fn evaluation(report: &EvaluationReport) -> wire::EvaluationReport {
    wire::EvaluationReport {
        step: report.step,
        epoch: report.epoch,
        split: report.split.clone(),
        loss: report.loss,
        accuracy: report.accuracy,
        samples: report.samples,
        top5_accuracy: report.top5_accuracy.unwrap_or(f64::NAN),
        skipped: report.skipped.clone(),
    }
}

/// What a probe has come to, as the wire has it.
pub fn probe(report: &ProbeReport) -> wire::ProbeReport {
    let figure = |(name, values): (&String, &Vec<Option<f64>>)| wire::Figure {
        name: name.clone(),
        values: values.iter().map(|value| value.unwrap_or(f64::NAN)).collect(),
    };
    wire::ProbeReport {
        step: report.step,
        epoch: report.epoch,
        probe: report.probe.clone(),
        measure: report.measure.clone(),
        on: report.on.clone(),
        samples: report.samples,
        method: report.method.clone(),
        figures: report.figures.iter().map(figure).collect(),
        remarks: report.remarks.clone(),
    }
}

/// A log line as the wire has it.
pub fn log_line(row: LogRow) -> wire::LogLine {
    wire::LogLine { worker: row.worker, time: row.time.seconds(), line: row.line }
}

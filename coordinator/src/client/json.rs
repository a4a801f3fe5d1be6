//! Answers for programs: one JSON object a line, keys as on the wire.

use lockstep_proto::wire;
use serde_json::{Map, Value, json};

use super::noise;

/// A time, null where it has not come.
fn time(seconds: f64) -> Value {
    if seconds > 0.0 { json!(seconds) } else { Value::Null }
}

/// A job.
pub fn job(job: &wire::JobView) -> Value {
    json!({
        "job": job.job,
        "name": job.name,
        "state": job.state,
        "reason": job.reason,
        "run_folder": job.run_folder,
        "submitted": time(job.submitted),
        "started": time(job.started),
        "ended": time(job.ended),
        "workers": job.workers,
        "threads": job.threads,
        "progress": job.progress.as_ref().map(progress),
        "outcome": job.outcome.as_ref().map(outcome),
        "bad_input": job.bad_input,
        "placements": job.placements.iter().map(placement).collect::<Vec<_>>(),
        "generation": job.generation,
        "checkpoints": job.checkpoints.iter().map(checkpoint).collect::<Vec<_>>(),
    })
}

/// A checkpoint.
pub fn checkpoint(checkpoint: &wire::CheckpointView) -> Value {
    json!({
        "job": checkpoint.job,
        "step": checkpoint.step,
        "name": checkpoint.name,
        "dir": checkpoint.dir,
        "bytes": checkpoint.bytes,
        "digest": checkpoint.digest,
    })
}

fn progress(progress: &wire::Progress) -> Value {
    json!({
        "step": progress.step,
        "total_steps": progress.total_steps,
        "epoch": progress.epoch,
        "total_epochs": progress.total_epochs,
        "loss": progress.loss,
        "accuracy": progress.accuracy,
        "learning_rate": progress.learning_rate,
        "samples_per_second": progress.samples_per_second,
        "seconds_left": progress.seconds_left,
        "noise": progress.noise.as_ref().map(noise::json),
    })
}

fn outcome(outcome: &wire::Outcome) -> Value {
    json!({
        "stop_reason": outcome.stop_reason,
        "steps": outcome.steps,
        "epochs": outcome.epochs,
        "samples": outcome.samples,
        "seconds": outcome.seconds,
        "train_loss": outcome.train_loss,
        "test_loss": outcome.test_loss,
        "test_error": outcome.test_error,
        "test_top5_error": outcome.test_top5_error,
        "weights_sha256": outcome.weights_sha256,
    })
}

fn placement(placement: &wire::Placement) -> Value {
    json!({
        "worker": placement.worker,
        "host": placement.host,
        "rank": placement.rank,
        "lanes": placement.lanes,
        "instruction_set": placement.instruction_set,
        "phase": placement.phase,
        "step": placement.step,
        "lane_seconds": placement.lane_seconds,
        "phases": placement.phases.iter().map(|time| (time.phase.clone(), json!(time.seconds))).collect::<Map<_, _>>(),
        "gpu": placement.gpu.as_ref().map(reading),
    })
}

/// An agent, with the GPUs that its preflight looked at.
pub fn agent(agent: &wire::AgentView) -> Value {
    let gpu = |gpu: &wire::Gpu| {
        json!({
            "index": gpu.index,
            "name": gpu.name,
            "architecture": gpu.architecture,
            "bus": gpu.bus,
            "memory_bytes": gpu.memory_bytes,
            "reading": gpu.reading.as_ref().map(reading),
            "excluded": Some(&gpu.excluded).filter(|reason| !reason.is_empty()),
        })
    };
    json!({
        "node": agent.node,
        "host": agent.host,
        "device": agent.device,
        "slots": agent.slots,
        "free": agent.free,
        "gpus": agent.gpus.iter().map(gpu).collect::<Vec<_>>(),
    })
}

/// How a GPU fares; null what it does not tell.
fn reading(reading: &wire::GpuReading) -> Value {
    json!({
        "memory_used": reading.memory_used,
        "memory_total": reading.memory_total,
        "temperature": reading.temperature,
        "ecc_errors": reading.ecc_errors,
    })
}

/// What a watcher hears; its `kind` tells which.
pub fn event(event: &wire::watch_event::Event) -> Value {
    use wire::watch_event::Event;
    let (kind, mut value) = match event {
        Event::Job(view) => ("job", job(view)),
        Event::Step(report) => (
            "step",
            json!({
                "step": report.step,
                "epoch": report.epoch,
                "loss": report.loss,
                "accuracy": report.accuracy,
                "learning_rate": report.learning_rate,
                "samples_per_second": report.samples_per_second,
                "samples": report.samples,
                "noise": report.noise.as_ref().map(noise::json),
            }),
        ),
        Event::Evaluation(report) => (
            "evaluation",
            json!({
                "step": report.step,
                "epoch": report.epoch,
                "split": report.split,
                "loss": report.loss,
                "accuracy": report.accuracy,
                "top5_accuracy": report.top5_accuracy,
                "samples": report.samples,
            }),
        ),
        Event::Probe(report) => ("probe", probe(report)),
        Event::Note(note) => ("note", json!({ "time": note.time, "line": note.line })),
    };
    value["kind"] = kind.into();
    value
}

/// What a probe has come to; null what can't be told, as JSON has no NaN.
fn probe(report: &wire::ProbeReport) -> Value {
    json!({
        "step": report.step,
        "epoch": report.epoch,
        "probe": report.probe,
        "measure": report.measure,
        "on": report.on,
        "samples": report.samples,
        "method": report.method,
        "figures": report.figures.iter().map(|figure| (figure.name.clone(), json!(figure.values))).collect::<Map<_, _>>(),
        "remarks": report.remarks,
    })
}

/// A log line.
pub fn log_line(line: &wire::LogLine) -> Value {
    json!({ "worker": line.worker, "time": line.time, "line": line.line })
}

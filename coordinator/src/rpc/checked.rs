//! Messages to checked types: everything from the wire is bounded here.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use lockstep_proto::gpu::{Gpu, GpuReading};
use lockstep_proto::identity::{Generation, JobId, Malformed, NodeId, WorkerId};
use lockstep_proto::innermost;
use lockstep_proto::job::{MOST_PROBE_REMARKS, MOST_PROBE_VALUES};
use lockstep_proto::ledger::LedgerRow;
use lockstep_proto::slot::SlotDevice;
use lockstep_proto::wire::{self, report};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::noise::noise;
use crate::cluster::event::{Assignment, Attachment, SignOfLife, Transport};
use crate::cluster::facts::{
    CheckpointFact, EvaluationReport, Fingerprint, Held, Outcome, PhaseSeconds, Prepared, ProbeReport, Report,
    RunFacts, StepReport, StopReason,
};
use crate::cluster::record::Member;
use crate::cluster::{AgentHello, WorkerHello};

/// Lines for people in one message.
const FEW_LINES: usize = 100;
/// How long a new stream may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// Characters of a name or address.
const SHORT: usize = 256;
/// Characters of a reason or log line.
const LONG: usize = 8192;
/// Reports in one message.
const MOST_REPORTS: usize = 10_000;
/// Samples that an evaluation names.
const MOST_SKIPPED: usize = 100;
/// Members, rows, names and the like in one message.
const MOST_ITEMS: usize = 100_000;
/// Bytes of a job's text.
const LARGEST_JOB: usize = 256 << 10;
/// Of steps, samples and generations: exact in JSON.
const LARGEST_NUMBER: u64 = 1 << 53;
/// Slots of an agent, threads of a slot.
const MOST_SLOTS: u32 = 4096;

/// The first message of a stream.
pub async fn first<T>(inbound: &mut Streaming<T>, over: &CancellationToken) -> Result<T, Status> {
    let message = tokio::select! {
        message = tokio::time::timeout(HELLO_LIMIT, inbound.message()) => message,
        () = over.cancelled() => return Err(Status::unavailable("the coordinator is ending")),
    };
    let message = message.map_err(|_| Status::deadline_exceeded("no hello in time"))??;
    message.ok_or_else(|| Status::invalid_argument("the stream ended before its hello"))
}

/// A malformed message as a status.
pub fn status(malformed: Malformed) -> Status {
    Status::invalid_argument(malformed.to_string())
}

/// A hello, unless it is none: then the peer is told why. Nobody but its own task holds the stream yet.
pub fn or_complain<H, T>(hello: Result<H, Status>, outbox: &tokio::sync::mpsc::Sender<Result<T, Status>>) -> Option<H> {
    hello.map_err(|status| drop(outbox.try_send(Err(status)))).ok()
}

/// Tells a peer why its stream ends, if it still reads.
pub fn complain<T>(errors: &tokio::sync::mpsc::WeakSender<Result<T, Status>>, status: Status) {
    if let Some(outbox) = errors.upgrade() {
        let _ = outbox.try_send(Err(status));
    }
}

/// Why a stream broke, in words: those of the error at the bottom, where there is one.
pub fn cause(status: &Status) -> String {
    let cause = status.source().map_or_else(|| status.message().to_owned(), innermost);
    format!("its connection broke: {}", words(cause))
}

/// Words for people: of bounded length, no control characters.
pub fn words(text: String) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(LONG).map(plain).collect()
}

/// A log line: of bounded length; tabs stay, escape sequences become harmless.
pub fn line(text: String) -> String {
    let plain = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    text.chars().take(LONG).map(plain).collect()
}

pub fn short(what: &str, text: String) -> Result<String, Malformed> {
    if text.len() > SHORT || text.chars().any(char::is_control) {
        return Err(Malformed(format!("{what} is not up to {SHORT} printable bytes")));
    }
    Ok(text)
}

/// A number of steps, samples or generations: one that can be counted on from, and that all files can hold.
pub fn number(what: &str, value: u64) -> Result<u64, Malformed> {
    if value > LARGEST_NUMBER {
        return Err(Malformed(format!("{what} is {value}, more than {LARGEST_NUMBER}")));
    }
    Ok(value)
}

/// A generation.
pub fn generation(message: Option<wire::GenerationId>) -> Result<Generation, Malformed> {
    let generation = Generation::try_from(message)?;
    number("generation", generation.number)?;
    Ok(generation)
}

fn count(what: &str, value: u32) -> Result<u32, Malformed> {
    if (1..=MOST_SLOTS).contains(&value) {
        return Ok(value);
    }
    Err(Malformed(format!("{what} is {value}, not 1 to {MOST_SLOTS}")))
}

/// An agent's hello.
pub fn agent_hello(hello: wire::AgentHello) -> Result<AgentHello, Status> {
    let checked = || {
        Ok(AgentHello {
            version: short("version", hello.version)?,
            node: NodeId::try_from(hello.node)?,
            host: short("host", hello.host)?,
            slots: count("slots", hello.slots)?,
            threads: count("threads", hello.threads)?,
            device: slot_device(short("device", hello.device)?)?,
            process: short("process", hello.process)?,
            workers: workers(hello.workers)?,
            gpus: gpus(hello.gpus)?,
        })
    };
    checked().map_err(status)
}

fn slot_device(name: String) -> Result<SlotDevice, Malformed> {
    SlotDevice::from_name(&name).ok_or_else(|| Malformed(format!("{name:?} is no kind of device")))
}

fn workers(ids: Vec<String>) -> Result<Vec<WorkerId>, Malformed> {
    few("workers", &ids)?;
    ids.into_iter().map(WorkerId::try_from).collect()
}

fn gpus(messages: Vec<wire::Gpu>) -> Result<Vec<Gpu>, Malformed> {
    few("GPUs", &messages)?;
    messages.into_iter().map(Gpu::try_from).collect()
}

fn few<T>(what: &str, items: &[T]) -> Result<(), Malformed> {
    if items.len() > MOST_ITEMS {
        return Err(Malformed(format!("more than {MOST_ITEMS} {what}")));
    }
    Ok(())
}

/// A worker's hello.
pub fn worker_hello(hello: wire::WorkerHello) -> Result<WorkerHello, Status> {
    let checked = || {
        Ok(WorkerHello {
            version: short("version", hello.version)?,
            worker: WorkerId::try_from(hello.worker)?,
            node: NodeId::try_from(hello.node)?,
            data_address: short("data address", hello.data_address)?,
            unix_address: short("unix address", hello.unix_address)?,
            threads: count("threads", hello.threads)?,
            fingerprint: fingerprint(hello.fingerprint)?,
            transport: transport(hello.transport.unwrap_or_default())?,
            attachment: hello.attachment.map(attachment).transpose()?,
        })
    };
    checked().map_err(status)
}

fn transport(message: wire::Transport) -> Result<Transport, Malformed> {
    Ok(Transport { name: short("transport", message.name)?, missing: short("transport", message.missing)? })
}

fn fingerprint(message: Option<wire::Fingerprint>) -> Result<Fingerprint, Malformed> {
    let message = message.ok_or_else(|| Malformed("no fingerprint".into()))?;
    Ok(Fingerprint {
        build: short("build", message.build)?,
        device: short("device", message.device)?,
        instruction_set: short("instruction set", message.instruction_set)?,
        canary: short("canary", message.canary)?,
        libraries: short("libraries", message.libraries)?,
    })
}

/// Reports of a worker.
pub fn reports(messages: Vec<wire::Report>) -> Result<Vec<Report>, Malformed> {
    if messages.len() > MOST_REPORTS {
        return Err(Malformed(format!("more than {MOST_REPORTS} reports in one message")));
    }
    messages.into_iter().map(report).collect()
}

fn report(message: wire::Report) -> Result<Report, Malformed> {
    match message.report {
        Some(report::Report::Step(step)) => {
            let seconds = step.seconds.unwrap_or_default();
            Ok(Report::Step(StepReport {
                step: number("step", step.step)?,
                epoch: number("epoch", step.epoch)?,
                loss: step.loss,
                accuracy: step.accuracy,
                learning_rate: step.learning_rate,
                samples_per_second: step.samples_per_second,
                samples: number("samples", step.samples)?,
                seconds: PhaseSeconds {
                    data: seconds.data,
                    forward: seconds.forward,
                    backward: seconds.backward,
                    reduce: seconds.reduce,
                    commit: seconds.commit,
                },
                noise: step.noise.map(noise).transpose()?,
            }))
        }
        Some(report::Report::Evaluation(evaluation)) => match evaluation.split.as_str() {
            "validation" | "test" => Ok(Report::Evaluation(EvaluationReport {
                step: number("step", evaluation.step)?,
                epoch: number("epoch", evaluation.epoch)?,
                split: evaluation.split,
                loss: evaluation.loss,
                accuracy: evaluation.accuracy,
                top5_accuracy: Some(evaluation.top5_accuracy),
                samples: evaluation.samples,
                skipped: evaluation.skipped.into_iter().take(MOST_SKIPPED).collect(),
            })),
            _ => Err(Malformed("an evaluation's split is validation or test".into())),
        },
        Some(report::Report::Probe(probe)) => Ok(Report::Probe(probe_report(probe)?)),
        None => Err(Malformed("an unknown kind of report".into())),
    }
}

fn probe_report(report: wire::ProbeReport) -> Result<ProbeReport, Malformed> {
    let values: usize = report.figures.iter().map(|figure| 1 + figure.values.len()).sum();
    if values > MOST_PROBE_VALUES || report.remarks.len() > MOST_PROBE_REMARKS {
        return Err(Malformed(format!(
            "a probe tells more than {MOST_PROBE_VALUES} values or {MOST_PROBE_REMARKS} remarks"
        )));
    }
    let told = |value: f64| value.is_finite().then_some(value);
    let figure = |figure: wire::Figure| {
        Ok((short("figure's name", figure.name)?, figure.values.into_iter().map(told).collect()))
    };
    Ok(ProbeReport {
        step: number("step", report.step)?,
        epoch: number("epoch", report.epoch)?,
        probe: short("probe's name", report.probe)?,
        measure: short("measure", report.measure)?,
        on: short("probe's samples", report.on)?,
        samples: number("samples", report.samples)?,
        method: short("method", report.method)?,
        figures: report.figures.into_iter().map(figure).collect::<Result<_, Malformed>>()?,
        remarks: report.remarks.into_iter().map(|remark| short("remark", remark)).collect::<Result<_, _>>()?,
    })
}

/// What a worker that comes back tells.
fn attachment(message: wire::Attachment) -> Result<Attachment, Malformed> {
    let taken_part = |begin: wire::Begin| {
        few("members", &begin.members)?;
        let members = begin.members.into_iter().map(member).collect::<Result<Vec<_>, Malformed>>()?;
        Ok((generation(begin.generation)?, members))
    };
    Ok(Attachment {
        assignment: message.assignment.map(assignment).transpose()?,
        highest_generation: number("generation", message.highest_generation)?,
        prepared: message.prepared.map(prepared).transpose()?,
        generation: message.generation.map(taken_part).transpose()?,
        held: message.held.map(|message| held(Some(message))).transpose()?,
    })
}

fn assignment(message: wire::Assignment) -> Result<Assignment, Malformed> {
    few("folders", &message.from)?;
    if message.job_toml.len() > LARGEST_JOB {
        return Err(Malformed(format!("a job of more than {LARGEST_JOB} bytes")));
    }
    Ok(Assignment {
        job: JobId::try_from(message.job)?,
        name: words(message.name),
        toml: message.job_toml,
        run_folder: PathBuf::from(path("run folder", message.run_folder)?),
        command: words(message.command),
        from: message.from.into_iter().map(|text| path("folder", text)).collect::<Result<_, _>>()?,
    })
}

fn path(what: &str, text: String) -> Result<String, Malformed> {
    if text.len() > LONG || text.contains('\0') {
        return Err(Malformed(format!("{what} is not up to {LONG} bytes")));
    }
    Ok(text)
}

fn member(message: wire::Member) -> Result<Member, Malformed> {
    Ok(Member {
        worker: WorkerId::try_from(message.worker)?.to_string(),
        node: NodeId::try_from(message.node)?.to_string(),
        data_address: short("data address", message.data_address)?,
        unix_address: short("unix address", message.unix_address)?,
        threads: message.threads,
        lanes: message.lanes,
    })
}

/// A state that somebody has.
pub fn held(message: Option<wire::Held>) -> Result<Held, Malformed> {
    let message = message.ok_or_else(|| Malformed("no state".into()))?;
    Ok(Held { step: number("step", message.step)?, digest: digest(message.digest)? })
}

/// A digest.
pub fn digest(text: String) -> Result<String, Malformed> {
    short("digest", text)
}

/// A worker that is prepared.
pub fn prepared(message: wire::Prepared) -> Result<Prepared, Malformed> {
    let checkpoint = match message.checkpoint {
        Some(checkpoint) => Some((held(Some(checkpoint))?, short("checkpoint's name", message.checkpoint_name)?)),
        None => None,
    };
    Ok(Prepared {
        facts: RunFacts {
            dataset: short("data set", message.dataset)?,
            total_steps: number("steps", message.total_steps)?,
            total_epochs: number("epochs", message.total_epochs)?,
            parameters: number("parameters", message.parameters)?,
            train_samples: number("samples", message.train_samples)?,
            sample: message.sample.try_into().map_err(|_| Malformed("a sample has three sizes".into()))?,
        },
        checkpoint,
        remarks: few_lines(message.remarks),
        sees_run_folder: message.sees_run_folder,
    })
}

/// A sign of life.
pub fn sign_of_life(message: wire::WorkerAlive) -> Result<SignOfLife, Malformed> {
    Ok(SignOfLife {
        progress: message.progress,
        phase: short("phase", message.phase)?,
        step: message.step,
        longest: message.longest_seconds,
        lane_seconds: message.lane_seconds,
        phases: message
            .phases
            .into_iter()
            .take(FEW_LINES)
            .map(|time| Ok((short("phase", time.phase)?, time.seconds)))
            .collect::<Result<_, Malformed>>()?,
        gpu: message.gpu.map(GpuReading::from),
    })
}

/// Rows of a ledger.
pub fn rows(rows: Vec<wire::LedgerRow>) -> Result<Vec<LedgerRow>, Malformed> {
    few("rows", &rows)?;
    rows.into_iter().map(LedgerRow::from).map(row).collect()
}

/// A row of at least one step and sample.
fn row(row: LedgerRow) -> Result<LedgerRow, Malformed> {
    let LedgerRow { epoch, from, to, first_step, steps, generation, samples, hashes: _, ref skipped } = row;
    few("skipped samples", skipped)?;
    for value in [epoch, from, to, first_step, steps, generation, samples].iter().chain(skipped) {
        number("a number of a ledger's row", *value)?;
    }
    if steps == 0 || from >= to {
        return Err(Malformed("a ledger's row without steps or samples".into()));
    }
    Ok(row)
}

/// A few lines for people.
pub fn few_lines(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().take(FEW_LINES).map(line).collect()
}

/// A checkpoint on disk.
pub fn checkpoint(message: wire::CheckpointWritten) -> Result<CheckpointFact, Malformed> {
    Ok(CheckpointFact {
        step: number("step", message.step)?,
        name: short("checkpoint's name", message.name)?,
        digest: digest(message.digest)?,
        bytes: message.bytes,
        seconds: message.seconds,
        dir: path("checkpoint's folder", message.dir)?,
    })
}

/// Digests of tensors with their names.
pub fn tensors(names: Vec<String>, digests: Vec<String>) -> Result<Vec<(String, String)>, Malformed> {
    few("tensors", &names)?;
    if names.len() != digests.len() {
        return Err(Malformed("as many names as digests are wanted".into()));
    }
    let pair = |(name, text)| Ok((short("tensor's name", name)?, digest(text)?));
    names.into_iter().zip(digests).map(pair).collect()
}

/// What came out.
pub fn outcome(message: Option<wire::Outcome>) -> Result<Outcome, Malformed> {
    let message = message.ok_or_else(|| Malformed("no outcome".into()))?;
    let stop_reason =
        StopReason::parse(&message.stop_reason).ok_or_else(|| Malformed("an unknown stop reason".into()))?;
    let finite = |value: f64| value.is_finite().then_some(value);
    Ok(Outcome {
        stop_reason,
        steps: number("steps", message.steps)?,
        epochs: number("epochs", message.epochs)?,
        samples: number("samples", message.samples)?,
        seconds: finite(message.seconds).unwrap_or(0.0),
        train_loss: finite(message.train_loss),
        test_loss: message.test_loss.and_then(finite),
        test_error: message.test_error.and_then(finite),
        test_top5_error: message.test_top5_error.and_then(finite),
        weights_sha256: short("weights hash", message.weights_sha256)?,
        reason: words(message.reason),
    })
}

//! Messages to checked types: everything from the wire is bounded here.

use std::error::Error;
use std::time::Duration;

use lockstep_proto::identity::{Malformed, NodeId, WorkerId};
use lockstep_proto::innermost;
use lockstep_proto::wire::{self, report};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::cluster::facts::{
    EvaluationReport, Fingerprint, Outcome, PhaseSeconds, Report, RunFacts, StepReport, StopReason,
};
use crate::cluster::{AgentHello, WorkerHello};

/// How long a new stream may take to say hello.
const HELLO_LIMIT: Duration = Duration::from_secs(10);
/// Characters of a name or address.
const SHORT: usize = 256;
/// Characters of a reason or log line.
const LONG: usize = 8192;
/// Reports in one message.
const MOST_REPORTS: usize = 10_000;
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

fn short(what: &str, text: String) -> Result<String, Malformed> {
    if text.len() > SHORT || text.chars().any(char::is_control) {
        return Err(Malformed(format!("{what} is not up to {SHORT} printable bytes")));
    }
    Ok(text)
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
        })
    };
    checked().map_err(status)
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
        })
    };
    checked().map_err(status)
}

fn fingerprint(message: Option<wire::Fingerprint>) -> Result<Fingerprint, Malformed> {
    let message = message.ok_or_else(|| Malformed("no fingerprint".into()))?;
    Ok(Fingerprint {
        build: short("build", message.build)?,
        device: short("device", message.device)?,
        instruction_set: short("instruction set", message.instruction_set)?,
        canary: short("canary", message.canary)?,
    })
}

/// What a ready worker found.
pub fn facts(ready: wire::Ready) -> Result<RunFacts, Malformed> {
    Ok(RunFacts {
        dataset: short("dataset", ready.dataset)?,
        total_steps: ready.total_steps,
        total_epochs: ready.total_epochs,
        parameters: ready.parameters,
        train_samples: ready.train_samples,
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
                step: step.step,
                epoch: step.epoch,
                loss: step.loss,
                accuracy: step.accuracy,
                learning_rate: step.learning_rate,
                samples_per_second: step.samples_per_second,
                samples: step.samples,
                seconds: PhaseSeconds {
                    data: seconds.data,
                    forward: seconds.forward,
                    backward: seconds.backward,
                    reduce: seconds.reduce,
                    commit: seconds.commit,
                },
            }))
        }
        Some(report::Report::Evaluation(evaluation)) => match evaluation.split.as_str() {
            "validation" | "test" => Ok(Report::Evaluation(EvaluationReport {
                step: evaluation.step,
                epoch: evaluation.epoch,
                split: evaluation.split,
                loss: evaluation.loss,
                accuracy: evaluation.accuracy,
                samples: evaluation.samples,
            })),
            _ => Err(Malformed("an evaluation's split is validation or test".into())),
        },
        None => Err(Malformed("an unknown kind of report".into())),
    }
}

/// What came out.
pub fn outcome(message: Option<wire::Outcome>) -> Result<Outcome, Malformed> {
    let message = message.ok_or_else(|| Malformed("no outcome".into()))?;
    let stop_reason = match message.stop_reason.as_str() {
        "completed" => StopReason::Completed,
        "cancelled" => StopReason::Cancelled,
        "interrupted" => StopReason::Interrupted,
        _ => return Err(Malformed("an unknown stop reason".into())),
    };
    let finite = |value: f64| value.is_finite().then_some(value);
    Ok(Outcome {
        stop_reason,
        steps: message.steps,
        epochs: message.epochs,
        samples: message.samples,
        seconds: finite(message.seconds).unwrap_or(0.0),
        train_loss: finite(message.train_loss),
        test_loss: message.test_loss.and_then(finite),
        test_error: message.test_error.and_then(finite),
        weights_sha256: short("weights hash", message.weights_sha256)?,
    })
}

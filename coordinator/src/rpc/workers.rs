//! A worker's stream.

use lockstep_proto::identity::{Malformed, WorkerId};
use lockstep_proto::wire::{self, worker_event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::checked;
use super::service::{Answers, Service};
use crate::cluster::Event;
use crate::cluster::event::{Batch, Failure, News};
use crate::keeper::{Request, Stream};

/// Commands that may wait for a worker to read them.
const OUTBOX: usize = 1024;

impl Service {
    /// Serves a worker's stream in the background.
    pub fn attend_worker(&self, inbound: Streaming<wire::WorkerEvent>) -> Answers<wire::WorkerCommand> {
        let (outbox, answers) = mpsc::channel(OUTBOX);
        let service = self.clone();
        tokio::spawn(async move {
            // The keeper's sender is the only strong one: when it lets go, the stream ends.
            let errors = outbox.downgrade();
            if let Err(status) = service.worker_stream(inbound, outbox, &errors).await {
                checked::complain(&errors, status);
            }
        });
        Box::pin(ReceiverStream::new(answers))
    }

    async fn worker_stream(
        &self,
        mut inbound: Streaming<wire::WorkerEvent>,
        outbox: mpsc::Sender<Result<wire::WorkerCommand, Status>>,
        errors: &mpsc::WeakSender<Result<wire::WorkerCommand, Status>>,
    ) -> Result<(), Status> {
        let first = checked::first(&mut inbound, &self.over).await.and_then(|first| match first.event {
            Some(worker_event::Event::Hello(hello)) => checked::worker_hello(hello),
            _ => Err(Status::invalid_argument("a worker's first message is its hello")),
        });
        let Some(hello) = checked::or_complain(first, &outbox) else { return Ok(()) };
        let worker = hello.worker.clone();
        let joined = |connection| Event::WorkerJoined { connection, hello: Box::new(hello) };
        let Some(connection) = self.introduce(Stream::Worker(outbox), joined).await? else { return Ok(()) };
        match self.pass_on(inbound, errors, |message| worker_request(&worker, message)).await {
            Some(cause) => self.send(Request::Event(Event::WorkerLost { worker, connection, cause })).await,
            None => Ok(()),
        }
    }
}

/// What a message of a welcomed worker asks of the keeper.
fn worker_request(worker: &WorkerId, message: wire::WorkerEvent) -> Result<Option<Request>, Malformed> {
    let event = message.event.ok_or_else(|| Malformed("an unknown worker event".into()))?;
    let news = news(event)?;
    Ok(Some(Request::Event(Event::Told { worker: worker.clone(), news })))
}

/// What a worker says, checked.
///
/// # Errors
/// If the message is malformed.
pub fn news(event: worker_event::Event) -> Result<News, Malformed> {
    Ok(match event {
        worker_event::Event::Alive(alive) => News::Alive(checked::sign_of_life(alive)?),
        worker_event::Event::Prepared(prepared) => News::Prepared(checked::prepared(prepared)?),
        worker_event::Event::Ready(ready) => {
            News::Ready { generation: checked::generation(ready.generation)?, held: checked::held(ready.held)? }
        }
        worker_event::Event::Reports(reports) => News::Reported(Batch {
            generation: checked::generation(reports.generation)?,
            step: checked::number("step", reports.step)?,
            first_row: usize::try_from(reports.first_row).map_err(|_| Malformed("first_row".into()))?,
            rows: checked::rows(reports.rows)?,
            reports: checked::reports(reports.reports)?,
        }),
        worker_event::Event::Finished(finished) => News::Finished {
            generation: checked::generation(finished.generation)?,
            held: checked::held(finished.held)?,
            outcome: checked::outcome(finished.outcome)?,
        },
        worker_event::Event::Left(left) => News::Left {
            generation: checked::generation(left.generation)?,
            held: left.held.map(|held| checked::held(Some(held))).transpose()?,
            cause: checked::words(left.cause),
            lost_rank: left.lost_rank,
            recent: checked::few_lines(left.recent),
        },
        worker_event::Event::Failed(failed) => {
            News::Failed(Failure { reason: checked::words(failed.reason), bad_input: failed.bad_input, diverged: None })
        }
        worker_event::Event::CheckpointWritten(written) => News::CheckpointWritten(checked::checkpoint(written)?),
        worker_event::Event::CheckpointFailed(failed) => News::CheckpointFailed {
            step: checked::number("step", failed.step)?,
            reason: checked::words(failed.reason),
            full: failed.full,
        },
        worker_event::Event::StateDigest(digest) => News::StateDigest {
            generation: checked::generation(digest.generation)?,
            step: checked::number("step", digest.step)?,
            tensors: checked::tensors(digest.names, digest.digests)?,
        },
        worker_event::Event::LaneDigest(digest) => News::LaneDigest {
            generation: checked::generation(digest.generation)?,
            step: checked::number("step", digest.step)?,
            lane: digest.lane,
            owner: digest.owner,
            digest: checked::digest(digest.digest)?,
        },
        worker_event::Event::Hello(_) => return Err(Malformed("a second hello".into())),
    })
}

//! A worker's stream.

use lockstep_proto::identity::{Generation, Malformed, WorkerId};
use lockstep_proto::wire::{self, worker_event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::checked;
use super::service::{Answers, Service};
use crate::cluster::Event;
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
        let hello = match checked::first(&mut inbound, &self.over).await?.event {
            Some(worker_event::Event::Hello(hello)) => checked::worker_hello(hello)?,
            _ => return Err(Status::invalid_argument("a worker's first message is its hello")),
        };
        let worker = hello.worker.clone();
        let joined = |connection| Event::WorkerJoined { connection, hello };
        if !self.introduce(Stream::Worker(outbox), joined).await? {
            return Ok(());
        }
        match self.pass_on(inbound, errors, |message| worker_request(&worker, message)).await {
            Some(cause) => self.send(Request::Event(Event::WorkerLost { worker, cause })).await,
            None => Ok(()),
        }
    }
}

/// What a message of a welcomed worker asks of the keeper.
fn worker_request(worker: &WorkerId, message: wire::WorkerEvent) -> Result<Option<Request>, Malformed> {
    let worker = worker.clone();
    let event = match message.event {
        Some(worker_event::Event::Ready(ready)) => {
            let generation = Generation::try_from(ready.generation.clone())?;
            Event::Ready { worker, generation, facts: checked::facts(ready)? }
        }
        Some(worker_event::Event::Reports(reports)) => {
            let generation = Generation::try_from(reports.generation)?;
            let first = reports.first;
            let reports = checked::reports(reports.reports)?;
            Event::Reported { worker, generation, first, reports }
        }
        Some(worker_event::Event::Finished(finished)) => {
            let generation = Generation::try_from(finished.generation)?;
            Event::Finished { worker, generation, outcome: checked::outcome(finished.outcome)? }
        }
        Some(worker_event::Event::Failed(failed)) => {
            let generation = match failed.generation {
                Some(generation) => Some(Generation::try_from(Some(generation))?),
                None => None,
            };
            let (reason, bad_input) = (checked::words(failed.reason), failed.bad_input);
            Event::Failed { worker, generation, reason, bad_input }
        }
        Some(worker_event::Event::Alive(_)) => return Ok(None),
        Some(worker_event::Event::Hello(_)) => return Err(Malformed("a second hello".into())),
        None => return Err(Malformed("an unknown worker event".into())),
    };
    Ok(Some(Request::Event(event)))
}

//! An agent's stream.

use lockstep_proto::identity::{Malformed, NodeId, WorkerId};
use lockstep_proto::wire::{self, agent_event};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::checked;
use super::service::{Answers, Service};
use crate::cluster::{Event, Exit};
use crate::keeper::{Request, Stream};

/// Commands that may wait for an agent to read them.
const OUTBOX: usize = 4096;

impl Service {
    /// Serves an agent's stream in the background.
    pub fn attend_agent(&self, inbound: Streaming<wire::AgentEvent>) -> Answers<wire::AgentCommand> {
        let (outbox, answers) = mpsc::channel(OUTBOX);
        let service = self.clone();
        tokio::spawn(async move {
            // The keeper's sender is the only strong one: when it lets go, the stream ends.
            let errors = outbox.downgrade();
            if let Err(status) = service.agent_stream(inbound, outbox, &errors).await {
                checked::complain(&errors, status);
            }
        });
        Box::pin(ReceiverStream::new(answers))
    }

    async fn agent_stream(
        &self,
        mut inbound: Streaming<wire::AgentEvent>,
        outbox: mpsc::Sender<Result<wire::AgentCommand, Status>>,
        errors: &mpsc::WeakSender<Result<wire::AgentCommand, Status>>,
    ) -> Result<(), Status> {
        let first = checked::first(&mut inbound, &self.over).await.and_then(|first| match first.event {
            Some(agent_event::Event::Hello(hello)) => checked::agent_hello(hello),
            _ => Err(Status::invalid_argument("an agent's first message is its hello")),
        });
        let Some(hello) = checked::or_complain(first, &outbox) else { return Ok(()) };
        let node = hello.node.clone();
        let joined = |connection| Event::AgentJoined { connection, hello };
        let Some(connection) = self.introduce(Stream::Agent(outbox), joined).await? else { return Ok(()) };
        match self.pass_on(inbound, errors, |message| agent_request(&node, message)).await {
            Some(cause) => self.send(Request::Event(Event::AgentLost { node, connection, cause })).await,
            None => Ok(()),
        }
    }
}

/// What a message of a welcomed agent asks of the keeper.
fn agent_request(node: &NodeId, message: wire::AgentEvent) -> Result<Option<Request>, Malformed> {
    let node = node.clone();
    let event = match message.event {
        Some(agent_event::Event::WorkerStarted(started)) => {
            let worker = WorkerId::try_from(started.worker)?;
            Event::WorkerStarted { node, worker, pid: started.pid }
        }
        Some(agent_event::Event::WorkerExited(exited)) => {
            let worker = WorkerId::try_from(exited.worker)?;
            let exit = Exit { cause: checked::words(exited.cause), clean: exited.clean };
            Event::WorkerExited { node, worker, exit }
        }
        Some(agent_event::Event::LogLines(lines)) => {
            let worker = WorkerId::try_from(lines.worker)?;
            let lines = lines.lines.into_iter().map(checked::line).collect();
            return Ok(Some(Request::Log { worker, lines }));
        }
        Some(agent_event::Event::Alive(_)) => Event::AgentAlive { node },
        Some(agent_event::Event::Leaving(leaving)) => {
            Event::AgentLeaving { node, reason: checked::words(leaving.reason) }
        }
        Some(agent_event::Event::Hello(_)) => return Err(Malformed("a second hello".into())),
        None => return Err(Malformed("an unknown agent event".into())),
    };
    Ok(Some(Request::Event(event)))
}

//! Messages from the coordinator become events, or the reason why they can't.

use lockstep_proto::identity::Generation;
use lockstep_proto::wire::{self, worker_command::Command};

use crate::control::{Entry, Event, StopReason};

/// Checks a message. Nothing behind this looks at its form again, except what only the trainer understands.
///
/// # Errors
/// In words, if it is malformed.
pub(super) fn checked(command: Command) -> Result<Event, String> {
    let generation = |id: Option<wire::GenerationId>| Generation::try_from(id).map_err(|error| error.to_string());
    Ok(match command {
        Command::Welcome(_) => Event::Welcomed,
        Command::Refused(refused) => Event::Refused(refused.reason),
        Command::Assignment(assignment) => Event::Assigned(Box::new(assignment)),
        Command::Begin(begin) => {
            let generation = generation(begin.generation.clone())?;
            Event::Begin(Box::new(Entry { generation, begin, reports: Vec::new() }))
        }
        Command::Stop(stop) => Event::Stop {
            generation: generation(stop.generation)?,
            why: StopReason::from_name(&stop.reason)
                .ok_or_else(|| format!("a stop for an unknown reason: {:?}", stop.reason))?,
        },
        Command::Abort(abort) => Event::Abort { generation: generation(abort.generation)?, reason: abort.reason },
        Command::Acknowledge(acknowledge) => Event::Acknowledged { rows: acknowledge.rows, step: acknowledge.step },
        Command::Leave(_) => Event::Leave,
        Command::WriteCheckpoint(_) => Event::WriteCheckpoint,
        Command::DeleteCheckpoints(delete) => Event::DeleteCheckpoints(delete.names),
    })
}

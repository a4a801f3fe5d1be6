//! Commands and events on their way, as messages and as lines.

use lockstep_coordinator::cluster::event::News;
use lockstep_coordinator::cluster::facts::StopReason;
use lockstep_coordinator::cluster::{Command, Event};
use lockstep_proto::identity::WorkerId;
use lockstep_worker::control;

/// What a worker is told by a command, if it is one for a worker.
pub(crate) fn for_worker(command: Command) -> Option<(WorkerId, control::Event)> {
    Some(match command {
        Command::Assign { worker, assignment } => (worker, control::Event::Assigned(Box::new((*assignment).into()))),
        Command::Begin(begin) => {
            let (worker, generation) = (begin.worker.clone(), begin.generation);
            let entry = control::Entry { generation, begin: (*begin).into(), reports: Vec::new() };
            (worker, control::Event::Begin(Box::new(entry)))
        }
        Command::Stop { worker, generation, why } => {
            let why = match why {
                StopReason::Cancelled => control::StopReason::Cancelled,
                StopReason::Interrupted => control::StopReason::Interrupted,
                StopReason::Paused => control::StopReason::Paused,
                // No order ends with these.
                StopReason::Completed
                | StopReason::Target
                | StopReason::Plateau
                | StopReason::Time
                | StopReason::Nonfinite
                | StopReason::Regrouped => control::StopReason::Regrouped,
            };
            (worker, control::Event::Stop { generation, why })
        }
        Command::Abort { worker, generation, reason } => (worker, control::Event::Abort { generation, reason }),
        Command::Acknowledge { worker, rows, step, .. } => (worker, control::Event::Acknowledged { rows, step }),
        Command::WriteCheckpoint { worker } => (worker, control::Event::WriteCheckpoint),
        Command::DeleteCheckpoints { worker, names } => (worker, control::Event::DeleteCheckpoints(names)),
        Command::Leave { worker } => (worker, control::Event::Leave),
        _ => return None,
    })
}

/// An event of the cluster as a line.
pub(crate) fn event(event: &Event) -> String {
    match event {
        Event::Told { worker, news: News::Alive(life) } => {
            format!("{worker} lives: {} after step {}, progress {}", life.phase, life.step, life.progress)
        }
        Event::WorkerJoined { connection, hello } => {
            let attached = hello.attachment.as_ref().map(|attachment| {
                let generation = attachment.generation.as_ref().map(|(generation, _)| generation);
                format!("highest {}, in {generation:?}, holds {:?}", attachment.highest_generation, attachment.held)
            });
            format!("{} joins over {}: {attached:?}", hello.worker, connection.0)
        }
        Event::Submitted { .. } => "a job is handed in".into(),
        other => format!("{other:?}"),
    }
}

/// A command of the cluster as a line.
pub(crate) fn command(command: &Command) -> String {
    match command {
        Command::SaveJob { record } => {
            let members: Vec<_> = record.members.iter().map(|member| member.worker.as_str()).collect();
            let (state, generation) = (record.state.as_str(), record.generation);
            format!("save job: {state}, generation {generation} of {members:?}: {}", record.reason)
        }
        Command::CreateRun { .. } => "create run".into(),
        Command::SaveRun { .. } => "save run".into(),
        Command::SaveLedger { ledger, .. } => format!("save ledger of {} steps", ledger.steps()),
        Command::CloseRun { summary, .. } => format!("close run: {}", summary.reason),
        Command::SaveGeneration { generation, .. } => format!("save generation {}", generation.number),
        Command::Assign { worker, .. } => format!("assign {worker}"),
        Command::Begin(begin) => {
            let members: Vec<_> = begin.members.iter().map(|member| member.worker.as_str()).collect();
            format!(
                "{} begins {:?} as rank {} of {members:?}: {:?}",
                begin.worker, begin.generation, begin.rank, begin.start
            )
        }
        other => format!("{other:?}"),
    }
}

/// A command of a worker's control as a line.
pub(crate) fn control_command(command: &control::Command) -> String {
    match command {
        control::Command::Send(event) => format!("say {event:?}"),
        control::Command::Prepare(_) => "prepare".into(),
        control::Command::Enter(entry) => format!("enter {:?} as rank {}", entry.generation, entry.begin.rank),
        other => format!("{other:?}"),
    }
}

/// An event of a worker's control as a line.
pub(crate) fn control_event(event: &control::Event) -> String {
    match event {
        control::Event::Assigned(_) => "assigned".into(),
        control::Event::Begin(entry) => format!("begin {:?} as rank {}", entry.generation, entry.begin.rank),
        other => format!("{other:?}"),
    }
}

//! Commands as lines of a transcript.

use crate::cluster::command::{From, Start};
use crate::cluster::{Begin, Command};

/// A command in words; what says nothing beyond others that go with it is left out.
pub fn line(command: Command) -> Option<String> {
    Some(match command {
        Command::WelcomeAgent { reason, .. } => format!("welcome: {reason}"),
        Command::WelcomeWorker { worker, .. } => format!("welcome {worker}"),
        Command::Refuse { reason, .. } => format!("refuse: {reason}"),
        Command::StartWorker { node, worker, .. } => format!("start {worker} on {node}"),
        Command::StopWorker { node, worker, reason } => format!("end {worker} on {node}: {reason}"),
        Command::DismissAgent { node } => format!("dismiss agent {node}"),
        Command::Assign { worker, .. } => format!("assign to {worker}"),
        Command::Begin(begin) => begins(&begin),
        Command::Stop { worker, why, .. } => format!("tell {worker} to stop: {}", why.as_str()),
        Command::Abort { worker, generation, reason } => format!("tell {worker} to abort {generation}: {reason}"),
        Command::Acknowledge { worker, rows, step, .. } => format!("acknowledge to {worker}: {rows} rows, step {step}"),
        Command::WriteCheckpoint { worker } => format!("tell {worker} to write a checkpoint"),
        Command::DeleteCheckpoints { worker, names } => format!("tell {worker} to delete {}", names.join(", ")),
        Command::Leave { worker } => format!("tell {worker} to leave"),
        Command::CreateRun { record, go_on: false } => format!("make {}", record.run_folder.display()),
        Command::CreateRun { record, go_on: true } => format!("go on in {}", record.run_folder.display()),
        Command::SaveJob { record } => {
            let input = if record.bad_input { " (bad input)" } else { "" };
            format!("save {} as {}{input}", record.job, record.state.as_str())
        }
        Command::AppendReports { first_row, rows, step, reports, .. } => {
            format!("append {} rows from {first_row}, {} reports, step {step}", rows.len(), reports.len())
        }
        Command::VoidAbove { step, rows, .. } => format!("void above step {step}, {rows} rows stay"),
        Command::SaveCheckpoints { checkpoints, .. } => {
            let names: Vec<_> = checkpoints.iter().map(|known| known.name.as_str()).collect();
            format!("save checkpoints [{}]", names.join(", "))
        }
        Command::CloseRun { summary, .. } => format!("close run as {}", summary.stop_reason),
        Command::Notify { job, reason: Some(reason) } => format!("tell watchers of {job}: {reason}"),
        Command::Answer { answer: Ok(job), .. } => format!("answer {job}"),
        Command::Answer { answer: Err(refusal), .. } | Command::AnswerCheckpoint { answer: Err(refusal), .. } => {
            format!("answer no: {refusal}")
        }
        Command::AnswerCheckpoint { answer: Ok(checkpoint), .. } => format!("answer checkpoint {}", checkpoint.name),
        Command::Log { lines, .. } => format!("log: {}", lines.first()?),
        Command::Ignore { reason } => format!("ignore: {reason}"),
        Command::SaveGeneration { .. }
        | Command::SaveRun { .. }
        | Command::SaveLedger { .. }
        | Command::Notify { reason: None, .. } => return None,
    })
}

fn begins(begin: &Begin) -> String {
    let Start { step, source, from, share, .. } = &begin.start;
    let from = match from {
        From::Initial => "initial".to_owned(),
        From::Memory => format!("memory of rank {source}"),
        From::Checkpoint(name) => format!("{name} by rank {source}"),
    };
    let shared = if *share { ", shared" } else { "" };
    let by = if begin.transport.is_empty() { String::new() } else { format!(" by {}", begin.transport) };
    let lanes: Vec<u32> = begin.members.iter().map(|member| member.lanes).collect();
    format!(
        "tell {} to begin {} as rank {} of {lanes:?} from step {step} ({from}{shared}){by}",
        begin.worker, begin.generation, begin.rank
    )
}

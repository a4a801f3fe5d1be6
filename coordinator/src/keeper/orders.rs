//! Carries commands out: those to agents and workers here, records in `records`.

use lockstep_proto::identity::JobId;
use lockstep_proto::wire::{self, agent_command, worker_command};
use tonic::Status;

use super::records::RecordError;
use super::{Keeper, Waiting, view};
use crate::cluster::facts::CheckpointFact;
use crate::cluster::{Command, Event, Refusal, Ticket};

impl Keeper {
    /// In order. A record that fails is told to the cluster, and nothing that relies on it goes out.
    pub(super) fn carry_out(&mut self, commands: Vec<Command>) -> Vec<Event> {
        let mut failures: Vec<(JobId, RecordError)> = Vec::new();
        for command in commands {
            let broken = |job: &JobId| failures.iter().any(|(failed, _)| failed == job);
            match command {
                Command::CreateRun { .. }
                | Command::SaveJob { .. }
                | Command::SaveGeneration { .. }
                | Command::SaveCheckpoints { .. }
                | Command::SaveRun { .. }
                | Command::SaveLedger { .. }
                | Command::AppendReports { .. }
                | Command::VoidAbove { .. }
                | Command::CloseRun { .. } => failures.extend(self.record(command)),
                Command::Acknowledge { job, .. } | Command::Notify { job, .. } if broken(&job) => {}
                Command::Answer { ticket, answer: Ok(job) } if broken(&job) => {
                    let cause = failures.iter().find(|(failed, _)| *failed == job);
                    let cause = cause.map(|(_, cause)| cause.to_string()).unwrap_or_default();
                    if let Some(Waiting::ForJob(reply)) = self.tickets.remove(&ticket) {
                        let _ = reply.send(Err(Status::failed_precondition(cause)));
                    }
                }
                Command::Answer { ticket, answer } => self.answer(ticket, answer),
                Command::AnswerCheckpoint { ticket, job, answer } => self.answer_checkpoint(ticket, &job, answer),
                Command::Notify { job, reason } => self.notify(&job, reason),
                Command::Log { job, lines } => {
                    lines.iter().for_each(|line| tracing::info!(%job, "{line}"));
                    self.note(&job, &lines);
                    self.add_lines(&job, "", lines);
                }
                Command::Ignore { reason } => tracing::debug!("{reason}"),
                command => self.order(command),
            }
        }
        let failed = |(job, cause): (JobId, RecordError)| {
            let full = cause.is_full();
            Event::StorageFailed { job, cause: cause.to_string(), full }
        };
        failures.into_iter().map(failed).collect()
    }

    fn order(&mut self, command: Command) {
        match command {
            Command::WelcomeAgent { connection, node, reason } => {
                tracing::info!("{reason}");
                self.outlets.welcome_agent(connection, node);
            }
            Command::WelcomeWorker { connection, worker } => {
                self.outlets.welcome_worker(connection, worker);
            }
            Command::Refuse { connection, reason } => {
                tracing::warn!("refused: {reason}");
                self.outlets.refuse(connection, reason);
            }
            Command::StartWorker { node, worker, job, threads } => {
                let (worker, job) = (worker.to_string(), job.to_string());
                let start = wire::StartWorker { worker, job, threads };
                self.outlets.tell_agent(&node, agent_command::Command::StartWorker(start));
            }
            Command::StopWorker { node, worker, reason } => {
                let stop = wire::StopWorker { worker: worker.to_string(), reason };
                self.outlets.tell_agent(&node, agent_command::Command::StopWorker(stop));
            }
            Command::DismissAgent { node } => {
                self.outlets.tell_agent(&node, agent_command::Command::Dismissed(wire::Dismissed {}));
            }
            Command::Assign { worker, assignment } => {
                self.outlets.tell_worker(&worker, worker_command::Command::Assignment((*assignment).into()));
            }
            Command::WriteCheckpoint { worker } => {
                let write = wire::WriteCheckpoint {};
                self.outlets.tell_worker(&worker, worker_command::Command::WriteCheckpoint(write));
            }
            Command::DeleteCheckpoints { worker, names } => {
                let delete = wire::DeleteCheckpoints { names };
                self.outlets.tell_worker(&worker, worker_command::Command::DeleteCheckpoints(delete));
            }
            Command::Begin(begin) => {
                let worker = begin.worker.clone();
                self.outlets.tell_worker(&worker, worker_command::Command::Begin((*begin).into()));
            }
            Command::Stop { worker, generation, why } => {
                let (generation, reason) = (Some(generation.into()), why.as_str().into());
                let stop = wire::Stop { generation, reason };
                self.outlets.tell_worker(&worker, worker_command::Command::Stop(stop));
            }
            Command::Abort { worker, generation, reason } => {
                let abort = wire::Abort { generation: Some(generation.into()), reason };
                self.outlets.tell_worker(&worker, worker_command::Command::Abort(abort));
            }
            Command::Acknowledge { worker, rows, step, .. } => {
                let acknowledge = wire::Acknowledge { rows, step };
                self.outlets.tell_worker(&worker, worker_command::Command::Acknowledge(acknowledge));
            }
            Command::Leave { worker } => {
                self.outlets.tell_worker(&worker, worker_command::Command::Leave(wire::Leave {}));
            }
            Command::CreateRun { .. }
            | Command::SaveJob { .. }
            | Command::SaveGeneration { .. }
            | Command::SaveCheckpoints { .. }
            | Command::SaveRun { .. }
            | Command::SaveLedger { .. }
            | Command::AppendReports { .. }
            | Command::VoidAbove { .. }
            | Command::CloseRun { .. }
            | Command::Notify { .. }
            | Command::Log { .. }
            | Command::Answer { .. }
            | Command::AnswerCheckpoint { .. }
            | Command::Ignore { .. } => unreachable!("carried out above"),
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<JobId, Refusal>) {
        // Who asked may be gone.
        match (self.tickets.remove(&ticket), answer) {
            (Some(Waiting::ForJob(reply)), Ok(job)) => {
                let job = self.cluster.job(&job).ok_or_else(|| Status::internal("the job is gone"));
                let _ = reply.send(job.map(view));
            }
            (Some(Waiting::ForJob(reply)), Err(refusal)) => drop(reply.send(Err(refused(refusal)))),
            (Some(Waiting::ForCheckpoint(reply)), Err(refusal)) => drop(reply.send(Err(refused(refusal)))),
            (Some(Waiting::ForCheckpoint(_)), Ok(_)) | (None, _) => {}
        }
    }

    fn answer_checkpoint(&mut self, ticket: Ticket, job: &JobId, answer: Result<CheckpointFact, Refusal>) {
        if let Some(Waiting::ForCheckpoint(reply)) = self.tickets.remove(&ticket) {
            let answer = answer.map(|checkpoint| view::checkpoint(job, &checkpoint)).map_err(refused);
            // Who asked may be gone.
            let _ = reply.send(answer);
        }
    }
}

/// A refusal as a status.
pub fn refused(refusal: Refusal) -> Status {
    match &refusal {
        Refusal::UnknownJob(_) => Status::not_found(refusal.to_string()),
        Refusal::Ambiguous { .. } => Status::invalid_argument(refusal.to_string()),
        Refusal::Ended { .. } | Refusal::NotNow { .. } => Status::failed_precondition(refusal.to_string()),
    }
}

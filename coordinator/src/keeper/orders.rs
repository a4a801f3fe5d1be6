//! Carries commands out: those to agents and workers here, records in `records`.

use lockstep_proto::identity::JobId;
use lockstep_proto::wire::{self, agent_command, worker_command};
use tonic::Status;

use super::{Keeper, view};
use crate::cluster::{Begin, Command, Event, Refusal, Ticket};

impl Keeper {
    /// In order. A record that fails is told to the cluster, and nothing that relies on it goes out.
    pub(super) fn carry_out(&mut self, commands: Vec<Command>) -> Vec<Event> {
        let mut failures: Vec<(JobId, String)> = Vec::new();
        for command in commands {
            let broken = |job: &JobId| failures.iter().any(|(failed, _)| failed == job);
            match command {
                Command::CreateRun { .. }
                | Command::SaveJob { .. }
                | Command::SaveRun { .. }
                | Command::AppendReports { .. }
                | Command::CloseRun { .. } => failures.extend(self.record(command)),
                Command::Acknowledge { job, .. } | Command::Notify { job, .. } if broken(&job) => {}
                Command::Answer { ticket, answer: Ok(job) } if broken(&job) => {
                    let cause = failures.iter().find(|(failed, _)| *failed == job);
                    let cause = cause.map(|(_, cause)| cause.clone()).unwrap_or_default();
                    if let Some(reply) = self.tickets.remove(&ticket) {
                        let _ = reply.send(Err(Status::failed_precondition(cause)));
                    }
                }
                Command::Answer { ticket, answer } => self.answer(ticket, answer),
                Command::Notify { job, reason } => self.notify(&job, reason),
                Command::Ignore { reason } => tracing::info!("{reason}"),
                command => self.order(command),
            }
        }
        let failed = |(job, cause)| Event::StorageFailed { job, cause };
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
            Command::Begin(begin) => {
                let worker = begin.worker.clone();
                self.outlets.tell_worker(&worker, worker_command::Command::Begin(wire_begin(*begin)));
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
            Command::Acknowledge { worker, below, .. } => {
                let acknowledge = wire::Acknowledge { reports: below };
                self.outlets.tell_worker(&worker, worker_command::Command::Acknowledge(acknowledge));
            }
            Command::Leave { worker } => {
                self.outlets.tell_worker(&worker, worker_command::Command::Leave(wire::Leave {}));
            }
            Command::CreateRun { .. }
            | Command::SaveJob { .. }
            | Command::SaveRun { .. }
            | Command::AppendReports { .. }
            | Command::CloseRun { .. }
            | Command::Notify { .. }
            | Command::Answer { .. }
            | Command::Ignore { .. } => unreachable!("carried out above"),
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<JobId, Refusal>) {
        let Some(reply) = self.tickets.remove(&ticket) else { return };
        let answer = answer.map_err(refused).and_then(|job| {
            let job = self.cluster.job(&job).ok_or_else(|| Status::internal("the job is gone"))?;
            Ok(view(job))
        });
        // Who asked may be gone.
        let _ = reply.send(answer);
    }
}

/// A refusal as a status.
pub fn refused(refusal: Refusal) -> Status {
    match &refusal {
        Refusal::UnknownJob(_) => Status::not_found(refusal.to_string()),
        Refusal::Ambiguous { .. } => Status::invalid_argument(refusal.to_string()),
        Refusal::Ended { .. } => Status::failed_precondition(refusal.to_string()),
    }
}

fn wire_begin(begin: Begin) -> wire::Begin {
    let member = |member: crate::cluster::Member| wire::Member {
        worker: member.worker.to_string(),
        node: member.node.to_string(),
        data_address: member.data_address,
        unix_address: member.unix_address,
        threads: member.threads,
        lanes: member.lanes,
    };
    wire::Begin {
        generation: Some(begin.generation.into()),
        secret: begin.secret.to_vec(),
        rank: begin.rank,
        members: begin.members.into_iter().map(member).collect(),
        job: begin.job.to_string(),
        job_toml: begin.toml,
    }
}

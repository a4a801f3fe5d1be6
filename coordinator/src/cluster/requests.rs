//! What users and signals ask for.

use lockstep_proto::identity::JobId;

use super::Cluster;
use super::command::{Command, Refusal};
use super::event::{Submission, Ticket};
use super::facts::StopReason;
use super::job::{Job, JobEvent};
use super::time::Timestamp;

impl Cluster {
    /// The job of an id that may be shortened to any beginning or end that fits only one.
    pub fn find(&self, text: &str) -> Result<JobId, Refusal> {
        let fits = |id: &&JobId| {
            let id = id.as_str();
            !text.is_empty() && (id.starts_with(text) || id.ends_with(text))
        };
        let exact = self.jobs.keys().find(|id| id.as_str() == text);
        let mut found = self.jobs.keys().filter(fits);
        match (exact, found.next(), found.count()) {
            (Some(id), _, _) | (None, Some(id), 0) => Ok(id.clone()),
            (None, None, _) => Err(Refusal::UnknownJob(text.into())),
            (None, Some(_), more) => Err(Refusal::Ambiguous { text: text.into(), count: more + 1 }),
        }
    }

    pub(super) fn submitted(&mut self, now: Timestamp, ticket: Ticket, submission: Submission, out: &mut Vec<Command>) {
        let id = self.new_id(now);
        let run_folder = submission.run_folder.clone().unwrap_or_else(|| self.runs.join(id.as_str()));
        let job = Job::submitted(id.clone(), submission, run_folder, now);
        out.push(Command::CreateRun { record: Box::new(job.record()) });
        out.push(Command::SaveJob { record: Box::new(job.record()) });
        out.push(Command::Answer { ticket, answer: Ok(id.clone()) });
        self.open.push(id.clone());
        self.jobs.insert(id, job);
    }

    fn new_id(&mut self, now: Timestamp) -> JobId {
        let mut seconds = now.millis() / 1000;
        loop {
            let text = self.entropy.job_id(seconds);
            // Many jobs in one second use up its ids: go on with those of the next.
            seconds += 1;
            if let Ok(id) = JobId::try_from(text)
                && !self.jobs.contains_key(&id)
            {
                return id;
            }
        }
    }

    pub(super) fn cancel(&mut self, now: Timestamp, ticket: Ticket, text: &str, out: &mut Vec<Command>) {
        let open = self.find(text).and_then(|id| match self.jobs.get(&id) {
            Some(job) if job.state.name().ended() => Err(Refusal::Ended { job: id, state: job.state.name().as_str() }),
            Some(_) => Ok(id),
            None => Err(Refusal::UnknownJob(text.into())),
        });
        if let Ok(id) = &open {
            let reason = "cancelled by a user".to_owned();
            let event = JobEvent::StopWanted { why: StopReason::Cancelled, reason };
            self.job_step(now, id, event, out);
        }
        out.push(Command::Answer { ticket, answer: open });
    }

    pub(super) fn interrupt(&mut self, now: Timestamp, reason: &str, out: &mut Vec<Command>) {
        for id in self.open.clone() {
            let reason = reason.to_owned();
            let event = JobEvent::StopWanted { why: StopReason::Interrupted, reason };
            self.job_step(now, &id, event, out);
        }
    }
}

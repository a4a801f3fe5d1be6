//! What users and signals ask for.

use lockstep_proto::identity::JobId;

use super::Cluster;
use super::command::{Command, Refusal};
use super::event::{Submission, Ticket, Wish};
use super::job::{Job, JobEvent, State};
use super::record::StateName;
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
        let go_on = submission.go_on;
        let job = Job::submitted(id.clone(), submission, run_folder, now);
        out.push(Command::CreateRun { record: Box::new(job.record()), go_on });
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

    /// A user wants something of a job; what makes no sense now is refused.
    pub(super) fn asked(&mut self, now: Timestamp, ticket: Ticket, text: &str, wish: Wish, out: &mut Vec<Command>) {
        let found = self.find(text).and_then(|id| self.makes_sense(id, wish));
        let answer = match (found, wish) {
            (Ok(id), Wish::Checkpoint) => {
                match self.jobs.get_mut(&id).map(|job| job.want_checkpoint(ticket, out)) {
                    Some(Err(refusal)) => Err(refusal),
                    // Answered when it is on disk.
                    Some(Ok(())) | None => return,
                }
            }
            (Ok(id), Wish::Scale(workers)) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.scale(workers, out);
                }
                if matches!(self.jobs.get(&id), Some(Job { state: State::Active(_), .. })) {
                    self.job_step(now, &id, JobEvent::Asked(wish), out);
                }
                Ok(id)
            }
            (Ok(id), Wish::Cancel | Wish::Pause | Wish::Resume) => {
                self.job_step(now, &id, JobEvent::Asked(wish), out);
                Ok(id)
            }
            (Err(refusal), _) => Err(refusal),
        };
        out.push(Command::Answer { ticket, answer });
    }

    fn makes_sense(&self, id: JobId, wish: Wish) -> Result<JobId, Refusal> {
        let Some(job) = self.jobs.get(&id) else { return Err(Refusal::UnknownJob(id.to_string())) };
        let name = job.state.name();
        let state = name.as_str();
        if name.ended() {
            return Err(Refusal::Ended { job: id, state });
        }
        let problem = match (wish, name) {
            (Wish::Resume, StateName::Paused | StateName::Pausing) => return Ok(id),
            (Wish::Resume, _) => "only a paused job can be resumed",
            (Wish::Pause, StateName::Paused | StateName::Pausing) => "it is paused already",
            (Wish::Pause, StateName::Stopping) => "it is about to end",
            (Wish::Scale(0), _) => "at least 1 worker has to stay; `pause` stops all",
            _ => return Ok(id),
        };
        Err(Refusal::NotNow { job: id, state, problem: problem.into() })
    }

    pub(super) fn interrupt(&mut self, now: Timestamp, reason: &str, out: &mut Vec<Command>) {
        for id in self.open.clone() {
            self.job_step(now, &id, JobEvent::Interrupted { reason: reason.to_owned() }, out);
        }
    }
}

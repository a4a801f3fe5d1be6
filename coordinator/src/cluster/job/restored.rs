//! Jobs of an earlier life of the coordinator, from its database or from a worker's words.

use lockstep_proto::identity::Generation;
use lockstep_proto::job::Job as JobSpec;

use super::team::{Current, Seat, Stage, Team, Wanted};
use super::{Job, State};
use crate::cluster::event::{Assignment, Failure};
use crate::cluster::facts::{StepReport, StopReason};
use crate::cluster::record::{Record, Restored, StateName};
use crate::cluster::time::Timestamp;
use crate::cluster::timeouts::REATTACH;

impl Job {
    /// A job from the database. One that had workers waits for them to come back; what this version can't read any
    /// more has failed.
    pub fn restored(restored: Restored, now: Timestamp) -> Self {
        let Restored { record, recorded_step, ledger, checkpoints, generations, measured } = restored;
        let spec = JobSpec::from_toml(&record.toml);
        let mut job = Self::bare(&record, spec.as_ref().ok().cloned().unwrap_or_default(), now);
        (job.checkpoints, job.generations) = (checkpoints, generations);
        (job.progress.ledger, job.progress.recorded_step) = (ledger, recorded_step);
        job.progress.step = StepReport { step: recorded_step, ..StepReport::default() };
        job.take_in(&measured);
        job.state = match (record.state, spec, record.outcome.clone()) {
            (state, Err(error), _) if !state.ended() => {
                job.reason = format!("its job file can't be read any more: {error}");
                job.ended = Some(now);
                State::Failed(Failure { reason: job.reason.clone(), bad_input: false, diverged: None })
            }
            (StateName::Queued, ..) => State::Queued,
            (StateName::Paused, ..) if record.members.is_empty() => State::Paused,
            (StateName::Completed, _, Some(outcome)) => State::Completed(outcome),
            (StateName::Cancelled, _, outcome) => State::Cancelled(outcome),
            (StateName::Interrupted, _, outcome) => State::Interrupted(outcome),
            (StateName::Failed, ..) => State::Failed(Failure {
                reason: job.reason.clone(),
                bad_input: record.bad_input,
                diverged: record.diverged,
            }),
            (
                StateName::Starting
                | StateName::Running
                | StateName::Recovering
                | StateName::Stopping
                | StateName::Pausing
                | StateName::Paused
                | StateName::Completed,
                ..,
            ) => State::Active(Box::new(job.team_that_was(&record, now))),
        };
        job
    }

    fn bare(record: &Record, spec: JobSpec, now: Timestamp) -> Self {
        let submission = crate::cluster::event::Submission {
            name: record.name.clone(),
            spec,
            toml: record.toml.clone(),
            run_folder: None,
            command: record.command.clone(),
            from: record.from.clone(),
            go_on: false,
            history: Vec::new(),
        };
        let mut job = Self::submitted(record.job.clone(), submission, record.run_folder.clone(), now);
        job.workers = record.workers;
        job.reason.clone_from(&record.reason);
        (job.submitted, job.started, job.ended) = (record.submitted, record.started, record.ended);
        job.placements.clone_from(&record.placements);
        job.progress.facts = record.facts.clone();
        job.progress.fingerprint = record.fingerprint.clone();
        job.highest_generation = record.generation;
        job
    }

    /// Its workers as they were: they may come back.
    fn team_that_was(&mut self, record: &Record, now: Timestamp) -> Team {
        let until = now.plus(REATTACH);
        let host = |worker: &str| {
            let placed = record.placements.iter().find(|placement| placement.worker == worker);
            placed.map_or_else(|| "?".to_owned(), |placement| placement.host.clone())
        };
        let away = record.members.iter().filter_map(|member| Seat::away(member, host(&member.worker), until, now));
        let mut team = Team::new(away.collect(), now);
        team.begun = record.generation > 0;
        team.wish = wish_that_was(record.state);
        team.seats.iter_mut().for_each(|seat| seat.member = record.generation_id.is_some());
        team.current = record.generation_id.filter(|_| !team.seats.is_empty()).map(|id| Current {
            generation: Generation { number: record.generation, id },
            members: team.seats.iter().map(|seat| seat.worker.clone()).collect(),
            lanes: record.members.iter().map(|member| member.lanes).collect(),
            first_step: 0,
            start: None,
            ready: false,
            stage: Stage::Going,
            acknowledged: now,
        });
        self.reason = "the coordinator was restarted: waits for its workers to come back".into();
        team
    }

    /// A job that nobody here has heard of, from what one of its workers tells. Without steps recorded, so that the
    /// worker is asked for all of them.
    pub fn adopted(assignment: Assignment, now: Timestamp) -> Result<Self, String> {
        let spec = JobSpec::from_toml(&assignment.toml).map_err(|error| error.to_string())?;
        super::check(&spec)?;
        let submission = crate::cluster::event::Submission {
            name: assignment.name,
            spec,
            toml: assignment.toml,
            run_folder: None,
            command: assignment.command,
            from: assignment.from,
            go_on: true,
            history: Vec::new(),
        };
        let mut job = Self::submitted(assignment.job, submission, assignment.run_folder, now);
        job.reason = "taken over from its workers".into();
        job.started = Some(now);
        Ok(job)
    }
}

/// What was wanted of a job, as its state tells. Signals that end jobs end the coordinator's process as well, so a job
/// that was about to end was cancelled.
fn wish_that_was(state: StateName) -> Option<Wanted> {
    let (why, reason) = match state {
        StateName::Pausing => (StopReason::Paused, "paused by a user"),
        StateName::Stopping => (StopReason::Cancelled, "cancelled by a user"),
        StateName::Queued
        | StateName::Starting
        | StateName::Running
        | StateName::Recovering
        | StateName::Paused
        | StateName::Completed
        | StateName::Failed
        | StateName::Cancelled
        | StateName::Interrupted => return None,
    };
    Some(Wanted { why, reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use lockstep_proto::identity::JobId;

    use super::*;

    #[test]
    fn a_failed_job_is_remembered_as_what_it_failed_of() {
        let mut toml = JobSpec::default();
        toml.data.path = "/data".into();
        let assignment = Assignment {
            job: JobId::try_from("a").unwrap(),
            name: "a".into(),
            toml: toml.to_toml(),
            run_folder: "/runs/a".into(),
            command: String::new(),
            from: Vec::new(),
        };
        let mut record = Job::adopted(assignment, Timestamp::default()).unwrap().record();
        for (bad_input, diverged) in [(false, Some(41)), (true, None), (false, None)] {
            (record.state, record.bad_input, record.diverged) = (StateName::Failed, bad_input, diverged);
            record.reason = "step 42 is not finite".into();
            let restored = Restored {
                record: record.clone(),
                recorded_step: 40,
                ledger: Default::default(),
                checkpoints: Vec::new(),
                generations: Vec::new(),
                measured: Vec::new(),
            };
            let job = Job::restored(restored, Timestamp::default());
            let reason = record.reason.clone();
            assert!(matches!(&job.state, State::Failed(found) if *found == Failure { reason, bad_input, diverged }));
            assert_eq!(job.record(), record);
        }
    }
}

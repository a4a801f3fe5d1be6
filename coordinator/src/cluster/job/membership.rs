//! The straight path of a job: start, deal, begin, ready, reports, finished.

use lockstep_proto::identity::Generation;

use super::crew::Crew;
use super::state::{Failure, HELLO_LIMIT, News, State, Stopping, Team, Told, Why};
use super::{Job, Turn};
use crate::cluster::command::{Begin, Command, Member};
use crate::cluster::deal::deal;
use crate::cluster::event::WorkerHello;
use crate::cluster::facts::{Outcome, Report, StopReason};
use crate::cluster::record::GenerationRecord;

impl Job {
    /// The scheduler gave slots: start a process in each.
    pub(super) fn start(&mut self, crew: Crew, turn: &mut Turn<'_>) -> State {
        for seat in &crew.seats {
            turn.orders.push(Command::StartWorker {
                node: seat.node.clone(),
                worker: seat.worker.clone(),
                job: self.id.clone(),
                threads: seat.threads,
            });
        }
        self.reason = format!("starts {}", workers(crew.seats.len()));
        self.placements = crew.placements();
        State::Starting(Team { crew, generation: None, since: turn.now })
    }

    /// A worker said hello; the last one makes the generation begin.
    pub(super) fn joined(&mut self, mut team: Team, hello: WorkerHello, turn: &mut Turn<'_>) -> State {
        if let Some(seat) = team.crew.seat_mut(&hello.worker) {
            seat.hello = Some(hello);
        }
        let missing = team.crew.missing();
        if missing > 0 {
            let all = team.crew.seats.len();
            self.reason = format!("waits for {missing} of {} to say hello", workers(all));
            return State::Starting(team);
        }
        if let Some(mismatch) = team.crew.fingerprint_mismatch() {
            let failure = Failure { reason: mismatch.clone(), bad_input: false };
            return self.end(State::Failed(failure), mismatch, turn);
        }
        self.begin(team, turn)
    }

    fn begin(&mut self, mut team: Team, turn: &mut Turn<'_>) -> State {
        let lanes = self.spec.batch.lanes();
        let dealt = deal(lanes, team.crew.seats.len());
        for (seat, lanes) in team.crew.seats.iter_mut().zip(&dealt) {
            seat.lanes = *lanes;
        }
        let generation = turn.entropy.generation(self.next_generation());
        self.placements = team.crew.placements();
        self.reason = format!("generation {generation}: {lanes} lanes dealt as {dealt:?}");
        if let Some(hello) = team.crew.seats.first().and_then(|seat| seat.hello.as_ref()) {
            self.progress.fingerprint = hello.fingerprint.clone();
        }
        self.generations.push(GenerationRecord {
            number: generation.number,
            id: generation.id.iter().map(|byte| format!("{byte:02x}")).collect(),
            began: turn.now.seconds(),
            reason: self.reason.clone(),
            members: self.placements.clone(),
        });
        self.save_run(turn);
        self.tell_begin(&team, generation, turn);
        team.generation = Some(generation);
        State::Starting(team)
    }

    fn tell_begin(&self, team: &Team, generation: Generation, turn: &mut Turn<'_>) {
        let secret = turn.entropy.secret();
        let member = |seat: &super::crew::Seat| {
            let hello = seat.hello.as_ref()?;
            Some(Member {
                worker: seat.worker.clone(),
                node: seat.node.clone(),
                data_address: hello.data_address.clone(),
                unix_address: hello.unix_address.clone(),
                threads: hello.threads,
                lanes: seat.lanes,
            })
        };
        let members: Vec<Member> = team.crew.seats.iter().filter_map(member).collect();
        for (rank, seat) in team.crew.seats.iter().enumerate() {
            turn.orders.push(Command::Begin(Box::new(Begin {
                worker: seat.worker.clone(),
                generation,
                secret,
                rank: rank as u32,
                members: members.clone(),
                job: self.id.clone(),
                toml: self.toml.clone(),
            })));
        }
    }

    /// Takes in what a worker tells about its generation; about any other it comes too late.
    pub(super) fn hear(&mut self, state: &mut State, told: Told, turn: &mut Turn<'_>) {
        let Told { worker, generation, news } = told;
        let Some(team) = state.team_mut() else { return };
        if team.generation != Some(generation) {
            let now = team.generation.map_or("none yet".into(), |now| format!("{now:?}"));
            let what = news.name();
            turn.ignore(format!("{what} of worker {worker} for {generation:?} is ignored: the job's is {now}"));
            return;
        }
        let Some(rank) = team.crew.rank(&worker) else {
            turn.ignore(format!("{} of worker {worker} is ignored: it is no member", news.name()));
            return;
        };
        match news {
            News::Ready(facts) => {
                team.crew.seats[rank].facts = Some(facts.clone());
                if rank == 0 {
                    self.progress.facts = facts;
                    self.save_run(turn);
                }
            }
            News::Reports { first, reports } => {
                let known = &mut team.crew.seats[rank].reports;
                let below = self.reported(rank, *known, (first, reports), turn);
                *known = below;
                turn.orders.push(Command::Acknowledge { worker, job: self.id.clone(), below });
            }
            News::Finished(outcome) => team.crew.seats[rank].outcome = Some(outcome),
        }
    }

    /// Records what is new of rank 0's reports; those of other ranks are only acknowledged.
    fn reported(
        &mut self,
        rank: usize,
        known: u64,
        (first, mut reports): (u64, Vec<Report>),
        turn: &mut Turn<'_>,
    ) -> u64 {
        if first > known {
            turn.ignore(format!("reports from {first} of rank {rank} are ignored: {known} is next"));
            return known;
        }
        let again = usize::try_from(known - first).unwrap_or(usize::MAX).min(reports.len());
        reports.drain(..again);
        let below = known + reports.len() as u64;
        if rank != 0 || reports.is_empty() {
            return below;
        }
        for report in &reports {
            match report {
                Report::Step(step) => self.progress.step = step.clone(),
                Report::Evaluation(evaluation) => self.remember(evaluation.clone()),
            }
        }
        turn.records.push(Command::AppendReports { job: self.id.clone(), reports });
        turn.records.push(Command::Notify { job: self.id.clone(), reason: None });
        below
    }

    /// Goes on where all ranks have said what is needed.
    pub(super) fn settle(&mut self, state: State, turn: &mut Turn<'_>) -> State {
        match state {
            State::Starting(team) if team.generation.is_some() && team.crew.all_ready() => {
                if let Some(mismatch) = team.crew.dataset_mismatch() {
                    self.abort(&team, &mismatch, turn);
                    let failure = Failure { reason: mismatch.clone(), bad_input: false };
                    return self.end(State::Failed(failure), mismatch, turn);
                }
                self.started = self.started.or(Some(turn.now));
                self.reason = format!("{} ready", workers(team.crew.seats.len()));
                self.settle(State::Running(team), turn)
            }
            State::Running(team) | State::Stopping(Stopping { team, why: Why::Asked(_) })
                if team.crew.all_finished() =>
            {
                self.conclude(&team, turn)
            }
            state @ (State::Queued
            | State::Starting(_)
            | State::Running(_)
            | State::Stopping(_)
            | State::Completed(_)
            | State::Failed(_)
            | State::Cancelled(_)
            | State::Interrupted(_)) => state,
        }
    }

    /// All ranks have finished: they must agree, and rank 0's weights must be those that it speaks of.
    fn conclude(&mut self, team: &Team, turn: &mut Turn<'_>) -> State {
        let first = team.crew.seats.first();
        let Some(outcome) = first.and_then(|seat| seat.outcome.clone()) else {
            return self.fail("no outcome".into(), turn);
        };
        let stored = first.and_then(|seat| seat.weights_sha256.as_deref()).unwrap_or_default();
        if let Some(mismatch) = team.crew.outcome_mismatch() {
            return self.fail(mismatch, turn);
        }
        if outcome.weights_sha256 != stored {
            let told = &outcome.weights_sha256;
            let reason = format!("rank 0 tells of weights {told:?} but has stored {stored:?}");
            return self.fail(reason, turn);
        }
        let Outcome { stop_reason, steps, .. } = outcome;
        let reason = match stop_reason {
            StopReason::Completed => format!("all {steps} steps are done"),
            StopReason::Cancelled => format!("cancelled after step {steps}"),
            StopReason::Interrupted => format!("interrupted after step {steps}"),
        };
        self.end(Self::wanted(stop_reason, Some(outcome)), reason, turn)
    }

    /// A process that never says hello must not hold slots for ever.
    pub(super) fn check_hello(&mut self, team: Team, turn: &mut Turn<'_>) -> State {
        let silent = team.crew.seats.iter().find(|seat| seat.hello.is_none());
        match silent {
            Some(seat) if turn.now >= team.since.plus(HELLO_LIMIT) => {
                let name = team.crew.name(&seat.worker);
                self.fail(format!("{name}: no hello within {} s", HELLO_LIMIT.as_secs()), turn)
            }
            Some(_) | None => State::Starting(team),
        }
    }

    pub(super) fn save_run(&self, turn: &mut Turn<'_>) {
        let run = Box::new(self.run_record());
        turn.records.push(Command::SaveRun { job: self.id.clone(), run });
    }
}

fn workers(count: usize) -> String {
    if count == 1 { "1 worker".into() } else { format!("{count} workers") }
}

//! What must be true, looked at after everything that happens.

use std::collections::BTreeMap;

use lockstep_coordinator::cluster::command::From;
use lockstep_coordinator::cluster::event::Wish;
use lockstep_coordinator::cluster::job::State as JobState;
use lockstep_coordinator::cluster::record::StateName;
use lockstep_coordinator::cluster::{Command, Ticket};
use lockstep_proto::identity::Generation;
use lockstep_proto::ledger::LedgerRow;
use lockstep_proto::wire;

use crate::End;
use crate::model::{State, digest, taint_of};
use crate::plan::{Fault, Folder};
use crate::world::World;

/// What has been seen so far.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub violation: Option<String>,
    /// By number of a generation: the steps that its members committed, from and to.
    commits: BTreeMap<u64, (u64, u64)>,
    /// The newest generation that anybody committed in.
    newest: u64,
    /// The newest generation that this coordinator began, and its first step.
    begun: Option<(u64, u64)>,
    /// Reports were lost with all who had them.
    reports_lost: bool,
    /// Reports were voided for a generation that has not begun.
    voided: bool,
    /// The newest wish that was granted.
    granted: Option<Wish>,
    /// Digests of the states of a generation behind a step.
    digests: BTreeMap<(u64, u64), BTreeMap<usize, String>>,
    /// Members of the newest generation that was begun.
    members: usize,
    /// The states of the newest generation disagreed, and the coordinator knows.
    disagreed: bool,
    /// The newest step at which they agreed: what was wrong with all of them alike is not found.
    agreed: u64,
}

impl Watch {
    /// A user wants something else than what was granted: until that is answered, either may be what becomes of it.
    pub fn in_doubt(&mut self, wish: Wish) {
        if wish == Wish::Resume {
            self.granted = None;
        }
    }

    /// Reports are voided, so that others take their place.
    pub fn voids(&mut self) {
        self.voided = true;
    }

    /// The coordinator is gone: what it voided for a generation that it did not begin is lost.
    pub fn coordinator_dies(&mut self) {
        self.reports_lost |= std::mem::take(&mut self.voided);
    }

    /// The coordinator hears the digest of a member's state.
    pub fn hears_digest(&mut self, worker: usize, generation: Generation, step: u64, tensors: &[(String, String)]) {
        if self.begun.is_none_or(|(number, _)| number != generation.number) {
            return;
        }
        let told = self.digests.entry((generation.number, step)).or_default();
        told.insert(worker, tensors.first().map(|(_, digest)| digest.clone()).unwrap_or_default());
        let mut digests = told.values();
        let first = digests.next();
        let differ = digests.any(|other| Some(other) != first);
        match told.len() == self.members {
            true if differ => self.disagreed = true,
            true => self.agreed = self.agreed.max(step),
            false => {}
        }
    }
}

impl World {
    /// Every order of the coordinator, before it is carried out.
    pub(crate) fn inspect_order(&mut self, command: &Command) {
        match command {
            Command::Acknowledge { rows, step, .. } => {
                let (durable_step, durable_rows) = self.coordinator.store.durable();
                if *step > durable_step || *rows > durable_rows {
                    self.violate(format!(
                        "step {step} and {rows} rows are acknowledged, {durable_step} and {durable_rows} are durable"
                    ));
                }
            }
            Command::Begin(begin) if self.watch.begun.is_none_or(|(number, _)| number != begin.generation.number) => {
                self.inspect_begin(begin);
            }
            Command::Answer { ticket, answer: Ok(_) } => self.granted(*ticket),
            _ => {}
        }
    }

    fn inspect_begin(&mut self, begin: &lockstep_coordinator::cluster::Begin) {
        self.counts.generations += 1;
        let (number, start) = (begin.generation.number, &begin.start);
        if let Some((before, _)) = self.watch.begun.filter(|(before, _)| *before >= number) {
            self.violate(format!("generation {number} is begun behind {before}"));
        }
        let only_memory = !self.plan.has(|fault| fault == Fault::WorkerMiscalculates);
        let found = self.watch.disagreed && start.step > self.watch.agreed;
        if found && only_memory && taint_of(&start.digest) != 0 {
            self.violate(format!("generation {number} starts from what was found wrong: {start:?}"));
        }
        if !self.plan.corrupts() && taint_of(&start.digest) != 0 {
            self.violate(format!("generation {number} starts from a state that nobody should have: {start:?}"));
        }
        self.watch.reports_lost |= start.from != From::Memory && (start.step > 0 || number > 1);
        self.watch.begun = Some((number, start.step));
        self.watch.members = begin.members.len();
        (self.watch.disagreed, self.watch.voided) = (false, false);
        // All of them start from the same: what was wrong with that is not found by comparing.
        self.watch.agreed = start.step;
        self.watch.digests.clear();
        if self.random.chance(30) {
            self.back_up();
        }
    }

    fn granted(&mut self, ticket: Ticket) {
        if let Some(wish) = self.coordinator.asked.remove(&ticket)
            && matches!(wish, Wish::Pause | Wish::Resume | Wish::Cancel)
        {
            self.watch.granted = Some(wish);
        }
    }

    /// A coordinator that starts with the folder that it had knows all that was granted.
    pub(crate) fn inspect_start(&mut self, folder: Folder) {
        (self.watch.begun, self.watch.disagreed) = (None, false);
        if folder != Folder::Kept {
            self.watch.granted = None;
            self.watch.reports_lost = true;
            return;
        }
        let Some(granted) = self.watch.granted else { return };
        let Some(name) = self.coordinator.job().map(|job| job.state.name()) else {
            return self.violate("the job is forgotten by a coordinator that had it on disk".into());
        };
        let kept = match granted {
            Wish::Cancel => name.ended() || name == StateName::Stopping,
            // It may have been interrupted since.
            Wish::Pause => name.ended() || matches!(name, StateName::Paused | StateName::Pausing | StateName::Stopping),
            Wish::Resume | Wish::Scale(_) | Wish::Checkpoint => true,
        };
        if !kept && !self.agents_left() {
            self.violate(format!("{granted:?} was granted, and the coordinator that comes back is {}", name.as_str()));
        }
    }

    /// Whether a job may be queued because its agents left.
    fn agents_left(&self) -> bool {
        self.plan.has(|fault| fault == Fault::AgentLeaves)
    }

    /// Rows that are about to be recorded.
    pub(crate) fn inspect_rows(&mut self, first_row: usize, rows: &[LedgerRow]) {
        for row in rows {
            if !self.plan.job.is_right(row) {
                return self.violate(format!("a row is not the schedule's: {row:?}"));
            }
            let by = |&(from, to): &(u64, u64)| from <= row.first_step && row.last_step() <= to;
            if !self.watch.commits.get(&row.generation).is_some_and(by) {
                return self.violate(format!("nobody committed {row:?} of row {first_row} on"));
            }
            // One that was taken over since is newer.
            let newest = self.coordinator.job().map_or(0, |job| job.generation());
            if let Some((number, first)) = self.watch.begun.filter(|(number, _)| *number == newest)
                && row.last_step() > first
                && row.generation < number
            {
                return self.violate(format!("{row:?} is taken, but generation {number} began at step {first}"));
            }
        }
    }

    /// A member enters a generation.
    pub(crate) fn inspect_entry(&mut self, worker: usize, generation: Generation) {
        let highest = self.workers[worker].trainer.highest_entered;
        if generation.number <= highest {
            let id = &self.workers[worker].id;
            self.violate(format!("{id} enters {generation:?}, but has been in {highest}"));
        }
    }

    /// The source of a generation does not have what it was named for.
    pub(crate) fn inspect_missing(&mut self, worker: usize, start: &wire::Start) {
        if !self.plan.hostile && !self.plan.corrupts() {
            let (id, holds) = (&self.workers[worker].id, self.workers[worker].trainer.step());
            self.violate(format!("{id} holds step {holds}, but is named as one that has {start:?}"));
        }
    }

    /// A member has the state that its generation starts from.
    pub(crate) fn inspect_ready(&mut self, group: usize, state: &State) {
        let own = (state.step, state.taint);
        let first = *self.groups[group].start.get_or_insert(own);
        if first != own {
            let generation = self.groups[group].generation;
            self.violate(format!("members of {generation:?} start from {first:?} and {own:?}"));
        }
        if state.ledger.steps() != state.step {
            self.violate(format!("a state of step {} has a ledger of {}", state.step, state.ledger.steps()));
        }
    }

    /// A member has committed a step.
    pub(crate) fn inspect_commit(&mut self, worker: usize, group: usize) {
        self.counts.commits += 1;
        let generation = self.groups[group].generation;
        let step = self.workers[worker].trainer.step();
        let range = self.watch.commits.entry(generation.number).or_insert((step - 1, step));
        *range = (range.0.min(step - 1), range.1.max(step));
        self.counts.commits_of_forgotten += u64::from(generation.number < self.watch.newest);
        self.watch.newest = self.watch.newest.max(generation.number);
        let members = self.groups[group].members.iter().flatten().map(|&member| &self.workers[member].trainer);
        let steps = members.filter(|member| member.is_in(group) && member.is_ready()).map(|member| member.step());
        let (low, high) = steps.fold((u64::MAX, 0), |(low, high), step| (low.min(step), high.max(step)));
        if high > low + 1 {
            self.violate(format!("members of {generation:?} are {} steps apart", high - low));
        }
        if !self.plan.corrupts() && self.workers[worker].trainer.taint() != 0 {
            let id = &self.workers[worker].id;
            self.violate(format!("{id} commits a state of step {step} that is not the step's"));
        }
    }

    /// Whether the history has come to its end.
    pub(crate) fn ended(&self) -> Option<End> {
        if self.anybody_works() || (self.plan.patient && self.now < self.plan.calm) {
            return None;
        }
        let cluster = self.coordinator.cluster.as_ref()?;
        let Some(job) = cluster.jobs().next() else {
            return self.coordinator.comes_back.is_none().then_some(End::Forgotten);
        };
        let over = job.state.name().ended() && !cluster.has_workers(&job.id);
        over.then(|| End::Job(job.state.name()))
    }

    /// What must be true at the end.
    pub(crate) fn judge(&mut self, end: End) {
        let wanted = |fault: Fault| matches!(fault, Fault::Cancel | Fault::Interrupt);
        match end {
            End::Violated => {}
            End::Silence | End::Patience => self.stuck(),
            End::Forgotten if self.plan.forgets() => {}
            End::Forgotten => self.violate("the job is forgotten".into()),
            End::Job(StateName::Completed) => self.inspect_completed(),
            End::Job(StateName::Cancelled | StateName::Interrupted) if self.plan.has(wanted) => {}
            End::Job(_) => {
                let full = self.plan.has(|fault| matches!(fault, Fault::CoordinatorDiskFull(_)));
                let reason = self.coordinator.job().map(|job| job.reason.clone()).unwrap_or_default();
                // A job that has not begun is not waited with.
                if !full || !reason.contains("no space left") {
                    self.violate(format!("{end:?}: {reason}"));
                }
            }
        }
    }

    fn stuck(&mut self) {
        let job = self.coordinator.job().map(|job| format!("{}: {}", job.state.name().as_str(), job.reason));
        let alive = self.workers.iter().filter(|worker| worker.alive).map(|worker| worker.id.as_str());
        let alive: Vec<_> = alive.collect();
        self.violate(format!("the job does not come to an end: {job:?}; processes: {alive:?}"));
    }

    fn inspect_completed(&mut self) {
        let Some(job) = self.coordinator.job() else { return };
        let JobState::Completed(outcome) = &job.state else { return };
        let steps = self.plan.job.steps;
        let (outcome_steps, sha256) = (outcome.steps, outcome.weights_sha256.clone());
        let same = job.progress.ledger.across_generations() == self.plan.job.ledger();
        let durable = self.coordinator.store.ledger == job.progress.ledger;
        if outcome_steps != steps {
            return self.violate(format!("completed after {outcome_steps} of {steps} steps"));
        }
        // A stream that is out of order may bring the last rows behind the end.
        if (!same || !durable) && !self.plan.hostile {
            let rows = job.progress.ledger.rows().to_vec();
            return self.violate(format!("the ledger is not a clean run's (durable: {durable}): {rows:?}"));
        }
        let right = format!("w{}", digest(steps, 0));
        if !self.plan.corrupts() && sha256 != right {
            return self.violate(format!("the weights are {sha256}, not {right}"));
        }
        self.inspect_metrics();
    }

    /// Each report is there once, in order; and all are, unless some were lost with all who had them.
    fn inspect_metrics(&mut self) {
        let metrics = self.coordinator.store.reports.iter();
        let metrics = metrics.map(crate::store::place);
        let metrics: Vec<(u64, bool)> = metrics.collect();
        let out_of_order = metrics.windows(2).find(|pair| pair[0] >= pair[1]).map(<[_]>::to_vec);
        let job = &self.plan.job;
        let wanted = (1..=job.steps).flat_map(|step| {
            let step_report = job.reports(step).then_some((step, false));
            step_report.into_iter().chain(step.is_multiple_of(job.epoch).then_some((step, true)))
        });
        let missing: Vec<_> = wanted.filter(|report| !metrics.contains(report)).collect();
        if let Some(pair) = out_of_order.filter(|_| !self.plan.forgets()) {
            return self.violate(format!("reports are recorded twice or out of order: {pair:?}"));
        }
        if !missing.is_empty() && !self.watch.reports_lost && !self.plan.hostile {
            self.violate(format!("reports are missing: {missing:?}"));
        }
    }
}

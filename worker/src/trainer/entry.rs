//! Into a generation: the other members, and the state that it starts from.

use std::sync::Arc;
use std::time::Duration;

use lockstep_collective::{Group, Member, Membership, Shape, Tag};
use lockstep_kernels::device::Device;
use lockstep_kernels::exchange::Transport as _;
use lockstep_proto::job::{Job, Transport};
use lockstep_proto::wire::{self, start::From};

use super::foresight::Foresight;
use super::generation::{FIRST_PASS, Generation};
use super::initial_weights::initial_weights;
use super::optimizer::kept;
use super::outbox::Outbox;
use super::probes::gradient_lanes;
use super::reduction::Reduction;
use super::signals::Signals;
use super::snapshot::restore;
use super::state::{Sizes, State};
use super::{Kept, Trainer, TrainerError, measures, share};
use crate::control::{Entry, Ready, TrainerEvent};

/// Members are prepared before they are told to meet. Longer than a worker may be silent: one that has gone is given up
/// by the coordinator first, so that who is missing after this time lives and can't be reached.
pub(super) const MEET_WITHIN: Duration = Duration::from_secs(15);

/// What a member has of the state that a generation starts from.
enum Has<D: Device> {
    /// It is what the trainer holds.
    Held,
    /// It was made or read.
    Made(Box<State<D>>),
    /// Another member has it.
    Nothing,
}

impl<D: Device> Trainer<D> {
    /// Meets the other members and takes the state that all start from. What the trainer held before is kept if that
    /// fails.
    pub(super) fn enter(&mut self, entry: &Entry, signals: Arc<Signals>) -> Result<Generation<'_, D>, TrainerError> {
        let begin = &entry.begin;
        let start = begin.start.as_ref().ok_or_else(|| malformed("start"))?;
        let shape = Shape {
            parameters: self.work.model.len(),
            sums: measures::sums(self.work.layers.len()),
            counts: self.work.counts,
            max_lanes: self.most_lanes(),
        };
        let membership = membership(entry, &self.job)?;
        let abort = signals.abort_flag().clone();
        let group = Group::connect(&self.seat.endpoint, membership, shape, MEET_WITHIN, abort)?;
        let mut reduction = self.reduction(group, &begin.transport, start.step)?;
        let mut has = self.start_state(start, begin.rank)?;
        let mut reports = Vec::new();
        if start.share && start.from() != From::Initial {
            (has, reports) = self.share(has, start, entry, &mut reduction.group)?;
        }
        let mut kept = self.checked(has, start)?;
        // Whoever gives the state gives its plans.
        let dealer = if start.share { start.source } else { 0 };
        if let Err(error) = self.agree_on_plans(&mut kept.state, dealer, &mut reduction.group, &signals) {
            self.kept = Some(kept);
            return Err(error);
        }
        let Kept { state, held } = kept;
        let rows = state.ledger.rows().to_vec();
        let seconds_before = state.seconds;
        // What is not recorded is made anew where the generation starts.
        let step = state.cursor.step;
        let reported = if step > begin.recorded_step { step - 1 } else { step };
        self.seat.tell(TrainerEvent::Ready(Box::new(Ready { held, rows, reported, reports })));
        let dealing = reduction.group.dealing();
        let foresight = Foresight::new(&self.job, &self.schedule, dealing, &self.work.dataset);
        Ok(Generation {
            trainer: self,
            state,
            reduction,
            foresight,
            signals,
            number: entry.generation.number,
            id: entry.generation.into(),
            rank: begin.rank,
            shares: begin.members.iter().map(|member| member.lanes).collect(),
            newest_test: None,
            evaluated: None,
            seconds_before,
            outbox: Outbox::new(reported),
        })
    }

    /// Most lanes whose gradients are reduced at once.
    fn most_lanes(&self) -> u32 {
        let probed = gradient_lanes(&self.job, &self.work.dataset);
        self.job.batch.lanes().max(self.curvature_lanes()).max(probed)
    }

    /// What gradients are added by: told by the coordinator, which knows what all members have.
    fn reduction(&mut self, group: Group, transport: &str, step: u64) -> Result<Reduction<D>, TrainerError> {
        if transport.is_empty() {
            return Ok(Reduction::through_hosts(group));
        }
        let found = D::transport()?.filter(|found| found.name() == transport);
        let found = found.ok_or_else(|| TrainerError::Entry(format!("this device has no {transport}")))?;
        let device = &mut self.crew.first().device;
        Reduction::between_devices(group, &self.work.model, device, &found, &self.job, step)
    }

    /// What this worker has of the state by itself.
    fn start_state(&mut self, start: &wire::Start, rank: u32) -> Result<Has<D>, TrainerError> {
        let needed = start.source == rank || !start.share;
        match start.from() {
            From::Initial => {
                let flat = initial_weights(&self.job, &self.work.model)?;
                Ok(Has::Made(Box::new(self.state_of(&flat))))
            }
            From::Memory => {
                let held = self.kept.as_ref().map(|kept| &kept.held);
                let holds = held.is_some_and(|held| (held.step, &held.digest) == (start.step, &start.digest));
                match (holds, needed) {
                    (true, _) => Ok(Has::Held),
                    (false, false) => Ok(Has::Nothing),
                    (false, true) => {
                        let held = held.map_or("nothing".into(), |held| describe(held.step, &held.digest));
                        let wanted = describe(start.step, &start.digest);
                        Err(TrainerError::Entry(format!("it should hold {wanted}, but holds {held}")))
                    }
                }
            }
            From::Checkpoint if !needed => Ok(Has::Nothing),
            From::Checkpoint => {
                let failed = |reason| TrainerError::Entry(format!("cannot start from a checkpoint: {reason}"));
                let snapshot = self.checkpoints.read(&start.checkpoint).map_err(failed)?;
                let mut state = self.blank();
                let device = &mut self.crew.first().device;
                restore(&snapshot, &mut state, device, self.work.model.tensors()).map_err(failed)?;
                Ok(Has::Made(Box::new(state)))
            }
        }
    }

    /// The source gives the state to all; who has it keeps its own.
    fn share(
        &mut self,
        has: Has<D>,
        start: &wire::Start,
        entry: &Entry,
        group: &mut Group,
    ) -> Result<(Has<D>, Vec<wire::Report>), TrainerError> {
        let tensors = self.work.model.tensors();
        let mut payload = Vec::new();
        if start.source == entry.begin.rank {
            let state = match &has {
                Has::Made(state) => Some(&**state),
                Has::Held | Has::Nothing => self.kept.as_ref().map(|kept| &kept.state),
            };
            let device = &mut self.crew.first().device;
            if let Some(state) = state {
                payload = share::pack(state, device, tensors, entry.reports.clone())?;
            }
        }
        group.broadcast(start.source, Tag { step: start.step, pass: FIRST_PASS }, &mut payload)?;
        if !matches!(has, Has::Nothing) {
            return Ok((has, Vec::new()));
        }
        let mut state = self.blank();
        let device = &mut self.crew.first().device;
        let reports = share::unpack(&payload, &mut state, device, self.work.model.tensors())
            .map_err(|reason| TrainerError::Entry(format!("rank {} gave no state: {reason}", start.source)))?;
        Ok((Has::Made(Box::new(state)), reports))
    }

    /// The state itself, if it is the one that was meant; what was kept from before goes.
    fn checked(&mut self, has: Has<D>, start: &wire::Start) -> Result<Kept<D>, TrainerError> {
        let made = match has {
            Has::Made(state) => *state,
            Has::Held | Has::Nothing => return self.kept.take().ok_or_else(|| malformed("start")),
        };
        let held = self.held_of(&made)?;
        if held.step == start.step && (start.digest.is_empty() || held.digest == start.digest) {
            self.kept = None;
            return Ok(Kept { state: made, held });
        }
        let (wanted, found) = (describe(start.step, &start.digest), describe(held.step, &held.digest));
        Err(TrainerError::Entry(format!("the state to start from is {found}, not {wanted}")))
    }

    /// A state to be overwritten.
    fn blank(&mut self) -> State<D> {
        self.state_of(&vec![0.0; self.work.model.len()])
    }

    /// The state before the first step.
    fn state_of(&mut self, flat: &[f32]) -> State<D> {
        let model = &self.work.model;
        let sizes = Sizes { parameters: model.parameters(), statistics: model.statistics() };
        State::new(&mut self.crew.first().device, kept(&self.job.optimizer), sizes, flat)
    }
}

fn describe(step: u64, digest: &str) -> String {
    format!("step {step} with digest {digest}")
}

fn malformed(what: &str) -> TrainerError {
    TrainerError::Entry(format!("the coordinator's message is malformed: {what}"))
}

/// The data plane's membership. With `cluster.transport = "tcp"` every worker counts as a node of its own.
fn membership(entry: &Entry, job: &Job) -> Result<Membership, TrainerError> {
    let begin = &entry.begin;
    let member = |(rank, member): (usize, &wire::Member)| {
        Ok(Member {
            node: match job.cluster.transport {
                Transport::Auto => member.node.clone(),
                Transport::Tcp => format!("{}-{rank}", member.node),
            },
            tcp: member.data_address.parse().map_err(|_| malformed("data_address"))?,
            unix: member.unix_address.clone(),
            share: member.lanes,
            threads: member.threads,
        })
    };
    let members = begin.members.iter().enumerate().map(member).collect::<Result<Vec<_>, TrainerError>>()?;
    if begin.rank as usize >= members.len() {
        return Err(malformed("rank"));
    }
    Ok(Membership {
        generation: entry.generation.number,
        generation_id: entry.generation.id,
        secret: begin.secret.clone().try_into().map_err(|_| malformed("secret"))?,
        rank: begin.rank,
        members,
    })
}

//! From an assignment to a trainer: job, data set, model, devices, peers.

use std::sync::Arc;
use std::time::Duration;

use lockstep_collective::{Endpoint, Group, Member, Membership, Shape};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::pixels::PixelsSize;
use lockstep_proto::job::{self, Job};
use lockstep_proto::wire;
use tokio::sync::mpsc::UnboundedSender;

use super::crew::Crew;
use super::lane::{LaneRunner, Work};
use super::meter::Meter;
use super::schedule::Schedule;
use super::signals::{Phase, Signals};
use super::state::State;
use super::{Trainer, TrainerError, measures};
use crate::control::{Assignment, Event};
use crate::data::dataset::{Dataset, Split};
use crate::model::{SampleShape, build, initial_parameters};

/// All members load the data set first, each at its own speed.
const MEET_WITHIN: Duration = Duration::from_secs(120);

/// What a trainer gets from the process it runs in.
pub struct Seat {
    /// The data plane's listeners.
    pub endpoint: Endpoint,
    /// Lane threads.
    pub threads: usize,
    /// Shared with control.
    pub signals: Arc<Signals>,
    /// Where reports go.
    pub events: UnboundedSender<Event>,
}

impl Trainer {
    pub(super) fn start(seat: Seat, assignment: &Assignment) -> Result<Self, TrainerError> {
        seat.signals.enter(Phase::Start);
        let begin = &assignment.begin;
        let job = Job::from_toml(&begin.job_toml).map_err(|error| TrainerError::Job(error.to_string()))?;
        let dataset = Dataset::open(&job.data)?;
        let schedule = Schedule::new(&job, dataset.len(Split::Train)).map_err(TrainerError::Job)?;
        let work = work(&job, dataset)?;
        let instruction_set = instruction_set(job.cluster.instruction_set)?;
        let runners = (0..seat.threads).map(|_| LaneRunner::new(Cpu::new(instruction_set), &work)).collect();
        let mut crew = Crew::new(runners).map_err(|error| TrainerError::Machine(error.to_string()))?;
        let initial = initial_parameters(work.model.tensors(), job.seed.init);
        let state = State::new(&mut crew.first().device, &initial);
        let shape = Shape {
            parameters: work.model.parameters(),
            sums: measures::sums(work.layers.len()),
            counts: measures::COUNTS,
            max_lanes: job.batch.lanes(),
        };
        let group = Group::connect(
            &seat.endpoint,
            membership(assignment, &job)?,
            shape,
            MEET_WITHIN,
            seat.signals.abort_flag(),
        )?;
        let ready = wire::Ready {
            generation: begin.generation.clone(),
            dataset: work.dataset.id().to_owned(),
            total_steps: schedule.total_steps(),
            total_epochs: schedule.total_epochs(),
            parameters: work.model.parameters() as u64,
            train_samples: work.dataset.len(Split::Train),
        };
        // Control outlives the trainer, except when the process is ending anyway.
        let _ = seat.events.send(Event::TrainerReady(ready));
        Ok(Self {
            job,
            work,
            schedule,
            crew,
            state,
            group,
            meter: Meter::start(),
            newest_test: None,
            speaks: begin.rank == 0,
            signals: seat.signals,
            events: seat.events,
        })
    }
}

/// Looks whether a job can be trained on this machine: data set, model, schedule and instruction set.
///
/// # Errors
/// What a trainer would fail with at its start.
pub fn check(job: &Job) -> Result<(), TrainerError> {
    instruction_set(job.cluster.instruction_set)?;
    let dataset = Dataset::open(&job.data)?;
    Schedule::new(job, dataset.len(Split::Train)).map_err(TrainerError::Job)?;
    work(job, dataset).map(|_| ())
}

fn work(job: &Job, dataset: Dataset) -> Result<Work<Cpu>, TrainerError> {
    let shape = SampleShape {
        channels: dataset.channels(),
        height: dataset.height(),
        width: dataset.width(),
        classes: dataset.classes(),
    };
    let model = build(&job.model, shape)?;
    let pixels = PixelsSize {
        samples: 0,
        features: shape.features(),
        scale: (1.0 / (255.0 * job.data.std)) as f32,
        shift: (-job.data.mean / job.data.std) as f32,
    };
    let layers = model.layer_ranges();
    let micro_batch = job.batch.micro_batch.into();
    Ok(Work { model, dataset, loss: job.loss.name, micro_batch, pixels, layers, classes: shape.classes })
}

fn instruction_set(wanted: job::InstructionSet) -> Result<InstructionSet, TrainerError> {
    let instruction_set = match wanted {
        job::InstructionSet::Auto => return Ok(InstructionSet::detect()),
        job::InstructionSet::Avx512 => InstructionSet::Avx512,
        job::InstructionSet::Avx2 => InstructionSet::Avx2,
        job::InstructionSet::Portable => InstructionSet::Portable,
    };
    if instruction_set.is_available() {
        return Ok(instruction_set);
    }
    let (wanted, best) = (instruction_set.name(), InstructionSet::detect().name());
    Err(TrainerError::Job(format!(
        "cluster.instruction_set: this processor has no {wanted}; set \"{best}\" or \"auto\" (all give the same bits)"
    )))
}

/// The data plane's membership. With `cluster.transport = "tcp"` every worker counts as a node of its own.
fn membership(assignment: &Assignment, job: &Job) -> Result<Membership, TrainerError> {
    let begin = &assignment.begin;
    let malformed = |what: &str| TrainerError::Machine(format!("the coordinator's message is malformed: {what}"));
    let member = |(rank, member): (usize, &wire::Member)| {
        Ok(Member {
            node: match job.cluster.transport {
                job::Transport::Auto => member.node.clone(),
                job::Transport::Tcp => format!("{}-{rank}", member.node),
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
        generation: assignment.generation.number,
        generation_id: assignment.generation.id,
        secret: begin.secret.clone().try_into().map_err(|_| malformed("secret"))?,
        rank: begin.rank,
        members,
    })
}

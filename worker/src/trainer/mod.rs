//! The trainer: one compute thread for the life of the process, which goes from generation to generation.
//!
//! It owns all that a sample's path needs and never waits for the control plane: [`Task`]s are looked for between
//! steps, stop and abort come as [`Signals`], and what it tells goes into a channel that never blocks.
//! `generation` is the path in reading order.

mod ascent;
mod by_products;
mod checkpoints;
pub(crate) mod crew;
mod curvature;
mod digest;
#[cfg(test)]
mod emulated_gpu;
mod ending;
mod entry;
mod epoch_loss;
mod error;
mod evaluate;
#[cfg(test)]
mod failed_device;
#[cfg(feature = "fault-points")]
mod fault;
mod fingerprint;
mod foresight;
mod forked;
mod generation;
mod gradient_noise;
mod hardware;
mod host_memory;
mod initial_weights;
pub(crate) mod lane;
#[cfg(test)]
mod lane_allocations;
#[cfg(test)]
mod lane_graphs;
mod lane_noise;
#[cfg(test)]
mod lane_recompute;
#[cfg(test)]
mod lane_waits;
pub(crate) mod loss;
pub(crate) mod measures;
mod memory;
mod meter;
mod nonfinite;
mod optimizer;
mod outbox;
mod outlook;
mod passes;
mod plans;
pub(crate) mod prepare;
mod probes;
pub(crate) mod progress;
mod recorder;
mod reduction;
mod replay;
mod schedule;
mod sealed_weights;
mod second_pass;
mod share;
mod signals;
pub(crate) mod skipped;
mod snapshot;
mod state;
mod stops;
mod trial;
mod update;
mod upload;
mod weights_file;

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use lockstep_collective::Endpoint;
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cuda::Cuda;
use lockstep_kernels::device::Device;
use lockstep_proto::job::Job;
use lockstep_proto::plans::Plans;
use lockstep_proto::wire;
use tokio::sync::mpsc::UnboundedSender;

use crate::control::{Entry, Event, TrainerEvent};
use crate::datasets::NamedFolder;

use by_products::ByProducts;
use checkpoints::Checkpoints;
use crew::Crew;
use gradient_noise::GradientNoise;
use lane::Work;
use meter::Meter;
use optimizer::Optimizer;
use probes::Starts;
use schedule::Schedule;
use second_pass::Above;
use state::State;

pub(crate) use ending::sha256_hex;
pub use error::TrainerError;
#[cfg(feature = "fault-points")]
pub use fault::Fault;
pub use fingerprint::{canary, fingerprint};
pub use forked::forked;
pub use hardware::{Hardware, transport};
pub use measures::sample_hash;
pub use outlook::{BatchOutlook, Outlook, positions_of_step};
pub use prepare::check;
pub use probes::ProbeOutlook;
pub use progress::{Phase, Progress};
pub use sealed_weights::seal_weights;
pub use signals::Signals;
pub use trial::Trial;

/// What the compute thread is told to do.
#[derive(Debug)]
pub enum Task {
    /// Open data set and model; the first task, once.
    Prepare(Box<wire::Assignment>),
    /// Take part in a generation, until it ends or `signals` say otherwise.
    Enter(Box<Entry>, Arc<Signals>),
    /// Write a checkpoint at the next step boundary.
    WriteCheckpoint,
    /// Delete checkpoints.
    DeleteCheckpoints(Vec<String>),
}

/// What a trainer gets from the process it runs in.
pub struct Seat {
    /// The data plane's listeners.
    pub endpoint: Endpoint,
    /// What it computes with.
    pub hardware: Hardware,
    /// Lane threads of a CPU.
    pub threads: usize,
    /// What it shows of its work.
    pub progress: Arc<Progress>,
    /// What it tells.
    pub events: UnboundedSender<Event>,
    /// The node's own folders of datasets that jobs name.
    pub data: Vec<NamedFolder>,
    /// Wrong gradients, for tests.
    #[cfg(feature = "fault-points")]
    pub fault: Option<Fault>,
}

impl Seat {
    fn tell(&self, event: TrainerEvent) {
        // Control outlives the trainer, except when the process is ending anyway.
        let _ = self.events.send(Event::Trainer(event));
    }
}

/// Carries out `tasks` until their sender is gone or this process can't go on; that is told as
/// [`TrainerEvent::Failed`].
pub fn run(seat: Seat, tasks: Receiver<Task>) {
    let (events, progress) = (seat.events.clone(), seat.progress.clone());
    let served = serve(seat, tasks);
    if let Err(error) = served {
        progress.recent().iter().for_each(|line| eprintln!("  {line}"));
        let failed = TrainerEvent::Failed { reason: error.to_string(), bad_input: error.bad_input() };
        let _ = events.send(Event::Trainer(failed));
    }
}

/// Waits for the assignment, then serves it with the seat's device. Without one there is nothing to do.
fn serve(seat: Seat, tasks: Receiver<Task>) -> Result<(), TrainerError> {
    let Some(assignment) = prepare::assignment(&tasks) else { return Ok(()) };
    match seat.hardware {
        Hardware::Cpu => Trainer::<Cpu>::prepare(seat, tasks, &assignment)?.serve(),
        Hardware::Gpu(_) => Trainer::<Cuda>::prepare(seat, tasks, &assignment)?.serve(),
    }
}

/// What the compute thread owns.
struct Trainer<D: Device> {
    seat: Seat,
    tasks: Receiver<Task>,
    job: Job,
    work: Work<D>,
    starts: Starts,
    schedule: Schedule,
    optimizer: Optimizer<D>,
    by_products: ByProducts<D>,
    /// Noise that each step's gradient gets, if it does.
    injected: Option<GradientNoise<D>>,
    /// Second derivatives of the epoch under way, until they are committed; memory that is kept.
    curvature: Option<D::Buffer<f32>>,
    /// Where the step under way takes its gradient, if not at the state's parameters; memory that is kept.
    above: Option<Above<D>>,
    /// Weights of a probe's pass; memory that is kept.
    scratch: Option<D::Buffer<f32>>,
    crew: Crew<D>,
    checkpoints: Checkpoints,
    meter: Meter,
    /// The plans that lanes of all sizes were computed by; none before.
    tried: Option<Plans>,
    /// Between generations; none before the first that got as far as having one.
    kept: Option<Kept<D>>,
}

/// A state between generations, and what is told of it.
struct Kept<D: Device> {
    state: State<D>,
    held: wire::Held,
}

impl<D: Device> Trainer<D> {
    fn serve(&mut self) -> Result<(), TrainerError> {
        while let Ok(task) = self.tasks.recv() {
            match task {
                Task::Enter(entry, signals) => self.take_part(&entry, signals)?,
                Task::WriteCheckpoint => {
                    if let Some(Kept { state, .. }) = &self.kept {
                        let device = &mut self.crew.first().device;
                        self.checkpoints.write_wanted(state, device, self.work.model.tensors());
                    }
                }
                Task::DeleteCheckpoints(names) => self.checkpoints.remove(&names),
                // There is only one job for a process.
                Task::Prepare(_) => {}
            }
        }
        self.checkpoints.finish();
        Ok(())
    }

    /// A whole generation, from meeting its members to telling how it ended.
    fn take_part(&mut self, entry: &Entry, signals: Arc<Signals>) -> Result<(), TrainerError> {
        let (progress, step) = (self.seat.progress.clone(), self.held_step());
        progress.note(format!("enters {:?} as rank {}", entry.generation, entry.begin.rank));
        progress.enter(Phase::Start, step);
        let ended = match self.enter(entry, signals) {
            Ok(mut generation) => {
                let ended = generation.run();
                let state = generation.leave();
                let held = self.held_of(&state)?;
                self.kept = Some(Kept { state, held });
                ended
            }
            Err(error) => Err(error),
        };
        progress.enter(Phase::Idle, self.held_step());
        let held = self.kept.as_ref().map(|kept| kept.held.clone());
        match (ended, held) {
            (Ok(end), Some(held)) => {
                progress.note(format!("finished {:?}: {}", entry.generation, end.outcome.stop_reason));
                let (outcome, weights) = (Box::new(end.outcome), end.weights);
                self.seat.tell(TrainerEvent::Finished { held, outcome, weights });
                Ok(())
            }
            (Err(error), held) if error.ends_generation_only() => {
                progress.note(format!("left {:?}: {error}", entry.generation));
                let (cause, lost_rank, recent) = (error.to_string(), error.lost_rank(), progress.recent());
                self.seat.tell(TrainerEvent::Left { held, cause, lost_rank, recent });
                Ok(())
            }
            (Err(error), _) => Err(error),
            (Ok(_), None) => unreachable!("a generation that was left has given its state back"),
        }
    }

    fn held_step(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.held.step)
    }

    /// What is told of a state.
    fn held_of(&mut self, state: &State<D>) -> Result<wire::Held, TrainerError> {
        let digest = state.digests(&mut self.crew.first().device, self.work.model.tensors())?.state;
        Ok(wire::Held { step: state.cursor.step, digest })
    }
}

//! From an assignment to a trainer: job, data set, model, devices, checkpoints.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use lockstep_checkpoint::{About, Fingerprint, Place, Wanted};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cuda;
use lockstep_kernels::device::Device;
use lockstep_kernels::pixels::{Levels, PixelsSize};
use lockstep_proto::job::{self, AscentOver, Data, Job, OptimizerName, ProbeMeasure};
use lockstep_proto::wire;

use super::ascent::Ascent;
use super::by_products::ByProducts;
use super::checkpoints::{Checkpoints, sees_run_folder};
use super::crew::{Crew, Devices};
use super::fingerprint::fingerprint;
use super::gradient_noise::GradientNoise;
use super::hardware::{Hardware, Owned};
use super::host_memory::check_host_memory;
use super::initial_weights::initial_weights;
use super::lane::{LaneRunner, Work};
use super::loss::Loss;
use super::measures;
use super::memory::check_memory;
use super::meter::Meter;
use super::optimizer::{Optimizer, PARAMETERS};
use super::probes;
use super::progress::Phase;
use super::schedule::Schedule;
use super::state::STATISTICS;
use super::{Seat, Task, Trainer, TrainerError};
use crate::control::TrainerEvent;
use crate::datasets;
use crate::model::{Model, SampleShape, Shape, Tensor, build};
use lockstep_dataset::dataset::{Dataset, Split};
use lockstep_dataset::loader::Loader;
use lockstep_dataset::resize::RESIZER;
use lockstep_dataset::{Mixing, SampleReader};

/// Pixels of lanes that wait to be computed.
const DECODED_BYTES: u64 = 256 << 20;
/// Their number, whatever their size.
const MOST_DECODED: u64 = 256;

/// Waits for the assignment; none if there never is one.
pub(super) fn assignment(tasks: &Receiver<Task>) -> Option<Box<wire::Assignment>> {
    loop {
        match tasks.recv().ok()? {
            Task::Prepare(assignment) => return Some(assignment),
            // Control sends nothing else before.
            Task::Enter(..) | Task::WriteCheckpoint | Task::DeleteCheckpoints(_) => {}
        }
    }
}

impl<D: Owned> Trainer<D> {
    /// Opens all that an assignment names; tells what there is.
    pub(super) fn prepare(
        seat: Seat,
        tasks: Receiver<Task>,
        assignment: &wire::Assignment,
    ) -> Result<Self, TrainerError> {
        seat.progress.enter(Phase::Prepare, 0);
        let job = Job::from_toml(&assignment.job_toml).map_err(|error| TrainerError::Job(error.to_string()))?;
        let dataset = datasets::open(&job.data, &seat.data)?;
        let schedule = Schedule::new(&job, dataset.len(Split::Train)).map_err(TrainerError::Job)?;
        let mut work = work(&job, dataset)?;
        let starts = probes::check(&job, &work)?;
        check_host_memory(&job, &work)?;
        work.loader = loader(&job, &work, seat.hardware)?;
        let mut devices = D::of_seat(&seat, &job)?;
        devices.iter_mut().try_for_each(|device| check_memory(device, &job, &work))?;
        let runners = devices.into_iter().map(|device| LaneRunner::new(device, &work)).collect();
        let mut crew = Crew::new(runners).map_err(|error| TrainerError::Machine(error.to_string()))?;
        let about = about(&job, &assignment.job, &work, seat.hardware)?;
        let wanted = wanted(&about, &work.model);
        let checkpoints = Checkpoints::open(assignment, &job.checkpoint, (about, wanted), seat.events.clone())?;
        let newest = checkpoints.newest()?;
        let prepared = wire::Prepared {
            dataset: work.dataset.id().to_owned(),
            total_steps: schedule.total_steps(),
            total_epochs: schedule.total_epochs(),
            parameters: work.model.parameters() as u64,
            train_samples: work.dataset.len(Split::Train),
            checkpoint: newest.held,
            checkpoint_name: newest.name,
            remarks: newest.remarks,
            sees_run_folder: sees_run_folder(assignment),
            sample: [work.dataset.channels(), work.dataset.height(), work.dataset.width()]
                .map(|size| size as u32)
                .into(),
        };
        seat.progress.enter(Phase::Idle, 0);
        seat.tell(TrainerEvent::Prepared(Box::new(prepared)));
        let optimizer = Optimizer::new(&job.optimizer, work.model.trained_tensors());
        let by_products = ByProducts::new(&job, &work.model);
        let injected = GradientNoise::of(&job, crew.first_device(), work.model.parameters());
        Ok(Self {
            seat,
            tasks,
            job,
            work,
            starts,
            schedule,
            optimizer,
            by_products,
            injected,
            curvature: None,
            above: None,
            scratch: None,
            crew,
            checkpoints,
            meter: Meter::new(),
            tried: None,
            kept: None,
        })
    }
}

/// Threads that read lanes ahead: where the job wants them, or a GPU computes. Small images in memory need none.
fn loader<D: Device>(job: &Job, work: &Work<D>, hardware: Hardware) -> Result<Option<Loader>, TrainerError> {
    let threads = match (job.data.threads as usize, hardware) {
        _ if work.dataset.is_in_memory() => 0,
        (0, Hardware::Cpu) => 0,
        (0, Hardware::Gpu(_)) => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (cores / cuda::count().unwrap_or(1).max(1)).max(1)
        }
        (threads, _) => threads,
    };
    if threads == 0 {
        return Ok(None);
    }
    let lane = (work.dataset.shape().len() as u64 * work.micro_batch).max(1);
    let most = (DECODED_BYTES / lane).min(MOST_DECODED) as usize;
    let takes = if job.optimizer.ascends_over() == Some(AscentOver::Batch) { 2 } else { 1 };
    Loader::start(Arc::clone(&work.dataset), &work.reader, threads, most, takes)
        .map(Some)
        .map_err(|error| TrainerError::Machine(error.to_string()))
}

/// What all checkpoints of a job say of themselves.
pub(super) fn about<D: Device>(job: &Job, id: &str, work: &Work<D>, hardware: Hardware) -> Result<About, TrainerError> {
    let wire::Fingerprint { build, device, mut instruction_set, canary, libraries } = fingerprint(hardware)?;
    if job.cluster.libraries == job::Libraries::Auto && !libraries.is_empty() {
        instruction_set += &format!(" with {libraries}");
    }
    Ok(About {
        job: id.to_owned(),
        job_hash: job.hash(),
        dataset: samples_in_order(job, &work.dataset),
        model: model_hash(work.model.tensors()),
        fingerprint: Fingerprint { build, device, instruction_set, canary },
        ..About::default()
    })
}

/// What a checkpoint must be of for a job to go on from it.
fn wanted<D: Device>(about: &About, model: &Model<D>) -> Wanted {
    let trained = model.trained_tensors().len();
    let named = |(place, tensor): (usize, &Tensor)| {
        let list = if place < trained { PARAMETERS } else { STATISTICS };
        (format!("{list}/{}", tensor.shape.name), tensor.shape.shape.clone())
    };
    let tensors = model.tensors().iter().enumerate().map(named).collect();
    Wanted { dataset: about.dataset.clone(), model: about.model.clone(), tensors }
}

/// Whose samples come in which order: a cursor means nothing to a job that differs in it.
pub(super) fn samples_in_order(job: &Job, dataset: &Dataset) -> String {
    let (id, samples, seed) = (dataset.id(), dataset.len(Split::Train), job.seed.order);
    let pad = match job.data.pad {
        0 => String::new(),
        pad => format!(", padded by {pad}"),
    };
    let decoders = dataset.decoders().map_or(String::new(), |decoders| format!(", decoded by {decoders}"));
    let resized = job.data.size > 0 || !job.augment.random_resized_crop.is_empty();
    let resizer = if resized { format!(", resized by {RESIZER}") } else { String::new() };
    let windowed = match job.data.order {
        job::Order::Global => String::new(),
        job::Order::Windowed => {
            let Data { block, streams, window, .. } = job.data;
            // Its streams move on with each step.
            let batches: Vec<String> =
                job.batch.sizes().map(|(epoch, size)| format!("{size} from epoch {epoch}")).collect();
            format!(", windowed by {block}, {streams} and {window} in batches of {}", batches.join(", "))
        }
    };
    format!("{samples} samples in the order of seed {seed} of {id}{windowed}{pad}{decoders}{resizer}")
}

/// BLAKE3 of the tensors' names and shapes, in the order of the flat vector, hex.
fn model_hash(tensors: &[Tensor]) -> String {
    let mut hasher = blake3::Hasher::new();
    for tensor in tensors {
        hasher.update(format!("{} {:?}\n", tensor.shape.name, tensor.shape.shape).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Looks whether a job can be trained on this machine: data set, model, schedule, instruction set, and the places for
/// checkpoints. One of `from`, if any is named, must hold a checkpoint to go on from. Gives what the user should know of
/// those: damaged ones that were set aside.
///
/// # Errors
/// What a trainer would fail with at its start.
pub fn check(job: &Job, from: &[String]) -> Result<Vec<String>, TrainerError> {
    instruction_set(job.cluster.instruction_set)?;
    let dataset = datasets::open(&job.data, &[])?;
    Schedule::new(job, dataset.len(Split::Train)).map_err(TrainerError::Job)?;
    let work = work::<Cpu>(job, dataset)?;
    // Kept meanwhile, as a trainer does.
    let starts = probes::check(job, &work)?;
    check_host_memory(job, &work)?;
    drop(starts);
    if !job.checkpoint.dir.is_empty() {
        Place::open(&job.checkpoint.dir)?.check_writable()?;
    }
    let wanted = wanted(&about(job, "", &work, Hardware::Cpu)?, &work.model);
    if from.is_empty() {
        initial_weights(job, &work.model)?;
    }
    let (mut found, mut remarks) = (from.is_empty(), Vec::new());
    for place in from {
        let place = Place::open(place)?.newest(&wanted)?;
        found |= place.newest.is_some();
        remarks.extend(place.remarks);
    }
    if found {
        return Ok(remarks);
    }
    Err(TrainerError::Job(format!("{}: no checkpoint to go on from", from.join(", "))))
}

/// What all lanes of a job have in common.
///
/// # Errors
/// If the model does not fit the data.
pub(crate) fn work<D: Device>(job: &Job, dataset: Dataset) -> Result<Work<D>, TrainerError> {
    let shape = SampleShape {
        channels: dataset.channels(),
        height: dataset.height(),
        width: dataset.width(),
        classes: dataset.classes(),
    };
    let model = build(&job.model, shape)?;
    if job.optimizer.name == OptimizerName::DiagonalLm {
        model.check_curvature()?;
    }
    let attacks = job.probe.iter().any(|probe| probe.measure == ProbeMeasure::Fgsm);
    let attacked = if attacks { Some(build(&job.model, shape)?.reaching_input()) } else { None };
    let layers = model.layer_ranges();
    let pixels = pixels(job, &shape, model.input_shape());
    let dataset_shape = dataset.shape();
    let reader = SampleReader::of(job, &dataset).map_err(TrainerError::Job)?;
    Ok(Work {
        model,
        dataset: Arc::new(dataset),
        loader: None,
        reader,
        loss: Loss::of(&job.loss),
        micro_batch: job.batch.micro_batch.into(),
        pixels,
        layers,
        classes: shape.classes,
        mask_seed: job.seed.augment,
        mixing: Mixing::of(job, dataset_shape),
        skip_bad: job.data.skip_bad.into(),
        counts: measures::counts(job.data.skip_bad, u64::from(job.batch.lanes()) * u64::from(job.batch.micro_batch)),
        attacked,
        lane_ascent: Ascent::of(&job.optimizer, AscentOver::MicroBatch),
    })
}

/// How a job's pixels become a model's input; the count of samples is each micro-batch's.
pub(crate) fn pixels(job: &Job, sample: &SampleShape, input: Shape) -> PixelsSize {
    let [mean, std] = [&job.data.mean, &job.data.std].map(|values| values.each());
    let levels = Levels {
        scale: std.map(|std| (1.0 / (255.0 * std)) as f32),
        shift: std::array::from_fn(|channel| (-mean[channel] / std[channel]) as f32),
    };
    let image = sample.height * sample.width;
    PixelsSize { samples: 0, features: input.features(), plane: input.plane(), image, levels }
}

pub(super) fn instruction_set(wanted: job::InstructionSet) -> Result<InstructionSet, TrainerError> {
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

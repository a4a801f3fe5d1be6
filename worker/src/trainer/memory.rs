//! Whether a job's training fits into the memory of a device of its own, reckoned before any of it is asked for, so
//! that who has to choose a smaller micro-batch is told which.
//!
//! Reckoned is what grows with the network or the micro-batch and stays for the job, with what ops need for themselves.
//! What a library's plan wants beside comes with the first step, and is told by the device where it does not fit.

use lockstep_kernels::device::{Device, Failure, Memory};
use lockstep_proto::job::{Batch, Job, OptimizerName, ProbeMeasure};

use super::TrainerError;
use super::lane::Work;
use super::optimizer::{Role, kept};
use super::probes::gradient_lanes;
use crate::layers::MicroBatch;
use crate::model::{Activations, Model, Need, Plan, TangentMemory, Weights};
use lockstep_dataset::Dataset;

/// Looks whether all fits into what is free.
///
/// # Errors
/// Names the first that does not, and the largest `batch.micro_batch` with which all does, also with `model.recompute`.
/// The job's fault if the device's whole memory would not do.
pub(super) fn check_memory<D: Device>(device: &mut D, job: &Job, work: &Work<D>) -> Result<(), TrainerError> {
    let Some(room) = Memory::room(device) else { return Ok(()) };
    let Some(why) = refusal(device, job, work, room.free) else { return Ok(()) };
    let wanted = total(&needs(device, job, work, (work.model.plan(), job.batch.micro_batch)));
    Err(if wanted > room.total { TrainerError::Job(why) } else { Failure(why).into() })
}

/// What does not fit into so many bytes, in words, and what would.
fn refusal<D: Device>(device: &mut D, job: &Job, work: &Work<D>, free: usize) -> Option<String> {
    let wanted = needs(device, job, work, (work.model.plan(), job.batch.micro_batch));
    let Need { what, bytes } = first_without_room(&wanted, free)?;
    let remedy = remedy(device, job, work, free);
    Some(format!(
        "out of GPU memory: there is no room for {what} ({bytes} bytes): training takes {} bytes with \
         batch.micro_batch = {}, {free} are free; {remedy}",
        total(&wanted),
        job.batch.micro_batch
    ))
}

/// What fits into so many bytes, where the job does not.
fn remedy<D: Device>(device: &mut D, job: &Job, work: &Work<D>, free: usize) -> String {
    let mut fits = |plan: &Plan, micro_batch: &u32| total(&needs(device, job, work, (plan, *micro_batch))) <= free;
    let smaller_fits = smaller(job).find(|micro_batch| fits(work.model.plan(), micro_batch));
    let recomputing = (!job.model.recompute).then(|| work.model.recomputing_plan()).and_then(|plan| {
        let all = [job.batch.micro_batch].into_iter().chain(smaller(job));
        all.take_while(|all| Some(*all) != smaller_fits).find(|micro_batch| fits(&plan, micro_batch))
    });
    match (smaller_fits, recomputing) {
        (Some(fits), None) => format!("the largest batch.micro_batch that fits is {fits}"),
        (Some(fits), Some(recomputing)) => format!(
            "the largest batch.micro_batch that fits is {fits}, or {recomputing} with model.recompute = true, which \
             computes more"
        ),
        (None, Some(recomputing)) => format!(
            "no smaller batch.micro_batch fits either, but {recomputing} does with model.recompute = true, which \
             computes more"
        ),
        (None, None) => {
            "no smaller batch.micro_batch fits either: take a smaller model, or a GPU with more memory".to_owned()
        }
    }
}

/// All that training by a plan of the model takes with a micro-batch, in the order in which it is asked for.
fn needs<D: Device>(device: &mut D, job: &Job, work: &Work<D>, (plan, micro_batch): (&Plan, u32)) -> Vec<Need> {
    let samples = micro_batch as usize;
    let uploads = D::room_bytes::<u8>(samples * work.pixels.features)
        + D::room_bytes::<u16>(samples)
        + D::room_bytes::<u64>(samples * work.model.streams())
        + work.mixing.as_ref().map_or(0, |_| D::room_bytes::<u16>(samples) + D::room_bytes::<f32>(samples));
    let mut all = work.model.needs(plan, device, samples);
    all.push(Need { what: "the samples of a lane".to_owned(), bytes: uploads });
    all.push(Need { what: "the optimizer's state".to_owned(), bytes: size_of::<f32>() * of_state(job, &work.model) });
    let gradients = size_of::<f32>() * gradients(job, &work.dataset, micro_batch) * work.model.len();
    all.push(Need { what: "gradients and their sums".to_owned(), bytes: gradients });
    if let Some(attacked) = &work.attacked {
        all.extend(attacked.needs(attacked.plan(), device, samples));
        all.push(Need { what: "gradients of the input".to_owned(), bytes: size_of::<f32>() * work.model.len() });
    }
    if !job.probe.is_empty() {
        let probed = size_of::<f32>() * work.model.len();
        all.push(Need { what: "the weights that probes are at".to_owned(), bytes: probed });
    }
    if multiplies_exactly(job, &work.model) {
        let bytes = TangentMemory::bytes(device, &work.model, samples) + size_of::<f32>() * work.model.parameters();
        all.push(Need { what: "probes' products with the Hessian".to_owned(), bytes });
    }
    let scratch = device.scratch_of(|device| pass(device, &work.model, samples));
    all.push(Need { what: "what ops need for themselves".to_owned(), bytes: scratch });
    all
}

/// Both ways through the network, of so many samples of whatever content.
fn pass<D: Device>(device: &mut D, model: &Model<D>, samples: usize) {
    let (len, streams) = (model.len(), samples * model.streams());
    let mut activations = Activations::new(device, model, samples);
    let (flat, mut gradient, keys) = (device.zeros(len), device.zeros(len), device.zeros(streams));
    let batch = MicroBatch { samples, keys: D::view(&keys, 0..streams) };
    let weights = Weights::of_flat(D::view(&flat, 0..len), model.parameters(), len);
    let (d_parameters, statistics) = D::split_mut(D::view_mut(&mut gradient, 0..len), model.parameters());
    model.forward(device, batch, weights, &mut activations, statistics);
    model.backward(device, batch, weights, &mut activations, d_parameters, &mut |_, _, _| {});
}

/// Elements of the vectors that the job's state holds, and of those that its optimiser keeps beside it.
pub(super) fn of_state<D: Device>(job: &Job, model: &Model<D>) -> usize {
    let state = kept(&job.optimizer).into_iter().map(|kept| match kept.role {
        Role::Parameters | Role::Average => model.len(),
        Role::Rule { .. } => model.parameters(),
    });
    let above = match job.optimizer.ascends_over() {
        None => 0,
        // What two gradients are blended of.
        Some(_) if job.optimizer.gradient_penalty > 0.0 => model.len() + model.parameters(),
        Some(_) => model.len(),
    };
    let rule = match job.optimizer.name {
        // The mean of the second derivatives, and LAMB's direction.
        OptimizerName::DiagonalLm | OptimizerName::Lamb => model.parameters(),
        _ => 0,
    };
    let noisy = if job.optimizer.gradient_noise > 0.0 { model.parameters() } else { 0 };
    state.sum::<usize>() + above + noisy + rule
}

/// Whether a probe takes exact products with the Hessian.
fn multiplies_exactly<D: Device>(job: &Job, model: &Model<D>) -> bool {
    use ProbeMeasure::{Density, Eigenvalues, Trace};
    let wanted = job.probe.iter().any(|probe| matches!(probe.measure, Eigenvalues | Trace | Density));
    wanted && model.without_tangents().is_none()
}

/// Vectors that a worker's lanes are added up in: a sum, a right half for each level of the tree above its lanes, and
/// the reduced one.
fn gradients(job: &Job, dataset: &Dataset, micro_batch: u32) -> usize {
    let batch = Batch { micro_batch, ..job.batch.clone() };
    let probed = gradient_lanes(&Job { batch: batch.clone(), ..job.clone() }, dataset);
    let lanes = batch.lanes().max(probed).div_ceil(job.cluster.workers.max(1));
    2 + lanes.next_power_of_two().ilog2() as usize
}

/// Smaller micro-batches that divide all batches, the largest first.
fn smaller(job: &Job) -> impl Iterator<Item = u32> {
    let divides = |micro_batch: &u32| job.batch.sizes().all(|(_, size)| size % micro_batch == 0);
    (1..job.batch.micro_batch).rev().filter(divides)
}

/// The first with which more is asked for than is free.
fn first_without_room(needs: &[Need], free: usize) -> Option<&Need> {
    let mut asked = 0;
    needs.iter().find(|need| {
        asked += need.bytes;
        asked > free
    })
}

fn total(needs: &[Need]) -> usize {
    needs.iter().map(|need| need.bytes).sum()
}

#[cfg(test)]
mod tests {
    use lockstep_kernels::cuda::Cuda;
    use lockstep_proto::job::ModelName;

    use super::*;
    use crate::model::Activations;
    use crate::trainer::emulated_gpu;
    use crate::trainer::prepare;
    use lockstep_dataset::dataset::Dataset;

    fn job(name: ModelName) -> Job {
        let mut job = Job::default();
        job.data.path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/mnist").into();
        (job.data.limit, job.model.name) = (50, name);
        (job.batch.size, job.batch.micro_batch) = (96, 24);
        job
    }

    fn work(job: &Job) -> Work<Cuda> {
        prepare::work(job, Dataset::open(&job.data).unwrap()).unwrap()
    }

    fn free(device: &Cuda) -> usize {
        device.room().unwrap().free
    }

    #[test]
    fn activations_take_what_was_reckoned() {
        emulated_gpu::alone(|device| {
            for name in [ModelName::Mlp, ModelName::Lenet5, ModelName::Resnet20] {
                for recompute in [false, true] {
                    let mut job = job(name);
                    job.model.recompute = recompute;
                    let model = work(&job).model;
                    for samples in [1, 3] {
                        let before = free(&device);
                        let _there = Activations::new(&device, &model, samples);
                        let reckoned = total(&model.needs(model.plan(), &device, samples));
                        assert_eq!(reckoned, before - free(&device), "{name:?}, recompute: {recompute}");
                    }
                }
            }
        });
    }

    #[test]
    fn ops_take_for_themselves_what_was_reckoned() {
        emulated_gpu::alone(|mut device| {
            for name in [ModelName::Lenet5, ModelName::Resnet20] {
                let model = work(&job(name)).model;
                let before = (device.allocations(), free(&device));
                let reckoned = device.scratch_of(|device| pass(device, &model, 3));
                assert_eq!((device.allocations(), free(&device)), before, "no memory is asked for");
                let mut anew = Cuda::new(0).unwrap();
                let before = free(&anew);
                pass(&mut anew, &model, 3);
                assert_eq!(reckoned, before - free(&anew), "{name:?}");
            }
        });
    }

    /// A job whose memory is reckoned.
    struct Stage {
        device: Cuda,
        job: Job,
        work: Work<Cuda>,
    }

    impl Stage {
        fn new(device: Cuda) -> Self {
            let job = job(ModelName::Resnet20);
            Self { device, work: work(&job), job }
        }

        /// What is said with so many bytes free.
        fn refused(&mut self, free: usize) -> String {
            refusal(&mut self.device, &self.job, &self.work, free).expect("there is no room")
        }

        /// What training takes by the model's plan.
        fn of(&mut self, micro_batch: u32) -> usize {
            total(&needs(&mut self.device, &self.job, &self.work, (self.work.model.plan(), micro_batch)))
        }

        /// The same by the plan of `model.recompute`.
        fn of_again(&mut self, micro_batch: u32) -> usize {
            total(&needs(&mut self.device, &self.job, &self.work, (&self.work.model.recomputing_plan(), micro_batch)))
        }
    }

    #[test]
    fn the_first_without_room_is_named_and_the_largest_micro_batch_that_fits() {
        emulated_gpu::alone(|device| {
            let mut stage = Stage::new(device);
            let [of_24, of_12, of_1] = [24, 12, 1].map(|micro_batch| stage.of(micro_batch));
            assert_eq!(refusal(&mut stage.device, &stage.job, &stage.work, of_24), None);
            let why = stage.refused(of_12);
            assert!(why.contains("the largest batch.micro_batch that fits is 12"), "{why}");
            let why = stage.refused(of_12 - 1);
            assert!(why.contains("the largest batch.micro_batch that fits is 8"), "{why}");
            let why = stage.refused(of_1 - 1);
            assert!(why.contains("no smaller batch.micro_batch fits either"), "{why}");
            let why = stage.refused(1000);
            assert!(why.contains("there is no room for the activations of layer conv1 (1204224 bytes)"), "{why}");
            let why = stage.refused(1_204_224);
            assert!(why.contains("there is no room for the activations of layer bn1 ("), "{why}");
            let why = stage.refused(of_24 - 1);
            assert!(why.contains("there is no room for what ops need for themselves"), "{why}");
        });
    }

    #[test]
    fn what_fits_with_layers_that_run_again_is_named_as_well() {
        emulated_gpu::alone(|device| {
            let mut stage = Stage::new(device);
            let of_24 = stage.of_again(24);
            let why = stage.refused(of_24);
            assert!(why.contains("that fits is 8, or 24 with model.recompute = true"), "{why}");
            let why = stage.refused(of_24 - 1);
            assert!(why.contains("that fits is 8, or 16 with model.recompute = true"), "{why}");
            let all: Vec<u32> = [24].into_iter().chain(smaller(&stage.job)).collect();
            let free = all.iter().map(|&micro_batch| stage.of(micro_batch)).min().unwrap() - 1;
            let fits = all.iter().find(|&&micro_batch| stage.of_again(micro_batch) <= free).unwrap();
            let (why, told) =
                (stage.refused(free), format!("fits either, but {fits} does with model.recompute = true"));
            assert!(why.contains(&told), "{why}");
            let least = all.iter().map(|&micro_batch| stage.of_again(micro_batch)).min().unwrap();
            let why = stage.refused(least - 1);
            assert!(why.contains("no smaller batch.micro_batch fits either: take"), "{why}");
        });
    }
}

//! Whether a job's training fits into the memory of a device of its own, reckoned before any of it is asked for, so
//! that who has to choose a smaller micro-batch is told which.
//!
//! Reckoned is what grows with the network or the micro-batch and stays for the job. What ops need for themselves comes
//! with the first step, and is told by the device where it does not fit.

use lockstep_kernels::device::{Device, Failure};
use lockstep_proto::job::{Batch, Job, OptimizerName};

use super::lane::Work;
use super::optimizer::{Role, kept};
use crate::model::{Model, Need};

/// Looks whether all fits into what is free.
///
/// # Errors
/// Names the first that does not, and the largest `batch.micro_batch` with which all does.
pub(super) fn check_memory<D: Device>(device: &D, job: &Job, work: &Work<D>) -> Result<(), Failure> {
    let refused = device.free_bytes().and_then(|free| refusal(device, job, work, free));
    refused.map_or(Ok(()), |why| Err(Failure(why)))
}

/// What does not fit into so many bytes, in words, and what would.
fn refusal<D: Device>(device: &D, job: &Job, work: &Work<D>, free: usize) -> Option<String> {
    let needs = |micro_batch| needs(device, job, work, micro_batch);
    let wanted = needs(job.batch.micro_batch);
    let Need { what, bytes } = first_without_room(&wanted, free)?;
    let remedy = match smaller(job).find(|&micro_batch| total(&needs(micro_batch)) <= free) {
        Some(fits) => format!("the largest batch.micro_batch that fits is {fits}"),
        None => "no smaller batch.micro_batch fits either: take a smaller model, or a GPU with more memory".to_owned(),
    };
    Some(format!(
        "out of GPU memory: there is no room for {what} ({bytes} bytes): training takes {} bytes with \
         batch.micro_batch = {}, {free} are free; {remedy}",
        total(&wanted),
        job.batch.micro_batch
    ))
}

/// All that training takes, in the order in which it is asked for.
fn needs<D: Device>(device: &D, job: &Job, work: &Work<D>, micro_batch: u32) -> Vec<Need> {
    let samples = micro_batch as usize;
    let uploads = D::room_bytes::<u8>(samples * work.pixels.features)
        + D::room_bytes::<u16>(samples)
        + D::room_bytes::<u64>(samples * work.model.streams());
    let mut all = work.model.needs(device, samples);
    all.push(Need { what: "the samples of a lane".to_owned(), bytes: uploads });
    all.push(Need { what: "the optimizer's state".to_owned(), bytes: size_of::<f32>() * of_state(job, &work.model) });
    let gradients = size_of::<f32>() * gradients(job, micro_batch) * work.model.len();
    all.push(Need { what: "gradients and their sums".to_owned(), bytes: gradients });
    all
}

/// Elements of the vectors that the job's state holds, and of those that its optimiser keeps beside it.
fn of_state<D: Device>(job: &Job, model: &Model<D>) -> usize {
    let state = kept(&job.optimizer).into_iter().map(|kept| match kept.role {
        Role::Parameters | Role::Average => model.len(),
        Role::Rule { .. } => model.parameters(),
    });
    let above = if job.optimizer.sam > 0.0 { model.len() } else { 0 };
    let rule = match job.optimizer.name {
        // The mean of the second derivatives, and LAMB's direction.
        OptimizerName::DiagonalLm | OptimizerName::Lamb => model.parameters(),
        _ => 0,
    };
    state.sum::<usize>() + above + rule
}

/// Vectors that a worker's lanes are added up in: a sum, a right half for each level of the tree above its lanes, and
/// the reduced one.
fn gradients(job: &Job, micro_batch: u32) -> usize {
    let batch = Batch { micro_batch, ..job.batch.clone() };
    let lanes = batch.lanes().div_ceil(job.cluster.workers.max(1));
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
    use lockstep_kernels::device::Memory;
    use lockstep_proto::job::ModelName;

    use super::*;
    use crate::data::dataset::Dataset;
    use crate::model::Activations;
    use crate::trainer::emulated_gpu;
    use crate::trainer::prepare;

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
        device.free_bytes().unwrap()
    }

    #[test]
    fn activations_take_what_was_reckoned() {
        emulated_gpu::alone(|device| {
            for name in [ModelName::Mlp, ModelName::Lenet5, ModelName::Resnet20] {
                let model = work(&job(name)).model;
                for samples in [1, 3] {
                    let before = free(&device);
                    let _there = Activations::new(&device, &model, samples);
                    assert_eq!(total(&model.needs(&device, samples)), before - free(&device), "{name:?}");
                }
            }
        });
    }

    #[test]
    fn the_first_without_room_is_named_and_the_largest_micro_batch_that_fits() {
        emulated_gpu::alone(|device| {
            let job = job(ModelName::Resnet20);
            let work = work(&job);
            let refused = |free| refusal(&device, &job, &work, free).expect("there is no room");
            let of = |micro_batch| total(&needs(&device, &job, &work, micro_batch));
            assert_eq!(refusal(&device, &job, &work, of(24)), None);
            let why = refused(of(12));
            assert!(why.contains("the largest batch.micro_batch that fits is 12"), "{why}");
            let why = refused(of(12) - 1);
            assert!(why.contains("the largest batch.micro_batch that fits is 8"), "{why}");
            let why = refused(of(1) - 1);
            assert!(why.contains("no smaller batch.micro_batch fits either"), "{why}");
            let why = refused(1000);
            assert!(why.contains("there is no room for the activations before the first layer (75264 bytes)"), "{why}");
            let why = refused(75_264);
            assert!(why.contains("there is no room for the activations of layer conv1 ("), "{why}");
            let why = refused(of(24) - 1);
            assert!(why.contains("there is no room for gradients and their sums"), "{why}");
        });
    }
}

//! That lanes of `model.recompute` have the very bits of others on a GPU, asked for op by op, repeated as a whole, and
//! with a way up.

use lockstep_kernels::cuda::Cuda;
use lockstep_proto::job::{AscentOver, Job, LossName};

use super::emulated_gpu;
use super::lane_waits::{self, Stage};

/// With all that a layer notes or draws, more than once.
const LAYERS: &str = "{ kind = 'conv', channels = 3, kernel = 5, stride = 4 }, { kind = 'repeat', times = 3, layers = [
    { kind = 'conv', channels = 4, kernel = 3, padding = 1 }, { kind = 'batch_norm' }, { kind = 'relu' },
    { kind = 'max_pool', kernel = 3, stride = 1, padding = 1 }, { kind = 'dropout', probability = 0.5 } ] },
    { kind = 'linear', channels = 10 }";

fn job(recompute: bool) -> Job {
    let layers = LAYERS.replace('\n', "");
    let listed = Job::from_toml(&format!("data.path = '.'\nmodel = {{ name = 'layers', layers = [{layers}] }}"));
    let mut job = lane_waits::job();
    job.model = listed.unwrap().model;
    job.model.recompute = recompute;
    job
}

/// Gradients, statistics and measures of some hands.
fn bits(device: Cuda, job: &Job) -> Vec<u64> {
    let mut stage = Stage::new(device, job);
    let again = stage.work.model.operations_again();
    assert_eq!(again > 0, job.model.recompute, "{again}");
    let hand = |(first, lanes)| {
        let computed = stage.train_at(first, lanes);
        let gradient = computed.gradient.into_iter().map(|value| u64::from(value.to_bits()));
        gradient.chain(computed.tally.sums.into_iter().map(f64::to_bits)).collect::<Vec<_>>()
    };
    [(0, 5), (9, 3), (21, 5)].into_iter().flat_map(hand).collect()
}

#[test]
fn layers_that_run_again_change_no_bit() {
    emulated_gpu::alone(|device| {
        let expected = bits(device, &job(false));
        assert!(bits(Cuda::new(0).unwrap(), &job(true)) == expected, "bits differ");
        let asked = Cuda::new(0).unwrap().without_graphs();
        assert!(bits(asked, &job(true)) == expected, "bits differ op by op");
    });
}

#[test]
fn nor_do_they_above_the_weights() {
    let sharp = |recompute, (sam, gradient_penalty)| {
        let mut job = job(recompute);
        job.loss.name = LossName::SquaredError;
        let over = AscentOver::MicroBatch;
        (job.optimizer.sam, job.optimizer.gradient_penalty) = (sam, gradient_penalty);
        (job.optimizer.sam_over, job.optimizer.gradient_penalty_over) = (over, over);
        job
    };
    emulated_gpu::alone(|_| {
        let [sam, penalty] = [(0.05, 0.0), (0.0, 0.01)].map(|strengths| {
            let expected = bits(Cuda::new(0).unwrap(), &sharp(false, strengths));
            assert!(bits(Cuda::new(0).unwrap(), &sharp(true, strengths)) == expected, "bits differ: {strengths:?}");
            expected
        });
        assert!(sam != penalty);
    });
}

//! That lanes on a GPU are only asked for: the host waits for what a hand comes to, however many lanes it has, and no
//! memory is asked for after the first hand.

use std::sync::atomic::AtomicBool;

use lockstep_collective::{Hand, Subtree, Tally};
use lockstep_kernels::cuda::{Buffer, Cuda, View};
use lockstep_kernels::device::Memory;
use lockstep_proto::job::{Job, LossName, SamOver};

use super::emulated_gpu;
use super::lane::{Evaluation, LaneRunner, Pulse, TrainStep, Work};
use super::prepare::work;
use super::progress::Progress;
use super::schedule::StepPlan;
use crate::model::{Weights, initial_values};
use lockstep_dataset::dataset::{Dataset, Split};
use lockstep_dataset::order::Order;

/// With all that a layer may want of a step: statistics, and random numbers.
const LAYERS: &str = "{ kind = 'conv', channels = 3, kernel = 5, stride = 4 }, { kind = 'batch_norm' },
    { kind = 'relu' }, { kind = 'max_pool', kernel = 2, stride = 2 }, { kind = 'dropout', probability = 0.5 },
    { kind = 'linear', channels = 10 }";
/// Lanes of the largest hand.
const MOST_LANES: u32 = 5;

/// A runner on a GPU, and what its lanes are computed of.
pub(super) struct Stage {
    pub(super) runner: LaneRunner<Cuda>,
    pub(super) work: Work<Cuda>,
    /// The flat vector.
    weights: Buffer<f32>,
    abort: AtomicBool,
    progress: Progress,
}

impl Stage {
    /// After a hand that has brought all memory.
    pub(super) fn new(mut device: Cuda, job: &Job) -> Self {
        let work = work(job, Dataset::open(&job.data).unwrap()).unwrap();
        let initial = initial_values(work.model.tensors(), 1, &job.model);
        let mut weights = device.zeros(initial.len());
        device.write(&initial, Cuda::view_mut(&mut weights, 0..initial.len()));
        let runner = LaneRunner::new(device, &work);
        let (abort, progress) = (AtomicBool::new(false), Progress::default());
        let mut stage = Self { runner, work, weights, abort, progress };
        stage.train(MOST_LANES);
        stage
    }

    /// A training step's hand of so many lanes, the last of them short. `first`: its first position.
    pub(super) fn train_at(&mut self, first: u64, lanes: u32) -> Computed {
        let Self { runner, work, weights, abort, progress } = self;
        let order = Order::new(1, 0, work.dataset.len(Split::Train));
        let plan = StepPlan { epoch: 0, first, samples: 3 * u64::from(lanes) - 1, lanes };
        let step = TrainStep::new(work, of_flat(work, weights), plan, &order, Pulse { abort, progress });
        computed(runner, work.model.len(), lanes, |runner, hand| runner.train_hand(&step, hand))
    }

    /// The same in `slot`, with all that is made there up to each of the ends `at`, as it is when that is told.
    pub(super) fn train_telling(&mut self, first: u64, lanes: u32, at: &[usize], slot: &mut [Buffer<f32>]) -> Told {
        let Self { runner, work, weights, abort, progress } = self;
        let order = Order::new(1, 0, work.dataset.len(Split::Train));
        let plan = StepPlan { epoch: 0, first, samples: 3 * u64::from(lanes) - 1, lanes };
        let step = TrainStep::new(work, of_flat(work, weights), plan, &order, Pulse { abort, progress });
        let mut told = Vec::new();
        let mut made = |device: &mut Cuda, slots: &[Buffer<f32>], last: Option<(View<'_, f32>, usize)>| {
            let len = work.model.len();
            let (view, end) = last.unwrap_or_else(|| (Cuda::view(&slots[0], 0..len), len));
            let mut values = vec![f32::NAN; end];
            device.read(view, &mut values);
            told.push(values);
        };
        let mut tally = Tally::default();
        let subtree = Subtree { lanes: 0..lanes, gradient: &mut [], tally: &mut tally };
        let hand = Hand { lanes: 0..lanes, subtrees: vec![subtree] };
        runner.train_hand_into(&step, hand, slot, at, &mut made);
        Told { told, tally }
    }

    /// How often the host waits in such a hand.
    fn train(&mut self, lanes: u32) -> u64 {
        self.train_at(0, lanes).waits
    }

    /// How often memory is asked for on the GPU in a training hand, whose last lane is short, and in an evaluation's.
    fn allocations(&mut self) -> u64 {
        let before = self.runner.device.allocations();
        self.train(3);
        self.evaluate(3);
        self.runner.device.allocations() - before
    }

    /// How often the host waits in an evaluation's hand of so many lanes.
    fn evaluate(&mut self, lanes: u32) -> u64 {
        let Self { runner, work, weights, abort, progress } = self;
        let (weights, pulse) = (of_flat(work, weights), Pulse { abort, progress });
        let evaluation = Evaluation {
            work,
            weights,
            split: Split::Test,
            positions: 0..work.dataset.len(Split::Test),
            flags: 0,
            pulse,
        };
        computed(runner, 0, lanes, |runner, hand| runner.evaluate_hand(&evaluation, hand)).waits
    }
}

fn of_flat<'a>(work: &Work<Cuda>, flat: &'a Buffer<f32>) -> Weights<'a, Cuda> {
    let all = work.model.len();
    Weights::of_flat(Cuda::view(flat, 0..all), work.model.parameters(), all)
}

/// What a hand comes to, and how often the host waits in it.
pub(super) struct Computed {
    pub(super) gradient: Vec<f32>,
    pub(super) tally: Tally,
    waits: u64,
}

/// What a hand comes to in the device's memory.
pub(super) struct Told {
    /// Of the sum, each time that it was told: the whole comes last.
    pub(super) told: Vec<Vec<f32>>,
    pub(super) tally: Tally,
}

fn computed(
    runner: &mut LaneRunner<Cuda>,
    len: usize,
    lanes: u32,
    compute: impl FnOnce(&mut LaneRunner<Cuda>, Hand<'_>),
) -> Computed {
    let (mut gradient, mut tally) = (vec![f32::NAN; len], Tally::default());
    let subtree = Subtree { lanes: 0..lanes, gradient: &mut gradient, tally: &mut tally };
    let before = runner.device.waits();
    compute(runner, Hand { lanes: 0..lanes, subtrees: vec![subtree] });
    let waits = runner.device.waits() - before;
    assert!(tally.sums[0] > 0.0 && tally.sums.iter().all(|sum| sum.is_finite()), "{tally:?}");
    assert!(gradient.iter().all(|value| value.is_finite()));
    Computed { gradient, tally, waits }
}

pub(super) fn job() -> Job {
    let layers = LAYERS.replace('\n', "");
    let mut job =
        Job::from_toml(&format!("data.path = '.'\nmodel = {{ name = 'layers', layers = [{layers}] }}")).unwrap();
    job.data.path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/mnist").into();
    (job.data.limit, job.batch.micro_batch) = (50, 3);
    job
}

#[test]
fn a_hand_waits_for_its_sum_and_its_measures_alone() {
    emulated_gpu::alone(|device| {
        let mut stage = Stage::new(device, &job());
        assert_eq!([1, 3, MOST_LANES].map(|lanes| stage.train(lanes)), [2; 3]);
        assert_eq!([1, 3, MOST_LANES].map(|lanes| stage.evaluate(lanes)), [1; 3]);
    });
}

#[test]
fn later_hands_ask_for_no_memory() {
    emulated_gpu::alone(|device| {
        assert_eq!(device.allocations(), 0);
        let mut stage = Stage::new(device, &job());
        assert!(stage.runner.device.allocations() > 10, "they are counted");
        assert_eq!([(); 3].map(|()| stage.allocations()), [0; 3]);
    });
}

/// Each lane's way up ends where its gradient's norm says.
#[test]
fn lanes_that_go_up_wait_for_a_norm_each() {
    let mut job = job();
    job.loss.name = LossName::SquaredError;
    job.optimizer.sam = 0.05;
    job.optimizer.sam_over = SamOver::MicroBatch;
    emulated_gpu::alone(|device| assert_eq!(Stage::new(device, &job).train(3), 2 + 3));
}

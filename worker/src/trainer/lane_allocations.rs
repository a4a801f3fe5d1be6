//! That lanes of a second step allocate nothing but their tallies.

use std::sync::atomic::AtomicBool;

use lockstep_kernels::allocations::Counted;
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_proto::job::{Job, ModelName};

use super::lane::{LaneRunner, Pulse, TrainStep};
use super::prepare::work;
use super::progress::Progress;
use super::schedule::StepPlan;
use crate::model::{Weights, initial_values};
use lockstep_dataset::dataset::{Dataset, Split};
use lockstep_dataset::order::Order;

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Sums and counts: a few hundred bytes.
const OF_A_TALLY: usize = 2;

#[test]
fn a_second_step_allocates_tallies_alone() {
    for (name, lanes) in [(ModelName::Lenet5, 7), (ModelName::Resnet20, 3)] {
        let mut job = Job::default();
        job.data.path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/mnist").into();
        (job.data.limit, job.model.name, job.batch.micro_batch) = (50, name, 5);
        let work = work(&job, Dataset::open(&job.data).unwrap()).unwrap();
        let mut parameters = initial_values(work.model.tensors(), 1, &job.model);
        let statistics = parameters.split_off(work.model.parameters());
        let weights = Weights::<Cpu> { parameters: &parameters, statistics: &statistics };
        let (order, abort) = (Order::new(1, 0, work.dataset.len(Split::Train)), AtomicBool::new(false));
        let progress = Progress::default();
        let mut runner = LaneRunner::new(Cpu::new(InstructionSet::detect()), &work);
        let mut gradient = vec![0.0; work.model.len()];
        let mut step = |first| {
            let plan = StepPlan { epoch: 0, first, samples: 5 * u64::from(lanes) - 1, lanes };
            let step = TrainStep::new(&work, weights, plan, &order, Pulse { abort: &abort, progress: &progress });
            let before = Counted::count();
            let tally = runner.train_subtree(&step, 0..lanes, &mut gradient.as_mut_slice());
            assert!(tally.sums[0] > 0.0, "it trains");
            Counted::count() - before
        };
        let first = step(0);
        let second = step(3);
        let tallies = OF_A_TALLY * lanes as usize;
        assert!(first > tallies, "the allocator counts: {first}");
        assert_eq!(second, tallies, "{name:?}: allocations of a second step");
    }
}

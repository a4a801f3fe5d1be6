//! What this worker's lanes are going to read, told to the dataset before they do: the schedule, the order and the deal of
//! lanes are functions, so that all of a generation's reads are known when it begins.

use std::ops::Range;
use std::sync::Arc;

use lockstep_collective::Dealing;
use lockstep_dataset::dataset::{Dataset, Split};
use lockstep_dataset::loader::Lane;
use lockstep_dataset::order::Order;
use lockstep_dataset::remote::ahead::Plan;
use lockstep_kernels::device::Device;
use lockstep_proto::job::Job;

use super::lane::{Work, lane_positions};
use super::schedule::{Cursor, Schedule, StepPlan};

/// A generation's reads.
pub(super) struct Foresight {
    job: Job,
    schedule: Schedule,
    dealing: Dealing,
    train_samples: u64,
}

/// An epoch's order.
type Epoch = (u64, Order);

impl Foresight {
    /// Of a worker whose lanes are dealt so; none where all samples are in memory.
    pub(super) fn new(job: &Job, schedule: &Schedule, dealing: Dealing, dataset: &Dataset) -> Option<Arc<Self>> {
        if dataset.is_in_memory() {
            return None;
        }
        let (job, schedule, train_samples) = (job.clone(), schedule.clone(), dataset.len(Split::Train));
        Some(Arc::new(Self { job, schedule, dealing, train_samples }))
    }

    /// Tells the dataset what this worker's lanes read from the step at the cursor on.
    pub(super) fn expect_training(self: &Arc<Self>, cursor: Cursor, dataset: &Dataset) {
        let foresight = Arc::clone(self);
        let plan: Plan = Arc::new(move || Box::new(foresight.training(cursor).flat_map(|lane| lane.samples)));
        dataset.expect(Split::Train, plan);
    }

    /// Tells the dataset, and who reads lanes before they are computed, of a pass over `positions` of a split as it
    /// lies.
    pub(super) fn expect_evaluation<D: Device>(self: &Arc<Self>, split: Split, positions: Range<u64>, work: &Work<D>) {
        let (foresight, all) = (Arc::clone(self), positions.clone());
        let plan: Plan =
            Arc::new(move || Box::new(foresight.evaluation(split, all.clone()).flat_map(|lane| lane.samples)));
        work.dataset.expect(split, plan);
        if let Some(loader) = &work.loader {
            loader.evaluate(Box::new(self.evaluation(split, positions)));
        }
    }

    /// This worker's lanes from the step at the cursor on, as its threads come to them.
    pub(super) fn training(self: &Arc<Self>, mut cursor: Cursor) -> impl Iterator<Item = Lane> + Send + use<> {
        let (foresight, mut epoch) = (Arc::clone(self), None);
        let steps = std::iter::from_fn(move || {
            let plan = foresight.schedule.step(&cursor)?;
            cursor = foresight.schedule.advance(&cursor, &plan);
            Some(foresight.step(&plan, &mut epoch))
        });
        steps.flatten()
    }

    fn evaluation(&self, split: Split, positions: Range<u64>) -> impl Iterator<Item = Lane> + Send + use<> {
        let micro_batch = self.micro_batch();
        let lanes = self.lanes((positions.end - positions.start).div_ceil(micro_batch) as u32).into_iter();
        let samples = move |lane| lane_positions(positions.clone(), lane, micro_batch).collect();
        lanes.map(move |lane| Lane { split, epoch: None, samples: samples(lane) })
    }

    fn step(&self, plan: &StepPlan, epoch: &mut Option<Epoch>) -> Vec<Lane> {
        let of_epoch = epoch.take().filter(|(number, _)| *number == plan.epoch);
        let (number, order) =
            of_epoch.unwrap_or_else(|| (plan.epoch, Order::of(&self.job, plan.epoch, self.train_samples)));
        let positions = |lane| lane_positions(plan.first..plan.first + plan.samples, lane, self.micro_batch());
        let samples = |lane| positions(lane).map(|position| order.sample_at(position)).collect();
        let lane = |lane| Lane { split: Split::Train, epoch: Some(plan.epoch), samples: samples(lane) };
        let lanes = self.lanes(plan.lanes).into_iter().map(lane).collect();
        *epoch = Some((number, order));
        lanes
    }

    /// This worker's lanes, the first of each thread first, then the second of each.
    fn lanes(&self, lanes: u32) -> Vec<u32> {
        let hands: Vec<Range<u32>> = self.dealing.hands(lanes).collect();
        let longest = hands.iter().map(|hand| hand.len() as u32).max().unwrap_or(0);
        let round = |index| hands.iter().filter_map(move |hand| hand.clone().nth(index as usize));
        (0..longest).flat_map(round).collect()
    }

    fn micro_batch(&self) -> u64 {
        self.job.batch.micro_batch.into()
    }
}

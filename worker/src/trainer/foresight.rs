//! What this worker's lanes are going to read, told to the dataset before they do: the schedule, the order and the deal of
//! lanes are functions, so that all of a generation's reads are known when it begins.

use std::ops::Range;
use std::sync::Arc;

use lockstep_collective::Dealing;
use lockstep_dataset::dataset::{Dataset, Split};
use lockstep_dataset::order::Order;
use lockstep_dataset::remote::ahead::Plan;
use lockstep_proto::job::Job;

use super::lane::lane_positions;
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
        let (job, schedule) = (job.clone(), schedule.clone());
        let new = || Arc::new(Self { job, schedule, dealing, train_samples: dataset.len(Split::Train) });
        (!dataset.is_in_memory()).then(new)
    }

    /// The training samples of this worker's lanes from the step at the cursor on, as its threads come to them.
    pub(super) fn training(self: &Arc<Self>, cursor: Cursor) -> Plan {
        let foresight = Arc::clone(self);
        Arc::new(move || {
            let (foresight, mut cursor, mut epoch) = (Arc::clone(&foresight), cursor, None);
            let steps = std::iter::from_fn(move || {
                let plan = foresight.schedule.step(&cursor)?;
                cursor = foresight.schedule.advance(&cursor, &plan);
                Some(foresight.samples(&plan, &mut epoch))
            });
            Box::new(steps.flatten())
        })
    }

    /// The samples of this worker's lanes of an evaluation of `samples` samples.
    pub(super) fn evaluation(self: &Arc<Self>, samples: u64) -> Plan {
        let foresight = Arc::clone(self);
        Arc::new(move || {
            let micro_batch = foresight.micro_batch();
            let lanes = foresight.lanes(samples.div_ceil(micro_batch) as u32);
            Box::new(lanes.into_iter().flat_map(move |lane| lane_positions(0..samples, lane, micro_batch)))
        })
    }

    fn samples(&self, plan: &StepPlan, epoch: &mut Option<Epoch>) -> Vec<u64> {
        let of_epoch = epoch.take().filter(|(number, _)| *number == plan.epoch);
        let (number, order) =
            of_epoch.unwrap_or_else(|| (plan.epoch, Order::of(&self.job, plan.epoch, self.train_samples)));
        let positions = |lane| lane_positions(plan.first..plan.first + plan.samples, lane, self.micro_batch());
        let lanes = self.lanes(plan.lanes).into_iter();
        let samples = lanes.flat_map(positions).map(|position| order.sample_at(position)).collect();
        *epoch = Some((number, order));
        samples
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

//! How a generation's workers add up their gradients: through the hosts' memory, or from device to device.
//!
//! Both go along the same tree and give the same bits, so that which of them it is depends on what the members have, and
//! may change with the generation. Tallies go through the hosts either way.

use std::time::Duration;

use lockstep_collective::{Buckets, DeviceGroup, Error, Group, Hand, Order, Pieces, Tag, Tally};
use lockstep_kernels::device::{Device, Precision};
use lockstep_proto::job::{self, Job};

use super::TrainerError;
use super::crew::{Crew, Devices};
use super::entry::MEET_WITHIN;
use super::generation::FIRST_PASS;
use super::lane::{LaneRunner, TrainStep};
use crate::model::Model;

/// Members that end a generation together end it at nearly the same time.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// What all lanes of a pass have come to together: the same bits on every worker.
pub(super) struct Reduced<'a, D: Device> {
    /// On the device.
    pub(super) gradient: D::View<'a, f32>,
    pub(super) tally: &'a Tally,
}

/// A generation's reductions.
pub(super) struct Reduction<D: Device> {
    pub(super) group: Group,
    between: Option<BetweenDevices<D>>,
    /// The reduced vector, where a device has got it through the host's memory.
    copy: Option<D::Buffer<f32>>,
}

/// What goes from device to device.
struct BetweenDevices<D: Device> {
    devices: DeviceGroup<D>,
    /// The sums of this worker's subtrees, as long as all buckets.
    slots: Vec<D::Buffer<f32>>,
    /// Where buckets end, but for the last.
    ends: Vec<usize>,
    /// Elements of the vector.
    len: usize,
    /// Buckets of the reduction under way that were begun, and whether one could not be.
    begun: Result<usize, Error>,
}

impl<D: Device> Reduction<D> {
    /// With the members of `group`, through the hosts' memory.
    pub(super) fn through_hosts(group: Group) -> Self {
        Self { group, between: None, copy: None }
    }

    /// With the members of `group`, all of which have `transport` and call this.
    ///
    /// # Errors
    /// If the devices don't meet.
    pub(super) fn between_devices(
        mut group: Group,
        model: &Model<D>,
        device: &mut D,
        transport: &D::Transport,
        job: &Job,
        step: u64,
    ) -> Result<Self, TrainerError> {
        let (_, ranks) = group.rank_and_ranks();
        let ready: Vec<_> = model.layer_ranges().iter().map(|range| range.end).collect();
        let buckets = Buckets::new(model.len(), ranks, &ready, job.cluster.bucket as usize);
        let order = match job.optimizer.reduction {
            job::Reduction::Tree => Order::Tree,
            job::Reduction::Fast => Order::Any(Precision::F32),
            job::Reduction::FastBf16 => Order::Any(Precision::Bf16),
        };
        let tag = Tag { step, pass: FIRST_PASS };
        let connected = DeviceGroup::connect(&mut group, device, transport, (order, buckets), (tag, MEET_WITHIN));
        let between = Some(BetweenDevices::new(healthy(device, connected)?, model.len()));
        Ok(Self { between, ..Self::through_hosts(group) })
    }

    /// Computes this worker's lanes, of `lanes` in all. Gives how many it holds. Devices begin to exchange what the last
    /// of them has made while it goes on.
    ///
    /// # Errors
    /// If there are more lanes than the generation was made for, or a sample can't be read.
    pub(super) fn compute(
        &mut self,
        crew: &mut Crew<D>,
        step: &TrainStep<'_, D>,
        lanes: u32,
    ) -> Result<usize, TrainerError> {
        let held = |hands: &[Hand<'_>]| hands.iter().map(|hand| hand.lanes.len()).sum();
        match &mut self.between {
            None => {
                let hands = self.group.hands(lanes)?;
                let held = held(&hands);
                crew.run(hands, |runner, hand| runner.train_hand(step, hand));
                crew.check_read()?;
                Ok(held)
            }
            Some(between) => {
                let pieces = self.group.pieces(lanes)?;
                let hands = self.group.tally_hands(lanes)?;
                let held = held(&hands);
                hands.into_iter().for_each(|hand| between.compute(crew.first(), step, hand, &pieces));
                crew.check_read()?;
                Ok(held)
            }
        }
    }

    /// Adds up what all workers' lanes have come to.
    ///
    /// # Errors
    /// If a member or the device is lost, or the generation is aborted; nothing of it can be used then.
    pub(super) fn reduce(&mut self, crew: &mut Crew<D>, lanes: u32, tag: Tag) -> Result<Reduced<'_, D>, TrainerError> {
        let Some(between) = &mut self.between else {
            crew.first().device.health()?;
            let reduced = self.group.reduce(lanes, tag, crew.pool())?;
            let gradient = on_device(crew.first_device(), reduced.gradient, &mut self.copy);
            return Ok(Reduced { gradient, tally: reduced.tally });
        };
        let device = crew.first_device();
        let reduced = between.reduce(&mut self.group, device, lanes, tag);
        if reduced.is_err() {
            // What hangs on the device ends with its group.
            self.between = None;
        }
        let tally = healthy(device, reduced)?;
        let between = self.between.as_ref().expect("those that have just reduced");
        Ok(Reduced { gradient: between.devices.sum(between.len), tally })
    }

    /// Leaves the others' devices at the generation's end, which all come to. Who has gone before has not been waited
    /// for in vain: nothing is under way any more.
    pub(super) fn leave(&mut self) {
        if let Some(between) = self.between.take() {
            let _ = between.devices.finish(LEAVE_WITHIN);
        }
    }
}

impl<D: Device> BetweenDevices<D> {
    fn new(devices: DeviceGroup<D>, len: usize) -> Self {
        let buckets = devices.buckets();
        let ends = (1..buckets.len()).map(|bucket| buckets.bucket(bucket).start).collect();
        Self { devices, slots: Vec::new(), ends, len, begun: Ok(0) }
    }

    /// Computes this worker's lanes.
    fn compute(&mut self, runner: &mut LaneRunner<D>, step: &TrainStep<'_, D>, hand: Hand<'_>, pieces: &Pieces) {
        let Self { devices, slots, ends, begun, .. } = self;
        let elements = devices.buckets().elements();
        if slots.len() < hand.subtrees.len() {
            slots.resize_with(hand.subtrees.len(), || runner.device.zeros(elements));
        }
        *begun = Ok(0);
        let mut made = |device: &mut D, slots: &[D::Buffer<f32>], last: Option<(D::View<'_, f32>, usize)>| {
            let Ok(first) = *begun else { return };
            let whole = last.map_or(devices.buckets().len(), |(_, end)| devices.buckets().whole(end));
            let mut begin = |bucket| {
                let range = devices.buckets().bucket(bucket);
                let slots = slots.iter().map(|slot| D::view(slot, range.clone()));
                let views: Vec<_> = slots.chain(last.map(|(view, _)| D::slice(view, range.clone()))).collect();
                devices.begin(device, pieces, bucket, &views)
            };
            *begun = (first..whole).try_for_each(&mut begin).map(|()| whole);
        };
        runner.train_hand_into(step, hand, slots, ends, &mut made);
    }

    /// The hosts add up the tallies while the exchange comes to its end.
    fn reduce<'g>(&mut self, group: &'g mut Group, device: &mut D, lanes: u32, tag: Tag) -> Result<&'g Tally, Error> {
        std::mem::replace(&mut self.begun, Ok(0))?;
        let tally = group.reduce_tally(lanes, tag)?;
        self.devices.settle(device)?;
        Ok(tally)
    }
}

/// A result that nobody else is to blame for if the device has failed.
fn healthy<D: Device, T>(device: &mut D, result: Result<T, Error>) -> Result<T, TrainerError> {
    device.health()?;
    Ok(result?)
}

/// A vector of the host itself, or a copy in `memory`.
fn on_device<'a, D: Device>(
    device: &mut D,
    vector: &'a [f32],
    memory: &'a mut Option<D::Buffer<f32>>,
) -> D::View<'a, f32> {
    if let Some(view) = D::host_view(vector) {
        return view;
    }
    let copy = memory.get_or_insert_with(|| device.zeros(vector.len()));
    device.write(vector, D::view_mut(copy, 0..vector.len()));
    D::view(copy, 0..vector.len())
}

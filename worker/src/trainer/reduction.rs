//! How a generation's workers add up their gradients: through the hosts' memory, or from device to device.
//!
//! Both go along the same tree and give the same bits, so that which of them it is depends on what the members have, and
//! may change with the generation. Tallies go through the hosts either way.

use std::time::Duration;

use lockstep_collective::{Buckets, DeviceGroup, Error, Group, Order, Tag, Tally};
use lockstep_kernels::device::Device;
use lockstep_kernels::exchange::Precision;
use lockstep_proto::job;

use super::TrainerError;
use super::crew::{Crew, Devices};
use super::entry::MEET_WITHIN;
use super::generation::FIRST_PASS;
use super::lane::TrainStep;
use crate::model::Model;

/// Elements of a bucket (4 MiB): long beside what it takes to begin an exchange, short beside a way back.
const BUCKET: usize = 1 << 20;

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
    devices: Option<DeviceGroup<D>>,
    /// Elements of the vector.
    len: usize,
    /// The sums of this worker's subtrees, where they are exchanged between devices.
    slots: Vec<D::Buffer<f32>>,
    /// The reduced vector, where a device has got it through the host's memory.
    copy: Option<D::Buffer<f32>>,
}

impl<D: Device> Reduction<D> {
    /// With the members of `group`, through the hosts' memory.
    pub(super) fn through_hosts(group: Group, model: &Model<D>) -> Self {
        Self { group, devices: None, len: model.len(), slots: Vec::new(), copy: None }
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
        order: job::Reduction,
        step: u64,
    ) -> Result<Self, TrainerError> {
        let (_, ranks) = group.rank_and_ranks();
        let ready: Vec<_> = model.layer_ranges().iter().map(|range| range.end).collect();
        let buckets = Buckets::new(model.len(), ranks, &ready, BUCKET);
        let order = match order {
            job::Reduction::Tree => Order::Tree,
            job::Reduction::Fast => Order::Any(Precision::F32),
            job::Reduction::FastBf16 => Order::Any(Precision::Bf16),
        };
        let tag = Tag { step, pass: FIRST_PASS };
        let connected = DeviceGroup::connect(&mut group, device, transport, (order, buckets), (tag, MEET_WITHIN));
        let devices = Some(healthy(device, connected)?);
        Ok(Self { devices, ..Self::through_hosts(group, model) })
    }

    /// Computes this worker's lanes, of `lanes` in all. Gives how many it holds.
    ///
    /// # Errors
    /// If there are more lanes than the generation was made for.
    pub(super) fn compute(
        &mut self,
        crew: &mut Crew<D>,
        step: &TrainStep<'_, D>,
        lanes: u32,
    ) -> Result<usize, TrainerError> {
        let Some(devices) = &self.devices else {
            let hands = self.group.hands(lanes)?;
            let held = hands.iter().map(|hand| hand.lanes.len()).sum();
            crew.run(hands, |runner, hand| {
                for subtree in hand.subtrees {
                    *subtree.tally = runner.train_slot(step, subtree.lanes, subtree.gradient);
                }
            });
            return Ok(held);
        };
        let len = devices.buckets().elements();
        let subtrees = self.group.tally_hands(lanes)?.into_iter().flat_map(|hand| hand.subtrees);
        let mut held = 0;
        for (index, subtree) in subtrees.enumerate() {
            let runner = crew.first();
            if index == self.slots.len() {
                self.slots.push(runner.device.zeros(len));
            }
            held += subtree.lanes.len();
            let mut slot = D::view_mut(&mut self.slots[index], 0..self.len);
            *subtree.tally = runner.train_subtree(step, subtree.lanes, &mut slot);
        }
        Ok(held)
    }

    /// Adds up what all workers' lanes have come to.
    ///
    /// # Errors
    /// If a member or the device is lost, or the generation is aborted; nothing of it can be used then.
    pub(super) fn reduce(&mut self, crew: &mut Crew<D>, lanes: u32, tag: Tag) -> Result<Reduced<'_, D>, TrainerError> {
        let len = self.len;
        let Some(devices) = &mut self.devices else {
            crew.first().device.health()?;
            let reduced = self.group.reduce(lanes, tag, crew.pool())?;
            let gradient = on_device(crew.first_device(), reduced.gradient, &mut self.copy);
            return Ok(Reduced { gradient, tally: reduced.tally });
        };
        let device = crew.first_device();
        let reduced = exchange(&mut self.group, devices, device, &mut self.slots, (lanes, tag));
        if reduced.is_err() {
            // What hangs on the device ends with its group.
            self.devices = None;
        }
        healthy(device, reduced)?;
        let gradient = self.devices.as_ref().expect("that has just reduced").sum(len);
        Ok(Reduced { gradient, tally: self.group.total() })
    }

    /// Leaves the others' devices at the generation's end, which all come to. Who has gone before has not been waited
    /// for in vain: nothing is under way any more.
    pub(super) fn leave(&mut self) {
        if let Some(devices) = self.devices.take() {
            let _ = devices.finish(LEAVE_WITHIN);
        }
    }
}

/// The exchange of all buckets, while the hosts add up the tallies.
fn exchange<D: Device>(
    group: &mut Group,
    devices: &mut DeviceGroup<D>,
    device: &mut D,
    slots: &mut [D::Buffer<f32>],
    (lanes, tag): (u32, Tag),
) -> Result<(), Error> {
    let pieces = group.pieces(lanes)?;
    for bucket in 0..devices.buckets().len() {
        let range = devices.buckets().bucket(bucket);
        let own = slots[..pieces.own.len()].iter_mut();
        let views = own.map(|slot| D::view_mut(slot, range.clone())).collect();
        devices.begin(device, &pieces, bucket, views)?;
    }
    group.reduce_tally(lanes, tag)?;
    devices.settle(device)
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

//! The reduction between devices that have memory of their own: what [`crate::Group`] does for the host's.
//!
//! Every rank owns an equal part of each bucket. It gets that part of every worker's maximal subtrees, folds them in tree
//! order, and all gather the parts: the bits are those of any other way along the same tree. Tallies go through
//! the [`crate::Group`], whose members prove who they are; it also carries the invitation.

use std::time::Duration;

use lockstep_kernels::device::Precision;
use lockstep_kernels::exchange::{Exchange, Peers, Transport};
use lockstep_kernels::fold::Fold;

use crate::buckets::Buckets;
use crate::pieces::Pieces;
use crate::{Error, Group, Tag};

/// A device that takes part.
pub trait Exchanging: Exchange + Fold {}
impl<D: Exchange + Fold> Exchanging for D {}

type PeersOf<D> = <<D as Exchange>::Transport as Transport<D>>::Peers;

/// How gradients are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Along the tree over the lanes: the same bits for any number of workers.
    Tree,
    /// As the transport likes it.
    Any(Precision),
}

/// Elements of the greeting: a unit for each rank.
const GREETING: usize = 64;

/// One worker's part of a generation's reductions between devices. After an error, drop it.
pub struct DeviceGroup<D: Exchanging> {
    peers: PeersOf<D>,
    rank: usize,
    ranks: usize,
    order: Order,
    buckets: Buckets,
    /// The reduced vector.
    sum: D::Buffer<f32>,
    /// This rank's parts of all subtrees, in lane order.
    parts: Vec<D::Buffer<f32>>,
}

impl<D: Exchanging> DeviceGroup<D> {
    /// Meets the members of `group`, each of which calls this at the same time with the same order and buckets, and adds
    /// up a few numbers with them.
    ///
    /// # Errors
    /// [`Error::Devices`] if that does not succeed; those of a broadcast.
    pub fn connect(
        group: &mut Group,
        device: &mut D,
        transport: &D::Transport,
        (order, buckets): (Order, Buckets),
        (tag, budget): (Tag, Duration),
    ) -> Result<Self, Error> {
        let (rank, ranks) = group.rank_and_ranks();
        let mut invitation = Vec::new();
        if rank == 0 {
            invitation = transport.invitation().map_err(|failure| Error::Devices(failure.to_string()))?;
        }
        group.broadcast(0, tag, &mut invitation)?;
        // Before the peers, so that it is given back behind them: what hangs ends first.
        let sum = device.zeros(buckets.elements().max(GREETING * ranks));
        let peers = transport.join(device, &invitation, (rank, ranks), group.abort.clone(), budget)?;
        let mut connected = Self { peers, rank, ranks, order, buckets, sum, parts: Vec::new() };
        connected.greet(device)?;
        Ok(connected)
    }

    /// A sum over all ranks, which has to be right.
    fn greet(&mut self, device: &mut D) -> Result<(), Error> {
        let len = GREETING * self.ranks;
        device.fill((self.rank + 1) as f32, D::view_mut(&mut self.sum, 0..len));
        self.peers.follow(device);
        self.peers.add_up(D::view_mut(&mut self.sum, 0..len), Precision::F32)?;
        self.settle(device)?;
        let mut told = vec![0.0; len];
        device.read(D::view(&self.sum, 0..len), &mut told);
        let expected = (self.ranks * (self.ranks + 1) / 2) as f32;
        match told.iter().find(|&&sum| sum != expected) {
            None => Ok(()),
            Some(sum) => Err(Error::Devices(format!("1 to {} added up to {sum} between devices", self.ranks))),
        }
    }

    /// How the vector is cut.
    pub fn buckets(&self) -> &Buckets {
        &self.buckets
    }

    /// Begins to reduce a bucket, behind all that `device` has been asked for. `slots`: its elements in the sums of this
    /// worker's subtrees, [`Pieces::own`]; nobody may write to them before the reduction has settled.
    ///
    /// # Errors
    /// [`Error::Devices`], [`Error::Aborted`].
    pub fn begin(
        &mut self,
        device: &mut D,
        pieces: &Pieces,
        bucket: usize,
        slots: &[D::View<'_, f32>],
    ) -> Result<(), Error> {
        assert_eq!(slots.len(), pieces.own.len(), "a slot for each of this worker's subtrees");
        match self.order {
            Order::Tree => {
                self.make_room(device, pieces);
                self.peers.follow(device);
                self.fold_along_tree(pieces, bucket, slots)
            }
            Order::Any(precision) => {
                self.peers.follow(device);
                self.add_up(bucket, slots, precision)
            }
        }
    }

    /// Waits for all that was begun. The sum is [`DeviceGroup::sum`] then.
    ///
    /// # Errors
    /// [`Error::Devices`], [`Error::Aborted`].
    pub fn settle(&mut self, device: &mut D) -> Result<(), Error> {
        self.peers.settle()?;
        self.peers.release(device);
        Ok(())
    }

    /// The first `len` elements of the reduced vector.
    pub fn sum(&self, len: usize) -> D::View<'_, f32> {
        D::view(&self.sum, 0..len)
    }

    /// Leaves at the end of the generation, together with all others.
    ///
    /// # Errors
    /// [`Error::Devices`], [`Error::Aborted`].
    pub fn finish(self, budget: Duration) -> Result<(), Error> {
        Ok(self.peers.finish(budget)?)
    }

    fn fold_along_tree(&mut self, pieces: &Pieces, bucket: usize, slots: &[D::View<'_, f32>]) -> Result<(), Error> {
        let place = self.buckets.among_parts(bucket);
        let len = place.len();
        let of_rank = |rank: usize, slot| D::slice(slot, rank * len..(rank + 1) * len);
        let others = (0..self.ranks).filter(|&rank| rank != self.rank);
        let sends: Vec<_> =
            others.flat_map(|rank| slots.iter().map(move |&slot| (rank, of_rank(rank, slot)))).collect();

        let (mut own, mut received) = (slots.iter(), Vec::with_capacity(self.parts.len()));
        let ranks = pieces.of_ranks.iter().enumerate().flat_map(|(rank, &count)| std::iter::repeat_n(rank, count));
        for (rank, part) in ranks.zip(&mut self.parts) {
            let part = D::view_mut(part, place.clone());
            if rank == self.rank {
                let slot = *own.next().expect("a slot for each of this worker's subtrees");
                self.peers.device().copy(of_rank(rank, slot), part);
            } else {
                received.push((rank, part));
            }
        }
        self.peers.swap(&sends, &mut received)?;
        drop(received);

        let all = self.parts.iter_mut().take(pieces.fold.len()).map(|part| D::view_mut(part, place.clone()));
        let device = self.peers.device();
        let mut stack = Vec::new();
        pieces.fold.run(&mut stack, all, |left, right| device.fold_add(D::slice_mut(left, 0..len), D::shared(right)));
        let folded = stack.pop().expect("a fold of at least one subtree");
        let part = self.buckets.part(bucket, self.rank);
        device.copy(D::shared(folded), D::view_mut(&mut self.sum, part));
        Ok(self.peers.gather(D::view_mut(&mut self.sum, self.buckets.bucket(bucket)))?)
    }

    /// Memory for this rank's parts.
    fn make_room(&mut self, device: &D, pieces: &Pieces) {
        if self.parts.len() < pieces.fold.len() {
            self.parts.resize_with(pieces.fold.len(), || device.zeros(self.buckets.part_elements()));
        }
    }

    fn add_up(&mut self, bucket: usize, slots: &[D::View<'_, f32>], precision: Precision) -> Result<(), Error> {
        let range = self.buckets.bucket(bucket);
        let device = self.peers.device();
        match slots.first() {
            Some(&first) => device.copy(first, D::view_mut(&mut self.sum, range.clone())),
            None => device.fill(0.0, D::view_mut(&mut self.sum, range.clone())),
        }
        for &slot in slots.iter().skip(1) {
            device.fold_add(D::view_mut(&mut self.sum, range.clone()), slot);
        }
        Ok(self.peers.add_up(D::view_mut(&mut self.sum, range), precision)?)
    }
}

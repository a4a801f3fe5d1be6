//! A generation's reductions, as one worker takes part in them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lockstep_kernels::shared_memory::{Seat, SharedMemory};

use crate::connect::{Link, Wanted, links};
use crate::conversation::Expected;
use crate::deal::{Deal, Dealing};
use crate::exchange::Inbox;
use crate::handshake::Keys;
use crate::layout::{Layout, TURNS};
use crate::membership::{Membership, Shape, Topology};
use crate::pieces::Pieces;
use crate::reduce::Place;
use crate::rendezvous::Rendezvous;
use crate::tag::{Kind, Tag};
use crate::tally::{Tally, TallyStack};
use crate::vector::Scratch;
use crate::{Endpoint, Error};

/// What one lane thread is to fill before a reduction.
pub struct Hand<'a> {
    /// Its lanes; may be empty.
    pub lanes: Range<u32>,
    /// Its maximal subtrees, which cover its lanes in order.
    pub subtrees: Vec<Subtree<'a>>,
}

/// Where the sum of a maximal subtree goes.
pub struct Subtree<'a> {
    /// Its lanes.
    pub lanes: Range<u32>,
    /// Every element must be written: it still holds an earlier reduction's. Empty in a reduction of tallies.
    pub gradient: &'a mut [f32],
    /// Zeros, to be added to.
    pub tally: &'a mut Tally,
}

/// What all lanes contributed together: the same bits on every worker.
#[derive(Clone, Copy, Debug)]
pub struct Reduced<'a> {
    /// The summed gradient vector; empty in a reduction of tallies.
    pub gradient: &'a [f32],
    /// The summed tally.
    pub tally: &'a Tally,
}

/// One worker's part of a generation. After an error, drop it and join the next generation.
pub struct Group {
    pub(crate) topology: Topology,
    pub(crate) shape: Shape,
    pub(crate) layout: Layout,
    pub(crate) memory: SharedMemory,
    pub(crate) links: Vec<Link>,
    pub(crate) inbox: Inbox,
    pub(crate) abort: Arc<AtomicBool>,
    pub(crate) deals: HashMap<u32, Arc<Deal>>,
    pieces: HashMap<u32, Arc<Pieces>>,
    /// Tallies of this worker's slots.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) stack: TallyStack,
    pub(crate) total: Tally,
    pub(crate) control: Vec<u64>,
    /// Results of small vectors.
    pub(crate) private: Vec<f32>,
    pub(crate) scratch: Vec<Scratch>,
    /// Turns of the tallies', and of small vectors' slots.
    pub(crate) turn: usize,
    pub(crate) slot_turn: usize,
}

/// Deals kept; schedules and evaluations use a handful.
const DEALS: usize = 64;

impl Group {
    /// Meets the other members, each of which calls this with the same membership and shape.
    ///
    /// # Errors
    /// [`Error::Missing`] when not all have proved to be there within `budget`, [`Error::Aborted`] when
    /// `abort` is set. The same flag ends any later wait of the group.
    pub fn connect(
        endpoint: &Endpoint,
        membership: Membership,
        shape: Shape,
        budget: Duration,
        abort: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let topology = Topology::new(membership)?;
        let layout = Layout::new(&topology, &shape);
        let size = layout.size();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let seat = Seat { index: topology.seat(), crowded: topology.node_threads() > cores };
        let made = if topology.leads() { Some(SharedMemory::create(size, seat)?) } else { None };
        let wanted = Wanted::of(&topology);
        let keys = Keys::new(&topology.membership, &shape);
        let expected = Expected {
            keys: &keys,
            generation: topology.membership.generation,
            generation_id: topology.membership.generation_id,
            rank: topology.membership.rank,
            accept: &wanted.accept,
            memory: made.as_ref().map(SharedMemory::descriptor),
        };
        let rendezvous = Rendezvous { endpoint, topology: &topology, wanted: &wanted, expected };
        let mut met = rendezvous.run(budget, &abort)?;
        let memory = match (made, met.memory) {
            (Some(memory), _) => memory,
            (None, Some(descriptor)) => SharedMemory::open(descriptor, size, seat)?,
            (None, None) => unreachable!("a worker that is not its node's first has met that one"),
        };
        Ok(Self {
            links: links(&topology, &mut met.sockets),
            inbox: Inbox::default(),
            abort,
            deals: HashMap::new(),
            pieces: HashMap::new(),
            tallies: Vec::new(),
            stack: TallyStack::new(shape.sums, shape.counts),
            total: Tally::new(shape.sums, shape.counts),
            control: Vec::new(),
            private: vec![0.0; if layout.small { shape.parameters } else { 0 }],
            scratch: Vec::new(),
            turn: 0,
            slot_turn: 0,
            topology,
            shape,
            layout,
            memory,
        })
    }

    /// The generation's number.
    pub fn generation(&self) -> u64 {
        self.topology.membership.generation
    }

    /// How a batch of `lanes` lanes is dealt. More than [`Shape::max_lanes`] are for tallies only.
    ///
    /// # Errors
    /// [`Error::Lanes`] without any lane.
    pub fn lanes(&mut self, lanes: u32) -> Result<&Deal, Error> {
        if lanes == 0 {
            return Err(Error::Lanes { lanes, max_lanes: self.shape.max_lanes });
        }
        Ok(kept(&mut self.deals, lanes, || Deal::new(&self.topology, lanes)))
    }

    /// How a batch of `lanes` lanes is dealt to workers that have one device each.
    ///
    /// # Errors
    /// [`Error::Lanes`] without any lane, or with more than the group was made for.
    pub fn pieces(&mut self, lanes: u32) -> Result<Arc<Pieces>, Error> {
        if lanes == 0 || lanes > self.shape.max_lanes {
            return Err(Error::Lanes { lanes, max_lanes: self.shape.max_lanes });
        }
        Ok(kept(&mut self.pieces, lanes, || Pieces::new(&self.topology, lanes)).clone())
    }

    /// This worker's rank, and how many members there are.
    pub fn rank_and_ranks(&self) -> (usize, usize) {
        (self.topology.rank(), self.topology.membership.members.len())
    }

    /// The rank that holds `lane` of a batch of `lanes` lanes.
    pub fn rank_of_lane(&self, lane: u32, lanes: u32) -> Option<u32> {
        let ranks = 0..self.topology.membership.members.len();
        ranks.into_iter().find(|&rank| self.topology.lanes_of(rank, lanes).contains(&lane)).map(|rank| rank as u32)
    }

    /// How lanes are dealt to this worker's threads, for who looks ahead.
    pub fn dealing(&self) -> Dealing {
        Dealing::new(self.topology.clone())
    }

    fn deal(&mut self, lanes: u32) -> Result<Arc<Deal>, Error> {
        self.lanes(lanes)?;
        Ok(self.deals[&lanes].clone())
    }

    fn deal_of_batch(&mut self, lanes: u32) -> Result<Arc<Deal>, Error> {
        if lanes > self.shape.max_lanes {
            return Err(Error::Lanes { lanes, max_lanes: self.shape.max_lanes });
        }
        self.deal(lanes)
    }

    /// What this worker's lane threads, one each, are to fill before [`Group::reduce`] with as many lanes.
    ///
    /// # Errors
    /// [`Error::Lanes`] without any lane, or with more than the group was made for.
    pub fn hands(&mut self, lanes: u32) -> Result<Vec<Hand<'_>>, Error> {
        let deal = self.deal_of_batch(lanes)?;
        let (layout, turn) = (&self.layout, self.slot_turn);
        let ranges: Vec<_> = deal.own_slots().map(|slot| layout.slot(turn, slot)).collect();
        let gradients = self.memory.exclusive(&ranges);
        let tallies = cleared(&mut self.tallies, &self.shape, ranges.len());
        Ok(hands_of(&deal, gradients.into_iter(), tallies.iter_mut()))
    }

    /// As [`Group::hands`], before [`Group::reduce_tally`]: gradients are empty, and lanes may be many.
    ///
    /// # Errors
    /// [`Error::Lanes`] without any lane.
    pub fn tally_hands(&mut self, lanes: u32) -> Result<Vec<Hand<'_>>, Error> {
        let deal = self.deal(lanes)?;
        let slots = deal.own_slots().len();
        let tallies = cleared(&mut self.tallies, &self.shape, slots);
        Ok(hands_of(&deal, (0..slots).map(|_| <&mut [f32]>::default()), tallies.iter_mut()))
    }

    /// Adds up what all hands of all workers have filled. `pool` helps if this worker has several threads.
    ///
    /// # Errors
    /// [`Error::Aborted`], [`Error::Lost`], [`Error::Desync`]; the group is of no use afterwards.
    pub fn reduce(&mut self, lanes: u32, tag: Tag, pool: Option<&rayon::ThreadPool>) -> Result<Reduced<'_>, Error> {
        let deal = self.deal_of_batch(lanes)?;
        self.publish_tallies(&deal);
        self.memory.meet(&self.abort)?;
        let place = if self.links_needed() {
            self.fold_node(&deal, pool)?;
            self.exchange(&deal, (lanes, tag, Kind::Gradient))?;
            Place::Shared(self.layout.reduced())
        } else {
            self.fold_own_tallies(&deal);
            self.fold_alone(&deal, pool)?
        };
        self.turn = (self.turn + 1) % TURNS;
        self.slot_turn = (self.slot_turn + 1) % TURNS;
        let gradient = match place {
            Place::Shared(range) => self.memory.read(range),
            Place::Private => &self.private,
        };
        Ok(Reduced { gradient, tally: &self.total })
    }

    /// Adds up tallies alone.
    ///
    /// # Errors
    /// As [`Group::reduce`].
    pub fn reduce_tally(&mut self, lanes: u32, tag: Tag) -> Result<&Tally, Error> {
        let deal = self.deal(lanes)?;
        self.publish_tallies(&deal);
        self.memory.meet(&self.abort)?;
        if self.links_needed() {
            self.exchange(&deal, (lanes, tag, Kind::Tally))?;
        } else {
            self.fold_own_tallies(&deal);
        }
        self.turn = (self.turn + 1) % TURNS;
        Ok(&self.total)
    }
}

/// What was made for so many lanes, or is now.
fn kept<T>(cache: &mut HashMap<u32, Arc<T>>, lanes: u32, make: impl FnOnce() -> T) -> &Arc<T> {
    if cache.len() == DEALS && !cache.contains_key(&lanes) {
        cache.clear();
    }
    cache.entry(lanes).or_insert_with(|| Arc::new(make()))
}

/// At least `len` tallies, zeroed.
pub(crate) fn cleared<'a>(tallies: &'a mut Vec<Tally>, shape: &Shape, len: usize) -> &'a mut [Tally] {
    if tallies.len() < len {
        tallies.resize_with(len, || Tally::new(shape.sums, shape.counts));
    }
    let tallies = &mut tallies[..len];
    tallies.iter_mut().for_each(Tally::clear);
    tallies
}

fn hands_of<'a>(
    deal: &Deal,
    mut gradients: impl Iterator<Item = &'a mut [f32]>,
    mut tallies: impl Iterator<Item = &'a mut Tally>,
) -> Vec<Hand<'a>> {
    let mut subtree = |lanes: &Range<u32>| Subtree {
        lanes: lanes.clone(),
        gradient: gradients.next().expect("a gradient for every slot"),
        tally: tallies.next().expect("a tally for every slot"),
    };
    let mut hand = |lanes: &Range<u32>, subtrees: &[Range<u32>]| Hand {
        lanes: lanes.clone(),
        subtrees: subtrees.iter().map(&mut subtree).collect(),
    };
    deal.hands().iter().map(|dealt| hand(&dealt.lanes, &dealt.subtrees)).collect()
}

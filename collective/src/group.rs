//! A generation's reductions, as one worker takes part in them.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lockstep_kernels::shared_memory::{Seat, SharedMemory};

use crate::connect::{Link, Wanted, links};
use crate::conversation::Expected;
use crate::deal::Deal;
use crate::exchange::{Exchange, Inbox};
use crate::handshake::Keys;
use crate::layout::{Layout, SMALL, TURNS};
use crate::membership::{Membership, Shape, Topology};
use crate::rendezvous::Rendezvous;
use crate::script::{Script, slice};
use crate::tally::{Tally, TallyStack};
use crate::tree::Fold;
use crate::vector::{Scratch, stores_for};
use crate::{Endpoint, Error};

/// Which reduction this is. Nodes compare it before they believe each other's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Step of the job.
    pub step: u64,
    /// Pass within the step: 0 for the first, and so on.
    pub pass: u32,
}

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
    topology: Topology,
    shape: Shape,
    layout: Layout,
    memory: SharedMemory,
    links: Vec<Link>,
    inbox: Inbox,
    abort: Arc<AtomicBool>,
    deals: HashMap<u32, Arc<Deal>>,
    /// Tallies of this worker's slots.
    tallies: Vec<Tally>,
    stack: TallyStack,
    total: Tally,
    control: Vec<u64>,
    /// Results of small vectors.
    private: Vec<f32>,
    scratch: Vec<Scratch>,
    /// Turns of the tallies', and of small vectors' slots.
    turn: usize,
    slot_turn: usize,
}

/// Deals kept; schedules and evaluations use a handful.
const DEALS: usize = 64;

/// Parts of a vector below this length (64 KiB) are not worth another thread.
const WORTH_A_THREAD: usize = 16 << 10;

/// Where a reduced vector lies.
enum Place {
    Shared(Range<usize>),
    Private,
}

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
        if !self.deals.contains_key(&lanes) {
            if self.deals.len() == DEALS {
                self.deals.clear();
            }
            self.deals.insert(lanes, Arc::new(Deal::new(&self.topology, lanes)));
        }
        Ok(&self.deals[&lanes])
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

    fn links_needed(&self) -> bool {
        self.topology.nodes.len() > 1
    }

    /// Puts this worker's tallies where the node's others read them.
    fn publish_tallies(&mut self, deal: &Deal) {
        let own = deal.own_slots();
        if self.tallies.len() < own.len() {
            cleared(&mut self.tallies, &self.shape, own.len());
        }
        for (slot, tally) in own.zip(&self.tallies) {
            tally.store(self.memory.words(self.layout.tally(self.turn, slot)));
        }
    }

    /// The only node: everybody folds all tallies.
    fn fold_own_tallies(&mut self, deal: &Deal) {
        let (memory, layout, turn) = (&self.memory, &self.layout, self.turn);
        let load = |slot, tally: &mut Tally| tally.load(memory.words(layout.tally(turn, slot)));
        self.total.clone_from(self.stack.fold(&deal.subtrees[0].fold, load));
    }

    /// The only node: its slots become the result.
    fn fold_alone(&mut self, deal: &Deal, pool: Option<&rayon::ThreadPool>) -> Result<Place, Error> {
        let workers = self.topology.peers().len();
        if workers == 1 && deal.slots == 1 {
            return Ok(Place::Shared(self.layout.slot(self.slot_turn, 0)));
        }
        let fold = &deal.subtrees[0].fold;
        if self.layout.small {
            let (memory, layout, turn) = (&self.memory, &self.layout, self.slot_turn);
            let scratch = first(&mut self.scratch);
            scratch.fold(fold, &mut self.private, stores_for(layout.parameters), |slot, part| {
                memory.read(within(layout.slot(turn, slot), part))
            });
            return Ok(Place::Private);
        }
        let target = self.layout.reduced();
        self.fold_slice(fold, &deal.subtrees[0].slots, target.clone(), pool);
        self.memory.meet(&self.abort)?;
        Ok(Place::Shared(target))
    }

    /// One node of several: its slots become its maximal subtrees.
    fn fold_node(&mut self, deal: &Deal, pool: Option<&rayon::ThreadPool>) -> Result<(), Error> {
        let mut folded = false;
        for (index, subtree) in deal.subtrees.iter().enumerate().filter(|(_, subtree)| subtree.slots.len() > 1) {
            self.fold_slice(&subtree.fold, &subtree.slots, self.layout.node_slot(index), pool);
            folded = true;
        }
        if folded { Ok(self.memory.meet(&self.abort)?) } else { Ok(()) }
    }

    /// This worker's slice of a fold of `slots` into `target`.
    fn fold_slice(
        &mut self,
        fold: &Fold,
        slots: &Range<usize>,
        target: Range<usize>,
        pool: Option<&rayon::ThreadPool>,
    ) {
        let own = slice(self.layout.parameters, self.topology.peers().len(), self.topology.seat());
        let stores = stores_for(self.layout.parameters);
        let (layout, turn, first_slot) = (&self.layout, self.slot_turn, slots.start);
        let (rest, to) = self.memory.split(within(target, own.clone()));
        let fold_part = |scratch: &mut Scratch, to: &mut [f32], start: usize| {
            scratch.fold(fold, to, stores, |slot, part| {
                rest.read(within(layout.slot(turn, first_slot + slot), start + part.start..start + part.end))
            });
        };
        let threads = pool.map_or(1, |pool| pool.current_num_threads().min(own.len() / WORTH_A_THREAD));
        match pool {
            Some(pool) if threads > 1 => {
                if self.scratch.len() < threads {
                    self.scratch.resize_with(threads, Scratch::default);
                }
                let len = own.len().div_ceil(threads).next_multiple_of(lockstep_kernels::fold::BLOCK);
                let parts = to.chunks_mut(len).zip(&mut self.scratch).enumerate();
                pool.in_place_scope(|scope| {
                    for (index, (to, scratch)) in parts {
                        let fold_part = &fold_part;
                        scope.spawn(move |_| fold_part(scratch, to, own.start + index * len));
                    }
                });
            }
            _ => fold_part(first(&mut self.scratch), to, own.start),
        }
    }

    /// Between nodes: the first worker of each exchanges, and publishes the result in its node.
    fn exchange(&mut self, deal: &Deal, (lanes, tag, kind): (u32, Tag, Kind)) -> Result<(), Error> {
        let total = self.layout.total_tally();
        if self.topology.leads() {
            self.exchange_as_first(deal, (lanes, tag, kind))?;
            if self.topology.peers().len() > 1 {
                self.total.store(self.memory.words(total));
                self.memory.meet(&self.abort)?;
            }
        } else {
            self.memory.meet(&self.abort)?;
            self.total.load(self.memory.words(total));
        }
        Ok(())
    }

    fn exchange_as_first(&mut self, deal: &Deal, (lanes, tag, kind): (u32, Tag, Kind)) -> Result<(), Error> {
        let header = self.header(lanes, tag, kind);
        self.write_control(deal, &header);
        let (layout, turn) = (&self.layout, self.slot_turn);
        let vector = |(index, subtree): (usize, &crate::deal::NodeSubtree)| match subtree.slots.len() {
            1 => layout.slot(turn, subtree.slots.start),
            _ => layout.node_slot(index),
        };
        let elements = if kind == Kind::Gradient { layout.parameters } else { 0 };
        let vectors: Vec<_> = match kind {
            Kind::Gradient => deal.subtrees.iter().enumerate().map(vector).collect(),
            Kind::Tally => vec![0..0; deal.subtrees.len()],
        };
        let (memory, reduced) = self.memory.split(layout.reduced());
        let exchange = Exchange {
            script: Script::new(self.topology.nodes.len(), elements, elements <= SMALL),
            node: self.topology.node,
            subtrees: &deal.node_subtrees,
            links: &self.links,
            control: &self.control,
            header_words: HEADER,
            tally_words: layout.tally_words(),
            vectors: &vectors,
            memory,
            reduced: &mut reduced[..elements],
            total: &deal.total,
        };
        let links = &self.links;
        exchange.run(&mut self.inbox, &self.abort, |link, theirs| check(&links[link], &header, theirs))?;
        self.fold_all_tallies(deal);
        Ok(())
    }

    /// Reduction's tag as words, the same on all nodes.
    fn header(&self, lanes: u32, tag: Tag, kind: Kind) -> [u64; HEADER] {
        [self.generation(), tag.step, u64::from(tag.pass), u64::from(lanes), kind as u64]
    }

    /// The control message: header, and the tallies of this node's maximal subtrees.
    fn write_control(&mut self, deal: &Deal, header: &[u64; HEADER]) {
        let (memory, layout, turn) = (&self.memory, &self.layout, self.turn);
        self.control.clear();
        self.control.extend_from_slice(header);
        for subtree in &deal.subtrees {
            let load = |slot, tally: &mut Tally| {
                tally.load(memory.words(layout.tally(turn, subtree.slots.start + slot)));
            };
            self.control.extend(self.stack.fold(&subtree.fold, load).encode());
        }
    }

    /// All nodes' control messages have come: the total of their tallies.
    fn fold_all_tallies(&mut self, deal: &Deal) {
        let mut words = Vec::new();
        let mut links = self.inbox.control.iter();
        for node in 0..self.topology.nodes.len() {
            let control = if node == self.topology.node { Some(&self.control) } else { links.next() };
            let tallies = &control.expect("a link to every other node")[HEADER..];
            words.extend(tallies.chunks_exact(self.layout.tally_words()));
        }
        let load = |subtree: usize, tally: &mut Tally| tally.decode(words[subtree].iter().copied());
        self.total.clone_from(self.stack.fold(&deal.total, load));
    }
}

/// What is being reduced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gradient = 1,
    Tally = 2,
}

/// Words of a reduction's tag on the wire.
const HEADER: usize = 5;

fn check(link: &Link, ours: &[u64; HEADER], theirs: &[u64]) -> Result<(), Error> {
    if theirs == ours {
        return Ok(());
    }
    let describe = |words: &[u64]| {
        let what = if words[4] == Kind::Tally as u64 { "tallies" } else { "gradients" };
        let [generation, step, pass, lanes] = [words[0], words[1], words[2], words[3]];
        format!("{what} of generation {generation} step {step} pass {pass} with {lanes} lanes")
    };
    Err(Error::Desync { rank: link.rank, address: link.address, theirs: describe(theirs), ours: describe(ours) })
}

/// At least `len` tallies, zeroed.
fn cleared<'a>(tallies: &'a mut Vec<Tally>, shape: &Shape, len: usize) -> &'a mut [Tally] {
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

fn first(scratch: &mut Vec<Scratch>) -> &mut Scratch {
    if scratch.is_empty() {
        scratch.push(Scratch::default());
    }
    &mut scratch[0]
}

/// Part `part` of a range of shared memory.
fn within(range: Range<usize>, part: Range<usize>) -> Range<usize> {
    range.start + part.start..range.start + part.end
}

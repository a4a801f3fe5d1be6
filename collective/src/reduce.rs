//! The stages of a reduction: fold in the node, exchange between nodes, publish.
//!
//! In a node every worker folds its slice of the vector straight from all slots; between nodes the first worker
//! of each does the talking, while the others wait at the node's barrier for what it publishes.

use std::ops::Range;

use crate::Error;
use crate::deal::{Deal, NodeSubtree};
use crate::exchange::Exchange;
use crate::group::{Group, cleared};
use crate::script::{Script, WHOLE, slice};
use crate::tag::{HEADER, Kind, Tag, check, header};
use crate::tally::Tally;
use crate::tree::Fold;
use crate::vector::{Scratch, stores_for};

/// Parts of a vector below this length (64 KiB) are not worth another thread.
const WORTH_A_THREAD: usize = 16 << 10;

/// Where a reduced vector lies.
pub(crate) enum Place {
    Shared(Range<usize>),
    Private,
}

impl Group {
    pub(crate) fn links_needed(&self) -> bool {
        self.topology.nodes.len() > 1
    }

    /// Puts this worker's tallies where the node's others read them.
    pub(crate) fn publish_tallies(&mut self, deal: &Deal) {
        let own = deal.own_slots();
        if self.tallies.len() < own.len() {
            cleared(&mut self.tallies, &self.shape, own.len());
        }
        for (slot, tally) in own.zip(&self.tallies) {
            tally.store(self.memory.words(self.layout.tally(self.turn, slot)));
        }
    }

    /// The only node: everybody folds all tallies.
    pub(crate) fn fold_own_tallies(&mut self, deal: &Deal) {
        let (memory, layout, turn) = (&self.memory, &self.layout, self.turn);
        let load = |slot, tally: &mut Tally| tally.load(memory.words(layout.tally(turn, slot)));
        self.total.clone_from(self.stack.fold(&deal.subtrees[0].fold, load));
    }

    /// The only node: its slots become the result.
    pub(crate) fn fold_alone(&mut self, deal: &Deal, pool: Option<&rayon::ThreadPool>) -> Result<Place, Error> {
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
    pub(crate) fn fold_node(&mut self, deal: &Deal, pool: Option<&rayon::ThreadPool>) -> Result<(), Error> {
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
    pub(crate) fn exchange(&mut self, deal: &Deal, (lanes, tag, kind): (u32, Tag, Kind)) -> Result<(), Error> {
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
        let header = header(self.generation(), tag, kind, lanes);
        self.write_control(deal, &header);
        let (layout, turn) = (&self.layout, self.slot_turn);
        let vector = |(index, subtree): (usize, &NodeSubtree)| match subtree.slots.len() {
            1 => layout.slot(turn, subtree.slots.start),
            _ => layout.node_slot(index),
        };
        let elements = if kind == Kind::Gradient { layout.parameters } else { 0 };
        let vectors: Vec<_> = match kind {
            Kind::Gradient => deal.subtrees.iter().enumerate().map(vector).collect(),
            Kind::Tally | Kind::Broadcast => vec![0..0; deal.subtrees.len()],
        };
        let (memory, reduced) = self.memory.split(layout.reduced());
        let exchange = Exchange {
            script: Script::new(self.topology.nodes.len(), elements, elements <= WHOLE),
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
        exchange.run(&mut self.inbox, &self.abort, |link, theirs| check(links[link].peer(), &header, theirs))?;
        self.fold_all_tallies(deal);
        Ok(())
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

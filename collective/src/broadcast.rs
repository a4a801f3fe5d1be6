//! Hands every member the bytes that one of them holds. Nothing is computed: a payload keeps its bits.
//!
//! First everybody learns the payload's length, and that all are in the same broadcast: in a node from shared
//! memory, between nodes as in a reduction of tallies. Then the payload goes in parcels: through the shared
//! memory of each node, and from node to node in a chain, in which each first worker passes on what it has
//! taken in, so that no connection carries the payload more than once.

use std::ops::Range;
use std::sync::atomic::Ordering;

use lockstep_kernels::shared_memory::{bytes, bytes_mut};

use crate::error::system;
use crate::exchange::{Exchange, link_of};
use crate::layout::{PARCEL, TURNS};
use crate::membership::Topology;
use crate::script::Script;
use crate::tag::{HEADER, Kind, check, header};
use crate::tree::Fold;
use crate::{Error, Group, Tag};

/// Bytes of a parcel.
const STEP: usize = PARCEL * size_of::<f32>();

/// Longest payload that is believed (64 GiB).
const LIMIT: u64 = 64 << 30;

/// How a payload comes to this worker, and where it goes on to.
struct Route {
    source: u32,
    /// Index of the source's node.
    origin: usize,
    /// Whether this worker is the source.
    holds: bool,
    /// The link that it comes over, if not through shared memory.
    from: Option<usize>,
    /// The link that it is sent over.
    to: Option<usize>,
}

impl Route {
    fn new(topology: &Topology, source: u32) -> Result<Self, Error> {
        let members = topology.membership.members.len();
        if source as usize >= members {
            return Err(Error::Stranger { rank: source, members });
        }
        let (own, nodes) = (topology.node, topology.nodes.len());
        let origin = topology.node_of(source as usize);
        let (before, after) = ((own + nodes - 1) % nodes, (own + 1) % nodes);
        Ok(Self {
            source,
            origin,
            holds: source as usize == topology.rank(),
            from: (topology.leads() && own != origin).then(|| link_of(before, own)),
            to: (topology.leads() && after != origin).then(|| link_of(after, own)),
        })
    }

    /// Whether the node's other workers get the payload from this one.
    fn feeds(&self) -> bool {
        self.holds || self.from.is_some()
    }
}

impl Group {
    /// Gives every member the bytes that `source` has. All members call this with the same `source` and `tag`;
    /// `payload` is left alone at the source, and elsewhere replaced, whatever it held.
    ///
    /// Any member can be the source, also one without a share of the lanes, and a payload may have any length up
    /// to 64 GiB, none included. Receivers take memory for it only as it arrives.
    ///
    /// # Errors
    /// [`Error::Stranger`], [`Error::TooLong`], [`Error::Aborted`], [`Error::Lost`], [`Error::Desync`], and
    /// [`Error::System`] without memory for the payload. The group is of no use afterwards, and `payload` holds
    /// some part.
    pub fn broadcast(&mut self, source: u32, tag: Tag, payload: &mut Vec<u8>) -> Result<(), Error> {
        let route = Route::new(&self.topology, source)?;
        let length = bounded(source, self.announce(&route, tag, payload.len() as u64)?)?;
        if !route.holds {
            payload.clear();
        }
        for (index, start) in (0..length).step_by(STEP).enumerate() {
            if self.abort.load(Ordering::Relaxed) {
                return Err(Error::Aborted);
            }
            self.pass(&route, index % TURNS, start..length.min(start + STEP), payload)?;
        }
        self.turn = (self.turn + 1) % TURNS;
        Ok(())
    }

    /// The payload's length, once all are known to be in the same broadcast. `length` is the source's.
    fn announce(&mut self, route: &Route, tag: Tag, length: u64) -> Result<u64, Error> {
        let header = header(self.generation(), tag, Kind::Broadcast, route.source);
        let sent = if route.from.is_some() { self.compare(route, &header, 0)? } else { length };
        let words = self.memory.words(self.layout.announcement(self.turn));
        if route.feeds() {
            header.iter().chain([&sent]).zip(words).for_each(|(&value, word)| word.store(value, Ordering::Relaxed));
        }
        self.memory.meet(&self.abort)?;
        let words = self.memory.words(self.layout.announcement(self.turn));
        let heard: Vec<u64> = words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        let in_origin = self.topology.node == route.origin;
        let feeder = if in_origin { route.source as usize } else { self.topology.peers().start };
        check((feeder as u32, self.topology.member(feeder).tcp), &header, &heard[..HEADER])?;
        if in_origin && self.topology.leads() && self.links_needed() {
            self.compare(route, &header, heard[HEADER])?;
        }
        Ok(heard[HEADER])
    }

    /// First workers send each other their headers and lengths; returns that of the source's node.
    fn compare(&mut self, route: &Route, header: &[u64; HEADER], length: u64) -> Result<u64, Error> {
        let (own, nodes) = (self.topology.node, self.topology.nodes.len());
        self.control.clear();
        self.control.extend(header.iter().chain([&length]));
        let (memory, reduced) = self.memory.split(0..0);
        let exchange = Exchange {
            script: Script::new(nodes, 0, true),
            node: own,
            subtrees: &vec![1; nodes],
            links: &self.links,
            control: &self.control,
            header_words: HEADER,
            tally_words: 1,
            vectors: &[],
            memory,
            reduced,
            total: &Fold::default(),
        };
        let links = &self.links;
        exchange.run(&mut self.inbox, &self.abort, |link, theirs| check(links[link].peer(), header, theirs))?;
        Ok(if own == route.origin { length } else { self.inbox.control[link_of(route.origin, own)][HEADER] })
    }

    /// Takes in the parcel that is `range` of the payload, and hands it on.
    ///
    /// Parcels take turns in shared memory: everybody has copied one before the barrier of the next, and the one
    /// after that is written behind it.
    fn pass(&mut self, route: &Route, turn: usize, range: Range<usize>, payload: &mut Vec<u8>) -> Result<(), Error> {
        if !route.holds {
            payload.try_reserve(range.len()).map_err(system("take memory for a broadcast's payload"))?;
        }
        if let Some(link) = route.from {
            payload.resize(range.end, 0);
            self.links[link].receive_all(&mut payload[range.clone()], &self.abort)?;
        }
        if self.topology.peers().len() > 1 {
            let parcel = self.layout.parcel(turn);
            if route.feeds() {
                let (_, written) = self.memory.split(parcel.clone());
                bytes_mut(written)[..range.len()].copy_from_slice(&payload[range.clone()]);
            }
            self.memory.meet(&self.abort)?;
            if !route.feeds() {
                payload.extend_from_slice(&bytes(self.memory.read(parcel))[..range.len()]);
            }
        }
        match route.to {
            Some(link) => self.links[link].send_all(&payload[range], &self.abort),
            None => Ok(()),
        }
    }
}

/// A length that can be believed.
fn bounded(rank: u32, bytes: u64) -> Result<usize, Error> {
    let believed = usize::try_from(bytes).ok().filter(|_| bytes <= LIMIT);
    believed.ok_or(Error::TooLong { rank, bytes, limit: LIMIT })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_beyond_the_limit_are_not_believed() {
        assert_eq!(bounded(0, LIMIT).ok(), Some(64 << 30));
        assert!(matches!(bounded(3, LIMIT + 1), Err(Error::TooLong { rank: 3, .. })));
        assert!(bounded(0, u64::MAX).is_err());
    }
}

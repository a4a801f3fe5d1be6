//! Who reduces together, and how lanes are dealt to them.

use std::net::SocketAddr;
use std::ops::Range;

use crate::Error;

/// One worker of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name of its node; members of one node follow each other in rank.
    pub node: String,
    /// Address of its TCP listener, as other nodes reach it.
    pub tcp: SocketAddr,
    /// Name of its Unix listener in the abstract namespace.
    pub unix: String,
    /// Weight of its share of the lanes; 0 holds none.
    pub share: u32,
    /// Lane threads, at least 1.
    pub threads: u32,
}

/// The members of a generation in rank order, as one of them sees them.
#[derive(Clone, Debug)]
pub struct Membership {
    /// Number of the generation.
    pub generation: u64,
    /// Random id of the generation.
    pub generation_id: [u8; 16],
    /// Secret that members prove to know to each other.
    pub secret: [u8; 32],
    /// This worker's rank.
    pub rank: u32,
    /// All members; a member's rank is its index.
    pub members: Vec<Member>,
}

/// What a group reduces; the same for all members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// f32 elements of the gradient vector.
    pub parameters: usize,
    /// f64 sums of a tally.
    pub sums: usize,
    /// u64 counts of a tally.
    pub counts: usize,
    /// Lanes of the largest batch; reductions of tallies alone may have more.
    pub max_lanes: u32,
}

/// The ranks of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub ranks: Range<usize>,
}

/// A membership that has been checked, and what follows from it.
#[derive(Clone)]
pub(crate) struct Topology {
    pub membership: Membership,
    pub nodes: Vec<Node>,
    /// Index of this worker's node.
    pub node: usize,
}

impl Topology {
    pub(crate) fn new(membership: Membership) -> Result<Self, Error> {
        let nodes =
            check(&membership).map_err(|reason| Error::Membership { generation: membership.generation, reason })?;
        let rank = membership.rank as usize;
        let mut topology = Self { membership, nodes, node: 0 };
        topology.node = topology.node_of(rank);
        Ok(topology)
    }

    pub(crate) fn member(&self, rank: usize) -> &Member {
        &self.membership.members[rank]
    }

    pub(crate) fn rank(&self) -> usize {
        self.membership.rank as usize
    }

    /// Index of the node of `rank`, which must be a member's.
    pub(crate) fn node_of(&self, rank: usize) -> usize {
        self.nodes.iter().position(|node| node.ranks.contains(&rank)).expect("nodes cover all ranks")
    }

    /// Ranks of this worker's node.
    pub(crate) fn peers(&self) -> Range<usize> {
        self.nodes[self.node].ranks.clone()
    }

    /// Index of this worker in its node.
    pub(crate) fn seat(&self) -> usize {
        self.rank() - self.peers().start
    }

    /// Whether this is its node's first worker, which talks to other nodes.
    pub(crate) fn leads(&self) -> bool {
        self.seat() == 0
    }

    /// Lane threads of this worker's node.
    pub(crate) fn node_threads(&self) -> usize {
        self.peers().map(|rank| self.member(rank).threads as usize).sum()
    }

    /// The lanes of `rank`, of `lanes` in all: cut at the rounded-down cumulative shares.
    pub(crate) fn lanes_of(&self, rank: usize, lanes: u32) -> Range<u32> {
        let members = &self.membership.members;
        let total: u64 = members.iter().map(|member| u64::from(member.share)).sum();
        let before: u64 = members[..rank].iter().map(|member| u64::from(member.share)).sum();
        let cut = |share: u64| (u128::from(share) * u128::from(lanes) / u128::from(total)) as u32;
        cut(before)..cut(before + u64::from(members[rank].share))
    }

    /// The lanes of each thread of `rank`, cut evenly.
    pub(crate) fn hands_of(&self, rank: usize, lanes: u32) -> impl Iterator<Item = Range<u32>> {
        let range = self.lanes_of(rank, lanes);
        let threads = u64::from(self.member(rank).threads);
        let held = u64::from(range.end - range.start);
        let cut = move |thread: u64| range.start + (thread * held / threads) as u32;
        (0..threads).map(move |thread| cut(thread)..cut(thread + 1))
    }
}

fn check(membership: &Membership) -> Result<Vec<Node>, String> {
    let members = &membership.members;
    if membership.rank as usize >= members.len() {
        return Err(format!("rank {} of {} members", membership.rank, members.len()));
    }
    if members.iter().all(|member| member.share == 0) {
        return Err("nobody has a share of the lanes".into());
    }
    if let Some(rank) = members.iter().position(|member| member.threads == 0) {
        return Err(format!("rank {rank} has no threads"));
    }
    let mut nodes: Vec<Node> = Vec::new();
    for (rank, member) in members.iter().enumerate() {
        let known = nodes.iter().position(|node| members[node.ranks.start].node == member.node);
        match known {
            Some(index) if index + 1 == nodes.len() => nodes[index].ranks.end = rank + 1,
            Some(_) => return Err(format!("the members of node {} do not follow each other", member.node)),
            None => nodes.push(Node { ranks: rank..rank + 1 }),
        }
    }
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(members: &[(&str, u32, u32)]) -> Result<Topology, Error> {
        let member = |&(node, share, threads): &(&str, u32, u32)| Member {
            node: node.into(),
            tcp: ([127, 0, 0, 1], 1).into(),
            unix: String::new(),
            share,
            threads,
        };
        let members = members.iter().map(member).collect();
        Topology::new(Membership { generation: 7, generation_id: [0; 16], secret: [0; 32], rank: 1, members })
    }

    #[test]
    fn lanes_follow_shares_and_threads() {
        let topology = topology(&[("a", 1, 1), ("b", 2, 3), ("b", 0, 1)]).unwrap();
        assert_eq!([0, 1, 2].map(|rank| topology.lanes_of(rank, 10)), [0..3, 3..10, 10..10]);
        assert_eq!(topology.hands_of(1, 10).collect::<Vec<_>>(), [3..5, 5..7, 7..10]);
        assert_eq!((topology.peers(), topology.leads(), topology.node_threads()), (1..3, true, 4));
    }

    #[test]
    fn contradictions_are_named() {
        let reason = |members: &[(&str, u32, u32)]| topology(members).err().unwrap().to_string();
        assert!(reason(&[("a", 1, 1)]).contains("rank 1 of 1 members"));
        assert!(reason(&[("a", 0, 1), ("a", 0, 1)]).contains("nobody has a share"));
        assert!(reason(&[("a", 1, 1), ("a", 1, 0)]).contains("rank 1 has no threads"));
        assert!(reason(&[("a", 1, 1), ("b", 1, 1), ("a", 1, 1)]).contains("node a do not follow"));
    }
}

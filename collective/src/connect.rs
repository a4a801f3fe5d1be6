//! Which members connect to which, and what a finished connection is.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::Error;
use crate::handshake::Role;
use crate::membership::Topology;

/// A connection between this node's first worker and another's.
pub(crate) struct Link {
    /// Index of the other node.
    pub node: usize,
    pub rank: u32,
    pub address: SocketAddr,
    pub socket: OwnedFd,
}

impl Link {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> (u32, SocketAddr) {
        (self.rank, self.address)
    }

    pub(crate) fn lost(&self, source: io::Error) -> Error {
        Error::Lost { rank: self.rank, address: self.address, source }
    }
}

/// Role and rank of the member at the other end.
pub(crate) type Peer = (Role, u32);

/// Connections that a member must have before a generation can start.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Members that connect to this one.
    pub accept: Vec<Peer>,
    /// Members that this one connects to.
    pub connect: Vec<Peer>,
}

impl Wanted {
    /// First workers of nodes connect to those of all nodes before theirs; other workers to their node's first.
    pub(crate) fn of(topology: &Topology) -> Self {
        let peers = topology.peers();
        if !topology.leads() {
            return Self { accept: Vec::new(), connect: vec![(Role::Unix, peers.start as u32)] };
        }
        let first = |nodes: &[crate::membership::Node]| -> Vec<Peer> {
            nodes.iter().map(|node| (Role::Tcp, node.ranks.start as u32)).collect()
        };
        let mut accept = first(&topology.nodes[topology.node + 1..]);
        accept.extend((peers.start + 1..peers.end).map(|rank| (Role::Unix, rank as u32)));
        Self { accept, connect: first(&topology.nodes[..topology.node]) }
    }
}

/// Connections in node order, from the finished ones.
pub(crate) fn links(topology: &Topology, finished: &mut BTreeMap<Peer, OwnedFd>) -> Vec<Link> {
    let nodes = topology.nodes.iter().enumerate();
    let link = |(node, ranks): (usize, &crate::membership::Node)| {
        let rank = ranks.ranks.start as u32;
        let socket = finished.remove(&(Role::Tcp, rank))?;
        Some(Link { node, rank, address: topology.member(ranks.ranks.start).tcp, socket })
    };
    nodes.filter_map(link).collect()
}

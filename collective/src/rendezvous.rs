//! Brings the members of a generation together, whoever else knocks.
//!
//! One loop looks after both listeners and all conversations, so a silent or lying connection delays nobody;
//! whatever is not a member of this very generation is dropped and logged, and members are tried again until
//! the time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::connect::{Peer, Wanted};
use crate::conversation::{Conversation, Expected, Outcome};
use crate::endpoint::{Endpoint, random};
use crate::error::system;
use crate::handshake::{Hello, Role};
use crate::membership::Topology;
use crate::{Error, handshake};

/// The abort flag and deadlines are looked at this often.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Time between two tries to reach a member, which may still be busy with an earlier generation.
const RETRY: Duration = Duration::from_millis(10);

/// Accepted connections under way; beyond, the oldest is dropped.
const CROWD: usize = 128;

/// What the members share once they have met.
#[derive(Default)]
pub(crate) struct Met {
    pub sockets: BTreeMap<Peer, OwnedFd>,
    /// The node's shared memory, if another worker made it.
    pub memory: Option<OwnedFd>,
}

/// The meeting of one generation.
pub(crate) struct Rendezvous<'a> {
    pub endpoint: &'a Endpoint,
    pub topology: &'a Topology,
    pub wanted: &'a Wanted,
    pub expected: Expected<'a>,
}

struct State {
    met: Met,
    conversations: Vec<Conversation>,
    next_try: BTreeMap<Peer, Instant>,
    /// Peers of which it was told that a connection was dropped; `None` stands for all that were accepted.
    told: BTreeSet<Option<Peer>>,
}

impl Rendezvous<'_> {
    /// Ends when all wanted connections stand, or `budget` is spent, or `abort` is set.
    pub(crate) fn run(&self, budget: Duration, abort: &AtomicBool) -> Result<Met, Error> {
        let started = Instant::now();
        let next_try = self.wanted.connect.iter().map(|&peer| (peer, started)).collect();
        let mut state = State { met: Met::default(), conversations: Vec::new(), next_try, told: BTreeSet::new() };
        loop {
            let missing: Vec<Peer> = self.missing(&state.met).collect();
            if missing.is_empty() {
                return Ok(state.met);
            }
            if abort.load(Ordering::Relaxed) {
                return Err(Error::Aborted);
            }
            if started.elapsed() > budget {
                return Err(self.too_late(budget, &missing));
            }
            self.start(&mut state)?;
            self.wait(&state)?;
            self.accept(&mut state)?;
            self.advance(&mut state);
            thin(&mut state.conversations);
        }
    }

    fn missing(&self, met: &Met) -> impl Iterator<Item = Peer> {
        let wanted = self.wanted.accept.iter().chain(&self.wanted.connect).copied();
        wanted.filter(|peer| !met.sockets.contains_key(peer))
    }

    fn too_late(&self, budget: Duration, missing: &[Peer]) -> Error {
        let name = |&(role, rank): &Peer| {
            let member = self.topology.member(rank as usize);
            match role {
                Role::Tcp => format!("rank {rank} at {}", member.tcp),
                Role::Unix => format!("rank {rank} at Unix socket @{}", member.unix),
            }
        };
        let rank = missing.first().map_or(self.expected.rank, |&(_, rank)| rank);
        let missing = missing.iter().map(name).collect::<Vec<_>>().join(", ");
        Error::Missing { generation: self.expected.generation, budget, rank, missing }
    }

    /// Starts connections to members that are due.
    fn start(&self, state: &mut State) -> Result<(), Error> {
        let now = Instant::now();
        let due: Vec<Peer> = state.next_try.iter().filter(|&(_, &at)| at <= now).map(|(&peer, _)| peer).collect();
        for peer in due {
            match self.connect(peer)? {
                Ok(conversation) => {
                    state.next_try.remove(&peer);
                    state.conversations.push(conversation);
                }
                Err(errno) => {
                    tracing::debug!(rank = peer.1, %errno, "cannot connect yet");
                    state.next_try.insert(peer, now + RETRY);
                }
            }
        }
        Ok(())
    }

    /// Asks the system to connect; its refusal is an inner error.
    fn connect(&self, (role, rank): Peer) -> Result<Result<Conversation, Errno>, Error> {
        let member = self.topology.member(rank as usize);
        let hello = Hello {
            role,
            generation: self.expected.generation,
            generation_id: self.expected.generation_id,
            from: self.expected.rank,
            to: rank,
            nonce: random::<{ handshake::NONCE }>()?,
        };
        let family = match role {
            Role::Unix => AddressFamily::UNIX,
            Role::Tcp if member.tcp.is_ipv4() => AddressFamily::INET,
            Role::Tcp => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None).map_err(system("make a socket"))?;
        let asked = match role {
            Role::Tcp => connect(&socket, &member.tcp),
            Role::Unix => {
                SocketAddrUnix::new_abstract_name(member.unix.as_bytes()).and_then(|address| connect(&socket, &address))
            }
        };
        Ok(match asked {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Conversation::connecting(socket, hello)),
            Err(errno) => Err(errno),
        })
    }

    fn wait(&self, state: &State) -> Result<(), Error> {
        let mut watched = Vec::with_capacity(state.conversations.len() + 2);
        watched.push(PollFd::new(&self.endpoint.listener, PollFlags::IN));
        watched.push(PollFd::new(&self.endpoint.unix_listener, PollFlags::IN));
        watched.extend(state.conversations.iter().map(|talk| PollFd::new(&talk.socket, talk.flags())));
        match poll(&mut watched, Some(&TICK)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(system("wait for connections")(errno)),
        }
    }

    /// Takes what the listeners have, or a part of it. Errors of single connections are their own.
    fn accept(&self, state: &mut State) -> Result<(), Error> {
        for _ in 0..CROWD {
            let accepted = match (self.endpoint.listener.accept(), self.endpoint.unix_listener.accept()) {
                (Err(_), Err(_)) => return Ok(()),
                (tcp, unix) => [
                    tcp.ok().map(|(socket, _)| (OwnedFd::from(socket), Role::Tcp)),
                    unix.ok().map(|(socket, _)| (OwnedFd::from(socket), Role::Unix)),
                ],
            };
            for (socket, role) in accepted.into_iter().flatten() {
                state.conversations.push(Conversation::accepted(socket, role, random()?));
            }
        }
        Ok(())
    }

    fn advance(&self, state: &mut State) {
        let now = Instant::now();
        for mut talk in std::mem::take(&mut state.conversations) {
            match talk.advance(&self.expected) {
                Ok(Outcome::Waiting) if talk.deadline > now => state.conversations.push(talk),
                Ok(Outcome::Waiting) => give_up(state, &talk, "it took too long"),
                Ok(Outcome::Finished(peer, memory)) => {
                    if peer.0 == Role::Tcp {
                        // A refusal costs speed only.
                        let _ = sockopt::set_tcp_nodelay(&talk.socket, true);
                        let _ = rustix::io::ioctl_fionbio(&talk.socket, true);
                    }
                    state.met.memory = memory.or(state.met.memory.take());
                    state.met.sockets.insert(peer, talk.socket);
                }
                Err(reason) => give_up(state, &talk, &reason),
            }
        }
    }
}

/// Drops the oldest of too many accepted connections that have been heard but not proved themselves.
fn thin(conversations: &mut Vec<Conversation>) {
    let accepted = conversations.iter().filter(|talk| talk.to.is_none()).count();
    let mut excess = accepted.saturating_sub(CROWD);
    if excess > 0 {
        tracing::warn!("dropped the oldest {excess} of {accepted} connections that had not proved themselves");
    }
    conversations.retain(|talk| {
        let dropped = talk.to.is_none() && excess > 0;
        excess -= usize::from(dropped);
        !dropped
    });
}

/// Drops a connection; if it was one of ours, it is tried again. Warns once: members that change to another
/// generation a little later than others cause many.
fn give_up(state: &mut State, talk: &Conversation, reason: &str) {
    let what = match talk.to {
        Some((_, rank)) => format!("a connection to rank {rank}; trying again"),
        None => "a connection that is none of this generation".into(),
    };
    if state.told.insert(talk.to) {
        tracing::warn!(reason, "dropped {what}");
    } else {
        tracing::debug!(reason, "dropped {what}");
    }
    if let Some(peer) = talk.to {
        state.next_try.insert(peer, Instant::now() + RETRY);
    }
}

//! One reduction between nodes, as the first worker of a node drives it over its TCP connections.
//!
//! Sockets don't block: one thread sends and receives whatever is ready on any of them, so no order of
//! arrivals and no size of the system's buffers can make two nodes wait for each other.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lockstep_kernels::shared_memory::{Rest, Stores, bytes, bytes_mut};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};

use crate::Error;
use crate::connect::Link;
use crate::error::system;
use crate::script::{Item, Script};
use crate::tree::Fold;
use crate::vector::Scratch;

/// Fruitless looks at all sockets before the thread sleeps in `poll` (about 100 µs when nobody else runs).
pub(crate) const LOOKS: u32 = 100;

/// A sleeping thread looks at the abort flag this often.
pub(crate) const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Items that one call may send.
const GATHER: usize = 8;

/// Memory of a node's connections that lasts from one reduction to the next.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Control words of each link.
    pub control: Vec<Vec<u64>>,
    parts: Vec<Vec<f32>>,
    scratch: Scratch,
}

/// What a reduction between nodes works on.
pub(crate) struct Exchange<'a> {
    pub script: Script,
    /// Index of this node, and numbers of maximal subtrees of all nodes.
    pub node: usize,
    pub subtrees: &'a [usize],
    pub links: &'a [Link],
    /// Control words to send.
    pub control: &'a [u64],
    /// Words of a control message before the tallies, and of a tally.
    pub header_words: usize,
    pub tally_words: usize,
    /// This node's maximal subtrees, where they lie.
    pub vectors: &'a [Range<usize>],
    pub memory: Rest<'a>,
    /// The whole result, and how it is added up.
    pub reduced: &'a mut [f32],
    pub total: &'a Fold,
}

/// How far a link has come: items done, and bytes of the item under way.
#[derive(Clone, Copy, Default)]
struct Cursor {
    item: usize,
    bytes: usize,
}

struct Progress {
    sent: Vec<Cursor>,
    received: Vec<Cursor>,
    /// Links whose tag was found to be ours.
    checked: Vec<bool>,
    folded: usize,
}

impl Exchange<'_> {
    /// Sends, receives and folds until the result is complete on this node and sent to the others.
    pub(crate) fn run(
        mut self,
        inbox: &mut Inbox,
        abort: &AtomicBool,
        check: impl Fn(usize, &[u64]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.prepare(inbox);
        let links = self.links.len();
        let mut progress = Progress {
            sent: vec![Cursor::default(); links],
            received: vec![Cursor::default(); links],
            checked: vec![false; links],
            folded: 0,
        };
        let mut idle = 0;
        loop {
            if abort.load(Ordering::Relaxed) {
                return Err(Error::Aborted);
            }
            let mut moved = false;
            for link in 0..links {
                moved |= self.send(link, &mut progress)?;
                moved |= self.receive(link, &mut progress, inbox)?;
                let (cursor, header) = (progress.received[link], self.header_words);
                if !progress.checked[link] && (cursor.item > 0 || cursor.bytes >= header * size_of::<u64>()) {
                    // Before the rest is believed: in another reduction its length would be another, too.
                    check(link, &inbox.control[link][..header])?;
                    progress.checked[link] = true;
                }
            }
            while self.fold(&mut progress, inbox) {
                moved = true;
            }
            if (0..links).all(|link| self.done(link, &progress)) {
                return Ok(());
            }
            idle = if moved { 0 } else { idle + 1 };
            if idle > 0 {
                self.pause(idle, &progress)?;
            }
        }
    }

    fn prepare(&self, inbox: &mut Inbox) {
        inbox.control.resize_with(self.links.len(), Vec::new);
        inbox.parts.resize_with(self.links.len(), Vec::new);
        for (index, link) in self.links.iter().enumerate() {
            let subtrees = self.subtrees[link.node];
            inbox.control[index].resize(self.header_words + subtrees * self.tally_words, 0);
            let needed = self.script.window() * subtrees * self.script.part_len();
            if inbox.parts[index].len() < needed {
                inbox.parts[index].resize(needed, 0.0);
            }
        }
    }

    fn outgoing(&self, link: usize, item: usize) -> Option<Item> {
        self.script.item(item, (self.node, self.vectors.len()), self.links[link].node)
    }

    fn incoming(&self, link: usize, item: usize) -> Option<Item> {
        let sender = self.links[link].node;
        self.script.item(item, (sender, self.subtrees[sender]), self.node)
    }

    fn done(&self, link: usize, progress: &Progress) -> bool {
        self.outgoing(link, progress.sent[link].item).is_none()
            && self.incoming(link, progress.received[link].item).is_none()
            && progress.folded == self.script.rounds()
    }

    /// The bytes of an outgoing item; `None` if it is not known yet.
    fn outgoing_bytes(&self, item: &Item, folded: usize) -> Option<&[u8]> {
        match item {
            Item::Control => Some(bytes(self.control)),
            Item::Part { subtree, range, .. } => {
                let start = self.vectors[*subtree].start;
                Some(bytes(self.memory.read(start + range.start..start + range.end)))
            }
            Item::Result { range, .. } if range.is_empty() => Some(&[]),
            Item::Result { range, chunk } => (*chunk < folded).then(|| bytes(&self.reduced[range.clone()])),
        }
    }

    /// Sends what can be sent to a link; whether anything was.
    fn send(&self, link: usize, progress: &mut Progress) -> Result<bool, Error> {
        let folded = progress.folded;
        let cursor = &mut progress.sent[link];
        let mut moved = false;
        loop {
            let mut gathered = [IoSlice::new(&[]); GATHER];
            let (mut count, mut total) = (0, 0);
            let ready = (cursor.item..).map_while(|index| self.outgoing_bytes(&self.outgoing(link, index)?, folded));
            for (slot, bytes) in gathered.iter_mut().zip(ready) {
                let bytes = if count == 0 { &bytes[cursor.bytes..] } else { bytes };
                *slot = IoSlice::new(bytes);
                total += bytes.len();
                count += 1;
            }
            if total == 0 {
                // Items without bytes: nothing to send, but done.
                *cursor = Cursor { item: cursor.item + count, bytes: if count > 0 { 0 } else { cursor.bytes } };
                if count == GATHER {
                    continue;
                }
                return Ok(moved || count > 0);
            }
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let sent =
                match sendmsg(&self.links[link].socket, &gathered[..count], &mut SendAncillaryBuffer::default(), flags)
                {
                    Ok(sent) => sent,
                    Err(Errno::AGAIN | Errno::INTR) => return Ok(moved),
                    Err(errno) => return Err(self.links[link].lost(errno.into())),
                };
            moved = true;
            advance(cursor, sent, gathered[..count].iter().map(|slice| slice.len()));
            if sent < total {
                return Ok(true);
            }
        }
    }

    /// Where an incoming item goes; `None` if there is no room for it yet.
    fn incoming_bytes<'b>(
        &'b mut self,
        link: usize,
        item: &Item,
        folded: usize,
        inbox: &'b mut Inbox,
    ) -> Option<&'b mut [u8]> {
        match item {
            Item::Control => Some(bytes_mut(&mut inbox.control[link])),
            Item::Part { range, .. } if range.is_empty() => Some(&mut []),
            Item::Part { range, round, subtree } => {
                let (window, len) = (self.script.window(), range.len());
                if *round >= folded + window {
                    return None;
                }
                let row = (round % window) * self.subtrees[self.links[link].node] + subtree;
                let start = row * self.script.part_len();
                Some(bytes_mut(&mut inbox.parts[link][start..start + len]))
            }
            Item::Result { range, .. } => Some(bytes_mut(&mut self.reduced[range.clone()])),
        }
    }

    /// Takes in what a link has for us; whether there was anything.
    fn receive(&mut self, link: usize, progress: &mut Progress, inbox: &mut Inbox) -> Result<bool, Error> {
        let folded = progress.folded;
        let cursor = &mut progress.received[link];
        let mut moved = false;
        while let Some(item) = self.incoming(link, cursor.item) {
            let links = self.links;
            let Some(place) = self.incoming_bytes(link, &item, folded, inbox) else { break };
            if cursor.bytes < place.len() {
                match recv(&links[link].socket, &mut place[cursor.bytes..], RecvFlags::DONTWAIT) {
                    Ok((_, 0)) => return Err(links[link].lost(io::ErrorKind::UnexpectedEof.into())),
                    Ok((_, count)) => cursor.bytes += count,
                    Err(Errno::AGAIN | Errno::INTR) => break,
                    Err(errno) => return Err(links[link].lost(errno.into())),
                }
            }
            moved = true;
            if cursor.bytes < place.len() {
                break;
            }
            *cursor = Cursor { item: cursor.item + 1, bytes: 0 };
            if item == Item::Control {
                // The tag is looked at before anything else is taken in.
                break;
            }
        }
        Ok(moved)
    }

    /// Folds the next chunk if all its parts are here; whether they were.
    fn fold(&mut self, progress: &mut Progress, inbox: &mut Inbox) -> bool {
        let chunk = progress.folded;
        let here = |(link, cursor): (&Link, &Cursor)| {
            cursor.item >= self.script.items_before_fold(chunk, self.subtrees[link.node])
        };
        if chunk == self.script.rounds() || !self.links.iter().zip(&progress.received).all(here) {
            return false;
        }
        let Self { script, node, subtrees, vectors, memory, reduced, .. } = self;
        let range = script.chunk(*node, chunk);
        let row = chunk % script.window();
        let parts = &inbox.parts;
        inbox.scratch.fold(self.total, &mut reduced[range.clone()], Stores::Cached, |source, part| {
            let (owner, subtree) = locate(subtrees, source);
            if owner == *node {
                let start = vectors[subtree].start + range.start;
                return memory.read(start + part.start..start + part.end);
            }
            let start = (row * subtrees[owner] + subtree) * script.part_len();
            &parts[link_of(owner, *node)][start + part.start..start + part.end]
        });
        progress.folded += 1;
        true
    }

    /// Nothing moved: gives the core away, and after a while sleeps until a socket is ready.
    fn pause(&self, idle: u32, progress: &Progress) -> Result<(), Error> {
        if idle < LOOKS {
            thread::yield_now();
            return Ok(());
        }
        let mut watched = Vec::with_capacity(self.links.len());
        for (index, link) in self.links.iter().enumerate() {
            let mut flags = PollFlags::empty();
            if self.incoming(index, progress.received[index].item).is_some() {
                flags |= PollFlags::IN;
            }
            let next = self.outgoing(index, progress.sent[index].item);
            if next.is_some_and(|item| self.outgoing_bytes(&item, progress.folded).is_some()) {
                flags |= PollFlags::OUT;
            }
            if !flags.is_empty() {
                watched.push(PollFd::new(&link.socket, flags));
            }
        }
        match poll(&mut watched, Some(&NAP)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(system("wait for sockets")(errno)),
        }
    }
}

/// Node, and index among its own, of maximal subtree number `source` of all.
fn locate(subtrees: &[usize], mut source: usize) -> (usize, usize) {
    for (node, &count) in subtrees.iter().enumerate() {
        if source < count {
            return (node, source);
        }
        source -= count;
    }
    unreachable!("the fold has as many sources as there are maximal subtrees")
}

/// Links are in node order, without this node.
pub(crate) fn link_of(node: usize, own: usize) -> usize {
    if node < own { node } else { node - 1 }
}

/// Moves a cursor over `sent` bytes of items with the given lengths (the first counted from the cursor).
fn advance(cursor: &mut Cursor, mut sent: usize, lengths: impl Iterator<Item = usize>) {
    for length in lengths {
        if sent < length {
            cursor.bytes += sent;
            return;
        }
        sent -= length;
        *cursor = Cursor { item: cursor.item + 1, bytes: 0 };
    }
}

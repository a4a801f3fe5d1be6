//! One connection on its way through the handshake, advanced whenever its socket is ready.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv,
    recvmsg, sendmsg, sockopt,
};

use crate::connect::Peer;
use crate::handshake::{HELLO, Hello, Keys, NONCE, PROOF, REPLY, Role, Side};

/// Time that a connection may take for its handshake.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// What this worker takes for granted about a peer that connects.
pub(crate) struct Expected<'a> {
    pub keys: &'a Keys,
    pub generation: u64,
    pub generation_id: [u8; 16],
    pub rank: u32,
    /// Members that may connect to this worker.
    pub accept: &'a [Peer],
    /// Goes to members that connect for it.
    pub memory: Option<BorrowedFd<'a>>,
}

enum Stage {
    /// Waits for a hello; the socket came from the listener for this role.
    Hello(Role),
    /// Has replied; waits for the proof.
    Proof(Hello),
    /// The system is connecting.
    Connecting(Hello),
    /// Has said hello; waits for the reply.
    Reply(Hello),
    /// Has proved; waits to be taken.
    Taken(Hello),
}

/// What became of a conversation.
pub(crate) enum Outcome {
    /// It goes on; it is dropped at its deadline.
    Waiting,
    /// Both ends have proved; perhaps a descriptor came with it.
    Finished(Peer, Option<OwnedFd>),
}

/// A connection that is being authenticated.
pub(crate) struct Conversation {
    pub socket: OwnedFd,
    pub deadline: Instant,
    /// The peer that this worker connects to; `None` if it was accepted.
    pub to: Option<Peer>,
    stage: Stage,
    nonce: [u8; NONCE],
    buffer: [u8; HELLO],
    filled: usize,
}

impl Conversation {
    /// A connection that a listener for `role` accepted. `nonce` is fresh.
    pub(crate) fn accepted(socket: OwnedFd, role: Role, nonce: [u8; NONCE]) -> Self {
        Self::at(socket, None, Stage::Hello(role), nonce)
    }

    /// A connection that is being made to say `hello`.
    pub(crate) fn connecting(socket: OwnedFd, hello: Hello) -> Self {
        Self::at(socket, Some((hello.role, hello.to)), Stage::Connecting(hello), [0; NONCE])
    }

    fn at(socket: OwnedFd, to: Option<Peer>, stage: Stage, nonce: [u8; NONCE]) -> Self {
        let deadline = Instant::now() + TIMEOUT;
        Self { socket, deadline, to, stage, nonce, buffer: [0; HELLO], filled: 0 }
    }

    /// What to poll for.
    pub(crate) fn flags(&self) -> PollFlags {
        if matches!(self.stage, Stage::Connecting(_)) { PollFlags::OUT } else { PollFlags::IN }
    }

    /// Goes on as far as the socket allows. An error says why the connection is to be dropped.
    pub(crate) fn advance(&mut self, expected: &Expected) -> Result<Outcome, String> {
        loop {
            let next = match &self.stage {
                Stage::Hello(role) => self.hear_hello(*role, expected)?,
                Stage::Proof(hello) => return self.hear_proof(hello.clone(), expected),
                Stage::Connecting(hello) => self.say_hello(hello.clone())?,
                Stage::Reply(hello) => self.hear_reply(hello.clone(), expected)?,
                Stage::Taken(hello) => return self.hear_taken(hello.role, hello.to),
            };
            let Some(stage) = next else { return Ok(Outcome::Waiting) };
            self.stage = stage;
        }
    }

    fn hear_hello(&mut self, role: Role, expected: &Expected) -> Result<Option<Stage>, String> {
        let Some(bytes) = self.receive::<HELLO>()? else { return Ok(None) };
        let hello = Hello::decode(&bytes).ok_or("its first bytes are not a hello")?;
        if (hello.generation, hello.generation_id) != (expected.generation, expected.generation_id) {
            return Err(format!("it belongs to generation {} or another id", hello.generation));
        }
        if hello.role != role || hello.to != expected.rank || !expected.accept.contains(&(role, hello.from)) {
            return Err(format!("no connection of rank {} to rank {} is expected here", hello.from, hello.to));
        }
        let mut reply = [0; REPLY];
        reply[..NONCE].copy_from_slice(&self.nonce);
        reply[NONCE..].copy_from_slice(expected.keys.proof(Side::Accepting, &hello, &self.nonce).as_bytes());
        self.send(&reply)?;
        Ok(Some(Stage::Proof(hello)))
    }

    fn hear_proof(&mut self, hello: Hello, expected: &Expected) -> Result<Outcome, String> {
        let Some(proof) = self.receive::<PROOF>()? else { return Ok(Outcome::Waiting) };
        if !expected.keys.proves(&proof, Side::Connecting, &hello, &self.nonce) {
            return Err(format!("it does not know the secret of rank {}", hello.from));
        }
        match (hello.role, expected.memory) {
            (Role::Unix, Some(memory)) => send_descriptor(&self.socket, memory)?,
            _ => self.send(&[1])?,
        }
        Ok(Outcome::Finished((hello.role, hello.from), None))
    }

    fn say_hello(&mut self, hello: Hello) -> Result<Option<Stage>, String> {
        let writable = rustix::event::PollFd::new(&self.socket, PollFlags::OUT);
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if !matches!(rustix::event::poll(&mut [writable], Some(&now)), Ok(1..)) {
            return Ok(None);
        }
        sockopt::socket_error(&self.socket).and_then(|result| result).map_err(|errno| errno.to_string())?;
        self.send(&hello.encode())?;
        Ok(Some(Stage::Reply(hello)))
    }

    fn hear_reply(&mut self, hello: Hello, expected: &Expected) -> Result<Option<Stage>, String> {
        let Some(reply) = self.receive::<REPLY>()? else { return Ok(None) };
        let (nonce, proof) = reply.split_first_chunk::<NONCE>().expect("a reply begins with a nonce");
        let proof = proof.first_chunk::<PROOF>().expect("a reply ends with a proof");
        if !expected.keys.proves(proof, Side::Accepting, &hello, nonce) {
            return Err("it does not know the secret, or has another membership".into());
        }
        self.send(expected.keys.proof(Side::Connecting, &hello, nonce).as_bytes())?;
        Ok(Some(Stage::Taken(hello)))
    }

    fn hear_taken(&mut self, role: Role, rank: u32) -> Result<Outcome, String> {
        if role == Role::Tcp {
            let taken = self.receive::<1>()?;
            return Ok(taken.map_or(Outcome::Waiting, |_| Outcome::Finished((role, rank), None)));
        }
        match receive_descriptor(&self.socket)? {
            Some(descriptor) => Ok(Outcome::Finished((role, rank), Some(descriptor))),
            None => Ok(Outcome::Waiting),
        }
    }

    /// The next `N` bytes, once all are here; not one more is read.
    fn receive<const N: usize>(&mut self) -> Result<Option<[u8; N]>, String> {
        while self.filled < N {
            match recv(&self.socket, &mut self.buffer[self.filled..N], RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Err("it was closed".into()),
                Ok((_, count)) => self.filled += count,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
                Err(errno) => return Err(errno.to_string()),
            }
        }
        self.filled = 0;
        Ok(self.buffer.first_chunk().copied())
    }

    /// Sends a message that always fits a new socket's buffer.
    fn send(&self, message: &[u8]) -> Result<(), String> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::net::send(&self.socket, message, flags) {
            Ok(sent) if sent == message.len() => Ok(()),
            Ok(_) => Err("it does not take a short message".into()),
            Err(errno) => Err(errno.to_string()),
        }
    }
}

fn send_descriptor(socket: &OwnedFd, descriptor: BorrowedFd) -> Result<(), String> {
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(socket, &[IoSlice::new(&[1])], &mut ancillary, flags).map_err(|errno| errno.to_string())?;
    Ok(())
}

fn receive_descriptor(socket: &OwnedFd) -> Result<Option<OwnedFd>, String> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    match recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, flags) {
        Ok(message) if message.bytes == 0 => return Err("it was closed".into()),
        Ok(_) => {}
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(errno) => return Err(errno.to_string()),
    }
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    descriptor.map(Some).ok_or_else(|| "it passed no shared memory".into())
}

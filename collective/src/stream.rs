//! Runs of bytes over one connection, sent or taken in whole.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::Error;
use crate::connect::Link;
use crate::error::system;
use crate::exchange::{LOOKS, NAP};

impl Link {
    /// Sends all of `from`.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Aborted`]; part of it may have been sent.
    pub(crate) fn send_all(&self, from: &[u8], abort: &AtomicBool) -> Result<(), Error> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut sent = 0;
        while sent < from.len() {
            sent += self.when_ready(PollFlags::OUT, abort, || send(&self.socket, &from[sent..], flags))?;
        }
        Ok(())
    }

    /// Fills all of `to`, and takes in no more.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Aborted`]; part of it may have been filled.
    pub(crate) fn receive_all(&self, to: &mut [u8], abort: &AtomicBool) -> Result<(), Error> {
        let mut filled = 0;
        while filled < to.len() {
            let receive = || recv(&self.socket, &mut to[filled..], RecvFlags::DONTWAIT).map(|(_, count)| count);
            filled += match self.when_ready(PollFlags::IN, abort, receive)? {
                0 => return Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                count => count,
            };
        }
        Ok(())
    }

    /// Calls until the socket is ready for it: gives the core away meanwhile, and after a while sleeps.
    fn when_ready(
        &self,
        flags: PollFlags,
        abort: &AtomicBool,
        mut call: impl FnMut() -> rustix::io::Result<usize>,
    ) -> Result<usize, Error> {
        for tries in 1.. {
            if abort.load(Ordering::Relaxed) {
                return Err(Error::Aborted);
            }
            match call() {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN | Errno::INTR) if tries < LOOKS => thread::yield_now(),
                Err(Errno::AGAIN | Errno::INTR) => match poll(&mut [PollFd::new(&self.socket, flags)], Some(&NAP)) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(system("wait for a socket")(errno)),
                },
                Err(errno) => return Err(self.lost(errno.into())),
            }
        }
        unreachable!("it tries without end")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Both ends of a connection.
    fn pair() -> [Link; 2] {
        let (left, right) = UnixStream::pair().unwrap();
        [left, right].map(|socket| Link {
            node: 0,
            rank: 3,
            address: ([127, 0, 0, 1], 1).into(),
            socket: socket.into(),
        })
    }

    #[test]
    fn runs_longer_than_the_systems_buffers_arrive_whole() {
        let ([left, right], never) = (pair(), AtomicBool::new(false));
        let sent: Vec<u8> = (0..3_000_000u32).map(|index| (index ^ (index >> 8)) as u8).collect();
        let mut received = vec![0; sent.len() - 5];
        thread::scope(|scope| {
            scope.spawn(|| left.send_all(&sent, &never).unwrap());
            right.receive_all(&mut received, &never).unwrap();
            assert!(received == sent[..received.len()]);
            right.receive_all(&mut received[..5], &never).unwrap();
            assert_eq!(received[..5], sent[sent.len() - 5..]);
        });
    }

    #[test]
    fn a_closed_connection_is_lost_and_a_wait_can_be_aborted() {
        let ([left, right], never, set) = (pair(), AtomicBool::new(false), AtomicBool::new(true));
        assert!(matches!(left.receive_all(&mut [0], &set), Err(Error::Aborted)));
        drop(right);
        assert!(matches!(left.receive_all(&mut [0], &never), Err(Error::Lost { rank: 3, .. })));
        assert!(matches!(left.send_all(&[0], &never), Err(Error::Lost { rank: 3, .. })));
    }
}

//! A proxy that makes a server far away: what goes through it, either way, comes later.
//!
//! `cargo run --release --example delay -- 127.0.0.1:9000 20` prints its own address, and then answers with 20 ms more
//! between question and answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Bytes, and when they go on.
type Late = (Instant, Vec<u8>);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().context("the address of a server")?;
    let delay = Duration::from_millis(arguments.next().context("milliseconds")?.parse()?) / 2;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let (near, far) = (stream?, TcpStream::connect(&server)?);
        for end in [&near, &far] {
            end.set_nodelay(true)?;
        }
        for (from, to) in [(near.try_clone()?, far.try_clone()?), (far, near)] {
            let (sender, receiver) = channel();
            thread::spawn(move || take(from, &sender, delay));
            thread::spawn(move || give(to, &receiver));
        }
    }
    Ok(())
}

fn take(mut from: TcpStream, sender: &Sender<Late>, delay: Duration) -> Option<()> {
    let mut part = vec![0; 256 << 10];
    loop {
        match from.read(&mut part).ok()? {
            0 => return None,
            read => sender.send((Instant::now() + delay, part[..read].to_vec())).ok()?,
        }
    }
}

fn give(mut to: TcpStream, receiver: &Receiver<Late>) -> Option<()> {
    for (when, bytes) in receiver {
        thread::sleep(when.saturating_duration_since(Instant::now()));
        to.write_all(&bytes).ok()?;
    }
    to.shutdown(std::net::Shutdown::Write).ok()
}

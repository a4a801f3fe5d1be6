//! A TCP proxy between a node and the coordinator, which delays, stalls and cuts its connections by a seed.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::random::Random;

/// What one direction of a connection goes through next.
#[derive(Clone, Copy, Debug)]
pub struct Harm {
    /// Each piece is delayed by up to as many milliseconds.
    pub jitter: u64,
    /// After so many bytes it happens.
    pub after: u64,
    /// What happens.
    pub what: What,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// Both directions end.
    Cut,
    /// Nothing passes for this long.
    Stall(Duration),
}

/// Chooses harm.
pub type Choose = fn(&mut Random) -> Harm;

/// A node's way to the coordinator.
pub struct Proxy {
    /// Where the node finds it: `http://127.0.0.1:port`.
    pub address: String,
    weather: Arc<Weather>,
}

struct Weather {
    coordinator: String,
    seed: u64,
    choose: Choose,
    /// Fair before, and when there was enough.
    begun: AtomicBool,
    left: AtomicU32,
    happened: AtomicU32,
}

impl Proxy {
    /// Listens on a port of the kernel's choice. Harm of the seed's choice happens up to `most` times.
    pub fn start(coordinator: &str, seed: u64, most: u32, choose: Choose) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let coordinator = coordinator.trim_start_matches("http://").to_owned();
        let (begun, left, happened) = (AtomicBool::new(false), AtomicU32::new(most), AtomicU32::new(0));
        let weather = Arc::new(Weather { coordinator, seed, choose, begun, left, happened });
        let shared = weather.clone();
        std::thread::spawn(move || {
            for (number, node) in listener.incoming().map_while(Result::ok).enumerate() {
                connect(&node, number as u64, &shared);
            }
        });
        Self { address, weather }
    }

    /// From now on there is harm.
    pub fn begin(&self) {
        self.weather.begun.store(true, Ordering::Relaxed);
    }

    /// How often connections were cut or stalled.
    pub fn happened(&self) -> u32 {
        self.weather.happened.load(Ordering::Relaxed)
    }
}

/// Passes bytes both ways; without a coordinator the connection is closed.
fn connect(node: &TcpStream, number: u64, weather: &Arc<Weather>) {
    let Ok(coordinator) = TcpStream::connect(&weather.coordinator) else { return };
    // Small messages would wait for each other.
    [node, &coordinator].into_iter().for_each(|stream| stream.set_nodelay(true).unwrap());
    for (direction, from, to) in [(0, node, &coordinator), (1, &coordinator, node)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let random = Random::new(weather.seed, 2 * number + direction);
        let weather = weather.clone();
        std::thread::spawn(move || {
            // An error is the end of the connection.
            let _ = weather.pass_on(&from, &to, random);
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }
}

impl Weather {
    fn pass_on(&self, mut from: &TcpStream, mut to: &TcpStream, mut random: Random) -> std::io::Result<()> {
        let mut bytes = vec![0; 64 << 10];
        let mut harm = None;
        loop {
            harm = harm.or_else(|| self.begun.load(Ordering::Relaxed).then(|| (self.choose)(&mut random)));
            let most = harm.map_or(u64::MAX, |harm| harm.after).min(bytes.len() as u64);
            let count = from.read(&mut bytes[..most as usize])?;
            if count == 0 {
                return Ok(());
            }
            if let Some(Harm { jitter: 1.., .. }) = harm {
                let jitter = harm.map_or(0, |harm| harm.jitter);
                std::thread::sleep(Duration::from_micros(random.between(0, 1000 * jitter)));
            }
            to.write_all(&bytes[..count])?;
            let Some(chosen) = &mut harm else { continue };
            chosen.after -= count as u64;
            if chosen.after > 0 {
                continue;
            }
            match chosen.what {
                _ if !self.happens() => {}
                What::Cut => return Ok(()),
                What::Stall(time) => std::thread::sleep(time),
            }
            harm = None;
        }
    }

    /// Whether there was not enough harm yet.
    fn happens(&self) -> bool {
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        self.happened.fetch_add(left.is_ok().into(), Ordering::Relaxed);
        left.is_ok()
    }
}

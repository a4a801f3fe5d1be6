//! Where a worker can be reached by other workers, known before it knows them.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

use rustix::net::listen;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::Error;
use crate::error::system;

/// Connections that may wait at the TCP listener, as far as the system allows. Between two generations nobody
/// takes in what comes from earlier ones; were the queue full, a member's next try would be a second away.
const QUEUE: i32 = 4096;

/// A worker's listeners. One endpoint serves any number of generations, one after the other.
pub struct Endpoint {
    pub(crate) listener: TcpListener,
    pub(crate) unix_listener: UnixListener,
    address: SocketAddr,
    name: String,
}

impl Endpoint {
    /// Listens on a free port of `ip`, an address of this machine that other nodes reach, and on an abstract
    /// Unix socket with a random name.
    pub fn bind(ip: IpAddr) -> Result<Self, Error> {
        let refused = |source| Error::Bind { address: ip, source };
        let listener = TcpListener::bind((ip, 0)).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let name = format!("lockstep-{}", hex(&random::<16>()?));
        let open = || {
            let unix = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&name)?)?;
            listen(&listener, QUEUE)?;
            listener.set_nonblocking(true)?;
            unix.set_nonblocking(true)?;
            Ok(unix)
        };
        let unix_listener = open().map_err(system::<std::io::Error>("listen for other workers"))?;
        Ok(Self { listener, unix_listener, address, name })
    }

    /// The TCP address to report.
    pub fn tcp(&self) -> SocketAddr {
        self.address
    }

    /// The Unix name to report.
    pub fn unix(&self) -> &str {
        &self.name
    }
}

/// Bytes from the system's generator.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    // Up to 256 bytes are never cut short.
    getrandom(&mut bytes, GetRandomFlags::empty()).map_err(system("get random bytes"))?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! A TCP proxy between a node and the coordinator, whose connections can be cut and stalled.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// The proxy of one node.
pub struct Proxy {
    /// Where the node connects to.
    pub address: SocketAddr,
    cut: Arc<Notify>,
    stalled: watch::Sender<bool>,
}

impl Proxy {
    /// Listens on a port of the kernel's choice and passes on to `coordinator`.
    pub async fn start(coordinator: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let cut = Arc::new(Notify::new());
        let (stalled, stall) = watch::channel(false);
        let notify = cut.clone();
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                tokio::spawn(pass_on(node, coordinator, notify.clone(), stall.clone()));
            }
        });
        Ok(Self { address, cut, stalled })
    }

    /// Closes all connections that stand.
    pub fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// From now on nothing passes, or everything again.
    pub fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }
}

/// Passes bytes both ways until one end closes or the connection is cut.
async fn pass_on(node: TcpStream, coordinator: SocketAddr, cut: Arc<Notify>, stall: watch::Receiver<bool>) {
    let Ok(upstream) = TcpStream::connect(coordinator).await else { return };
    // Without it small messages wait for each other; a refusal costs time only.
    let _ = (node.set_nodelay(true), upstream.set_nodelay(true));
    let (node_in, node_out) = node.into_split();
    let (up_in, up_out) = upstream.into_split();
    tokio::select! {
        () = copy(node_in, up_out, stall.clone()) => {}
        () = copy(up_in, node_out, stall) => {}
        () = cut.notified() => {}
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut stall: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut bytes).await else { return };
        if stall.wait_for(|stalled| !stalled).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

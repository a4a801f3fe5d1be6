//! The stream to the coordinator, made anew whenever it is lost. Agents and workers share it.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use lockstep_proto::innermost;
use lockstep_proto::wire::cluster_client::ClusterClient;
use tokio::sync::mpsc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Before the first try to come back, and between two at most.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("not an address")]
    Address,
    #[error("{0}")]
    Unreachable(String),
}

type Client = ClusterClient<Channel>;
type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Opens a stream of `In` for what is sent of `Out`.
pub(crate) type Open<Out, In> = fn(Client, mpsc::UnboundedReceiver<Out>) -> Later<Result<Streaming<In>, Status>>;

/// What comes over a link.
pub(crate) enum Incoming<In> {
    /// There is a connection: what is sent from now on goes over it.
    Connected,
    /// The coordinator says something.
    Message(In),
    /// The connection is gone; another is tried for.
    Lost(String),
}

/// A stream that comes back.
pub(crate) struct Link<Out, In> {
    address: String,
    open: Open<Out, In>,
    delay: Duration,
    stage: Stage<Out, In>,
}

enum Stage<Out, In> {
    Connecting(Later<Client>),
    /// The other side answers once it has read the first message.
    Opening {
        client: Client,
        outbox: mpsc::UnboundedSender<Out>,
        stream: Later<Result<Streaming<In>, Status>>,
    },
    Standing {
        client: Client,
        outbox: mpsc::UnboundedSender<Out>,
        stream: Box<Streaming<In>>,
    },
}

impl<Out, In> Link<Out, In> {
    /// A link to the coordinator at `address`, which is tried for until it is there.
    pub(crate) fn new(address: &str, open: Open<Out, In>) -> Self {
        let stage = Stage::Connecting(Box::pin(come_back(address.to_owned(), Duration::ZERO)));
        Self { address: address.to_owned(), open, delay: FIRST_DELAY, stage }
    }

    /// The same over a connection that stands.
    pub(crate) fn over(client: Client, address: &str, open: Open<Out, In>) -> Self {
        let stage = Stage::Connecting(Box::pin(std::future::ready(client)));
        Self { address: address.to_owned(), open, delay: FIRST_DELAY, stage }
    }

    /// What comes next. Nothing is lost if the call is given up.
    pub(crate) async fn next(&mut self) -> Incoming<In> {
        loop {
            match &mut self.stage {
                Stage::Connecting(client) => {
                    let client = client.await;
                    let (outbox, messages) = mpsc::unbounded_channel();
                    let stream = (self.open)(client.clone(), messages);
                    self.stage = Stage::Opening { client, outbox, stream };
                    return Incoming::Connected;
                }
                Stage::Opening { client, outbox, stream } => match stream.await {
                    Ok(stream) => {
                        let (client, outbox) = (client.clone(), outbox.clone());
                        self.stage = Stage::Standing { client, outbox, stream: Box::new(stream) };
                    }
                    Err(status) => return self.lost(in_words(&status)),
                },
                Stage::Standing { stream, .. } => match stream.message().await {
                    Ok(Some(message)) => {
                        self.delay = FIRST_DELAY;
                        return Incoming::Message(message);
                    }
                    Ok(None) => return self.lost("the stream ended".into()),
                    Err(status) => return self.lost(in_words(&status)),
                },
            }
        }
    }

    fn lost(&mut self, reason: String) -> Incoming<In> {
        self.stage = Stage::Connecting(Box::pin(come_back(self.address.clone(), self.delay)));
        self.delay = (2 * self.delay).min(LONGEST_DELAY);
        Incoming::Lost(reason)
    }

    /// Sends a message, if there is a connection.
    pub(crate) fn send(&self, message: Out) {
        match &self.stage {
            Stage::Connecting(_) => {}
            // A closed channel shows as the end of the stream.
            Stage::Opening { outbox, .. } | Stage::Standing { outbox, .. } => drop(outbox.send(message)),
        }
    }

    /// For other calls over the same connection, if there is one.
    pub(crate) fn client(&self) -> Option<Client> {
        match &self.stage {
            Stage::Connecting(_) => None,
            Stage::Opening { client, .. } | Stage::Standing { client, .. } => Some(client.clone()),
        }
    }

    /// Where it leads.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// What the other side says, or what became of the connection.
fn in_words(status: &Status) -> String {
    if status.source().is_some() { innermost(status) } else { status.message().to_owned() }
}

/// Connects, for ever; `delay` before the first try.
async fn come_back(address: String, mut delay: Duration) -> Client {
    loop {
        tokio::time::sleep(delay + jitter(delay)).await;
        match connect(&address).await {
            Ok(client) => return client,
            Err(error) => tracing::debug!(%address, %error, "no coordinator yet"),
        }
        delay = (2 * delay).clamp(FIRST_DELAY, LONGEST_DELAY);
    }
}

/// Up to a quarter of `delay`, so that those who lost a coordinator together do not come back together.
fn jitter(delay: Duration) -> Duration {
    let mut byte = [0];
    // Without randomness there is no jitter.
    let _ = rustix::rand::getrandom(&mut byte, rustix::rand::GetRandomFlags::empty());
    delay * u32::from(byte[0]) / 1024
}

/// A client of the coordinator, with its connection watched.
///
/// # Errors
/// If the address is none or nobody answers.
pub(crate) async fn connect(address: &str) -> Result<Client, ConnectError> {
    let endpoint = Endpoint::from_shared(address.to_owned()).ok();
    let endpoint = endpoint
        .filter(|endpoint| endpoint.uri().scheme().is_some() && endpoint.uri().host().is_some())
        .ok_or(ConnectError::Address)?
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await.map_err(|error| ConnectError::Unreachable(innermost(&error)))?;
    Ok(ClusterClient::new(channel))
}

//! What an agent's and a worker's stream have in common: the introduction, and messages passed on until the end.

use lockstep_proto::identity::Malformed;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, Streaming};

use super::checked;
use super::service::Service;
use crate::cluster::{Connection, Event};
use crate::keeper::{Outlet, Request, Stream};

impl Service {
    /// Brings a peer's hello before the keeper; gives the connection's number if it is welcome.
    pub(super) async fn introduce(
        &self,
        stream: Stream,
        joined: impl FnOnce(Connection) -> Event,
    ) -> Result<Option<Connection>, Status> {
        let (admitted, verdict) = oneshot::channel();
        let connection = self.connection();
        let (outlet, event) = (Outlet { stream, admitted }, joined(connection));
        self.send(Request::Connect { connection, outlet, event }).await?;
        Ok(verdict.await.unwrap_or(false).then_some(connection))
    }

    /// Passes a welcome peer's messages to the keeper until its stream ends; gives the cause, or none when the server
    /// itself is over.
    pub(super) async fn pass_on<M, C>(
        &self,
        mut inbound: Streaming<M>,
        errors: &mpsc::WeakSender<Result<C, Status>>,
        request: impl Fn(M) -> Result<Option<Request>, Malformed>,
    ) -> Option<String> {
        loop {
            let message = tokio::select! {
                message = inbound.message() => message,
                () = self.over.cancelled() => return None,
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Some("its connection was closed".to_owned()),
                Err(status) => return Some(checked::cause(&status)),
            };
            let handled = match request(message) {
                Ok(None) => Ok(()),
                Ok(Some(request)) => self.send(request).await,
                Err(malformed) => Err(checked::status(malformed)),
            };
            if let Err(status) = handled {
                let cause = status.message().to_owned();
                checked::complain(errors, status);
                return Some(cause);
            }
        }
    }
}

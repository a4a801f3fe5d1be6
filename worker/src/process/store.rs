//! A file on its way into the run folder.

use std::error::Error;

use lockstep_proto::wire::{self, cluster_client::ClusterClient};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::control::{Event, Weights};
use crate::trainer::sha256_hex;

/// Bytes of a file in one message.
const CHUNK: usize = 1 << 20;

/// Who stores for which job.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) job: String,
    pub(super) worker: String,
}

/// Stores the weights as `final/model.safetensors`; what came of it is the event of this attempt.
pub(super) async fn store(
    client: Option<ClusterClient<Channel>>,
    sender: Sender,
    attempt: u64,
    weights: Weights,
) -> Event {
    let Some(mut client) = client else {
        return Event::WeightsNotStored { attempt, reason: "there is no connection".into(), lost: true };
    };
    let chunks = chunks("final/model.safetensors", &weights.0, &sender);
    match client.put_file(tokio_stream::iter(chunks)).await {
        Ok(_) => Event::WeightsStored { attempt },
        Err(status) => {
            Event::WeightsNotStored { attempt, reason: status.message().into(), lost: is_of_connection(&status) }
        }
    }
}

/// Whether the connection failed; what the coordinator itself answers has no source.
fn is_of_connection(status: &Status) -> bool {
    status.source().is_some() || matches!(status.code(), Code::Unavailable | Code::Cancelled)
}

/// A file as messages, the last with the file's SHA-256.
fn chunks(path: &str, bytes: &[u8], sender: &Sender) -> Vec<wire::FileChunk> {
    let chunk = |data: &[u8]| wire::FileChunk {
        job: sender.job.clone(),
        worker: sender.worker.clone(),
        path: path.into(),
        data: data.to_vec(),
        ..Default::default()
    };
    let mut chunks: Vec<_> = bytes.chunks(CHUNK).map(chunk).collect();
    if let Some(last) = chunks.last_mut() {
        last.last = true;
        last.sha256 = sha256_hex(bytes);
    }
    chunks
}

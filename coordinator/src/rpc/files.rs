//! Files: from workers into run folders, and from run folders to users.

use std::path::{Path, PathBuf};

use lockstep_proto::identity::{JobId, WorkerId};
use lockstep_proto::wire;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::checked;
use super::service::{Answers, Service};
use crate::cluster::Event;
use crate::keeper::Request;
use crate::run_folder::{Upload, UploadError, hex, list};

/// Bytes of a chunk on its way to a user.
const CHUNK: usize = 256 << 10;

impl Service {
    /// Stores a file of rank 0; answers when it is durable and the cluster knows.
    pub async fn store_file(&self, mut inbound: Streaming<wire::FileChunk>) -> Result<wire::PutFileReply, Status> {
        let first = checked::first(&mut inbound, &self.over).await?;
        let job = JobId::try_from(first.job.clone()).map_err(checked::status)?;
        let worker = WorkerId::try_from(first.worker.clone()).map_err(checked::status)?;
        let asked = worker.clone();
        let run = self.ask(|reply| Request::RunFolderFor { job, worker: asked, reply }).await??;
        let mut upload = Upload::begin(&run, &first.path, self.connection().0).map_err(refused)?;
        let mut chunk = first;
        let sha256 = loop {
            // Short writes into the page cache; the fsync at the end is what takes time.
            upload.write(&chunk.data).map_err(refused)?;
            if chunk.last {
                let finish = move || upload.finish(&chunk.sha256);
                let finished = tokio::task::spawn_blocking(finish).await;
                break finished.map_err(|e| Status::internal(e.to_string()))?.map_err(refused)?;
            }
            let next = inbound.message().await?;
            chunk = next.ok_or_else(|| Status::invalid_argument("the file has no last chunk"))?;
        };
        self.send(Request::Event(Event::FileStored { worker, sha256 })).await?;
        Ok(wire::PutFileReply {})
    }

    /// A run folder, file by file.
    pub async fn pull_run(&self, job: String) -> Result<Answers<wire::FileChunk>, Status> {
        let (id, run) = self.ask(|reply| Request::RunFolderOf { job, reply }).await??;
        let files = list(&run).map_err(|e| Status::not_found(format!("run folder {}: {e}", run.display())))?;
        let (outbox, answers) = mpsc::channel(4);
        tokio::spawn(async move {
            if let Err(status) = send_files(&id, &run, files, &outbox).await {
                // A user that is gone doesn't read why.
                let _ = outbox.send(Err(status)).await;
            }
        });
        Ok(Box::pin(ReceiverStream::new(answers)))
    }
}

type Outbox = mpsc::Sender<Result<wire::FileChunk, Status>>;

async fn send_files(job: &JobId, run: &Path, files: Vec<String>, outbox: &Outbox) -> Result<(), Status> {
    for name in files {
        let path = run.join(&name);
        let first = wire::FileChunk { job: job.to_string(), path: name, ..Default::default() };
        send_file(path, first, outbox).await?;
    }
    Ok(())
}

/// One file; `first` carries what only its first chunk has.
async fn send_file(path: PathBuf, first: wire::FileChunk, outbox: &Outbox) -> Result<(), Status> {
    let failed = |e: std::io::Error| Status::internal(format!("{}: {e}", path.display()));
    let mut file = tokio::fs::File::open(&path).await.map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut chunk = first;
    loop {
        let mut data = Vec::with_capacity(CHUNK);
        (&mut file).take(CHUNK as u64).read_to_end(&mut data).await.map_err(failed)?;
        hasher.update(&data);
        chunk.last = data.len() < CHUNK;
        chunk.data = data;
        if chunk.last {
            chunk.sha256 = hex(&hasher.finalize());
            return send(outbox, chunk).await;
        }
        send(outbox, std::mem::take(&mut chunk)).await?;
    }
}

async fn send(outbox: &Outbox, chunk: wire::FileChunk) -> Result<(), Status> {
    outbox.send(Ok(chunk)).await.map_err(|_| Status::cancelled("the user is gone"))
}

fn refused(error: UploadError) -> Status {
    match &error {
        UploadError::Name(_) | UploadError::Size => Status::invalid_argument(error.to_string()),
        UploadError::Hash { .. } => Status::data_loss(error.to_string()),
        UploadError::Io(_) => Status::internal(error.to_string()),
    }
}

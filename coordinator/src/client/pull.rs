//! `pull`: a run folder to this machine.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use lockstep_proto::wire;
use sha2::{Digest, Sha256};

use super::{Client, ClientError, Remote, connect, exit, table};
use crate::run_folder::{RunFolder, RunFolderError, atomic, hex, safe_path};

/// What to pull, and where to.
#[derive(Clone, Debug)]
pub struct PullArgs {
    /// Its id, maybe shortened.
    pub job: String,
    /// An empty folder, or none yet.
    pub to: PathBuf,
}

/// `pull`: copies a job's run folder; each file is whole and of the right hash, or absent.
pub async fn pull(remote: &Remote, args: &PullArgs) -> Result<u8, ClientError> {
    match RunFolder::check(&args.to) {
        Ok(()) => {}
        Err(RunFolderError::NotEmpty(folder)) => return Err(ClientError::NotEmpty(folder)),
        Err(RunFolderError::Io { path, cause }) => return Err(ClientError::Folder { path, cause }),
    }
    let mut client = connect(&remote.coordinator).await?;
    let files = pull_run(&mut client, &args.job, &args.to).await?;
    if remote.json {
        let folder = args.to.to_string_lossy();
        table::print(&format!("{}\n", serde_json::json!({ "folder": folder, "files": files })))?;
    } else {
        table::print(&format!("{} files in {}\n", files.len(), args.to.display()))?;
    }
    Ok(exit::COMPLETED)
}

/// Copies a job's run folder into another, file by file in the order of their names; gives these. Each file is whole and of
/// the right hash, or absent.
///
/// # Errors
/// At the first that doesn't come whole, or can't be written.
pub async fn pull_run(client: &mut Client, job: &str, to: &Path) -> Result<Vec<String>, ClientError> {
    let request = wire::JobRequest { job: job.to_owned() };
    let mut chunks = client.pull(request).await?.into_inner();
    let mut files = Vec::new();
    let mut incoming: Option<Incoming> = None;
    while let Some(chunk) = chunks.message().await? {
        let mut file = match incoming.take() {
            Some(file) => file,
            None => Incoming::begin(to, &chunk.path)?,
        };
        file.write(&chunk.data)?;
        if chunk.last {
            files.push(file.finish(&chunk.sha256)?);
        } else {
            incoming = Some(file);
        }
    }
    match incoming {
        Some(file) => Err(file.wrong("it ended early")),
        None => Ok(files),
    }
}

/// A file on its way.
struct Incoming {
    name: String,
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    hasher: Sha256,
}

impl Incoming {
    fn begin(folder: &Path, name: &str) -> Result<Self, ClientError> {
        let outside =
            || ClientError::File { path: format!("{name:?}"), cause: "not a path inside of a run folder".into() };
        let path = folder.join(safe_path(name).ok_or_else(outside)?);
        let failed = |cause| ClientError::Folder { path: folder.to_owned(), cause };
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        let temporary = atomic::temporary_name(&path, 0);
        let file = File::create(&temporary).map_err(failed)?;
        Ok(Self { name: name.to_owned(), path, temporary, file, hasher: Sha256::new() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|cause| ClientError::Folder { path: self.path.clone(), cause })
    }

    fn finish(self, sha256: &str) -> Result<String, ClientError> {
        let found = hex(&self.hasher.clone().finalize());
        if found != sha256 {
            return Err(self.wrong("its hash is not what was sent"));
        }
        atomic::publish(self.file, &self.temporary, &self.path)
            .map_err(|cause| ClientError::Folder { path: self.path, cause })?;
        Ok(self.name)
    }

    /// Removes what came.
    fn wrong(self, cause: &str) -> ClientError {
        // The error that is reported is the first one.
        let _ = std::fs::remove_file(&self.temporary);
        ClientError::File { path: self.name, cause: cause.into() }
    }
}

//! Checkpoints as folders on a disk that this machine sees, maybe shared with others.
//!
//! A draft is a folder of another name: files, fsync, then the folder's fsync, the rename, and the fsync of the folder
//! around. A removal is the same backwards: first the rename, then the files.

mod draft;
mod files;
mod leftover;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Draft, Part, Read, Store};
use crate::error::Error;
use crate::fault::{self, Point};
use draft::FolderDraft;
use leftover::{DELETING, WRITING};

/// A folder; it need not exist before the first write.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The nearest folder that exists, from the root upwards.
    fn nearest(&self) -> &Path {
        let exists = |path: &&Path| path.symlink_metadata().is_ok();
        let nearest = self.root.ancestors().find(exists).unwrap_or(Path::new("."));
        if nearest.as_os_str().is_empty() { Path::new(".") } else { nearest }
    }
}

impl Store for Folder {
    fn names(&self) -> Result<Vec<String>, Error> {
        let failed = |error| Error::disk("look through", self.root.display().to_string(), error);
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        Ok(names)
    }

    fn stands(&self, name: &str) -> Result<bool, Error> {
        let path = self.path(name);
        path.try_exists().map_err(|error| Error::disk("look for", path.display().to_string(), error))
    }

    fn read(&self, name: &str, part: Part, limit: u64) -> Result<Read, Error> {
        files::read(&self.path(name).join(part.file()), limit)
    }

    fn draft(&self, name: &str) -> Result<Box<dyn Draft + '_>, Error> {
        files::create_folders(&self.root)?;
        Ok(Box::new(FolderDraft::new(&self.root, name)?))
    }

    fn rename(&self, from: &str, to: &str) -> Result<bool, Error> {
        files::rename(&self.root, &self.path(from), &self.path(to))
    }

    fn remove(&self, name: &str) -> Result<(), Error> {
        fault::point(Point::BeforeDelete);
        let doomed = self.path(&leftover::name(DELETING));
        if !files::rename(&self.root, &self.path(name), &doomed)? {
            return Ok(());
        }
        let failed = |error| Error::disk("remove", doomed.display().to_string(), error);
        match fs::remove_file(doomed.join(Part::Manifest.file())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => fault::point(Point::HalfDelete),
        }
        match fs::remove_dir_all(&doomed) {
            // Another process's sweep was faster.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn sweep(&self) {
        for name in self.names().unwrap_or_default() {
            if leftover::is_dead(&self.root, &name) {
                let _ = fs::remove_dir_all(self.path(&name));
            }
        }
    }

    fn used_bytes(&self) -> Result<u64, Error> {
        files::bytes_under(&self.root)
            .map_err(|error| Error::disk("add up the sizes in", self.root.display().to_string(), error))
    }

    fn check_writable(&self) -> Result<(), Error> {
        let nearest = self.nearest();
        let failed = |error| Error::disk("write checkpoints to", self.root.display().to_string(), error);
        if !nearest.is_dir() {
            return Err(failed(io::ErrorKind::NotADirectory.into()));
        }
        if nearest != self.root {
            // Folders are created at the first write. Access rights alone do not tell: root has them even in /proc.
            let probe = nearest.join(leftover::name(WRITING));
            return fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).map_err(failed);
        }
        let probe = self.path(&leftover::name(WRITING));
        fs::create_dir(&probe).map_err(failed)?;
        let written = fs::write(probe.join("probe"), b"probe").map_err(failed);
        fs::remove_dir_all(&probe).map_err(failed)?;
        written
    }
}

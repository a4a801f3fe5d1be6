//! A folder that is being written under a name that nobody takes for a checkpoint.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::files;
use super::leftover::{self, WRITING};
use crate::error::Error;
use crate::fault::{self, Point};
use crate::store::{Draft, Part};

pub(super) struct FolderDraft {
    root: PathBuf,
    folder: PathBuf,
    destination: PathBuf,
    /// The part that is being written.
    file: Option<File>,
    published: bool,
}

impl FolderDraft {
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(root: &Path, name: &str) -> Result<Self, Error> {
        let folder = root.join(leftover::name(WRITING));
        fs::create_dir(&folder).map_err(|error| Error::disk("create", folder.display().to_string(), error))?;
        Ok(Self { root: root.into(), folder, destination: root.join(name), file: None, published: false })
    }

    /// The file that is being written; made anew for the first bytes.
    fn file(&mut self, part: Part) -> std::io::Result<&mut File> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(File::create_new(self.folder.join(part.file()))?)),
        }
    }

    /// Errors name the destination: the folder at hand is gone when somebody reads them.
    fn failed(&self, doing: &'static str, part: Part, error: std::io::Error) -> Error {
        Error::disk(doing, self.destination.join(part.file()).display().to_string(), error)
    }
}

impl Draft for FolderDraft {
    fn write(&mut self, part: Part, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file(part).and_then(|file| file.write_all(bytes));
        written.map_err(|error| self.failed("write", part, error))
    }

    fn finish(&mut self, part: Part) -> Result<(), Error> {
        let synced = self.file(part).and_then(|file| file.sync_all());
        self.file = None;
        synced.map_err(|error| self.failed("write", part, error))
    }

    fn publish(mut self: Box<Self>) -> Result<bool, Error> {
        files::sync_folder(&self.folder)?;
        fault::point(Point::BeforeRename);
        self.published = files::rename(&self.root, &self.folder, &self.destination)?;
        if self.published {
            fault::point(Point::AfterRename);
        }
        Ok(self.published)
    }
}

impl Drop for FolderDraft {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is swept later.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

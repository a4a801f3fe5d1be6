//! Files and folders, made durable or read with care.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::Error;
use crate::store::Read;

/// All of a file. What lies on a disk may be anything: only a plain file is read, and no more than `limit` bytes.
///
/// # Errors
/// If the disk refuses; damage is told in the answer.
pub(super) fn read(path: &Path, limit: u64) -> Result<Read, Error> {
    // Opening a named pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let read = rustix::fs::open(path, flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|file| read_file(File::from(file), limit));
    match read {
        Ok(read) => Ok(read),
        Err(error) => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NOENT) => Ok(Read::Missing),
            // The sectors or the kind of this file; anything else concerns the whole disk.
            Some(
                rustix::io::Errno::IO | rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR | rustix::io::Errno::NXIO,
            ) => Ok(Read::Wrong(error.to_string())),
            _ => Err(Error::disk("read", path.display().to_string(), error)),
        },
    }
}

fn read_file(file: File, limit: u64) -> io::Result<Read> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Read::Wrong("it is no plain file".into()));
    }
    if metadata.len() > limit {
        return Ok(Read::Wrong(format!("it has {} bytes, more than {limit}", metadata.len())));
    }
    let mut bytes = Vec::new();
    // As much as the file has now, or an error in place of an abort.
    if bytes.try_reserve_exact(metadata.len() as usize + 1).is_err() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Ok(Read::Wrong(format!("it grew beyond {limit} bytes")));
    }
    Ok(Read::Whole(bytes))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// If the disk refuses.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::disk("make durable", folder.display().to_string(), error))
}

/// Renames within the folder `root`, and makes that durable. `false` if there is nothing to rename, or the name is taken.
///
/// # Errors
/// If the disk refuses.
pub(super) fn rename(root: &Path, from: &Path, to: &Path) -> Result<bool, Error> {
    if to.symlink_metadata().is_ok() {
        return Ok(false);
    }
    match fs::rename(from, to) {
        Ok(()) => sync_folder(root).map(|()| true),
        // Two processes did it at once; one has won, since a folder that is not empty is never replaced.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(Error::disk("rename", from.display().to_string(), error)),
    }
}

/// Creates a folder and those around it, each durable.
///
/// # Errors
/// If the disk refuses.
pub(super) fn create_folders(folder: &Path) -> Result<(), Error> {
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    let around = folder.parent().unwrap_or(Path::new(""));
    create_folders(around)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::disk("create", folder.display().to_string(), error))
        }
        _ => sync_folder(if around.as_os_str().is_empty() { Path::new(".") } else { around }),
    }
}

/// Sizes of all files under a folder; what vanishes meanwhile counts as nothing.
///
/// # Errors
/// If the disk refuses.
pub(super) fn bytes_under(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path())?,
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        };
    }
    Ok(bytes)
}

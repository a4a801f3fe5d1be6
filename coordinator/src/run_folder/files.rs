//! Files of a run folder that come from workers or go to clients. No path of the wire is trusted.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::atomic;

/// The files that workers may store.
const STORABLE: [&str; 1] = ["final/model.safetensors"];
/// A file that workers store may have this many bytes.
const LARGEST_FILE: u64 = 64 << 30;
/// How deep a run folder may be listed.
const DEEPEST: usize = 4;

/// Why a file is not stored.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Not one of the known names.
    #[error("{0:?} is not a file that workers store")]
    Name(String),
    /// Too many bytes.
    #[error("the file is larger than {LARGEST_FILE} bytes")]
    Size,
    /// Damaged on its way.
    #[error("the file's SHA-256 is {found}, not {told}")]
    Hash {
        /// Of the bytes that came.
        found: String,
        /// That came with them.
        told: String,
    },
    /// The file system says no.
    #[error("storing a file: {0}")]
    Io(#[from] io::Error),
}

/// A file on its way into a run folder: absent there until whole.
pub struct Upload {
    temporary: PathBuf,
    path: PathBuf,
    file: File,
    hasher: Sha256,
    bytes: u64,
    done: bool,
}

impl Upload {
    /// Begins a file; `number` tells simultaneous uploads apart.
    pub fn begin(run: &Path, name: &str, number: u64) -> Result<Self, UploadError> {
        if !STORABLE.contains(&name) {
            return Err(UploadError::Name(name.chars().take(100).collect()));
        }
        let path = run.join(name);
        let folder = path.parent().unwrap_or(run);
        std::fs::create_dir_all(folder)?;
        atomic::sync_folder(run)?;
        let temporary = atomic::temporary_name(&path, number);
        let file = File::create(&temporary)?;
        Ok(Self { temporary, path, file, hasher: Sha256::new(), bytes: 0, done: false })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > LARGEST_FILE {
            return Err(UploadError::Size);
        }
        self.hasher.update(bytes);
        Ok(self.file.write_all(bytes)?)
    }

    /// Checks the hash and gives the file its name; gives the hash.
    pub fn finish(mut self, told: &str) -> Result<String, UploadError> {
        let found = hex(&std::mem::take(&mut self.hasher).finalize());
        if found != told {
            let told = told.chars().take(100).collect();
            return Err(UploadError::Hash { found, told });
        }
        atomic::publish(self.file.try_clone()?, &self.temporary, &self.path)?;
        self.done = true;
        Ok(found)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done {
            // What is left of a broken upload is no file of the run; a failure to remove it changes nothing.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Lower-case hex of bytes.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A run folder's files, relative, sorted; links and half-written files left out.
pub fn list(run: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    walk(run, "", DEEPEST, &mut found)?;
    found.sort();
    Ok(found)
}

fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 {
            walk(&entry.path(), &format!("{prefix}{name}/"), depth - 1, found)?;
        } else if kind.is_file() && !name.starts_with(atomic::TEMPORARY) {
            found.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

/// A relative path that stays inside of its folder, or nothing.
pub fn safe_path(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && !text.is_empty() && text.len() < 1000).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_files_of_known_names_are_stored() {
        let run = tempfile::tempdir().unwrap();
        assert!(matches!(Upload::begin(run.path(), "../x", 0), Err(UploadError::Name(_))));
        assert!(matches!(Upload::begin(run.path(), "job.toml", 0), Err(UploadError::Name(_))));

        let mut upload = Upload::begin(run.path(), STORABLE[0], 1).unwrap();
        upload.write(b"abc").unwrap();
        assert!(matches!(upload.finish("00"), Err(UploadError::Hash { .. })));
        assert_eq!(list(run.path()).unwrap(), [""; 0]);

        let mut upload = Upload::begin(run.path(), STORABLE[0], 2).unwrap();
        upload.write(b"a").unwrap();
        upload.write(b"bc").unwrap();
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(upload.finish(hash).unwrap(), hash);
        assert_eq!(list(run.path()).unwrap(), [STORABLE[0]]);
    }

    #[test]
    fn paths_stay_inside_of_their_folder() {
        assert!(safe_path("final/model.safetensors").is_some());
        for path in ["", "/etc/passwd", "../a", "a/../../b", "./a"] {
            assert!(safe_path(path).is_none(), "{path}");
        }
    }
}

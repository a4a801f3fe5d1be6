//! An emulated GPU for the binary under test: the kernels' sources, compiled for the CPU, behind a driver of our own.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use lockstep_emulation::{libraries, or_skip};
use tempfile::TempDir;

/// GPUs that a process is made to see.
pub struct Gpus {
    libraries: PathBuf,
    /// Machine code that is kept, which is nothing to keep beyond a test.
    cache: TempDir,
}

impl Gpus {
    /// None, with the reason said, where they can't be built.
    pub fn emulated() -> Option<Self> {
        Some(Self { libraries: or_skip(libraries())?, cache: tempfile::tempdir().unwrap() })
    }

    /// A folder that has only these of the libraries, as a machine that lacks the others.
    pub fn only(&self, names: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            symlink(self.libraries.join(name), folder.path().join(name)).unwrap();
        }
        folder
    }

    /// Has a process see so many.
    pub fn shown_to<'c>(&self, command: &'c mut Command, count: u32) -> &'c mut Command {
        let (libraries, cache) = (&self.libraries, self.cache.path());
        command.env("LOCKSTEP_CUDA_LIBRARIES", libraries).env("LOCKSTEP_CACHE", cache);
        command.env("EMULATED_GPU_COUNT", count.to_string())
    }
    /// The same with more libraries.
    pub fn shown_with<'c>(&self, more: &Path, command: &'c mut Command, count: u32) -> &'c mut Command {
        let folders = std::env::join_paths([&self.libraries, more]).unwrap();
        self.shown_to(command, count).env("LOCKSTEP_CUDA_LIBRARIES", folders)
    }
}

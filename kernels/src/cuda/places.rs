//! Where NVIDIA's libraries are looked for, and where compiled kernels are kept.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::user_cache;

/// Folders, all absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Searched before the system's.
    pub libraries: Vec<PathBuf>,
    /// Keeps machine code from one start to the next; none compiles it each time.
    pub cache: Option<PathBuf>,
}

impl Places {
    /// `$LOCKSTEP_CUDA_LIBRARIES` (separated by colons), and the user's cache.
    pub fn from_environment() -> Self {
        let libraries = std::env::var_os("LOCKSTEP_CUDA_LIBRARIES").unwrap_or_default();
        Self {
            libraries: std::env::split_paths(&libraries).filter(|folder| folder.is_absolute()).collect(),
            cache: user_cache::folder().map(|root| root.join("kernels")),
        }
    }

    /// Uses these instead of the environment's, if no library was looked for before. Gives whether it did.
    pub fn set(self) -> bool {
        CURRENT.set(self).is_ok()
    }
}

static CURRENT: OnceLock<Places> = OnceLock::new();

pub(super) fn current() -> &'static Places {
    CURRENT.get_or_init(Places::from_environment)
}

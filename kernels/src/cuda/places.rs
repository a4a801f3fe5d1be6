//! Where NVIDIA's libraries are looked for, and where compiled kernels are kept.

use std::path::PathBuf;
use std::sync::OnceLock;

/// Folders, all absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Searched before the system's.
    pub libraries: Vec<PathBuf>,
    /// Keeps machine code from one start to the next; none compiles it each time.
    pub cache: Option<PathBuf>,
}

impl Places {
    /// `$LOCKSTEP_CUDA_LIBRARIES` (separated by colons); and `$LOCKSTEP_CACHE`, `$XDG_CACHE_HOME/lockstep`, or
    /// `~/.cache/lockstep`.
    pub fn from_environment() -> Self {
        let libraries = std::env::var_os("LOCKSTEP_CUDA_LIBRARIES").unwrap_or_default();
        let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = named("LOCKSTEP_CACHE")
            .or_else(|| named("XDG_CACHE_HOME").map(|path| path.join("lockstep")))
            .or_else(|| named("HOME").map(|path| path.join(".cache/lockstep")));
        Self {
            libraries: std::env::split_paths(&libraries).filter(|folder| folder.is_absolute()).collect(),
            cache: cache.map(|root| root.join("kernels")),
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

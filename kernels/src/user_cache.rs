//! Where a user's programs keep what they can make anew.

use std::path::PathBuf;

/// `$LOCKSTEP_CACHE`, `$XDG_CACHE_HOME/lockstep`, or `~/.cache/lockstep`: the first that is set to an absolute path.
pub fn folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    named("LOCKSTEP_CACHE")
        .or_else(|| named("XDG_CACHE_HOME").map(|path| path.join("lockstep")))
        .or_else(|| named("HOME").map(|path| path.join(".cache/lockstep")))
}

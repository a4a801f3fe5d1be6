//! Files that are whole, or as they were.

use std::io;
use std::path::{Path, PathBuf};

/// Puts a file in place of the one that was there.
///
/// # Errors
/// Of the file system.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    std::fs::write(&temporary, content)?;
    std::fs::rename(&temporary, path)
}

//! Files that are whole or absent: temporary name, fsync, rename, fsync of the folder.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Prefix of names that are not files of the run yet.
pub const TEMPORARY: &str = ".writing-";

/// Writes a whole file in place of what was there.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = temporary_name(path, 0);
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    publish(file, &temporary, path)
}

/// Where the next content of `path` is written before it has its name; `number` tells writers apart.
pub fn temporary_name(path: &Path, number: u64) -> std::path::PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{TEMPORARY}{number}-{name}"))
}

/// Gives a written file its name.
pub fn publish(file: File, temporary: &Path, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    std::fs::rename(temporary, path)?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

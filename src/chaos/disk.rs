//! What happens to a run's checkpoints: the quota is used up, the newest is damaged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

/// Bytes that checkpoints may take in a run under chaos.
pub const QUOTA: u64 = 64 << 20;
/// What uses the quota up.
const FILLER: &str = "filler";

/// Uses the quota up for a while.
pub fn fill(run: &Path, time: Duration) -> Result<Option<String>> {
    let folder = run.join("checkpoints");
    if !folder.is_dir() {
        return Ok(None);
    }
    let filler = folder.join(FILLER);
    std::fs::File::create(&filler)?.set_len(QUOTA)?;
    std::thread::sleep(time);
    std::fs::remove_file(&filler)?;
    Ok(Some(format!("used up the quota for checkpoints for {time:?}")))
}

/// Flips a bit of, or cuts off, one file of the newest checkpoint.
pub fn damage_newest(run: &Path, how: u64) -> Result<Option<String>> {
    let Some(newest) = newest(&run.join("checkpoints")) else { return Ok(None) };
    let file = newest.join(if how.is_multiple_of(2) { "state.safetensors" } else { "checkpoint.json" });
    let Ok(mut bytes) = std::fs::read(&file) else { return Ok(None) };
    if bytes.is_empty() {
        return Ok(None);
    }
    let place = (how / 8) as usize % bytes.len();
    if (how / 2).is_multiple_of(2) {
        bytes[place] ^= 1 << (how / 4 % 8);
    } else {
        bytes.truncate(place);
    }
    // It may be deleted at the very moment.
    if std::fs::write(&file, bytes).is_err() {
        return Ok(None);
    }
    Ok(Some(format!("damaged {}", file.strip_prefix(run).unwrap_or(&file).display())))
}

fn newest(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let newest = names.filter(|name| name.starts_with("step-")).max()?;
    Some(folder.join(newest))
}

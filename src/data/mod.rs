//! `data`: preparing, looking at and verifying datasets.

mod inspect;
mod meter;
mod prepare;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::Result;
use lockstep_dataset::Split;
use lockstep_dataset::manifest::is_split;

use crate::BadInput;
use crate::arguments::DataVerb;

/// Does what was asked for; gives the exit code.
///
/// # Errors
/// If it can't.
pub fn data(verb: &DataVerb) -> Result<u8> {
    match verb {
        DataVerb::Prepare(arguments) => prepare::prepare(arguments),
        DataVerb::Inspect(arguments) => inspect::inspect(arguments),
        DataVerb::Verify(arguments) => verify::verify(arguments),
    }
}

/// The splits in a dataset's folder, or the one that the folder itself is.
fn splits(folder: &Path) -> Result<Vec<PathBuf>> {
    let both = [Split::Train, Split::Test].map(|split| folder.join(split.name()));
    let found: Vec<PathBuf> = std::iter::once(folder.to_owned()).chain(both).filter(|path| is_split(path)).collect();
    match found.is_empty() {
        false => Ok(found),
        true => Err(BadInput(format!(
            "{}: no prepared dataset (neither it nor its train or test folder has a manifest.json): prepare one with \
             `lockstep data prepare`",
            folder.display()
        ))
        .into()),
    }
}

/// A number of bytes for people.
pub fn bytes(bytes: u64) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let mut scaled = bytes as f64;
    let mut unit = 0;
    while scaled >= 999.95 && unit + 1 < units.len() {
        scaled /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} {}", units[0]) } else { format!("{scaled:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_told_in_units() {
        let told = [0, 999, 1000, 999_949, 999_950, 138_123_456_789, u64::MAX].map(bytes);
        assert_eq!(told, ["0 bytes", "999 bytes", "1.0 kB", "999.9 kB", "1.0 MB", "138.1 GB", "18446.7 PB"]);
    }
}

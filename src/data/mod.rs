//! `data`: preparing, looking at and verifying datasets.

mod inspect;
mod meter;
mod prepare;
mod verify;

use std::path::Path;
use std::thread;

use anyhow::Result;
use lockstep_dataset::Split;
use lockstep_dataset::manifest::MANIFEST;
use lockstep_dataset::place::Place;
use lockstep_dataset::shards::{Room, Shards};

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
fn splits(folder: &Path) -> Result<Vec<Place>> {
    let told = |problem: &dyn std::fmt::Display| BadInput(format!("{}: {problem}", folder.display()));
    let place = Place::of(folder).map_err(|problem| told(&problem))?;
    let mut found = Vec::new();
    for place in [Split::Train, Split::Test].map(|split| place.inside(split.name())) {
        if place.has(MANIFEST).map_err(|error| told(&error))? {
            found.push(place);
        }
    }
    // Asked last: a bucket says "refused" of what is not there to who may not list it.
    if found.is_empty() && place.has(MANIFEST).map_err(|error| told(&error))? {
        found.push(place);
    }
    match found.is_empty() {
        false => Ok(found),
        true => Err(told(
            &"no prepared dataset (neither it nor its train or test folder has a manifest.json): prepare one with \
              `lockstep data prepare`",
        )
        .into()),
    }
}

/// A split, opened.
fn open(place: &Place) -> Result<Shards> {
    Ok(Shards::open(place, Room::default()).map_err(BadInput::from_display)?)
}

/// Threads as asked for; as many as there are cores if nobody says.
pub fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from))
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

//! The lines of `metrics.jsonl`, one by one, bounded.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use lockstep_proto::report::Report;

use super::RunError;

/// Longest line that is believed.
const LONGEST_LINE: u64 = 4 << 20;

/// Shows the lines of a file; none if there is no such file.
///
/// # Errors
/// The first line that can't be believed, or what `each` says.
pub fn lines(path: &Path, mut each: impl FnMut(Report) -> Result<(), RunError>) -> Result<(), RunError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(RunError::new(path, error)),
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut text = Vec::new();
    for number in 1_u64.. {
        text.clear();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut text);
        if read.map_err(|error| RunError::new(path, error))? == 0 {
            break;
        }
        let at = |problem: &dyn std::fmt::Display| RunError::new(path, format!("line {number}: {problem}"));
        let line = text.strip_suffix(b"\n").ok_or_else(|| at(&"is cut off"))?;
        each(serde_json::from_slice(line).map_err(|error| at(&error))?)?;
    }
    Ok(())
}

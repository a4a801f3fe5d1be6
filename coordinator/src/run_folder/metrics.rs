//! `metrics.jsonl`: a line a report, in the order of steps; lines above a step can be dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use crate::cluster::facts::Report;

/// Longest line that is believed to be a report.
const LONGEST_LINE: u64 = 64 << 10;

/// The open file.
pub struct Metrics {
    file: File,
    /// Bytes of whole lines.
    length: u64,
}

impl Metrics {
    /// Opens or makes the file; a line that is not whole or no report, and all behind it, is dropped. `each` is shown
    /// the reports that are there.
    pub fn open(path: &Path, each: impl FnMut(&Report)) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut metrics = Self { file, length: 0 };
        metrics.void_above(u64::MAX, each)?;
        Ok(metrics)
    }

    /// Adds lines, durable. On an error the file is as before.
    pub fn append(&mut self, reports: &[Report]) -> io::Result<()> {
        let mut lines = Vec::new();
        for report in reports {
            serde_json::to_writer(&mut lines, report)?;
            lines.push(b'\n');
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += lines.len() as u64,
            // Half a line must not stay.
            Err(_) => self.file.set_len(self.length)?,
        }
        written
    }

    /// Drops the lines of steps above this one; `each` is shown the others.
    pub fn void_above(&mut self, step: u64, mut each: impl FnMut(&Report)) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut reader = BufReader::new(self.file.try_clone()?);
        reader.seek(SeekFrom::Start(0))?;
        let mut length = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
            let report = line.strip_suffix(b"\n").and_then(|text| serde_json::from_slice::<Report>(text).ok());
            let Some(report) = report.filter(|report| report.step() <= step) else { break };
            each(&report);
            length += read as u64;
        }
        self.length = length;
        if self.file.metadata()?.len() != length {
            self.file.set_len(length)?;
            self.file.sync_data()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::facts::{EvaluationReport, StepReport};

    fn steps(path: &Path) -> Vec<u64> {
        let mut seen = Vec::new();
        Metrics::open(path, |report| seen.push(report.step())).unwrap();
        seen
    }

    fn report(step: u64) -> Report {
        Report::Step(StepReport { step, loss: f64::NAN, ..StepReport::default() })
    }

    #[test]
    fn lines_above_a_step_and_half_lines_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, |_| {}).unwrap();
        let evaluation = Report::Evaluation(EvaluationReport { step: 4, split: "test".into(), ..Default::default() });
        metrics.append(&[report(2), report(4), evaluation, report(6)]).unwrap();
        metrics.void_above(4, |_| {}).unwrap();
        metrics.append(&[report(5)]).unwrap();
        assert_eq!(steps(&path), [2, 4, 4, 5]);

        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(steps(&path), [2, 4, 4]);
        assert_eq!(std::fs::read(&path).unwrap().last(), Some(&b'\n'));
    }
}

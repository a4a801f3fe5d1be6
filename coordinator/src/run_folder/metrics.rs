//! `metrics.jsonl`: a line a report, in the order of steps; lines above a step can be dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::cluster::facts::Report;

/// Longest line that is believed to be a report. A step's has up to 250 bytes for each layer: some 50 KB with ResNet-101,
/// and less than this with all the layers that a job file can list.
pub const LONGEST_LINE: u64 = 4 << 20;

/// The open file.
pub struct Metrics {
    file: File,
    /// Bytes of whole lines.
    length: u64,
    end: End,
}

/// The last lines: what is said twice is recognised by them.
#[derive(Clone, Default)]
struct End {
    step: u64,
    /// What tells the lines of that step apart: see [`Report::of_step`].
    kinds: Vec<(&'static str, String)>,
}

impl End {
    /// Moves on to a report behind these; false if it is among them or before.
    fn pass(&mut self, report: &Report) -> bool {
        let (kind, name) = report.of_step();
        let step = report.step();
        let is_known = self.kinds.iter().any(|known| (known.0, known.1.as_str()) == (kind, name));
        if step < self.step || (step == self.step && is_known) {
            return false;
        }
        if step > self.step {
            (self.step, self.kinds) = (step, Vec::new());
        }
        self.kinds.push((kind, name.to_owned()));
        true
    }
}

impl Metrics {
    /// Opens or makes the file; a line that is not whole or no report, and all behind it, is dropped. `each` is shown
    /// the reports that are there.
    pub fn open(path: &Path, each: impl FnMut(&Report)) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut metrics = Self { file, length: 0, end: End::default() };
        metrics.void_above(u64::MAX, each)?;
        Ok(metrics)
    }

    /// Adds lines, durable; gives those that were not there. On an error the file is as before.
    pub fn append<'a>(&mut self, reports: &'a [Report]) -> io::Result<Vec<&'a Report>> {
        let mut end = self.end.clone();
        let new: Vec<&Report> = reports.iter().filter(|report| end.pass(report)).collect();
        let mut lines = Vec::new();
        for report in &new {
            serde_json::to_writer(&mut lines, report)?;
            lines.push(b'\n');
        }
        if let Err(error) = self.file.write_all(&lines).and_then(|()| self.file.sync_data()) {
            // Half a line must not stay.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += lines.len() as u64;
        self.end = end;
        Ok(new)
    }

    /// Drops the lines of steps above this one; `each` is shown the others.
    pub fn void_above(&mut self, step: u64, mut each: impl FnMut(&Report)) -> io::Result<()> {
        let mut end = End::default();
        let mut reader = BufReader::new(self.file.try_clone()?);
        reader.seek(SeekFrom::Start(0))?;
        let length = whole_lines(reader, |report, _| {
            let stays = report.step() <= step;
            if stays {
                end.pass(&report);
                each(&report);
            }
            Ok(stays)
        })?;
        (self.length, self.end) = (length, end);
        if self.file.metadata()?.len() != length {
            self.file.set_len(length)?;
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// Shows the reports of a file, up to a line that is not whole or no report.
pub fn read(path: &Path, mut each: impl FnMut(Report)) -> io::Result<()> {
    let reader = BufReader::new(File::open(path)?);
    whole_lines(reader, |report, _| {
        each(report);
        Ok(true)
    })?;
    Ok(())
}

/// Makes the file `to` of the lines of `from` whose reports stay, to the letter: reading and writing a number again may
/// round it.
pub fn copy(from: &Path, to: &Path, stays: impl Fn(&Report) -> bool) -> io::Result<()> {
    let reader = BufReader::new(File::open(from)?);
    let mut writer = BufWriter::new(File::create(to)?);
    whole_lines(reader, |report, line| {
        if stays(&report) {
            writer.write_all(line)?;
        }
        Ok(true)
    })?;
    writer.flush()
}

/// Hands reports on, with their lines, until one is not wanted; gives the bytes of the lines before.
fn whole_lines(mut reader: impl BufRead, mut wanted: impl FnMut(Report, &[u8]) -> io::Result<bool>) -> io::Result<u64> {
    let mut length = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        let report = line.strip_suffix(b"\n").and_then(|text| serde_json::from_slice::<Report>(text).ok());
        let Some(report) = report else { return Ok(length) };
        if !wanted(report, &line)? {
            return Ok(length);
        }
        length += read as u64;
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

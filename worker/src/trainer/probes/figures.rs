//! What a probe tells: named numbers, and in words what could not be told.

use lockstep_proto::job::Probe;
use lockstep_proto::wire;

use crate::trainer::schedule::Cursor;

/// The figures of one probe, as it makes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    samples: u64,
    method: String,
    figures: Vec<(String, Vec<f64>)>,
    remarks: Vec<String>,
}

impl Figures {
    /// Over so many samples, those left aside that can't be decoded; 0 where it looks at none.
    pub fn over(samples: u64) -> Self {
        Self { samples, ..Self::default() }
    }

    /// Adds a number. One that is not finite can't be told, and is null in the run folder.
    pub fn one(&mut self, name: impl Into<String>, value: f64) -> &mut Self {
        self.many(name, vec![value])
    }

    /// Adds a list of numbers.
    pub fn many(&mut self, name: impl Into<String>, values: Vec<f64>) -> &mut Self {
        self.figures.push((name.into(), values));
        self
    }

    /// Says how it was measured, where there are several ways.
    pub fn by(&mut self, method: impl Into<String>) -> &mut Self {
        self.method = method.into();
        self
    }

    /// Says what could not be told, and why.
    pub fn remark(&mut self, remark: impl Into<String>) -> &mut Self {
        self.remarks.push(remark.into());
        self
    }

    /// As it goes to the coordinator.
    pub fn report(self, probe: &Probe, cursor: &Cursor) -> wire::ProbeReport {
        let figure = |(name, values)| wire::Figure { name, values };
        wire::ProbeReport {
            step: cursor.step,
            epoch: cursor.epoch,
            probe: probe.title().to_owned(),
            measure: probe.measure.as_str().to_owned(),
            on: if probe.measure.has_samples() { probe.on.as_str().to_owned() } else { String::new() },
            samples: self.samples,
            method: self.method,
            figures: self.figures.into_iter().map(figure).collect(),
            remarks: self.remarks,
        }
    }
}

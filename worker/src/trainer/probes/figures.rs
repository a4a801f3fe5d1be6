//! What a probe tells: named numbers, and in words what could not be told.

use lockstep_proto::job::{MOST_PROBE_REMARKS, MOST_PROBE_VALUES, Probe};
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

    /// Leaves out what a report has no room for, and says so.
    fn fit(&mut self) {
        let mut values = 0;
        let mut fits = |(_, figure): &(String, Vec<f64>)| {
            values += 1 + figure.len();
            values <= MOST_PROBE_VALUES
        };
        let fitting = self.figures.iter().take_while(|figure| fits(figure)).count();
        let left_out = self.figures.len() - fitting;
        self.figures.truncate(fitting);
        if left_out > 0 {
            self.remarks.insert(0, format!("{left_out} figures more have no room in a report"));
        }
        if self.remarks.len() > MOST_PROBE_REMARKS {
            let more = self.remarks.len() - (MOST_PROBE_REMARKS - 1);
            self.remarks.truncate(MOST_PROBE_REMARKS - 1);
            self.remarks.push(format!("and {more} remarks more of this kind"));
        }
    }

    /// As it goes to the coordinator.
    pub fn report(mut self, probe: &Probe, cursor: &Cursor) -> wire::ProbeReport {
        self.fit();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_left_out_and_told() {
        let mut figures = Figures::over(0);
        for layer in 0..500 {
            figures.many(format!("singular/{layer}"), vec![1.0; 10]).remark(format!("layer {layer} is small"));
        }
        let report = figures.report(&Probe::default(), &Cursor::default());
        let values: usize = report.figures.iter().map(|figure| 1 + figure.values.len()).sum();
        assert!((MOST_PROBE_VALUES - 11..=MOST_PROBE_VALUES).contains(&values), "{values}");
        assert_eq!(report.remarks.len(), MOST_PROBE_REMARKS);
        assert_eq!(report.remarks[0], "137 figures more have no room in a report");
        assert_eq!(report.remarks[MOST_PROBE_REMARKS - 1], "and 482 remarks more of this kind");
    }
}

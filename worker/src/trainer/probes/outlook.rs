//! What a job's probes will take, worked out before it starts.

use lockstep_dataset::dataset::Dataset;
use lockstep_proto::job::{Job, Probe, ProbeMeasure};

use super::samples::Samples;
use super::{lines, robustness};

/// One probe of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeOutlook {
    /// What it is called.
    pub title: String,
    /// How often it is taken, if the job goes through all of its steps.
    pub times: u64,
    /// Over how many samples; 0 if it looks at none.
    pub samples: u64,
    /// Passes forward over them, each time; none where it takes gradients, whose number depends on what they come to.
    pub passes: Option<u64>,
}

impl ProbeOutlook {
    /// Those of a job over its dataset.
    pub fn of(job: &Job, dataset: &Dataset, steps: u64) -> Vec<Self> {
        let one = |probe: &Probe| Self {
            title: probe.title().to_owned(),
            times: times(probe.every, steps),
            samples: samples(probe, dataset),
            passes: passes(probe),
        };
        job.probe.iter().map(one).collect()
    }
}

/// Also those that are held out, where a probe looks at both.
fn samples(probe: &Probe, dataset: &Dataset) -> u64 {
    match probe.measure {
        ProbeMeasure::Gap => Samples::of(probe, dataset).count + Samples::held_out(dataset).count,
        measure if measure.has_samples() => Samples::of(probe, dataset).count,
        _ => 0,
    }
}

/// Every so many steps and at the end.
fn times(every: u64, steps: u64) -> u64 {
    match every {
        0 => 1,
        every => steps.div_ceil(every),
    }
}

fn passes(probe: &Probe) -> Option<u64> {
    use ProbeMeasure::{Fgsm, Gap, Interpolation, Margins, Noise, Plane, Rotations, Scalings, Shifts, Slice};
    if probe.measure.needs_gradients() {
        return None;
    }
    Some(match probe.measure {
        Gap => 1,
        Margins => 2,
        Slice | Interpolation => lines::points(probe).into(),
        Plane => u64::from(lines::points(probe)).pow(2),
        Shifts | Rotations | Scalings | Noise => robustness::strengths(probe).len() as u64,
        // There is a way back as well.
        Fgsm => 3 * robustness::strengths(probe).len() as u64,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_and_times_are_counted() {
        let probe = |measure, points, strengths: &[f64]| Probe {
            measure,
            points,
            strengths: strengths.to_vec(),
            ..Probe::default()
        };
        for (passes_of, probe) in [
            (Some(1), probe(ProbeMeasure::Gap, 0, &[])),
            (Some(41), probe(ProbeMeasure::Slice, 0, &[])),
            (Some(225), probe(ProbeMeasure::Plane, 0, &[])),
            (Some(49), probe(ProbeMeasure::Plane, 7, &[])),
            (Some(7), probe(ProbeMeasure::Scalings, 0, &[])),
            (Some(2), probe(ProbeMeasure::Noise, 0, &[0.1, 0.2])),
            (Some(15), probe(ProbeMeasure::Fgsm, 0, &[])),
            (Some(0), probe(ProbeMeasure::Weights, 0, &[])),
            (None, probe(ProbeMeasure::Sam, 0, &[])),
        ] {
            assert_eq!(passes(&probe), passes_of, "{:?}", probe.measure);
        }
        assert_eq!([times(0, 10), times(5, 10), times(4, 10), times(20, 10)], [1, 2, 3, 1]);
    }
}

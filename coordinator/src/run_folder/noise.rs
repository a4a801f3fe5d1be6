//! The noise scale of a whole run, for `summary.json`.

use lockstep_proto::report::{NoiseScale, Report};
use serde::Serialize;

/// What a run's reports tell of the noise in its gradients.
#[derive(Default)]
pub struct RunNoise {
    newest: Option<NoiseScale>,
    reports: u64,
    identified: u64,
    /// Sums over the reports that have them.
    scales: f64,
    traces: f64,
    squared_norms: f64,
}

/// As `summary.json` has it.
#[derive(Serialize)]
pub struct NoiseSummary<'a> {
    /// The newest report's.
    newest: &'a NoiseScale,
    average: NoiseAverage,
}

/// Over the run. McCandlish et al. 2018 give the mean of the scale over training (their 900 for MNIST): that is
/// [`NoiseAverage::scale`].
#[derive(Serialize)]
struct NoiseAverage {
    /// Mean of the scales that were reported, where they were identified; too low where many were not.
    scale: Option<f64>,
    /// Ratio of the means of trΣ and ‖G‖² over all reports: the steps of large gradients, mostly the first, decide it.
    /// None where it is not above 0.
    scale_of_means: Option<f64>,
    /// Reports that tell of noise.
    reports: u64,
    /// Those of them with a scale.
    identified: u64,
}

impl RunNoise {
    /// Takes a report in.
    pub fn add(&mut self, report: &Report) {
        let Report::Step(step) = report else { return };
        let Some(noise) = &step.noise else { return };
        if let (Some(trace), Some(squared_norm)) = (noise.all.trace, noise.all.squared_norm) {
            self.traces += trace;
            self.squared_norms += squared_norm;
        }
        if let Some(scale) = noise.all.scale {
            self.scales += scale;
            self.identified += 1;
        }
        self.reports += 1;
        self.newest = Some(noise.clone());
    }

    /// For `summary.json`; none if no report tells of noise.
    pub fn summary(&self) -> Option<NoiseSummary<'_>> {
        let ratio = self.traces / self.squared_norms;
        let average = NoiseAverage {
            scale: (self.identified > 0).then(|| self.scales / self.identified as f64),
            scale_of_means: Some(ratio).filter(|ratio| ratio.is_finite() && self.squared_norms > 0.0),
            reports: self.reports,
            identified: self.identified,
        };
        Some(NoiseSummary { newest: self.newest.as_ref()?, average })
    }
}

#[cfg(test)]
mod tests {
    use lockstep_proto::report::{NoiseEstimate, StepReport};
    use serde_json::json;

    use super::*;

    fn report(trace: f64, squared_norm: f64, scale: Option<f64>) -> Report {
        let all = NoiseEstimate { trace: Some(trace), squared_norm: Some(squared_norm), scale, ..Default::default() };
        let noise = NoiseScale { all, ..Default::default() };
        Report::Step(StepReport { noise: Some(noise), ..Default::default() })
    }

    #[test]
    fn the_average_is_over_what_was_identified() {
        let mut noise = RunNoise::default();
        assert!(noise.summary().is_none());
        noise.add(&Report::Step(StepReport::default()));
        assert!(noise.summary().is_none());
        let reports = [report(10.0, 10.0, Some(1.0)), report(10.0, 2.0, Some(5.0)), report(10.0, -2.0, None)];
        reports.iter().for_each(|report| noise.add(report));
        let summary = serde_json::to_value(noise.summary().unwrap()).unwrap();
        assert_eq!(summary["average"], json!({ "scale": 3.0, "scale_of_means": 3.0, "reports": 3, "identified": 2 }));
        assert_eq!((&summary["newest"]["squared_norm"], &summary["newest"]["scale"]), (&json!(-2.0), &json!(null)));
    }
}

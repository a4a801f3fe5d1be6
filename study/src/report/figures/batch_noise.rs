//! The noise scale of one batch size, beside the critical batch that it is to predict.

use crate::report::tables::Cell;
use crate::report::view::{RunNoise, View};
use crate::report::words::{number, with_interval};
use crate::statistics::{Interval, geometric_interval};

/// The noise scale of a batch size.
pub struct BatchNoise<'a> {
    pub cell: &'a Cell,
    /// Geometric mean over seeds of B_simple's mean over the run.
    pub scale: Option<Interval>,
    pub noise: RunNoise,
}

impl<'a> BatchNoise<'a> {
    /// What the runs of a cell tell.
    pub fn of(view: &View<'a>, cell: &'a Cell) -> Self {
        let scales = view.values(cell, |job| view.mean_scale(job).filter(|scale| *scale > 0.0));
        let scale = geometric_interval(&scales.into_values().collect::<Vec<_>>());
        Self { cell, scale, noise: view.noise(&[cell]) }
    }

    /// Micro-batches of a batch, of which it takes two to tell noise from gradient.
    pub fn lanes(&self) -> u64 {
        self.cell.batch.div_ceil(self.cell.micro_batch.max(1))
    }

    /// The measured scale beside what the fit predicts it to be of the order of, or why there is none.
    pub fn said(&self, critical: Option<f64>) -> String {
        let Some(scale) = &self.scale else {
            return match (self.lanes(), self.noise.reports) {
                (..2, _) => "B_simple is not identified: it takes two lanes a batch, and here all of it is one".into(),
                (_, 0) => "no run tells of its noise".into(),
                _ => "B_simple is not identified at any reported step".into(),
            };
        };
        let times = |critical: f64| format!(", {} times B_crit", number(scale.value / critical));
        let beside = critical.map_or(String::new(), times);
        format!("B_simple, the mean over the run, is {} samples{beside}{}", with_interval(scale), self.noise.caveat())
    }
}

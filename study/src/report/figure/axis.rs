//! What an axis measures, and where values lie on it.

use super::svg::width_of;
use super::ticks;

/// How values are laid along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithms; values that are not positive are left out.
    Log,
}

/// What is measured along an axis.
#[derive(Clone, Debug)]
pub struct Measure {
    /// What, and its unit in parentheses.
    pub label: String,
    /// How values are laid along it.
    pub scale: Scale,
    /// Values that the axis covers beside those of the data.
    pub covered: Vec<f64>,
    /// Where ticks are, such as at batch sizes; empty for round numbers.
    pub ticks: Vec<f64>,
}

impl Measure {
    /// A linear axis.
    pub fn linear(label: &str) -> Self {
        Self { label: label.into(), scale: Scale::Linear, covered: Vec::new(), ticks: Vec::new() }
    }

    /// A logarithmic axis.
    pub fn log(label: &str) -> Self {
        Self { scale: Scale::Log, ..Self::linear(label) }
    }

    /// Covers these values as well.
    pub fn covering(mut self, values: &[f64]) -> Self {
        self.covered.extend(values);
        self
    }

    /// Has its ticks at these values.
    pub fn at(mut self, ticks: Vec<f64>) -> Self {
        self.ticks = ticks;
        self
    }

    /// Whether a value has a place on it. Beyond 10^±100 the ends' powers would not be finite.
    pub fn has(&self, value: f64) -> bool {
        value.abs() <= 1e100 && (self.scale == Scale::Linear || value >= 1e-100)
    }
}

/// An axis with its ends.
#[derive(Debug)]
pub struct Axis {
    scale: Scale,
    /// Ends, as logarithms on a logarithmic axis.
    ends: [f64; 2],
    /// Values with their texts, in ascending order.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis that has a place for all these values, with about as many ticks as wanted.
    pub fn over(measure: &Measure, values: impl Iterator<Item = f64>, wanted: usize) -> Self {
        let values = values.chain(measure.covered.iter().copied()).filter(|value| measure.has(*value));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let nothing = low > high;
        match measure.scale {
            Scale::Linear => Self::linear(if nothing { [0.0, 1.0] } else { [low, high] }, wanted),
            Scale::Log => Self::log(if nothing { [1.0, 10.0] } else { [low, high] }, wanted),
        }
        .with_ticks_at(&measure.ticks)
    }

    fn linear([low, high]: [f64; 2], wanted: usize) -> Self {
        let spread = if high > low { high - low } else { low.abs().max(1.0) * 0.2 };
        // Room at the ends, but none beyond a zero that the data keep to.
        let room = |end: f64, by: f64| if end == 0.0 { 0.0 } else { end + by * spread };
        let mut ends = [room(low, -0.06), room(high, 0.06)];
        if low > 0.0 && ends[0] < 0.0 {
            ends[0] = 0.0;
        }
        if ends[0] == ends[1] {
            ends[1] += spread;
        }
        let (ticks, step) = ticks::linear(ends[0], ends[1], wanted);
        let ticks = ticks.into_iter().map(|tick| (tick, ticks::written(tick, step))).collect();
        Self { scale: Scale::Linear, ends, ticks }
    }

    fn log([low, high]: [f64; 2], wanted: usize) -> Self {
        let (low, high) = (low.ln(), high.ln());
        let room = if high > low { 0.05 * (high - low) } else { 0.2 };
        let ends = [low - room, high + room];
        let ticks = ticks::logarithmic(ends[0].exp(), ends[1].exp(), wanted);
        let ticks = ticks.into_iter().map(|tick| (tick, ticks::written_log(tick))).collect();
        Self { scale: Scale::Log, ends, ticks }
    }

    fn with_ticks_at(mut self, values: &[f64]) -> Self {
        if !values.is_empty() {
            self.ticks = values.iter().map(|value| (*value, ticks::written_log(*value))).collect();
            self.ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        self
    }

    /// Leaves out ticks whose texts would touch, along `length`.
    pub fn thin(&mut self, length: f64) {
        let scale = (self.scale, self.ends);
        let mut free = f64::NEG_INFINITY;
        self.ticks.retain(|(value, text)| {
            let (middle, half) = (place(scale, *value) * length, width_of(text) / 2.0);
            let fits = middle - half > free;
            if fits {
                free = middle + half + 8.0;
            }
            fits
        });
    }

    /// Where a value is, 0 at the low end and 1 at the high one; what lies beyond is at the end.
    pub fn place(&self, value: f64) -> f64 {
        place((self.scale, self.ends), value)
    }
}

fn place((scale, [low, high]): (Scale, [f64; 2]), value: f64) -> f64 {
    let value = if scale == Scale::Log { value.ln() } else { value };
    ((value - low) / (high - low)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_values_have_an_axis() {
        let extremes = [0.0, -1.0, 1.0, 1e-300, 1e-100, 1e100, -1e100, 1e299, f64::NAN, f64::INFINITY];
        for measure in [Measure::linear(""), Measure::log("")] {
            for low in extremes {
                for high in extremes {
                    let mut axis = Axis::over(&measure, [low, high].into_iter(), 6);
                    axis.thin(300.0);
                    assert!(axis.ticks.len() < 60 && axis.ends[0] < axis.ends[1], "{low} {high} {axis:?}");
                    assert!(axis.ticks.iter().all(|tick| axis.place(tick.0).is_finite()));
                }
            }
        }
    }
}

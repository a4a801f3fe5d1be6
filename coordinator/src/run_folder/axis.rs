//! Axes with round ticks.

/// An axis from a round number to a round number.
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

/// Steps between ticks that an axis has, about.
const TICKS: f64 = 5.0;

impl Axis {
    /// An axis that covers these values.
    pub fn covering(low: f64, high: f64) -> Self {
        if !(low.is_finite() && high.is_finite()) {
            return Self { low: 0.0, high: 1.0, step: 0.2 };
        }
        let spread = if high > low { high - low } else { low.abs().max(1.0) * 0.1 };
        let step = round_step(spread / TICKS);
        Self { low: (low / step).floor() * step, high: ((low + spread) / step).ceil() * step, step }
    }

    /// An axis from zero that ends where the values end.
    pub fn from_zero(high: f64) -> Self {
        let step = round_step(high / (2.0 * TICKS)).max(1.0);
        Self { low: 0.0, high, step }
    }

    /// Distance of two ticks.
    pub fn step(&self) -> f64 {
        self.step
    }

    /// Where ticks are.
    pub fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step + 1e-6).floor() as usize;
        (0..=count.min(100)).map(|index| self.low + index as f64 * self.step).collect()
    }

    /// Where a value is, 0 at the low end, 1 at the high one.
    pub fn place(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }
}

/// The smallest of 1, 2, 5 × a power of ten that isn't below.
fn round_step(step: f64) -> f64 {
    let step = step.clamp(1e-12, 1e15);
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

/// A tick's text, with as many decimals as ticks of this distance need.
pub fn label(value: f64, step: f64) -> String {
    let value = if value.abs() < step / 1e6 { 0.0 } else { value };
    if value.abs() >= 1e6 {
        return format!("{value:.0e}");
    }
    let decimals = (-(step * 1.001).log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    if decimals == 0 && value >= 1000.0 {
        return format!("{},{}", &text[..text.len() - 3], &text[text.len() - 3..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let axis = Axis::covering(0.013, 2.31);
        let labels: Vec<_> = axis.ticks().into_iter().map(|tick| label(tick, axis.step())).collect();
        assert_eq!(labels, ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        let axis = Axis::from_zero(18_750.0);
        let labels: Vec<_> = axis.ticks().into_iter().map(|tick| label(tick, axis.step())).collect();
        assert_eq!(labels[5..], ["10,000", "12,000", "14,000", "16,000", "18,000"]);
    }

    #[test]
    fn any_values_have_an_axis() {
        for (low, high) in [(1.0, 1.0), (0.0, 0.0), (f64::INFINITY, f64::NEG_INFINITY), (-1e300, 1e300), (0.0, 1e-300)]
        {
            let axis = Axis::covering(low, high);
            assert!(axis.ticks().len() <= 101 && axis.place(0.5).is_finite(), "{low} {high}");
        }
    }
}

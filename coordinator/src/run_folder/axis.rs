//! Axes with round ticks.

/// An axis from a round number to a round number.
pub struct Axis {
    /// Ends; on a logarithmic axis their decadic logarithms, whole numbers.
    low: f64,
    high: f64,
    step: f64,
    is_logarithmic: bool,
}

/// Steps between ticks that an axis has, about.
const TICKS: f64 = 5.0;

impl Axis {
    /// An axis that covers these values.
    pub fn covering(low: f64, high: f64) -> Self {
        if !(low.is_finite() && high.is_finite()) {
            return Self { low: 0.0, high: 1.0, step: 0.2, is_logarithmic: false };
        }
        let spread = if high > low { high - low } else { low.abs().max(1.0) * 0.1 };
        let step = round_step(spread / TICKS);
        let (low, high) = ((low / step).floor() * step, ((low + spread) / step).ceil() * step);
        Self { low, high, step, is_logarithmic: false }
    }

    /// An axis from zero that ends where the values end.
    pub fn from_zero(high: f64) -> Self {
        let step = round_step(high / (2.0 * TICKS)).max(1.0);
        Self { low: 0.0, high, step, is_logarithmic: false }
    }

    /// A logarithmic axis of whole decades that covers these values, which are above 0.
    pub fn logarithmic(low: f64, high: f64) -> Self {
        let is_some = low > 0.0 && high.is_finite();
        let (low, high) = if is_some { (low.log10().floor(), high.log10().ceil()) } else { (0.0, 1.0) };
        let high = high.max(low + 1.0);
        Self { low, high, step: ((high - low) / (2.0 * TICKS)).ceil(), is_logarithmic: true }
    }

    /// Text of a tick whose value is shown times `factor`.
    pub fn label(&self, tick: f64, factor: f64) -> String {
        label(tick * factor, factor * if self.is_logarithmic { tick } else { self.step })
    }

    /// Where ticks are: every so many decades, or with few of them at 1, 2 and 5 of each.
    pub fn ticks(&self) -> Vec<f64> {
        if self.is_logarithmic {
            let decades = ((self.high - self.low) / self.step) as i32;
            let powers = (0..=decades.min(100)).map(|index| 10_f64.powf(self.low + f64::from(index) * self.step));
            let between: &[f64] = if decades <= 2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
            let ticks = powers.flat_map(|power| between.iter().map(move |part| part * power));
            return ticks.filter(|tick| self.place(*tick) <= 1.0 + 1e-9).collect();
        }
        let count = ((self.high - self.low) / self.step + 1e-6).floor() as usize;
        (0..=count.min(100)).map(|index| self.low + index as f64 * self.step).collect()
    }

    /// Where a value is, 0 at the low end, 1 at the high one.
    pub fn place(&self, value: f64) -> f64 {
        let value = if self.is_logarithmic { value.log10() } else { value };
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
fn label(value: f64, step: f64) -> String {
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
        let labels: Vec<_> = axis.ticks().into_iter().map(|tick| axis.label(tick, 1.0)).collect();
        assert_eq!(labels, ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        let axis = Axis::from_zero(18_750.0);
        let labels: Vec<_> = axis.ticks().into_iter().map(|tick| axis.label(tick, 1.0)).collect();
        assert_eq!(labels[5..], ["10,000", "12,000", "14,000", "16,000", "18,000"]);
    }

    #[test]
    fn decades_are_ticks() {
        let labels = |low, high| -> Vec<_> {
            let axis = Axis::logarithmic(low, high);
            axis.ticks().into_iter().map(|tick| axis.label(tick, 1.0)).collect()
        };
        assert_eq!(labels(3.0, 8000.0), ["1", "10", "100", "1,000", "10,000"]);
        assert_eq!(labels(0.02, 0.7), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(labels(10.0, 10.0), ["10", "20", "50", "100"]);
        assert_eq!(labels(f64::INFINITY, f64::NEG_INFINITY), ["1", "2", "5", "10"]);
        assert!((2..=12).contains(&labels(1e-300, 1e300).len()));
        assert!((Axis::logarithmic(1.0, 100.0).place(10.0) - 0.5).abs() < 1e-12);
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

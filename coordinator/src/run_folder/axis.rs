//! Axes with round ticks.

/// An axis from a round number to a round number.
pub struct Axis {
    /// Ends; on a logarithmic axis their decadic logarithms, whole numbers.
    low: f64,
    high: f64,
    step: f64,
    scale: Scale,
}

/// How values lie on an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    /// Whole decades.
    Logarithmic,
    /// The same with zero at the low end, which is below all values.
    LogarithmicFromZero,
}

/// Steps between ticks that an axis has, about.
const TICKS: f64 = 5.0;

impl Axis {
    /// An axis that covers these values.
    pub fn covering(low: f64, high: f64) -> Self {
        if !(low.is_finite() && high.is_finite()) {
            return Self { low: 0.0, high: 1.0, step: 0.2, scale: Scale::Linear };
        }
        let spread = if high > low { high - low } else { low.abs().max(1.0) * 0.1 };
        let step = round_step(spread / TICKS);
        let (low, high) = ((low / step).floor() * step, ((low + spread) / step).ceil() * step);
        Self { low, high, step, scale: Scale::Linear }
    }

    /// An axis from zero that ends where the values end.
    pub fn from_zero(high: f64) -> Self {
        let step = round_step(high / (2.0 * TICKS)).max(1.0);
        Self { low: 0.0, high, step, scale: Scale::Linear }
    }

    /// A logarithmic axis that covers those of these values that are above 0.
    pub fn logarithmic(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = decades(values).unwrap_or((0.0, 1.0));
        Self::of_decades(low, high.max(low + 1.0), Scale::Logarithmic)
    }

    /// The same with zero at the low end, where the other values are.
    pub fn logarithmic_from_zero(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = decades(values).unwrap_or((0.0, 0.0));
        Self::of_decades(low - 1.0, high.max(low), Scale::LogarithmicFromZero)
    }

    fn of_decades(low: f64, high: f64, scale: Scale) -> Self {
        Self { low, high, step: ((high - low) / (2.0 * TICKS)).ceil().max(1.0), scale }
    }

    /// Text of a tick whose value is shown times `factor`.
    pub fn label(&self, tick: f64, factor: f64) -> String {
        match self.scale {
            Scale::Linear => label(tick * factor, self.step * factor),
            Scale::Logarithmic => label(tick * factor, tick * factor),
            Scale::LogarithmicFromZero if tick == 0.0 => "0".to_owned(),
            Scale::LogarithmicFromZero => format!("{tick:.0e}"),
        }
    }

    /// Where ticks are: of decades every so many, or with few of them at 1, 2 and 5 of each.
    pub fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step + 1e-6).floor().min(100.0) as i32;
        let steps = (0..=count).map(|index| self.low + f64::from(index) * self.step);
        match self.scale {
            Scale::Linear => steps.collect(),
            Scale::LogarithmicFromZero => [0.0].into_iter().chain(steps.skip(1).map(power)).collect(),
            Scale::Logarithmic if count > 2 => steps.map(power).collect(),
            Scale::Logarithmic => {
                let parts = |decade: f64| [1.0, 2.0, 5.0].map(|part| part * power(decade));
                steps.flat_map(parts).filter(|tick| self.place(*tick) <= 1.0 + 1e-9).collect()
            }
        }
    }

    /// Where a value is, 0 at the low end, 1 at the high one.
    pub fn place(&self, value: f64) -> f64 {
        let at = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.log10(),
            Scale::LogarithmicFromZero if value > 0.0 => value.log10().max(self.low),
            Scale::LogarithmicFromZero => self.low,
        };
        (at - self.low) / (self.high - self.low)
    }
}

/// The exponents of ten around those of the values that are above 0 and finite, if there are some.
fn decades(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let exponents = values.filter(|value| *value > 0.0 && value.is_finite()).map(f64::log10);
    let ends =
        exponents.fold(None, |ends: Option<(f64, f64)>, e| Some(ends.map_or((e, e), |(l, h)| (l.min(e), h.max(e)))));
    ends.map(|(low, high)| (low.floor(), high.ceil()))
}

fn power(exponent: f64) -> f64 {
    10_f64.powi(exponent as i32)
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
            let axis = Axis::logarithmic([low, high].into_iter());
            axis.ticks().into_iter().map(|tick| axis.label(tick, 1.0)).collect()
        };
        assert_eq!(labels(3.0, 8000.0), ["1", "10", "100", "1,000", "10,000"]);
        assert_eq!(labels(0.02, 0.7), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!(labels(10.0, 10.0), ["10", "20", "50", "100"]);
        assert_eq!(labels(f64::INFINITY, f64::NEG_INFINITY), ["1", "2", "5", "10"]);
        assert!((2..=12).contains(&labels(1e-300, 1e300).len()));
        assert!((Axis::logarithmic([1.0, 100.0].into_iter()).place(10.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn decades_have_zero_below_them() {
        let axis = Axis::logarithmic_from_zero([0.0, 3e-7, 0.02, f64::NAN].into_iter());
        let labels: Vec<_> = axis.ticks().into_iter().map(|tick| axis.label(tick, 1.0)).collect();
        assert_eq!(labels, ["0", "1e-7", "1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1"]);
        assert_eq!([0.0, 1e-7, 0.1].map(|value| (axis.place(value) * 7.0).round()), [0.0, 1.0, 7.0]);
        assert_eq!(axis.place(f64::NAN), 0.0);
        for values in [vec![], vec![0.0], vec![1.0], vec![1e-300, 1e300]] {
            let axis = Axis::logarithmic_from_zero(values.into_iter());
            assert!(axis.ticks().len() <= 101 && axis.place(1.0).is_finite());
        }
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

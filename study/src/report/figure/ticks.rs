//! Round numbers along an axis, and how they are written.

/// Round values from `low` to `high` of a linear axis, about `wanted` of them, and their distance.
pub fn linear(low: f64, high: f64, wanted: usize) -> (Vec<f64>, f64) {
    let step = round_up((high - low) / wanted.max(1) as f64);
    let first = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - first).clamp(0.0, 50.0) as usize;
    ((0..=count).map(|index| (first + index as f64) * step).collect(), step)
}

/// The next of 1, 2, 5 times a power of ten.
fn round_up(least: f64) -> f64 {
    let least = least.max(f64::MIN_POSITIVE * 1e20);
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|factor| factor * power).find(|step| *step >= least * 0.999).unwrap_or(10.0 * power)
}

/// Ranges up to this factor have ticks in even steps: of 1, 2 and 5 some would leave half of the axis bare.
const EVEN: f64 = 3.5;

/// Round values of a logarithmic axis: powers of ten, with 2 and 5 (or 3) between them where there is room.
/// Where the values are within a few times each other, even steps.
pub fn logarithmic(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    if high < EVEN * low {
        return linear(low, high, wanted.min(6)).0;
    }
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let within = |value: &f64| (low * 0.999..=high * 1.001).contains(value);
    let all = |between: &[f64], stride: usize| -> Vec<f64> {
        let powers = (first..=last).filter(|power| power.rem_euclid(stride as i32) == 0);
        powers.flat_map(|power| between.iter().map(move |b| b * 10_f64.powi(power))).filter(within).collect()
    };
    let fine: [&[f64]; 3] = [&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], &[1.0, 2.0, 5.0], &[1.0, 3.0]];
    let candidates = fine.into_iter().map(|between| all(between, 1));
    let coarse = (1..=20).map(|stride| all(&[1.0], stride));
    let fitting = candidates.chain(coarse).find(|ticks| ticks.len() <= wanted.max(2) && !ticks.is_empty());
    match fitting {
        // A range within one step of the finest series.
        Some(ticks) if ticks.len() < 2 => linear(low, high, 3).0,
        Some(ticks) => ticks,
        None => linear(low, high, 3).0,
    }
}

/// A tick's text, with as many decimals as ticks of this distance need.
pub fn written(value: f64, step: f64) -> String {
    if value.abs() < step * 1e-6 {
        return "0".into();
    }
    if value.abs() >= 1e6 || step < 1e-5 {
        return power_of_ten(value);
    }
    let decimals = (-(step * 1.001).log10().floor()).clamp(0.0, 9.0) as usize;
    grouped(&format!("{value:.decimals$}"))
}

/// A round number of a logarithmic axis.
pub fn written_log(value: f64) -> String {
    if !(1e-3 * 0.999..1e6).contains(&value) {
        return power_of_ten(value);
    }
    let decimals = (-(value * 1.001).log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    // Ticks of a narrow range, such as 1.25, have more digits than their power of ten tells.
    let exact = text.parse::<f64>().is_ok_and(|read| (read / value - 1.0).abs() < 1e-3);
    if exact { grouped(&text) } else { grouped(format!("{value:.0$}", decimals + 2).trim_end_matches('0')) }
}

/// With commas between thousands and a true minus.
pub fn grouped(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("−", digits),
        None => ("", text),
    };
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// Such as 2×10⁻⁵.
pub fn power_of_ten(value: f64) -> String {
    let scientific = format!("{value:.1e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa).replace('-', "−");
    let raised: String = exponent
        .chars()
        .map(|digit| {
            "⁻⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(match digit {
                '-' => 0,
                digit => digit.to_digit(10).unwrap_or(0) as usize + 1,
            })
        })
        .map(|raised| raised.unwrap_or('⁰'))
        .collect();
    if mantissa == "1" { format!("10{raised}") } else { format!("{mantissa}×10{raised}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let (ticks, step) = linear(0.0131, 2.31, 5);
        assert_eq!(ticks.iter().map(|t| written(*t, step)).collect::<Vec<_>>(), ["0.5", "1.0", "1.5", "2.0"]);
        let log = |low, high, wanted| logarithmic(low, high, wanted).into_iter().map(written_log).collect::<Vec<_>>();
        assert_eq!(log(0.8, 12.0, 6), ["1", "2", "5", "10"]);
        assert_eq!(log(1e-5, 10.0, 4), ["10⁻⁴", "0.01", "1"]);
        assert_eq!(log(900.0, 2_100_000.0, 8)[..2], ["1,000", "3,000"]);
        for (low, high) in [(1.0, 1.0001), (0.99, 1.01), (1e-105, 1e105), (3.0, 3.5)] {
            let ticks = logarithmic(low, high, 6);
            assert!((1..=60).contains(&ticks.len()), "{low} {high} {ticks:?}");
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([written(-1500.0, 500.0), written(2e6, 1e6), written(0.05, 0.05)], ["−1,500", "2×10⁶", "0.05"]);
        assert_eq!([power_of_ten(2e-5), power_of_ten(1e12)], ["2×10⁻⁵", "10¹²"]);
    }
}

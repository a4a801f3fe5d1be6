//! Numbers and intervals as people read them.

use super::figure::{grouped, power_of_ten};
use crate::statistics::Interval;

/// Three digits that count.
pub fn number(value: f64) -> String {
    to_digits(value, 3)
}

/// Values that differ as words that differ, in the fewest digits, at least three.
pub fn told_apart(values: &[f64]) -> Vec<String> {
    let alike = |words: &[String]| {
        let clash = |(a, x): (&f64, &String), (b, y): (&f64, &String)| a != b && x == y;
        values.iter().zip(words).any(|one| values.iter().zip(words).any(|other| clash(one, other)))
    };
    let to = |digits| values.iter().map(|value| to_digits(*value, digits)).collect::<Vec<_>>();
    (3..17).map(to).find(|words| !alike(words)).unwrap_or_else(|| values.iter().map(f64::to_string).collect())
}

/// So many digits that count.
fn to_digits(value: f64, count: i32) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    // A sum of nothing may be −0.
    let value = value + 0.0;
    if value != 0.0 && count <= 3 && !(1e-4 * 0.999_999..1e7).contains(&value.abs()) {
        return power_of_ten(value);
    }
    let digits = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if digits >= count {
        let unit = 10_f64.powi(digits + 1 - count);
        return grouped(&format!("{:.0}", (value / unit).round() * unit));
    }
    let text = format!("{value:.0$}", (count - 1 - digits).max(0) as usize);
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    grouped(text)
}

/// A whole number.
pub fn whole(value: u64) -> String {
    grouped(&value.to_string())
}

/// `0.62 [0.41, 0.83]`, to the digits that the interval leaves in doubt; without an interval three digits.
pub fn with_interval(interval: &Interval) -> String {
    let Some([low, high]) = interval.ends() else {
        return number(interval.value);
    };
    let [value, low, high] = alike([interval.value, low, high], high - low);
    format!("{value} [{low}, {high}]")
}

/// A share with its interval, in per cent.
pub fn percent(share: &Interval) -> String {
    format!("{} %", with_interval(&share.map(|share| 100.0 * share)))
}

/// Numbers to as many digits as a spread of this size needs.
fn alike(values: [f64; 3], spread: f64) -> [String; 3] {
    let digits = spread.log10().floor();
    // A spread of nothing has −∞ digits.
    if !(-4.0..6.0).contains(&digits) {
        return values.map(number);
    }
    if digits >= 2.0 {
        let unit = 10_f64.powf(digits - 1.0);
        return values.map(|value| grouped(&format!("{:.0}", (value / unit).round() * unit)));
    }
    let decimals = (1.0 - digits) as usize;
    values.map(|value| {
        let text = format!("{value:.decimals$}");
        // No minus before a zero.
        let zero = text.trim_start_matches('-').chars().all(|c| matches!(c, '0' | '.'));
        grouped(if zero { text.trim_start_matches('-') } else { &text })
    })
}

/// What a difference comes to: `rises by 0.62 [0.41, 0.83] points`, or that none is shown.
pub fn change(difference: &Interval, unit: &str) -> String {
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let size = |interval: &Interval| with_interval(interval);
    if let Some(reason) = difference.lacks() {
        return format!("changes by {}{unit} ({reason})", number(difference.value));
    }
    if !difference.excludes(0.0) {
        return format!("changes by {}{unit}: the interval includes zero, so no change is shown", size(difference));
    }
    if difference.value > 0.0 {
        return format!("rises by {}{unit}", size(difference));
    }
    let turned = Interval {
        value: -difference.value,
        low: difference.high.map(|high| -high),
        high: difference.low.map(|low| -low),
        count: difference.count,
    };
    format!("falls by {}{unit}", size(&turned))
}

/// What a quotient comes to, from the interval of its logarithm.
pub fn quotient(logarithm: &Interval) -> String {
    let factor = logarithm.map(f64::exp);
    if let Some(reason) = logarithm.lacks() {
        return format!("changes by a factor of {} ({reason})", number(factor.value));
    }
    if !logarithm.excludes(0.0) {
        let factor = with_interval(&factor);
        return format!("changes by a factor of {factor}: the interval includes one, so no change is shown");
    }
    if logarithm.value > 0.0 {
        return format!("rises by a factor of {}", with_interval(&factor));
    }
    let turned = Interval {
        value: -logarithm.value,
        low: logarithm.high.map(|high| -high),
        high: logarithm.low.map(|low| -low),
        count: logarithm.count,
    };
    format!("falls by a factor of {}", with_interval(&turned.map(f64::exp)))
}

/// What has to stand behind a figure in a list of such: that it has no interval, or that its interval includes `null`, so
/// that `nothing` can be said of it.
pub fn doubt(figure: &Interval, null: f64, nothing: &str) -> String {
    match figure.lacks() {
        Some(reason) => format!(" ({reason})"),
        None if !figure.excludes(null) => format!(" ({nothing})"),
        None => String::new(),
    }
}

/// `3 seeds`, `1 seed`.
pub fn count(number: usize, word: &str) -> String {
    format!("{} {word}{}", whole(number as u64), if number == 1 { "" } else { "s" })
}

/// `a, b and c`.
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// With a capital at the beginning and a full stop at the end.
pub fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    // A Greek letter or a sign is a symbol, not the beginning of a word.
    let symbol = words.chars().next().is_some_and(|letter| !letter.is_ascii());
    let words = if symbol { words.to_owned() } else { format!("{first}{}", letters.as_str()) };
    if words.ends_with(['.', '?', '!']) { words } else { format!("{words}.") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(value: f64, low: f64, high: f64) -> Interval {
        Interval { value, low: Some(low), high: Some(high), count: 5 }
    }

    #[test]
    fn numbers_have_three_digits() {
        let written = [-0.0, 1.0, 0.0123, 12.345, 1234.5, 98_765.0, 2e-5, -0.5, f64::NAN].map(number);
        assert_eq!(written, ["0", "1", "0.0123", "12.3", "1,230", "98,800", "2×10⁻⁵", "−0.5", "–"]);
    }

    #[test]
    fn values_that_differ_are_told_apart() {
        assert_eq!(told_apart(&[0.1, 0.2, 0.1]), ["0.1", "0.2", "0.1"]);
        assert_eq!(told_apart(&[0.1001, 0.1002, 0.5]), ["0.1001", "0.1002", "0.5"]);
        assert_eq!(told_apart(&[12_341.0, 12_342.0]), ["12,341", "12,342"]);
        assert_eq!(told_apart(&[1.25e-5, 1.252e-5]), ["0.0000125", "0.00001252"]);
    }

    #[test]
    fn effects_are_told_as_they_are() {
        assert_eq!(change(&interval(0.6234, 0.41, 0.83), "points"), "rises by 0.62 [0.41, 0.83] points");
        assert_eq!(change(&interval(-0.6234, -0.83, -0.41), ""), "falls by 0.62 [0.41, 0.83]");
        let null = change(&interval(0.02, -0.1, 0.14), "points");
        assert_eq!(null, "changes by 0.02 [−0.10, 0.14] points: the interval includes zero, so no change is shown");
        assert_eq!(with_interval(&interval(0.01, 0.01, 0.01)), "0.01 [0.01, 0.01]");
        assert!(change(&Interval::bare(0.3, 1), "points").contains("too few seeds"));
        assert_eq!(quotient(&interval(3f64.ln(), 2f64.ln(), 4f64.ln())), "rises by a factor of 3.0 [2.0, 4.0]");
        assert!(quotient(&interval(0.1, -0.2, 0.3)).contains("includes one"));
        let doubts = [interval(0.1, -0.2, 0.3), interval(0.2, 0.1, 0.3), Interval::bare(0.3, 4)];
        let doubts = doubts.map(|figure| doubt(&figure, 0.0, "none is shown"));
        assert_eq!(doubts, [" (none is shown)", "", " (too few seeds for an interval)"]);
    }

    #[test]
    fn sentences_begin_and_end() {
        assert_eq!(sentence("a rises"), "A rises.");
        assert_eq!(sentence("η is 1."), "η is 1.");
    }
}

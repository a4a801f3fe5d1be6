//! The noise scale in words and for programs.

use lockstep_proto::wire;
use serde_json::{Value, json};

use super::table::grouped;

/// "870 [790, 960]", "above 3,000"; nothing where neither is identified.
pub fn scale(noise: &wire::NoiseScale) -> Option<String> {
    match (noise.scale, noise.low, noise.high, noise.above) {
        (Some(scale), Some(low), Some(high), _) => {
            Some(format!("{} [{}, {}]", rounded(scale), rounded(low), rounded(high)))
        }
        (Some(scale), ..) => Some(rounded(scale)),
        (None, _, _, above) => above.map(|above| format!("above {}", rounded(above))),
    }
}

/// The same for a table that has room for a reason.
pub fn scale_or_reason(noise: &wire::NoiseScale) -> Option<String> {
    let reason = || Some(format!("not identified: {}", noise.reason)).filter(|_| !noise.reason.is_empty());
    scale(noise).or_else(reason)
}

/// With the keys of `metrics.jsonl`.
pub fn json(noise: &wire::NoiseScale) -> Value {
    let layer = |layer: &wire::LayerNoise| {
        json!({
            "name": layer.name,
            "trace": layer.trace,
            "squared_norm": layer.squared_norm,
            "scale": layer.scale,
            "low": layer.low,
            "high": layer.high,
            "above": layer.above,
        })
    };
    let mut value = json!({
        "trace": noise.trace,
        "squared_norm": noise.squared_norm,
        "scale": noise.scale,
        "low": noise.low,
        "high": noise.high,
        "above": noise.above,
        "lane_squared_norm": noise.lane_squared_norm,
        "implicit_gradient": noise.implicit_gradient,
        "steps": noise.steps,
        "layers": noise.layers.iter().map(layer).collect::<Vec<_>>(),
    });
    if !noise.reason.is_empty() {
        value["reason"] = noise.reason.as_str().into();
    }
    value
}

/// Three digits: "12,300", "867", "8.67", "0.0867".
fn rounded(value: f64) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    // 1,000 and not 999.9 has four digits before the point.
    let places = if size > 0.0 { 2 - (size * 1.0005).log10().floor() as i32 } else { 0 };
    let unit = 10_f64.powi(-places);
    match usize::try_from(places) {
        Ok(decimals @ 1..) => format!("{sign}{size:.decimals$}"),
        Ok(_) | Err(_) => format!("{sign}{}", grouped((size / unit).round() * unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_readable() {
        let noise = wire::NoiseScale {
            scale: Some(867.4),
            low: Some(791.0),
            high: Some(12_345.0),
            reason: String::new(),
            ..Default::default()
        };
        assert_eq!(scale_or_reason(&noise).unwrap(), "867 [791, 12,300]");
        let above = wire::NoiseScale { above: Some(3000.4), ..Default::default() };
        assert_eq!(scale(&above).unwrap(), "above 3,000");
        let unknown = wire::NoiseScale { reason: "needs more steps".into(), ..Default::default() };
        assert_eq!(
            (scale(&unknown), scale_or_reason(&unknown).unwrap()),
            (None, "not identified: needs more steps".into())
        );
        assert_eq!(scale_or_reason(&wire::NoiseScale::default()), None);
    }

    #[test]
    fn three_digits_are_shown() {
        let cases = [
            (0.0, "0"),
            (0.086_74, "0.0867"),
            (8.674, "8.67"),
            (86.74, "86.7"),
            (99.96, "100"),
            (999.9, "1,000"),
            (-12.34, "-12.3"),
            (1_234_567.0, "1,230,000"),
        ];
        for (value, text) in cases {
            assert_eq!(rounded(value), text, "{value}");
        }
    }
}

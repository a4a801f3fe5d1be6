//! Quantiles.

/// The quantile `p` (0 to 1) of values in ascending order, linear between neighbours (Hyndman & Fan 1996, type 7);
/// `None` of nothing.
pub fn quantile(sorted: &[f64], p: f64) -> Option<f64> {
    let place = p.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

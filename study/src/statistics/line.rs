//! Straight lines by least squares.

/// `y = intercept + slope · x`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Where x is 0.
    pub intercept: f64,
    /// Change of y for one of x.
    pub slope: f64,
    /// Share of y's variance that the line explains; 1 where y does not vary.
    pub r_squared: f64,
}

impl Line {
    /// The line's height.
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }
}

/// The line with the least squared distance in y; `None` for fewer than three points, or if x does not vary.
pub fn fit_line(points: &[(f64, f64)]) -> Option<Line> {
    if points.len() < 3 {
        return None;
    }
    let count = points.len() as f64;
    let (x_mean, y_mean) =
        (points.iter().map(|p| p.0).sum::<f64>() / count, points.iter().map(|p| p.1).sum::<f64>() / count);
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in points.iter().map(|(x, y)| (x - x_mean, y - y_mean)) {
        (xx, xy, yy) = (xx + x * x, xy + x * y, yy + y * y);
    }
    if !(xx > 0.0 && yy.is_finite()) {
        return None;
    }
    let slope = xy / xx;
    let r_squared = if yy > 0.0 { (xy * xy / (xx * yy)).min(1.0) } else { 1.0 };
    Some(Line { intercept: y_mean - slope * x_mean, slope, r_squared })
}

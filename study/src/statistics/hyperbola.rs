//! Steps and examples to a target as batches grow: (S/S_min − 1)(E/E_min − 1) = 1 (McCandlish et al. 2018, equation
//! 2.11), which with E = B·S is S(B) = S_min + E_min/B.

use super::bootstrap::{Interval, interval};

/// A fitted hyperbola.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyperbola {
    /// Steps that no batch size gets below.
    pub s_min: f64,
    /// Samples that no batch size gets below.
    pub e_min: f64,
}

impl Hyperbola {
    /// The batch at which either is twice its least.
    pub fn critical_batch(&self) -> f64 {
        self.e_min / self.s_min
    }

    /// Steps to the target at a batch size.
    pub fn steps(&self, batch: f64) -> f64 {
        self.s_min + self.e_min / batch
    }
}

/// A hyperbola with intervals over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HyperbolaFit {
    /// Of all seeds.
    pub curve: Hyperbola,
    /// Steps.
    pub s_min: Interval,
    /// Samples.
    pub e_min: Interval,
    /// Samples.
    pub critical_batch: Interval,
    /// Root of the mean squared residual of ln S.
    pub residual: f64,
    /// Whether the critical batch lies among those that were measured; else it is an extrapolation.
    pub bends_within: bool,
}

/// Why there is no fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Two numbers need more than two batch sizes.
    #[error("a fit needs at least three batch sizes that reached the target")]
    FewBatches,
    /// The best fit has no positive S_min or E_min: steps do not bend as the hyperbola does.
    #[error("steps do not level off as a hyperbola does: the fit has no positive S_min and E_min")]
    NoBend,
}

/// One seed's (batch, steps to target), both positive.
pub type Reached = Vec<(f64, f64)>;

/// Fits ln S by least squares, so that errors count relative to the steps; intervals by resampling seeds.
///
/// # Errors
/// If there are too few batches, or they do not bend.
pub fn fit_hyperbola(seeds: &[Reached]) -> Result<HyperbolaFit, Unfit> {
    let points: Vec<(f64, f64)> = seeds.iter().flatten().copied().collect();
    let curve = fit(&points)?;
    let statistic = |figure: fn(&Hyperbola) -> f64| {
        interval(seeds.len(), |sample| {
            let points: Vec<_> = sample.iter().flat_map(|seed| &seeds[*seed]).copied().collect();
            fit(&points).ok().map(|curve| figure(&curve))
        })
        .ok_or(Unfit::NoBend)
    };
    let residuals = points.iter().map(|(batch, steps)| (steps / curve.steps(*batch)).ln().powi(2));
    let (least, most) = points.iter().fold((f64::INFINITY, 0.0_f64), |(l, m), p| (l.min(p.0), m.max(p.0)));
    Ok(HyperbolaFit {
        curve,
        s_min: statistic(|curve| curve.s_min)?,
        e_min: statistic(|curve| curve.e_min)?,
        critical_batch: statistic(Hyperbola::critical_batch)?,
        residual: (residuals.sum::<f64>() / points.len() as f64).sqrt(),
        bends_within: (least..=most).contains(&curve.critical_batch()),
    })
}

/// Gauss–Newton in (ln S_min, ln E_min), from the weighted linear fit of 1 = S_min/S + E_min/E.
fn fit(points: &[(f64, f64)]) -> Result<Hyperbola, Unfit> {
    let mut batches: Vec<f64> = points.iter().map(|point| point.0).collect();
    batches.sort_by(f64::total_cmp);
    batches.dedup();
    if batches.len() < 3 {
        return Err(Unfit::FewBatches);
    }
    let start = linear(points).ok_or(Unfit::NoBend)?;
    let mut logarithms = (start.s_min.ln(), start.e_min.ln());
    for _ in 0..100 {
        let curve = Hyperbola { s_min: logarithms.0.exp(), e_min: logarithms.1.exp() };
        // d ln S(B) / d ln S_min = S_min/S(B) and d ln S(B) / d ln E_min = E_min/(B·S(B)).
        let rows = points.iter().map(|(batch, steps)| {
            let model = curve.steps(*batch);
            (curve.s_min / model, curve.e_min / (batch * model), (steps / model).ln())
        });
        let (d_s, d_e) = solve(rows).ok_or(Unfit::NoBend)?;
        // A long stride in a logarithm is no longer one of Gauss–Newton's.
        let stride = 1.0 / d_s.abs().max(d_e.abs()).max(1.0);
        logarithms = (logarithms.0 + stride * d_s, logarithms.1 + stride * d_e);
        if d_s.abs().max(d_e.abs()) < 1e-10 {
            return Ok(Hyperbola { s_min: logarithms.0.exp(), e_min: logarithms.1.exp() });
        }
    }
    Err(Unfit::NoBend)
}

fn linear(points: &[(f64, f64)]) -> Option<Hyperbola> {
    let rows = points.iter().map(|(batch, steps)| (1.0 / steps, 1.0 / (batch * steps), 1.0));
    let (s_min, e_min) = solve(rows)?;
    (s_min > 0.0 && e_min > 0.0).then_some(Hyperbola { s_min, e_min })
}

/// Least squares of `a·x + b·y = c` over rows (a, b, c).
fn solve(rows: impl Iterator<Item = (f64, f64, f64)>) -> Option<(f64, f64)> {
    let (mut aa, mut ab, mut bb, mut ac, mut bc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (a, b, c) in rows {
        (aa, ab, bb, ac, bc) = (aa + a * a, ab + a * b, bb + b * b, ac + a * c, bc + b * c);
    }
    let determinant = aa * bb - ab * ab;
    // Below this the rows are one direction to within rounding.
    (determinant > 1e-12 * aa * bb).then(|| ((ac * bb - bc * ab) / determinant, (bc * aa - ac * ab) / determinant))
}

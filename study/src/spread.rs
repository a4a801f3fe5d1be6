//! Mean and interval of a few runs, for people who watch; the report has its own by bootstrap.

/// Student's t, 97.5% quantiles for 1 to 30 degrees of freedom.
const QUANTILES: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// For more, the normal distribution's.
const NORMAL: f64 = 1.960;

/// Of numbers that differ by chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Their mean.
    pub mean: f64,
    /// Half of the 95% interval of the mean: t·s/√n. Absent for a single number.
    pub half_width: Option<f64>,
}

impl Spread {
    /// Nothing of nothing.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let half_width = (count > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
            let quantile = QUANTILES.get(count - 2).copied().unwrap_or(NORMAL);
            quantile * (squares / (count - 1) as f64 / count as f64).sqrt()
        });
        Some(Self { mean, half_width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_numbers_have_students_interval() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[0.5]), Some(Spread { mean: 0.5, half_width: None }));
        // s = 1, n = 3: 4.303/√3.
        let spread = Spread::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(spread.mean, 2.0);
        assert!((spread.half_width.unwrap() - 4.303 / 3.0_f64.sqrt()).abs() < 1e-12);
        let many: Vec<f64> = (0..32).map(f64::from).collect();
        assert!(Spread::of(&many).unwrap().half_width.unwrap() > 0.0);
    }
}

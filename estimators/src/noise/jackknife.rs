//! The variance of means over blocks of unequal sizes: the delete-m_j jackknife (Busing, Meijer & van der Leeden 1999,
//! "Delete-m jackknife for unequal m").
//!
//! Block j is m_j of n observations, h_j = n/m_j, and leaving it out gives θ₍₋ⱼ₎. Its pseudo-value is
//! h_j·θ − (h_j − 1)·θ₍₋ⱼ₎, and the variance of the jackknifed θ is (1/g)·Σ_j (pseudo-value − θ)²/(h_j − 1). Where θ is
//! a weighted mean, as here, the pseudo-value is the block's own mean x_j, and what is left of it is
//!
//! `cov(x̄, ȳ) = (1/g)·Σ_j m_j/(n − m_j)·(x_j − x̄)·(y_j − ȳ)`
//!
//! so that nothing has to be left out in fact. The tests hold it to the definition.

/// Two quantities over blocks, and how their means vary.
pub(super) struct Blocks {
    pub means: [f64; 2],
    /// Of the two means, and between them; none with fewer than two blocks.
    pub variation: Option<Variation>,
}

pub(super) struct Variation {
    pub variances: [f64; 2],
    pub covariance: f64,
    /// Blocks less one.
    pub freedom: usize,
}

impl Blocks {
    /// Of blocks of (size, sums of the two quantities times size); none if there are none.
    pub fn of(blocks: impl Iterator<Item = (f64, [f64; 2])> + Clone) -> Option<Self> {
        let (mut size, mut sums, mut count) = (0.0, [0.0; 2], 0);
        for (part, [x, y]) in blocks.clone() {
            (size, sums, count) = (size + part, [sums[0] + x, sums[1] + y], count + 1);
        }
        if count == 0 {
            return None;
        }
        let means = sums.map(|sum| sum / size);
        let variation = (count > 1).then(|| {
            let (mut variances, mut covariance) = ([0.0; 2], 0.0);
            for (part, sums) in blocks {
                let [x, y] = [sums[0] / part - means[0], sums[1] / part - means[1]];
                let weight = part / ((size - part) * f64::from(count));
                variances = [variances[0] + weight * x * x, variances[1] + weight * y * y];
                covariance += weight * x * y;
            }
            Variation { variances, covariance, freedom: count as usize - 1 }
        });
        Some(Self { means, variation })
    }
}

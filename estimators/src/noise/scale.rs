//! The noise scale: a ratio of two means that vary together, with its interval.
//!
//! B is not excluded where trΣ − B·‖G‖², a plain mean, can't be told from 0: where |T − B·Q| ≤ t·s, with T and Q the means,
//! s² the jackknife's variance of T − B·Q and t Student's quantile (Fieller 1954, "Some problems in interval
//! estimation"). That is `a·B² − 2·b·B + c ≤ 0` with a = Q² − t²·var Q, b = T·Q − t²·cov, c = T² − t²·var T. It is an
//! interval where a > 0, that is, where the interval of ‖G‖² does not reach 0. Where it does, no B is too large, and what is
//! not excluded is all *above* the positive root.

use std::fmt;

use super::jackknife::{Blocks, Variation};

/// Student's t with 1, 2, … degrees of freedom: 95 % lie within ± these.
const T: [f64; 31] = [
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
    2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
    2.0452, 2.0423, 2.0395,
];

/// What the steps of a window say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean of trΣ; unbiased, so that it may be negative.
    pub trace: f64,
    /// Mean of ‖G‖²; unbiased, so that it may be negative.
    pub squared_norm: f64,
    /// B_simple.
    pub scale: Scale,
}

/// B_simple = trΣ/‖G‖², in samples, as far as it is identified.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// The ratio of means, and its 95 % interval.
    Between {
        /// The ratio.
        scale: f64,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// ‖G‖² can't be told from 0: the lower end of the 95 % set, which has no upper one.
    Above(f64),
    /// Not identified.
    Unknown(Unknown),
}

/// Why nothing can be said of a noise scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// There is one block: nothing tells how its numbers vary.
    FewSteps,
    /// ‖G‖² is below 0 by more than chance: batches are most of the data set, whose own noise is missing.
    Negative,
    /// Neither trΣ nor ‖G‖² can be told from 0.
    Nothing,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FewSteps => "needs more steps",
            Self::Negative => {
                "the squared gradient norm comes out negative: batches are too large a part of the data set"
            }
            Self::Nothing => "neither noise nor gradient can be told from 0",
        })
    }
}

impl Estimate {
    pub(super) fn of(blocks: &Blocks) -> Self {
        let [trace, squared_norm] = blocks.means;
        let scale = match &blocks.variation {
            None => Scale::Unknown(Unknown::FewSteps),
            Some(variation) => Scale::of(blocks.means, variation),
        };
        Self { trace, squared_norm, scale }
    }
}

impl Scale {
    fn of([trace, norm]: [f64; 2], variation: &Variation) -> Self {
        let Variation { variances: [of_trace, of_norm], covariance, freedom } = variation;
        let t = T[(*freedom - 1).min(T.len() - 1)];
        let (a, c) = (norm * norm - t * t * of_norm, trace * trace - t * t * of_trace);
        let b = trace * norm - t * t * covariance;
        // Not negative where a > 0, since the ratio itself is between the roots, nor where c > 0 > a, but for rounding.
        let root = (b * b - a * c).max(0.0).sqrt();
        // Without the difference of two numbers of a size.
        let lower = if b > 0.0 { c / (b + root) } else { (b - root) / a };
        if a > 0.0 && norm > 0.0 {
            return Self::Between { scale: trace / norm, low: lower, high: (b + root) / a };
        }
        match a > 0.0 {
            true => Self::Unknown(Unknown::Negative),
            false if c > 0.0 && lower.is_finite() => Self::Above(lower),
            false => Self::Unknown(Unknown::Nothing),
        }
    }
}

//! One step: from squared norms to unbiased estimates.
//!
//! Lane k sums the gradients of n_k samples to s_k. With N = Σ n_k, A = Σ n_k², P = Σ ‖s_k‖² and S = ‖Σ s_k‖²:
//!
//! - E P = A·‖G‖² + N·trΣ
//! - E S = N²·‖G‖² + N·trΣ
//!
//! so that ‖G‖² = (S − P)/(N² − A) and trΣ = (P − (A/N²)·S)/(N − A/N). With K equal lanes of b samples, B = K·b,
//! q = P/(K·b²) and Q = S/B² these are McCandlish's (B·Q − b·q)/(B − b) and (q − Q)/(1/b − 1/B).

/// How many samples the lanes of a step hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    /// N = Σ n_k.
    pub samples: u64,
    /// A = Σ n_k².
    pub squares: u64,
}

/// What a step's lanes have come to. Squared norms have a number for each layer, in the same order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    /// How many samples they hold.
    pub lanes: Lanes,
    /// P = Σ ‖s_k‖².
    pub of_lanes: &'a [f64],
    /// S = ‖Σ s_k‖².
    pub of_sum: &'a [f64],
}

impl Lanes {
    /// N² − A: the ordered pairs of samples in different lanes, which is what a step's ‖G‖² is a mean over. None with one
    /// lane.
    pub fn pairs(&self) -> f64 {
        let samples = u128::from(self.samples);
        (samples * samples).saturating_sub(self.squares.into()) as f64
    }

    /// Unbiased ‖G‖² of one step; none with one lane.
    pub fn squared_norm(&self, of_lanes: f64, of_sum: f64) -> Option<f64> {
        let pairs = self.pairs();
        (pairs > 0.0).then(|| (of_sum - of_lanes) / pairs)
    }

    /// Unbiased trΣ of one step; none with one lane.
    pub fn trace(&self, of_lanes: f64, of_sum: f64) -> Option<f64> {
        let pairs = self.pairs();
        (pairs > 0.0).then(|| self.weighted_trace(of_lanes, of_sum) / pairs)
    }

    /// q = P/A: the mean of the squared norms ‖s_k/n_k‖² of the lanes' mean gradients, each weighted by n_k². None without
    /// samples.
    pub fn lane_squared_norm(&self, of_lanes: f64) -> Option<f64> {
        (self.squares > 0).then(|| of_lanes / self.squares as f64)
    }

    /// trΣ × pairs = N·P − (A/N)·S.
    pub(super) fn weighted_trace(&self, of_lanes: f64, of_sum: f64) -> f64 {
        let samples = self.samples as f64;
        samples * of_lanes - self.squares as f64 / samples * of_sum
    }
}

impl Step<'_> {
    /// Whether it tells noise from gradient: it has two lanes with samples, and all its numbers are finite.
    pub fn identifies(&self) -> bool {
        self.lanes.pairs() > 0.0 && self.of_lanes.iter().chain(self.of_sum).all(|norm| norm.is_finite())
    }
}

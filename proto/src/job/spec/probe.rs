//! `[[probe]]`: what is measured of the network while it trains.

use serde::{Deserialize, Serialize};

/// Values that a probe's report may have, names included: they are one line of `metrics.jsonl`.
pub const MOST_PROBE_VALUES: usize = 4000;
/// Remarks that it may have.
pub const MOST_PROBE_REMARKS: usize = 20;

/// A measurement inside a job. It changes no weight. Keys that its measure has no part for must stay at their defaults;
/// 0 and [] stand for the measure's own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    /// What it is called in results; the measure's name if empty.
    pub name: String,
    /// What is measured.
    pub measure: ProbeMeasure,
    /// Steps between measurements; 0 for the end alone. There is always one at the end.
    pub every: u64,
    /// Over which samples.
    pub on: ProbeSamples,
    /// `subset`: how many of the training samples.
    pub samples: u64,
    /// `eigenvalues`: how many, the largest in magnitude.
    pub top: u32,
    /// `eigenvalues`, `density`: most steps of Lanczos; `keskar`: steps of the ascent.
    pub iterations: u32,
    /// `eigenvalues`: largest residual, as a fraction of the eigenvalue.
    pub tolerance: f64,
    /// `trace`, `density`: random vectors; `keskar`: dimensions of the random subspace, 0 for the full space.
    pub draws: u32,
    /// `sam`: ρ; `keskar`: ε.
    pub radius: f64,
    /// `lane_gradients`: lanes whose gradients are kept.
    pub lanes: u32,
    /// `slice`, `plane`, `interpolation`: points along a line.
    pub points: u32,
    /// `interpolation`: a safetensors file of the weights that the line begins at, seen by all workers; empty for the
    /// initial ones.
    pub from: String,
    /// Its BLAKE3 in hexadecimal.
    pub from_blake3: String,
    /// `slice`, `plane`: how far to both sides, in norms of each filter.
    pub extent: f64,
    /// `shifts`, `rotations`, `scalings`, `noise`, `fgsm`: how strong, one result each.
    pub strengths: Vec<f64>,
}

impl Probe {
    /// `draws` of `density`.
    pub fn density_draws(&self) -> u32 {
        if self.draws == 0 { 4 } else { self.draws }
    }

    /// `iterations` of `density`.
    pub fn density_iterations(&self) -> u32 {
        if self.iterations == 0 { 60 } else { self.iterations }
    }

    /// What it is called in results.
    pub fn title(&self) -> &str {
        if self.name.is_empty() { self.measure.as_str() } else { &self.name }
    }
}

/// Over which samples a probe is: as they lie, without augmentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeSamples {
    /// All that are trained on.
    Train,
    /// Those held out.
    Validation,
    /// The first of those that are trained on, as many as `samples` says.
    #[default]
    Subset,
}

impl ProbeSamples {
    /// As job files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Subset => "subset",
        }
    }
}

/// What a probe measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeMeasure {
    /// Loss and accuracy beside those of the held-out samples.
    #[default]
    Gap,
    /// The largest eigenvalues of the Hessian, and λ_max·η/2.
    Eigenvalues,
    /// Its trace.
    Trace,
    /// The density of its eigenvalues.
    Density,
    /// Sharpness of Keskar et al. 2017.
    Keskar,
    /// Sharpness of Foret et al. 2021.
    Sam,
    /// Angles between lanes' gradients, and the spectrum of their covariance.
    LaneGradients,
    /// Loss along a filter-normalised random direction (Li et al. 2018).
    Slice,
    /// Loss over two of them.
    Plane,
    /// Loss between the initial weights, or a file's, and those of now (Goodfellow et al. 2015).
    Interpolation,
    /// Quantiles of margins.
    Margins,
    /// Norms of the weights, and their distance from the initial ones.
    Weights,
    /// Spectral norms, and singular values beside the Marchenko–Pastur edge.
    Spectra,
    /// Accuracy on shifted images.
    Shifts,
    /// On rotated images.
    Rotations,
    /// On scaled images.
    Scalings,
    /// On noisy images.
    Noise,
    /// On images changed along the loss's gradient (Goodfellow et al. 2015).
    Fgsm,
}

impl ProbeMeasure {
    /// As job files have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Eigenvalues => "eigenvalues",
            Self::Trace => "trace",
            Self::Density => "density",
            Self::Keskar => "keskar",
            Self::Sam => "sam",
            Self::LaneGradients => "lane_gradients",
            Self::Slice => "slice",
            Self::Plane => "plane",
            Self::Interpolation => "interpolation",
            Self::Margins => "margins",
            Self::Weights => "weights",
            Self::Spectra => "spectra",
            Self::Shifts => "shifts",
            Self::Rotations => "rotations",
            Self::Scalings => "scalings",
            Self::Noise => "noise",
            Self::Fgsm => "fgsm",
        }
    }

    /// Keys that it has a part for, beside those that all have.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Eigenvalues => &["top", "iterations", "tolerance"],
            Self::Trace => &["draws"],
            Self::Density => &["iterations", "draws"],
            Self::Keskar => &["radius", "draws", "iterations"],
            Self::Sam => &["radius"],
            Self::LaneGradients => &["lanes"],
            Self::Slice | Self::Plane => &["points", "extent"],
            Self::Interpolation => &["points", "from"],
            Self::Shifts | Self::Rotations | Self::Scalings | Self::Noise | Self::Fgsm => &["strengths"],
            Self::Gap | Self::Margins | Self::Weights | Self::Spectra => &[],
        }
    }

    /// Whether it looks at samples at all.
    pub fn has_samples(self) -> bool {
        !matches!(self, Self::Weights | Self::Spectra)
    }

    /// Whether it needs gradients of the weights, and not only losses.
    pub fn needs_gradients(self) -> bool {
        use ProbeMeasure::{Density, Eigenvalues, Keskar, LaneGradients, Sam, Trace};
        matches!(self, Eigenvalues | Trace | Density | Keskar | Sam | LaneGradients)
    }
}

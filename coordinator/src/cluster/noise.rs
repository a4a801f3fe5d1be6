//! What workers tell of the noise in their gradients.

use serde::{Deserialize, Serialize};

/// By-products of a step's reduction, over the last steps; null what is not identified.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NoiseScale {
    /// trΣ, of the covariance of a sample's gradient. Unbiased, so that it may be negative.
    pub trace: Option<f64>,
    /// ‖G‖², of the gradient without the noise in it. Unbiased, so that it may be negative.
    pub squared_norm: Option<f64>,
    /// trΣ/‖G‖², in samples.
    pub scale: Option<f64>,
    /// Lower end of its 95 % interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// A lower bound of the scale, where the gradient can't be told from none.
    pub above: Option<f64>,
    /// Mean squared norm of the step's lanes' mean gradients.
    pub lane_squared_norm: Option<f64>,
    /// The implicit-gradient term: a quarter of it times η.
    pub implicit_gradient: Option<f64>,
    /// That trace, squared norm and scale are over.
    pub steps: u64,
    /// The last layer first.
    pub layers: Vec<LayerNoise>,
    /// Why there is neither scale nor bound.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The same of one layer's parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerNoise {
    /// In the model.
    pub name: String,
    /// trΣ.
    pub trace: Option<f64>,
    /// ‖G‖².
    pub squared_norm: Option<f64>,
    /// Their ratio.
    pub scale: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// A lower bound.
    pub above: Option<f64>,
}

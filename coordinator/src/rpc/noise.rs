//! Noise of gradients: messages to checked types.

use lockstep_proto::identity::Malformed;
use lockstep_proto::report::{LayerNoise, NoiseEstimate, NoiseScale};
use lockstep_proto::wire;

use super::checked::{number, short};

/// Layers of a model: more than the longest job file can list.
const MOST_LAYERS: usize = 10_000;

/// A step's part about noise.
pub fn noise(message: wire::NoiseScale) -> Result<NoiseScale, Malformed> {
    if message.layers.len() > MOST_LAYERS {
        return Err(Malformed(format!("noise of more than {MOST_LAYERS} layers")));
    }
    let wire::NoiseScale { trace, squared_norm, scale, low, high, above, .. } = message;
    Ok(NoiseScale {
        all: estimate([trace, squared_norm, scale, low, high, above]),
        lane_squared_norm: told(message.lane_squared_norm),
        implicit_gradient: told(message.implicit_gradient),
        steps: number("steps", message.steps)?,
        layers: message.layers.into_iter().map(layer).collect::<Result<_, _>>()?,
        reason: short("reason", message.reason)?,
    })
}

fn layer(message: wire::LayerNoise) -> Result<LayerNoise, Malformed> {
    let wire::LayerNoise { name, trace, squared_norm, scale, low, high, above } = message;
    Ok(LayerNoise { name: short("layer's name", name)?, own: estimate([trace, squared_norm, scale, low, high, above]) })
}

/// In this order.
fn estimate(values: [Option<f64>; 6]) -> NoiseEstimate {
    let [trace, squared_norm, scale, low, high, above] = values.map(told);
    NoiseEstimate { trace, squared_norm, scale, low, high, above }
}

/// JSON has no word for NaN and infinities.
fn told(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

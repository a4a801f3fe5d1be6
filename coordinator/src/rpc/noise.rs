//! Noise of gradients: messages to checked types.

use lockstep_proto::identity::Malformed;
use lockstep_proto::wire;

use super::checked::{number, short};
use crate::cluster::noise::{LayerNoise, NoiseScale};

/// Layers of a model: more than the longest job file can list.
const MOST_LAYERS: usize = 10_000;

/// A step's part about noise.
pub fn noise(message: wire::NoiseScale) -> Result<NoiseScale, Malformed> {
    if message.layers.len() > MOST_LAYERS {
        return Err(Malformed(format!("noise of more than {MOST_LAYERS} layers")));
    }
    Ok(NoiseScale {
        trace: told(message.trace),
        squared_norm: told(message.squared_norm),
        scale: told(message.scale),
        low: told(message.low),
        high: told(message.high),
        above: told(message.above),
        lane_squared_norm: told(message.lane_squared_norm),
        implicit_gradient: told(message.implicit_gradient),
        steps: number("steps", message.steps)?,
        layers: message.layers.into_iter().map(layer).collect::<Result<_, _>>()?,
        reason: short("reason", message.reason)?,
    })
}

fn layer(message: wire::LayerNoise) -> Result<LayerNoise, Malformed> {
    Ok(LayerNoise {
        name: short("layer's name", message.name)?,
        trace: told(message.trace),
        squared_norm: told(message.squared_norm),
        scale: told(message.scale),
        low: told(message.low),
        high: told(message.high),
        above: told(message.above),
    })
}

/// JSON has no word for NaN and infinities.
fn told(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

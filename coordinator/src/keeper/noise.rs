//! Noise of gradients as the wire has it.

use lockstep_proto::wire;

use crate::cluster::noise::{LayerNoise, NoiseScale};

/// A step's part about noise.
pub fn noise(noise: &NoiseScale) -> wire::NoiseScale {
    let layer = |layer: &LayerNoise| wire::LayerNoise {
        name: layer.name.clone(),
        trace: layer.trace,
        squared_norm: layer.squared_norm,
        scale: layer.scale,
        low: layer.low,
        high: layer.high,
        above: layer.above,
    };
    wire::NoiseScale { layers: noise.layers.iter().map(layer).collect(), ..of_all(noise) }
}

/// The same without layers, for what is told often.
pub fn of_all(noise: &NoiseScale) -> wire::NoiseScale {
    wire::NoiseScale {
        trace: noise.trace,
        squared_norm: noise.squared_norm,
        scale: noise.scale,
        low: noise.low,
        high: noise.high,
        above: noise.above,
        lane_squared_norm: noise.lane_squared_norm,
        implicit_gradient: noise.implicit_gradient,
        steps: noise.steps,
        layers: Vec::new(),
        reason: noise.reason.clone(),
    }
}

//! Noise of gradients as the wire has it.

use lockstep_proto::report::{LayerNoise, NoiseEstimate, NoiseScale};
use lockstep_proto::wire;

/// A step's part about noise.
pub fn noise(noise: &NoiseScale) -> wire::NoiseScale {
    let layer = |layer: &LayerNoise| {
        let NoiseEstimate { trace, squared_norm, scale, low, high, above } = layer.own;
        wire::LayerNoise { name: layer.name.clone(), trace, squared_norm, scale, low, high, above }
    };
    wire::NoiseScale { layers: noise.layers.iter().map(layer).collect(), ..of_all(noise) }
}

/// The same without layers, for what is told often.
pub fn of_all(noise: &NoiseScale) -> wire::NoiseScale {
    let NoiseEstimate { trace, squared_norm, scale, low, high, above } = noise.all;
    wire::NoiseScale {
        trace,
        squared_norm,
        scale,
        low,
        high,
        above,
        lane_squared_norm: noise.lane_squared_norm,
        implicit_gradient: noise.implicit_gradient,
        steps: noise.steps,
        layers: Vec::new(),
        reason: noise.reason.clone(),
    }
}

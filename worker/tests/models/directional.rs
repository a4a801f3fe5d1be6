//! Gradients of whole networks against differences of their losses, `L(w + d) − L(w − d)` against `⟨∇L, 2d⟩`.
//!
//! A direction at random is of no use: its slope is a sum of terms of both signs, and the ReLUs that turn within the step,
//! a part of all that shrinks with the root of the step alone, would be off by a tenth of it. Along the gradient all
//! terms are of one sign, and a step that changes the loss by a thousandth turns next to none.

use std::ops::Range;

use lockstep_proto::job::{self, ModelName};
use lockstep_worker::layers::Role;
use lockstep_worker::model::{SampleShape, initial_values};

use super::net::Net;
use lockstep_selftest::numbers::noise;

/// A full pack.
const SAMPLES: usize = 16;
const CLASSES: usize = 4;
/// Each moves every eighth layer, so that one layer alone shows.
const DIRECTIONS: usize = 8;
/// By how much a step changes the loss, as a part of it: the two losses are rounded, by up to 1e-6 in deep networks.
const CHANGE: f64 = 1e-3;

/// The worst error over the directions, as a part of the losses' difference, and the part that one layer has in it.
///
/// In a direction some layers' weights move along their gradient, element by element by half or one and a half of it at
/// random, as far as changes the loss by the same for all of them.
fn worst_error(net: &mut Net) -> (f64, f64) {
    let labels: [u16; SAMPLES] = std::array::from_fn(|n| (n * 3 % CLASSES) as u16);
    let (loss, _) = net.loss(&labels);
    let gradient: Vec<f64> = net.gradient().into_iter().map(f64::from).collect();
    let (weights, layers) = (net.parameters.clone(), net.model.layer_ranges());
    let names: Vec<String> = net.model.layer_names().map(str::to_owned).collect();
    let moving = layers.len().div_ceil(DIRECTIONS);
    let change = CHANGE * loss / moving as f64;
    let mut error = |direction: usize| {
        let steps = |(name, layer): (&String, &Range<usize>)| {
            let random = noise(layer.len(), direction as u64);
            let parts = random.iter().map(|random| if *random < 0.0 { 0.5 } else { 1.5 });
            let along: Vec<f64> = gradient[layer.clone()].iter().zip(parts).map(|(d, part)| d * part).collect();
            let slope: f64 = gradient[layer.clone()].iter().zip(&along).map(|(d, along)| d * along).sum();
            assert!(slope > 0.0, "layer {name} has no gradient");
            (layer.clone(), along.into_iter().map(|along| along * change / slope).collect::<Vec<f64>>())
        };
        let steps: Vec<_> = names.iter().zip(&layers).skip(direction).step_by(DIRECTIONS).map(steps).collect();
        // What the gradient makes of the steps as they were rounded, and the loss behind them.
        let mut moved = |side: f64| {
            let mut expected = 0.0;
            for (i, step) in steps.iter().flat_map(|(layer, steps)| layer.clone().zip(steps)) {
                net.parameters[i] = (f64::from(weights[i]) + side * step) as f32;
                expected += gradient[i] * (f64::from(net.parameters[i]) - f64::from(weights[i]));
            }
            (net.loss(&labels).0, expected)
        };
        let ((above, up), (below, down)) = (moved(1.0), moved(-1.0));
        steps.iter().for_each(|(layer, _)| net.parameters[layer.clone()].copy_from_slice(&weights[layer.clone()]));
        ((above - below) / (up - down) - 1.0).abs()
    };
    let worst = (0..DIRECTIONS.min(layers.len())).map(&mut error).fold(0.0, f64::max);
    (worst, 1.0 / moving as f64)
}

/// A network over samples of (channels, side), and the error that its gradient may have. Without the gradient of one
/// layer, or with half of it, the error would be at least half of the layer's part.
fn check(networks: &[(ModelName, (usize, usize), f64)]) {
    for &(name, (channels, side), bound) in networks {
        let shape = SampleShape { channels, height: side, width: side, classes: CLASSES };
        let (convolution, init) = (job::Convolution::Direct, job::Init::HeNormal);
        let model = job::Model { name, convolution, init, ..job::Model::default() };
        let mut net = Net::new(&model, shape, SAMPLES);
        // The fixtures' weights let signals fade, so that steps in the first layers would have to be large.
        let drawn = initial_values(net.model.tensors(), 1, &model);
        net.parameters.copy_from_slice(&drawn[..net.model.parameters()]);
        // As the fixtures have it: with more of each block, gradients of deep networks depend on the last bits.
        for tensor in net.model.trained_tensors() {
            if tensor.shape.role == (Role::Scale { ends_block: true }) {
                net.parameters[tensor.range.clone()].fill(0.125);
            }
        }
        net.samples = noise(SAMPLES * shape.features(), 1);
        let (worst, part) = worst_error(&mut net);
        println!("{name:?}: error {worst:.1e}, a layer's part {part:.1e}");
        assert!(worst < bound, "{name:?}: the gradient is off by {worst:.1e}");
        assert!(bound <= part / 2.0, "{name:?}: a layer's part is {part:.1e}");
    }
}

#[test]
fn small_networks() {
    check(&[
        (ModelName::Mlp, (1, 12), 1e-1),
        (ModelName::Lenet5, (1, 28), 1e-1),
        (ModelName::Lenet5Of1998, (1, 32), 1e-1),
        (ModelName::Resnet20, (3, 8), 2e-2),
        (ModelName::Resnet32, (3, 8), 2e-2),
        (ModelName::Resnet44, (3, 8), 2e-2),
        (ModelName::Resnet56, (3, 8), 2e-2),
        (ModelName::Resnet110, (3, 8), 1.5e-2),
    ]);
}

#[test]
#[ignore = "takes gigabytes and minutes: cargo test --release -p lockstep-worker --test models large -- --ignored"]
fn large_residual_networks() {
    check(&[
        (ModelName::Resnet101, (3, 33), 1.5e-2),
        (ModelName::Resnet50, (3, 33), 2e-2),
        (ModelName::Resnet34, (3, 33), 2e-2),
        (ModelName::Resnet18, (3, 33), 2e-2),
    ]);
}

#[test]
#[ignore = "takes gigabytes and minutes: cargo test --release -p lockstep-worker --test models large -- --ignored"]
fn large_networks_without_shortcuts() {
    check(&[
        (ModelName::Alexnet, (3, 63), 1e-1),
        (ModelName::AlexnetOf2012, (3, 224), 1e-1),
        (ModelName::Vgg11, (3, 32), 1e-1),
        (ModelName::Vgg11Bn, (3, 32), 1e-1),
        (ModelName::Vgg16, (3, 32), 1e-1),
        (ModelName::Vgg16Bn, (3, 32), 1e-1),
    ]);
}

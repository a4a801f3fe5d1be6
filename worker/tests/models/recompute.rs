//! `model.recompute` changes no bit: loss, gradient, statistics and outputs of every named network with and without.

use lockstep_proto::job::{self, ModelName};
use lockstep_worker::model::SampleShape;

use super::net::Net;

const SAMPLES: usize = 2;
const LABELS: [u16; SAMPLES] = [3, 7];

fn bits(values: &[f32]) -> impl Iterator<Item = u32> {
    values.iter().map(|value| value.to_bits())
}

fn check(model: &job::Model, (channels, side): (usize, usize)) {
    let name = model.name;
    let shape = SampleShape { channels, height: side, width: side, classes: 10 };
    let mut net = Net::new(model, shape, SAMPLES);
    let keeping = net.model.memory_features();
    let (logits, (loss, statistics), gradient) = (net.logits(), net.loss(&LABELS), net.gradient());
    assert!(loss.is_finite() && gradient.iter().any(|value| *value != 0.0), "{name:?}");
    let mut net = net.recomputing();
    assert!(net.model.memory_features() <= keeping, "{name:?}: {} for {keeping}", net.model.memory_features());
    assert!(net.model.operations_again() > 0, "{name:?}");
    // Behind an evaluation nothing in memory is as it was at first.
    assert_eq!(net.logits(), logits, "{name:?}");
    let (loss_again, statistics_again) = net.loss(&LABELS);
    assert_eq!(loss_again.to_bits(), loss.to_bits(), "{name:?}");
    assert!(bits(&statistics_again).eq(bits(&statistics)), "{name:?}: statistics differ");
    assert!(bits(&net.gradient()).eq(bits(&gradient)), "{name:?}: gradients differ");
}

fn check_all(networks: &[(ModelName, (usize, usize))]) {
    for (name, samples) in networks {
        check(&job::Model { name: *name, ..job::Model::default() }, *samples);
    }
}

#[test]
fn small_networks() {
    let hidden = vec![100; 12];
    check(&job::Model { name: ModelName::Mlp, hidden, ..job::Model::default() }, (1, 12));
    check_all(&[
        (ModelName::Lenet5, (1, 28)),
        (ModelName::Lenet5Of1998, (1, 32)),
        (ModelName::Resnet20, (3, 8)),
        (ModelName::Resnet32, (3, 8)),
        (ModelName::Resnet44, (3, 8)),
        (ModelName::Resnet56, (3, 8)),
        (ModelName::Resnet110, (3, 8)),
    ]);
}

#[test]
fn residual_networks() {
    check_all(&[ModelName::Resnet18, ModelName::Resnet34].map(|name| (name, (3, 33))));
}

#[test]
fn networks_of_bottlenecks() {
    check_all(&[ModelName::Resnet50, ModelName::Resnet101].map(|name| (name, (3, 33))));
}

#[test]
fn networks_with_large_linear_layers() {
    check_all(&[(ModelName::Vgg11Bn, (3, 32)), (ModelName::Alexnet, (3, 63))]);
}

/// The others, whose parameters take half a minute and two gigabytes.
#[test]
#[ignore = "takes half a minute"]
fn more_networks_with_large_linear_layers() {
    let names = [ModelName::Vgg11, ModelName::Vgg16, ModelName::Vgg16Bn];
    check_all(&names.map(|name| (name, (3, 32))));
    check_all(&[(ModelName::AlexnetOf2012, (3, 224))]);
}

/// What no named network has: layers that run again though they have no parameters before them, random numbers between
/// others, and moments of samples.
#[test]
fn a_network_in_a_list() {
    let layers = "{ kind = 'max_pool', kernel = 2, stride = 1 }, { kind = 'dropout', probability = 0.1 },
        { kind = 'repeat', times = 4, layers = [
            { kind = 'conv', channels = 8, kernel = 3, padding = 1 }, { kind = 'group_norm', groups = 2 },
            { kind = 'leaky_relu' }, { kind = 'local_response_norm' }, { kind = 'dropout', probability = 0.5 },
            { kind = 'residual', layers = [ { kind = 'conv', channels = 8, kernel = 3, padding = 1 },
                { kind = 'batch_norm' } ] }, { kind = 'tanh' },
            { kind = 'average_pool', kernel = 3, stride = 1, padding = 1 } ] },
        { kind = 'global_average_pool' }, { kind = 'linear', channels = 10 }"
        .replace('\n', "");
    let text = format!("data.path = '.'\n[model]\nname = 'layers'\nlayers = [{layers}]");
    check(&job::Job::from_toml(&text).unwrap().model, (3, 9));
}

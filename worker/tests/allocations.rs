//! After its first step a network allocates nothing.

use lockstep_kernels::allocations::Counted;
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::{LossOutput, LossSums};
use lockstep_proto::job::{self, Job, ModelName};
use lockstep_worker::layers::MicroBatch;
use lockstep_worker::model::{Activations, SampleShape, Weights, build, initial_values};

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const SAMPLES: usize = 5;
const CLASSES: usize = 10;

/// # Panics
/// If the second step of a network allocates.
fn check(names: &job::Model, (channels, side): (usize, usize)) {
    let shape = SampleShape { channels, height: side, width: side, classes: CLASSES };
    let mut device = Cpu::new(InstructionSet::detect());
    let model = build::<Cpu>(names, shape).unwrap();
    let mut parameters = initial_values(model.tensors(), 1, names);
    let statistics = parameters.split_off(model.parameters());
    let mut activations = Activations::new(&device, &model, SAMPLES);
    let (mut gradient, keys) = (vec![0.0; model.len()], vec![7; model.streams() * SAMPLES]);
    let batch = MicroBatch::<Cpu> { samples: SAMPLES, keys: &keys };
    let weights = Weights::<Cpu> { parameters: &parameters, statistics: &statistics };
    let mut step = || {
        activations.input(&device, &model, SAMPLES).fill(0.5);
        let (d_parameters, moments) = gradient.split_at_mut(model.parameters());
        model.forward(&mut device, batch, weights, &mut activations, moments);
        let (output, d_output) = activations.output(&device, &model, SAMPLES);
        let size = ClassesSize { samples: SAMPLES, classes: CLASSES };
        let mut sums = [0.0; LossSums::LEN];
        device.cross_entropy(&size, output, &[1, 2, 3, 4, 5], LossOutput { d_x: d_output, sums: &mut sums });
        model.backward(&mut device, batch, weights, &mut activations, d_parameters, &mut |_, _, _| {});
        model.evaluate(&mut device, batch, weights, &mut activations);
    };
    let before = Counted::count();
    step();
    let first = Counted::count();
    step();
    assert!(first > before, "the allocator counts");
    assert_eq!(Counted::count(), first, "{:?}: allocations of a second step", names.name);
}

#[test]
fn networks_by_name() {
    for (name, shape) in [
        (ModelName::Mlp, (1, 12)),
        (ModelName::Lenet5, (1, 28)),
        (ModelName::Lenet5Of1998, (1, 32)),
        (ModelName::Resnet20, (3, 32)),
        (ModelName::Resnet18, (3, 33)),
    ] {
        check(&job::Model { name, ..job::Model::default() }, shape);
    }
    check(&job::Model { name: ModelName::Resnet20, shortcuts: false, ..job::Model::default() }, (3, 16));
}

/// Layers that no small network by name has.
#[test]
fn a_network_in_a_list() {
    let layers = "{ kind = 'conv', channels = 8, kernel = 5, stride = 2, padding = 2 }, { kind = 'relu' },
        { kind = 'local_response_norm' }, { kind = 'max_pool', kernel = 3, stride = 2 },
        { kind = 'residual', layers = [
            { kind = 'conv', channels = 16, kernel = 3, padding = 1, groups = 2 }, { kind = 'group_norm', groups = 4 },
            { kind = 'tanh' }, { kind = 'conv', channels = 16, kernel = 3, padding = 2, dilation = 2, bias = false },
            { kind = 'batch_norm' } ] }, { kind = 'relu' },
        { kind = 'average_pool', kernel = 3, stride = 2, padding = 1 }, { kind = 'group_norm', groups = 1 },
        { kind = 'leaky_relu' }, { kind = 'global_average_pool' }, { kind = 'dropout', probability = 0.5 },
        { kind = 'linear', channels = 20 }, { kind = 'scaled_tanh' }, { kind = 'dropout', probability = 0.25 },
        { kind = 'linear', channels = 10 }"
        .replace('\n', "");
    let text = format!("data.path = '.'\n[model]\nname = 'layers'\nlayers = [{layers}]");
    check(&Job::from_toml(&text).unwrap().model, (3, 32));
}

//! Counts of parameters, as the papers or torchvision have them.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_proto::job::{self, ModelName};
use lockstep_worker::model::{Model, Plan, SampleShape, build};

fn model(name: ModelName, channels: usize, side: usize, classes: usize) -> Model<Cpu> {
    let shape = SampleShape { channels, height: side, width: side, classes };
    build(&job::Model { name, ..job::Model::default() }, shape).unwrap()
}

#[test]
fn networks_for_imagenet_have_torchvisions_counts() {
    let counts = [
        (ModelName::Alexnet, 61_100_840),
        (ModelName::Vgg11, 132_863_336),
        (ModelName::Vgg11Bn, 132_868_840),
        (ModelName::Vgg16, 138_357_544),
        (ModelName::Vgg16Bn, 138_365_992),
        (ModelName::Resnet18, 11_689_512),
        (ModelName::Resnet34, 21_797_672),
        (ModelName::Resnet50, 25_557_032),
        (ModelName::Resnet101, 44_549_160),
    ];
    for (name, count) in counts {
        assert_eq!(model(name, 3, 224, 1000).parameters(), count, "{name:?}");
    }
}

/// "60 million parameters" (Krizhevsky et al. 2012, §5): 60,965,224 with both towers.
#[test]
fn alexnet_of_2012_has_its_two_towers() {
    assert_eq!(model(ModelName::AlexnetOf2012, 3, 224, 1000).parameters(), 60_965_224);
}

/// "0.27M, 0.46M, 0.66M, 0.85M, 1.7M" (He et al. 2016, table 6).
#[test]
fn networks_for_small_images_have_the_papers_counts() {
    let counts = [
        (ModelName::Resnet20, 269_722),
        (ModelName::Resnet32, 464_154),
        (ModelName::Resnet44, 658_586),
        (ModelName::Resnet56, 853_018),
        (ModelName::Resnet110, 1_727_962),
    ];
    for (name, count) in counts {
        assert_eq!(model(name, 3, 32, 10).parameters(), count, "{name:?}");
        let plain = job::Model { name, shortcuts: false, ..job::Model::default() };
        let shape = SampleShape { channels: 3, height: 32, width: 32, classes: 10 };
        assert_eq!(build::<Cpu>(&plain, shape).unwrap().parameters(), count, "{name:?}: shortcuts have no parameters");
    }
}

/// "60,000 trainable free parameters" (LeCun et al. 1998, §II.B).
#[test]
fn lenet5_of_1998_has_sixty_thousand_parameters() {
    assert_eq!(model(ModelName::Lenet5Of1998, 1, 32, 10).parameters(), 60_000);
}

/// Values, gradients and notes, with and without `model.recompute`.
#[test]
fn layers_that_run_again_save_memory() {
    const SAMPLES: usize = 16;
    let device = Cpu::new(InstructionSet::detect());
    for (name, side, part) in [
        (ModelName::Resnet50, 224, 0.37),
        (ModelName::Resnet101, 224, 0.32),
        (ModelName::Vgg16Bn, 224, 0.6),
        (ModelName::Resnet110, 32, 0.2),
    ] {
        let model = model(name, 3, side, 1000);
        let bytes = |plan: &Plan| model.needs(plan, &device, SAMPLES).iter().map(|need| need.bytes).sum::<usize>();
        let keeping = bytes(model.plan()) as f64;
        let operations: u64 = model.layers().map(|layer| layer.operations).sum();
        let recomputing = bytes(&model.recomputing_plan()) as f64;
        let megabytes = |bytes: f64| bytes / SAMPLES as f64 / 1e6;
        let again = model.recomputing().operations_again();
        println!(
            "{name:?}: {:.1} MB a sample, {:.1} MB with {:.0}% of the way forward again",
            megabytes(keeping),
            megabytes(recomputing),
            100.0 * again as f64 / operations as f64
        );
        assert!(recomputing < part * keeping, "{name:?}: {} of {}", megabytes(recomputing), megabytes(keeping));
        assert!(again < operations, "{name:?}");
    }
}

#[test]
fn shapes_that_do_not_fit_name_the_layer() {
    let shape = SampleShape { channels: 3, height: 30, width: 30, classes: 10 };
    let refused = |name| {
        let error = build::<Cpu>(&job::Model { name, ..job::Model::default() }, shape).err();
        error.unwrap_or_else(|| panic!("{name:?} is built")).to_string()
    };
    assert_eq!(refused(ModelName::Vgg11), "layer features.20: wants planes of at least 2×2, gets 512");
    assert!(refused(ModelName::Lenet5Of1998).starts_with("layer c1: wants grey images of 32×32"));
}

/// ResNet-20 by name and layer by layer have the same parameters.
#[test]
fn a_network_can_be_listed_layer_by_layer() {
    let stage = |channels: u32, stride: u32| {
        format!(
            "[[model.layers]]\nkind = 'residual'\nlayers = [{}]\n[[model.layers]]\nkind = 'relu'\n\
             [[model.layers]]\nkind = 'repeat'\ntimes = 2\n\
             layers = [{{ kind = 'residual', layers = [{}] }}, {{ kind = 'relu' }}]\n",
            block(channels, stride),
            block(channels, 1),
        )
    };
    let head = "[[model.layers]]\nkind = 'global_average_pool'\n[[model.layers]]\nkind = 'linear'\nchannels = 10\n";
    let stem = "[[model.layers]]\nkind = 'conv'\nchannels = 16\nkernel = 3\npadding = 1\nbias = false\n\
                [[model.layers]]\nkind = 'batch_norm'\n[[model.layers]]\nkind = 'relu'\n";
    let text =
        format!("data.path = '.'\nmodel.name = 'layers'\n{stem}{}{}{}{head}", stage(16, 1), stage(32, 2), stage(64, 2));
    let job = job::Job::from_toml(&text).unwrap();
    let shape = SampleShape { channels: 3, height: 32, width: 32, classes: 10 };
    let listed: Model<Cpu> = build(&job.model, shape).unwrap();
    // Two projections with their normalisation instead of parameter-free shortcuts.
    assert_eq!(listed.parameters(), 269_722 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64));
    let names: Vec<&str> = listed.layers().map(|layer| layer.name).collect();
    assert!(names.contains(&"layers.9.shortcut.0") && names.contains(&"layers.5.4"), "{names:?}");
    // Normalisation, shortcut and ReLU are one layer each.
    assert_eq!(names.len(), 2 + 9 * 4 + 2 * 2 + 2, "{names:?}");
}

fn block(channels: u32, stride: u32) -> String {
    let conv = |stride| {
        format!("{{ kind = 'conv', channels = {channels}, kernel = 3, padding = 1, stride = {stride}, bias = false }}")
    };
    format!("{}, {{ kind = 'batch_norm' }}, {{ kind = 'relu' }}, {}, {{ kind = 'batch_norm' }}", conv(stride), conv(1))
}

#[test]
fn layers_that_can_not_be_are_refused() {
    let refused = |layers: &str| {
        let text = format!("data.path = '.'\n[model]\nname = 'layers'\nlayers = [{layers}]");
        match job::Job::from_toml(&text) {
            Err(error) => error.to_string(),
            Ok(job) => {
                let shape = SampleShape { channels: 1, height: 8, width: 8, classes: 10 };
                build::<Cpu>(&job.model, shape).err().unwrap_or_else(|| panic!("{layers} is built")).to_string()
            }
        }
    };
    for (layers, words) in [
        ("", "needs `[[model.layers]]`"),
        ("{ kind = 'relu', channels = 3 }", "`model.layers[0].channels` does not go with this kind"),
        ("{ kind = 'conv', channels = 3 }", "`model.layers[0].kernel` = 0: must be 1 to 64"),
        ("{ kind = 'dropout' }", "`model.layers[0].probability` = 0.0"),
        ("{ kind = 'residual' }", "`model.layers[0].layers`"),
        ("{ kind = 'repeat', times = 2, layers = [{ kind = 'linear' }] }", "`model.layers[0].layers[0].channels` = 0"),
        ("{ kind = 'linear', channels = 3 }", "layer (output): wants 10 values for as many classes, gets 3"),
        ("{ kind = 'max_pool', kernel = 9 }", "layer layers.0: wants planes of at least 9×9, gets 1×8×8"),
        ("{ kind = 'convolution' }", "\"convolution\" is unknown: choose conv, linear"),
    ] {
        let error = refused(layers);
        assert!(error.contains(words), "{words:?} is not in {error}");
    }
    let deep = "{ kind = 'residual', layers = [".repeat(9) + "{ kind = 'relu' }" + &"] }".repeat(9);
    assert!(refused(&deep).contains("nested too deep"));
    let many =
        "{ kind = 'repeat', times = 1000, layers = [{ kind = 'repeat', times = 1000, layers = [{ kind = 'relu' }] }] }";
    assert!(refused(many).contains("has 1000000 layers"));
}

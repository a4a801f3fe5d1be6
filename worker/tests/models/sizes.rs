//! Counts of parameters, as the papers or torchvision have them.

use lockstep_kernels::cpu::Cpu;
use lockstep_proto::job::{self, ModelName};
use lockstep_worker::model::{Model, SampleShape, build};

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

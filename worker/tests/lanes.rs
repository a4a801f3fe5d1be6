//! The promise on the trainer alone: the same weights for any split of the lanes over workers, threads and nodes.

mod workers;

use lockstep_proto::job::{
    Activation, AscentOver, Augment, InstructionSet, Job, Layer, LayerKind, LossName, Model, ModelName, OptimizerName,
    Pooling, Transport,
};
use workers::{job, mlp};

fn lenet5(lanes: u32, micro_batch: u32) -> Job {
    let mut job = job(lanes, micro_batch);
    job.model.name = ModelName::Lenet5;
    job.model.activation = Activation::Tanh;
    job.model.pooling = Pooling::Average;
    job
}

/// Trains with workers of (node, threads) each, in rank order; gives the weights' SHA-256, which all ranks agree on.
fn train(job: &Job, workers: &[(&str, u32)]) -> String {
    let (outcome, ledger) = workers::train(job, workers);
    assert_eq!((outcome.steps, ledger.steps()), (6, 6));
    outcome.weights_sha256
}

/// All splits give the weights that one worker of one thread gives.
fn check(job: &Job, splits: &[&[(&str, u32)]]) {
    let serial = train(job, &[("a", 1)]);
    for split in splits {
        assert_eq!(train(job, split), serial, "split {split:?}");
    }
    let mut tcp = job.clone();
    tcp.cluster.transport = Transport::Tcp;
    assert_eq!(train(&tcp, &[("a", 1), ("a", 2)]), serial, "over TCP");
}

/// All instruction sets give the weights that `Auto` gives.
fn check_instruction_sets(job: &Job) {
    let serial = train(job, &[("a", 1)]);
    for (name, instruction_set) in
        [("avx512", InstructionSet::Avx512), ("avx2", InstructionSet::Avx2), ("portable", InstructionSet::Portable)]
    {
        let mut other = job.clone();
        other.cluster.instruction_set = instruction_set;
        if !name.parse::<lockstep_kernels::cpu::InstructionSet>().unwrap().is_available() {
            println!("skipped {name}: this processor lacks it");
            continue;
        }
        assert_eq!(train(&other, &[("a", 1)]), serial, "{name}");
    }
}

const SPLITS: [&[(&str, u32)]; 5] = [
    &[("a", 2)],
    &[("a", 1), ("a", 1)],
    &[("a", 1), ("b", 1), ("b", 2)],
    &[("a", 3), ("b", 1)],
    &[("a", 1), ("a", 1), ("b", 1), ("c", 1), ("c", 1)],
];

#[test]
fn mlp_with_a_power_of_two_of_lanes() {
    check(&mlp(4, 8), &SPLITS);
}

#[test]
fn mlp_with_seven_lanes() {
    check(&mlp(7, 5), &SPLITS);
}

#[test]
fn mlp_with_fewer_lanes_than_workers() {
    check(&mlp(3, 16), &SPLITS);
}

/// Norms of tensors, their direction and an average, by way of every split.
#[test]
fn lamb_with_averaged_weights() {
    let mut job = mlp(4, 8);
    job.optimizer.name = OptimizerName::Lamb;
    (job.optimizer.momentum, job.optimizer.learning_rate) = (0.0, 0.01);
    (job.optimizer.weight_decay, job.optimizer.decay_biases) = (0.01, false);
    (job.optimizer.clip_norm, job.optimizer.ema) = (0.5, 0.9);
    check(&job, &SPLITS);
    check_instruction_sets(&job);
}

/// Second derivatives over more lanes than a batch has, anew in each epoch.
#[test]
fn diagonal_levenberg_marquardt() {
    let mut job = mlp(4, 8);
    (job.optimizer.name, job.optimizer.curvature_samples) = (OptimizerName::DiagonalLm, 45);
    job.optimizer.momentum = 0.0;
    check(&job, &SPLITS);
    check_instruction_sets(&job);
}

/// Two passes a step, over the batch or within each lane, with all that may differ between them: batch normalisation's
/// statistics and dropout's masks.
#[test]
fn second_passes() {
    let kinds = [
        Layer { channels: 4, kernel: 3, stride: 2, ..layer(LayerKind::Conv) },
        layer(LayerKind::BatchNorm),
        layer(LayerKind::Relu),
        Layer { probability: 0.3, ..layer(LayerKind::Dropout) },
        Layer { channels: 10, ..layer(LayerKind::Linear) },
    ];
    let images = few_images(28, 40);
    for over in [AscentOver::Batch, AscentOver::MicroBatch] {
        let mut job = job(3, 5);
        job.data.path = images.path().into();
        (job.data.validation, job.data.limit) = (0, 39);
        (job.model.name, job.model.layers) = (ModelName::Layers, kinds.to_vec());
        (job.optimizer.clip_norm, job.optimizer.ema) = (1.0, 0.5);
        let penalised = job.clone();
        (job.optimizer.sam, job.optimizer.sam_over) = (0.1, over);
        check(&job, &SPLITS);
        check_instruction_sets(&job);
        job = penalised;
        (job.optimizer.gradient_penalty, job.optimizer.gradient_penalty_over) = (0.01, over);
        check(&job, &SPLITS);
        check_instruction_sets(&job);
    }
}

/// Noise of gradients, of lanes and of labels is the same whoever draws it, also where lanes go up by themselves.
#[test]
fn injected_noise() {
    let mut job = mlp(4, 8);
    (job.optimizer.gradient_noise, job.optimizer.noise_batch, job.data.label_noise) = (0.01, 12, 0.3);
    // Two threads' blocks.
    job.model.hidden = vec![100];
    check(&job, &SPLITS);
    (job.optimizer.gradient_penalty, job.optimizer.gradient_penalty_over) = (0.01, AscentOver::MicroBatch);
    check(&job, &SPLITS[..3]);
    check_instruction_sets(&job);
}

fn layer(kind: LayerKind) -> Layer {
    Layer { kind, ..Layer::default() }
}

/// Batches over which and within which the way up is taken are two things, and so are both from none.
#[test]
fn sharpness_shows_in_the_weights() {
    let weights = |sam, over| {
        let mut job = mlp(4, 8);
        (job.optimizer.sam, job.optimizer.sam_over) = (sam, over);
        train(&job, &[("a", 1)])
    };
    let [none, batch, lanes] = [(0.0, AscentOver::Batch), (0.1, AscentOver::Batch), (0.1, AscentOver::MicroBatch)]
        .map(|(sam, over)| weights(sam, over));
    assert!(none != batch && none != lanes && batch != lanes);
    // One lane is the batch.
    let mut job = mlp(1, 8);
    job.optimizer.sam = 0.1;
    let batch = workers::train(&job, &[("a", 1)]).0.weights_sha256;
    job.optimizer.sam_over = AscentOver::MicroBatch;
    assert_eq!(workers::train(&job, &[("a", 1)]).0.weights_sha256, batch);
}

#[test]
fn lenet5_as_it_was_in_1998() {
    let mut job = lenet5(3, 9);
    job.model = Model { name: ModelName::Lenet5Of1998, ..Model::default() };
    (job.loss.name, job.data.pad) = (LossName::Map, 2);
    (job.optimizer.name, job.optimizer.curvature_samples) = (OptimizerName::DiagonalLm, 40);
    (job.optimizer.momentum, job.optimizer.learning_rate) = (0.0, 1e-3);
    check(&job, &SPLITS[1..3]);
}

/// Every augmentation, for gradients and second derivatives; evaluations see the images as they are.
#[test]
fn augmented_samples() {
    let mut job = mlp(4, 8);
    (job.optimizer.name, job.optimizer.curvature_samples) = (OptimizerName::DiagonalLm, 45);
    (job.optimizer.momentum, job.data.pad) = (0.0, 2);
    let plain = train(&job, &[("a", 1)]);
    job.augment = Augment {
        random_resized_crop: vec![0.5, 1.0],
        pad_crop: 2,
        flip: true,
        scale: 0.1,
        squeeze: 0.1,
        shear: 0.2,
        rotate: 10.0,
        translate: 2.0,
        elastic_alpha: 34.0,
        ..Augment::default()
    };
    check(&job, &SPLITS[1..4]);
    check_instruction_sets(&job);
    assert_ne!(train(&job, &[("a", 1)]), plain);

    // Weights that stay: what differs is what was seen.
    let mut still = mlp(4, 8);
    (still.optimizer.learning_rate, still.data.pad) = (1e-30, 2);
    let plain = workers::train(&still, &[("a", 1)]).0;
    still.augment = job.augment;
    let augmented = workers::train(&still, &[("a", 1)]).0;
    assert_eq!((augmented.test_loss, &augmented.weights_sha256), (plain.test_loss, &plain.weights_sha256));
    assert_ne!(augmented.train_loss, plain.train_loss);
}

/// The lanes of a batch that grows are dealt in the same shares.
#[test]
fn a_growing_batch() {
    let mut job = mlp(2, 8);
    job.batch.growth = vec![(1, 48), (2, 8)];
    job.schedule.epochs = 3;
    let train = |workers| {
        let (outcome, ledger) = workers::train(&job, workers);
        assert_eq!((outcome.steps, ledger.steps(), outcome.samples), (4 + 2 + 7, 13, 3 * 49));
        outcome.weights_sha256
    };
    let serial = train(&[("a", 1)]);
    for split in SPLITS {
        assert_eq!(train(split), serial, "split {split:?}");
    }
}

#[test]
fn lenet5_with_six_lanes() {
    check(&lenet5(6, 9), &SPLITS);
}

#[test]
fn all_instruction_sets_train_the_same_weights() {
    check_instruction_sets(&mlp(3, 8));
}

/// A data set of few images for networks that take long: of `side` × `side` pixels, in ten classes.
fn few_images(side: u32, count: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, count) in [("train", count), ("t10k", 16)] {
        let sizes = [count, side, side].map(u32::to_be_bytes).concat();
        let pixels: Vec<u8> = (0..(count * side * side) as usize).map(|i| (i * i % 251) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|i| (i * 7 % 10) as u8).collect();
        let write = |kind: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(format!("{name}-{kind}")), bytes);
        write("images-idx3-ubyte", [&[0, 0, 8, 3], &sizes[..], &pixels].concat()).unwrap();
        write("labels-idx1-ubyte", [&[0, 0, 8, 1], &sizes[..4], &labels].concat()).unwrap();
    }
    folder
}

/// Batch normalisation's statistics ride in the same tree; shortcuts sum gradients.
#[test]
fn residual_networks() {
    let images = few_images(28, 40);
    for (name, shortcuts) in [(ModelName::Resnet20, true), (ModelName::Resnet20, false), (ModelName::Resnet18, true)] {
        let mut job = job(3, 5);
        job.data.path = images.path().into();
        (job.data.validation, job.data.limit) = (0, 40);
        (job.model.name, job.model.shortcuts) = (name, shortcuts);
        job.schedule.epochs = 1;
        let train = |workers| workers::train(&job, workers).0.weights_sha256;
        let serial = train(&[("a", 1)]);
        let splits: [&[(&str, u32)]; 2] = [&[("a", 2)], &[("a", 1), ("b", 1), ("b", 1)]];
        for split in splits {
            assert_eq!(train(split), serial, "{name:?}: split {split:?}");
        }
    }
}

/// Two steps of a network, the first of two lanes, the second of one: one worker and two.
fn check_two_steps(model: Model, side: u32) {
    let images = few_images(side, 5);
    let mut job = job(2, 2);
    job.data.path = images.path().into();
    (job.data.validation, job.data.limit) = (0, 5);
    (job.model, job.schedule.epochs, job.optimizer.momentum) = (model, 1, 0.0);
    let train = |workers| {
        let (outcome, ledger) = workers::train(&job, workers);
        assert_eq!(ledger.steps(), 2);
        outcome.weights_sha256
    };
    assert_eq!(train(&[("a", 1), ("a", 1)]), train(&[("a", 1)]), "{:?}", job.model.name);
}

fn check_named(networks: &[(ModelName, u32)]) {
    for &(name, side) in networks {
        check_two_steps(Model { name, ..Model::default() }, side);
        println!("{name:?}: the same bits");
    }
}

#[test]
fn deep_residual_networks() {
    check_named(&[
        (ModelName::Resnet32, 8),
        (ModelName::Resnet44, 8),
        (ModelName::Resnet56, 8),
        (ModelName::Resnet110, 8),
    ]);
}

/// Dropout's masks, statistics of groups and of batches, a response norm, residual blocks with and without projection.
#[test]
fn a_network_in_a_list() {
    let layers = "{ kind = 'conv', channels = 8, kernel = 3, padding = 1 }, { kind = 'relu' },
        { kind = 'local_response_norm' }, { kind = 'max_pool', kernel = 3, stride = 2 },
        { kind = 'residual', layers = [
            { kind = 'conv', channels = 16, kernel = 3, padding = 1 }, { kind = 'group_norm', groups = 4 },
            { kind = 'relu' }, { kind = 'conv', channels = 16, kernel = 3, padding = 1 }, { kind = 'batch_norm' } ] },
        { kind = 'relu' }, { kind = 'residual', layers = [ { kind = 'group_norm', groups = 1 }, { kind = 'tanh' } ] },
        { kind = 'dropout', probability = 0.25 }, { kind = 'linear', channels = 20 }, { kind = 'scaled_tanh' },
        { kind = 'dropout', probability = 0.5 }, { kind = 'linear', channels = 10 }"
        .replace('\n', "");
    let text = format!("data.path = '.'\n[model]\nname = 'layers'\nlayers = [{layers}]");
    check_two_steps(Job::from_toml(&text).unwrap().model, 12);
}

#[test]
#[ignore = "takes gigabytes and minutes: cargo test --release -p lockstep-worker --test lanes large -- --ignored"]
fn large_residual_networks() {
    check_named(&[(ModelName::Resnet34, 33), (ModelName::Resnet50, 33), (ModelName::Resnet101, 33)]);
}

#[test]
#[ignore = "takes gigabytes and minutes: cargo test --release -p lockstep-worker --test lanes large -- --ignored"]
fn large_networks_without_shortcuts() {
    check_named(&[(ModelName::Alexnet, 63), (ModelName::AlexnetOf2012, 63)]);
}

#[test]
#[ignore = "takes 8 GB and minutes: cargo test --release -p lockstep-worker --test lanes huge -- --ignored"]
fn huge_networks() {
    check_named(&[(ModelName::Vgg11, 32), (ModelName::Vgg11Bn, 32), (ModelName::Vgg16, 32), (ModelName::Vgg16Bn, 32)]);
}

/// Every optimiser, with all that it keeps.
#[test]
fn every_optimizer() {
    for name in [
        OptimizerName::Sgd,
        OptimizerName::Adagrad,
        OptimizerName::Rmsprop,
        OptimizerName::Adam,
        OptimizerName::Adamw,
        OptimizerName::Lars,
        OptimizerName::Lamb,
    ] {
        let mut job = mlp(3, 4);
        (job.optimizer.name, job.optimizer.momentum, job.optimizer.learning_rate) = (name, 0.0, 0.01);
        let train = |workers| workers::train(&job, workers).0.weights_sha256;
        let serial = train(&[("a", 1)]);
        for split in [SPLITS[1], SPLITS[4]] {
            assert_eq!(train(split), serial, "{name:?}: split {split:?}");
        }
    }
}

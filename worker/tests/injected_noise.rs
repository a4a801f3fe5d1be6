//! Noise that a job asks for, through the whole trainer: of gradients, of lanes, of labels.

mod workers;

use std::path::Path;

use lockstep_dataset::random::{Purpose, Random};
use lockstep_dataset::{Dataset, SampleReader, Split};
use lockstep_proto::job::{Job, LossName};
use lockstep_proto::wire;
use lockstep_worker::control::Weights;
use safetensors::SafeTensors;
use workers::{End, Worker, begin, end_all, initial, mlp};

/// All parameters at the end of a job.
fn trained(job: &Job) -> Vec<f64> {
    let mut workers = [Worker::prepare(job, "/nowhere".as_ref(), ("a", 2))];
    begin(1, &mut workers, job.batch.lanes(), &initial());
    let End::Finished { weights: Some(Weights(file)), .. } = workers[0].end() else { panic!("it did not finish") };
    let file = SafeTensors::deserialize(&file).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    let values = |name: &&str| {
        let bytes = file.tensor(name).unwrap().data().to_vec();
        let values: Vec<f64> =
            bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()).into()).collect();
        values
    };
    names.iter().flat_map(values).collect()
}

/// By which gradient, times the learning rate of 1, one step has moved the weights: of the first `samples` of an epoch of
/// eleven, with micro-batches of four.
fn gradient_of(samples: u32, change: impl Fn(&mut Job)) -> Vec<f64> {
    let of = |learning_rate| {
        let mut job = mlp(1, 4);
        (job.data.limit, job.batch.size, job.schedule.max_steps) = (11, samples.next_multiple_of(4), 1);
        (job.optimizer.momentum, job.optimizer.learning_rate) = (0.0, learning_rate);
        change(&mut job);
        trained(&job)
    };
    of(1e-30).into_iter().zip(of(1.0)).map(|(before, after)| before - after).collect()
}

fn combined<const N: usize>(parts: [(f64, &[f64]); N]) -> Vec<f64> {
    let sum = |i: usize| parts.iter().map(|(factor, part)| factor * part[i]).sum();
    (0..parts[0].1.len()).map(sum).collect()
}

fn length(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Lanes of 4, 4 and 3 samples, whose gradients are known from steps of the first four and eight samples, are multiplied
/// by the numbers of the formula.
#[test]
fn lanes_are_multiplied_by_what_the_formula_says() {
    let plain = |samples| gradient_of(samples, |_| {});
    let (first, two, all) = (plain(4), plain(8), plain(11));
    let second = combined([(2.0, &two), (-1.0, &first)]);
    let third = combined([(11.0 / 3.0, &all), (-8.0 / 3.0, &two)]);
    for noise_batch in [4, 7] {
        let noisy = gradient_of(11, |job| job.optimizer.noise_batch = noise_batch);
        let mut random = Random::new(Job::default().seed.augment, Purpose::LaneNoise, 0, 0);
        let draws = [(); 3].map(|()| random.next_normal());
        let shares = [4.0 / 11.0, 4.0 / 11.0, 3.0 / 11.0];
        let mean = draws[0] * shares[0] + draws[1] * shares[1] + draws[2] * shares[2];
        let spread: f64 = 1.0 - shares.iter().map(|share| share * share).sum::<f64>();
        let amplitude = ((11.0 / f64::from(noise_batch) - 1.0) / spread).sqrt();
        let factor = |lane: usize| shares[lane] * (1.0 + amplitude * (draws[lane] - mean));
        let expected = combined([(factor(0), &first), (factor(1), &second), (factor(2), &third)]);
        let error = length(&combined([(1.0, &noisy), (-1.0, &expected)])) / length(&expected);
        let noise = length(&combined([(1.0, &noisy), (-1.0, &all)])) / length(&expected);
        println!("of {noise_batch}: the noise is {noise:.2} of the gradient, the error {error:.1e}");
        assert!(noise > 0.01 && error < 1e-4, "of {noise_batch}: {noise}, {error}");
    }
}

/// Six steps, of which two are short, move each weight by noise of variance 6·η²σ², whatever the samples of a step. Of
/// 23,860 weights the standard error is 0.9%.
#[test]
fn each_step_moves_all_weights_by_noise_of_sigma() {
    let (learning_rate, sigma) = (1e-6, 1000.0);
    let weights = |sigma| {
        let mut job = mlp(4, 8);
        (job.optimizer.momentum, job.optimizer.learning_rate) = (0.0, learning_rate);
        job.optimizer.gradient_noise = sigma;
        trained(&job)
    };
    let moved = combined([(1.0, &weights(sigma)), (-1.0, &weights(0.0))]);
    let expected = 6.0 * (learning_rate * sigma) * (learning_rate * sigma);
    assert_eq!(moved.len(), 23_860);
    for part in [&moved[..], &moved[..12_000], &moved[12_000..]] {
        let count = part.len() as f64;
        let mean = part.iter().sum::<f64>() / count;
        assert!(mean.abs() < 4.0 * (expected / count).sqrt(), "{mean}");
        let variance = part.iter().map(|x| x * x).sum::<f64>() / count;
        let error = expected * (2.0 / count).sqrt();
        println!("{variance:.4e} for {expected:.4e}, standard error {error:.0e}");
        assert!((variance - expected).abs() < 4.0 * error, "{variance}, not {expected} ± {error}");
    }
}

const SIDE: u32 = 12;
const IMAGES: u32 = 60;

/// Writes images and these training labels.
fn write(folder: &Path, labels: &[u8]) {
    let test: Vec<u8> = (0..16).map(|i| i * 3 % 10).collect();
    for (name, labels) in [("train", labels), ("t10k", &test)] {
        let count = labels.len() as u32;
        let sizes = [count, SIDE, SIDE].map(u32::to_be_bytes).concat();
        let pixels: Vec<u8> = (0..(count * SIDE * SIDE) as usize).map(|i| (i * i % 251) as u8).collect();
        let write = |kind: &str, bytes: Vec<u8>| std::fs::write(folder.join(format!("{name}-{kind}")), bytes).unwrap();
        write("images-idx3-ubyte", [&[0, 0, 8, 3], &sizes[..], &pixels].concat());
        write("labels-idx1-ubyte", [&[0, 0, 8, 1], &sizes[..4], labels].concat());
    }
}

/// A job whose labels are noisy is one over files with the noisy labels in them: in loss and right answers of training, in
/// evaluations of held-out samples, whose labels are as they came, and in the weights. Mixup mixes noisy labels.
#[test]
fn noisy_labels_are_as_if_the_files_had_them() {
    let [clean, noisy] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let labels: Vec<u8> = (0..IMAGES).map(|i| (i * 7 % 10) as u8).collect();
    write(clean.path(), &labels);
    let mut job = workers::job(3, 5);
    job.data.path = clean.path().into();
    (job.data.validation, job.data.limit, job.data.label_noise) = (20, 0, 0.4);
    (job.loss.name, job.model.hidden, job.augment.mixup) = (LossName::CrossEntropy, vec![8], 0.4);
    (job.evaluate.every_epochs, job.metrics.every) = (1, 1);

    let dataset = Dataset::open(&job.data).unwrap();
    let mut reader = SampleReader::of(&job, &dataset).unwrap();
    let mut read = |split, sample| reader.append(&dataset, split, sample, None, &mut Vec::new()).unwrap() as u8;
    let train = (0..40).map(|sample| read(Split::Train, sample));
    let in_files: Vec<u8> = train.collect::<Vec<_>>().into_iter().chain(labels[40..].iter().copied()).collect();
    let wrong = in_files.iter().zip(&labels).filter(|(noisy, own)| noisy != own).count();
    assert!((8..=24).contains(&wrong), "{wrong} of 40 are wrong, where 16 are expected, with a deviation of 3");
    for (sample, label) in labels[40..].iter().enumerate() {
        assert_eq!(read(Split::Validation, sample as u64), *label);
    }
    write(noisy.path(), &in_files);

    let run = |job: &Job| {
        let mut workers: Vec<_> =
            [("a", 1), ("b", 1)].into_iter().map(|seat| Worker::prepare(job, "/nowhere".as_ref(), seat)).collect();
        begin(1, &mut workers, job.batch.lanes(), &initial());
        let (outcome, _) = end_all(&mut workers);
        let told = |report: &wire::Report| match report.report.as_ref()? {
            wire::report::Report::Step(step) => Some([step.loss, step.accuracy]),
            wire::report::Report::Evaluation(evaluation) => Some([evaluation.loss, evaluation.accuracy]),
            _ => None,
        };
        (outcome.weights_sha256, workers[0].reports.iter().filter_map(told).collect::<Vec<_>>())
    };
    let by_job = run(&job);
    assert!(by_job.1.len() > 6, "steps and evaluations are told: {:?}", by_job.1);
    (job.data.label_noise, job.data.path) = (0.0, noisy.path().into());
    assert_eq!(run(&job), by_job);
    job.data.path = clean.path().into();
    assert_ne!(run(&job).0, by_job.0);
}

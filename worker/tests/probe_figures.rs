//! What probes come to, against the same computed apart: by evaluations of weights that are put together here, by the
//! network's outputs for single images, in f64.

mod workers;

use std::path::Path;

use lockstep_dataset::{Dataset, Purpose, Random, Split};
use lockstep_proto::job::{Job, ModelName, Probe, ProbeMeasure, ProbeSamples};
use lockstep_proto::wire;
use lockstep_worker::model::{NamedWeights, SampleShape};
use lockstep_worker::trained::{Evaluated, Predictor, evaluate};
use lockstep_worker::trainer;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use workers::{End, Worker, begin, figure, initial, mlp, probes};

/// Tensors by name and shape, in the order of names.
type Weights = Vec<(String, Vec<usize>, Vec<f32>)>;

/// Trains with one worker; gives what probes come to at the end, and the weights.
fn train(job: &Job) -> (Vec<wire::ProbeReport>, Weights, Vec<wire::Report>) {
    let mut worker = Worker::prepare(job, Path::new("/nowhere"), ("a", 2));
    begin(1, std::slice::from_mut(&mut worker), job.batch.lanes(), &initial());
    let End::Finished { weights: Some(file), .. } = worker.end() else { panic!("it left") };
    let file = SafeTensors::deserialize(&file.0).unwrap();
    let values = |bytes: &[u8]| bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let mut weights: Weights =
        file.tensors().into_iter().map(|(name, view)| (name, view.shape().to_vec(), values(view.data()))).collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    (probes(&worker), weights, worker.reports)
}

/// The weights before the first step: those behind steps that are too small to change them.
fn initial_weights(job: &Job) -> Weights {
    let mut still = job.clone();
    (still.optimizer.learning_rate, still.probe) = (1e-30, Vec::new());
    train(&still).1
}

fn named(weights: &Weights) -> NamedWeights {
    let bytes: Vec<Vec<u8>> =
        weights.iter().map(|(.., values)| values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = weights
        .iter()
        .zip(&bytes)
        .map(|((name, shape, _), bytes)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    NamedWeights::parse("the test".into(), &safetensors::serialize(views, None).unwrap()).unwrap()
}

fn evaluated(job: &Job, weights: &Weights, split: Split) -> Evaluated {
    evaluate(job, &named(weights), split, 2).unwrap()
}

/// Each element of two vectors of weights.
fn combined(a: &Weights, b: &Weights, combine: impl Fn(f64, f64) -> f64) -> Weights {
    let combine = |(a, b): (&f32, &f32)| combine((*a).into(), (*b).into()) as f32;
    let tensors = a.iter().zip(b);
    tensors
        .map(|((name, shape, a), (.., b))| (name.clone(), shape.clone(), a.iter().zip(b).map(combine).collect()))
        .collect()
}

fn on_train(measure: ProbeMeasure) -> Probe {
    Probe { measure, on: ProbeSamples::Train, ..Probe::default() }
}

fn one(report: &wire::ProbeReport, name: &str) -> f64 {
    let values = figure(report, name);
    assert_eq!(values.len(), 1, "{name}");
    values[0]
}

#[test]
fn the_gap_is_between_the_evaluations() {
    let mut job = mlp(3, 16);
    job.evaluate.every_epochs = 1;
    job.probe = vec![on_train(ProbeMeasure::Gap)];
    let (gap, weights, reports) = train(&job);
    let evaluation = reports.iter().rev().find_map(|report| match &report.report {
        Some(wire::report::Report::Evaluation(evaluation)) if evaluation.split == "validation" => Some(evaluation),
        _ => None,
    });
    let evaluation = evaluation.expect("the last epoch's");
    let gap = &gap[0];
    assert_eq!((gap.step, gap.samples, gap.on.as_str()), (6, job.data.limit, "train"));
    assert_eq!(gap.method, "held out: validation");
    assert_eq!((one(gap, "held_out_loss"), one(gap, "held_out_accuracy")), (evaluation.loss, evaluation.accuracy));
    assert_eq!(one(gap, "loss_gap"), evaluation.loss - one(gap, "train_loss"));
    assert_eq!(one(gap, "accuracy_gap"), one(gap, "train_accuracy") - evaluation.accuracy);
    let train = evaluated(&job, &weights, Split::Train);
    assert_eq!((one(gap, "train_loss"), one(gap, "train_accuracy")), (train.loss, train.accuracy));
}

#[test]
fn without_validation_the_gap_is_to_the_test_and_a_subset_is_the_first_samples() {
    let mut job = mlp(3, 16);
    (job.data.validation, job.data.limit) = (0, 129);
    job.probe = vec![Probe { samples: 50, ..Probe::default() }];
    let (gap, weights, _) = train(&job);
    let test = evaluated(&job, &weights, Split::Test);
    assert_eq!((one(&gap[0], "held_out_loss"), one(&gap[0], "held_out_accuracy")), (test.loss, test.accuracy));
    let first = Job { data: lockstep_proto::job::Data { limit: 50, ..job.data.clone() }, ..job.clone() };
    let train = evaluated(&first, &weights, Split::Train);
    assert_eq!((gap[0].samples, one(&gap[0], "train_loss")), (50, train.loss));
}

#[test]
fn with_averages_the_average_is_probed() {
    let mut job = mlp(3, 16);
    job.optimizer.ema = 0.9;
    job.probe = vec![on_train(ProbeMeasure::Gap)];
    let (gap, average, _) = train(&job);
    assert_eq!(one(&gap[0], "train_loss"), evaluated(&job, &average, Split::Train).loss);
}

#[test]
fn norms_and_distances_are_those_of_the_weights() {
    let mut job = mlp(3, 16);
    job.probe = vec![Probe { measure: ProbeMeasure::Weights, ..Probe::default() }];
    let (report, weights, _) = train(&job);
    let start = initial_weights(&job);
    let norm = |weights: &Weights, layer: &str| {
        let of_layer = weights.iter().filter(|(name, ..)| name.starts_with(layer)).flat_map(|(.., values)| values);
        of_layer.map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
    };
    let moved = combined(&weights, &start, |now, before| now - before);
    let near = |name: &str, wanted: f64| {
        let found = one(&report[0], name);
        // The differences are rounded to f32 here.
        assert!((found - wanted).abs() < 1e-6 * wanted && wanted > 0.0, "{name}: {found}, not {wanted}");
    };
    near("norm", norm(&weights, ""));
    near("distance", norm(&moved, ""));
    for layer in ["fc1", "fc2"] {
        near(&format!("norm/{layer}"), norm(&weights, layer));
        near(&format!("distance/{layer}"), norm(&moved, layer));
    }
    assert_eq!((report[0].figures.len(), report[0].samples, report[0].on.as_str()), (6, 0, ""));
}

#[test]
fn an_interpolation_goes_from_the_initial_weights_through_those_of_now() {
    let mut job = mlp(3, 16);
    job.probe = vec![on_train(ProbeMeasure::Interpolation), on_train(ProbeMeasure::Gap)];
    let (report, weights, _) = train(&job);
    let start = initial_weights(&job);
    let (alphas, losses) = (figure(&report[0], "alpha"), figure(&report[0], "loss"));
    assert_eq!((alphas.len(), alphas[0], alphas[10], alphas[30], alphas[40]), (41, -0.5, 0.0, 1.0, 1.5));
    assert_eq!(losses[30], one(&report[1], "train_loss"));
    for (point, alpha) in [(0, -0.5), (10, 0.0), (20, 0.5), (40, 1.5)] {
        let between = combined(&start, &weights, |from, to| (1.0 - alpha) * from + alpha * to);
        let there = evaluated(&job, &between, Split::Train);
        let found = (losses[point], figure(&report[0], "accuracy")[point]);
        assert_eq!(found, (there.loss, there.accuracy), "{alpha}");
    }
}

#[test]
fn an_interpolation_may_begin_at_a_files_weights() {
    let folder = tempfile::tempdir().unwrap();
    let mut job = mlp(3, 16);
    let (_, other, _) = train(&Job { seed: lockstep_proto::job::Seed { init: 5, ..job.seed }, ..job.clone() });
    let file = folder.path().join("other.safetensors");
    std::fs::write(&file, named(&other).to_safetensors().unwrap()).unwrap();
    job.probe = vec![Probe { points: 5, from: file.display().to_string(), ..on_train(ProbeMeasure::Interpolation) }];
    trainer::seal_weights(&mut job).unwrap();
    let (report, weights, _) = train(&job);
    let (alphas, losses) = (figure(&report[0], "alpha"), figure(&report[0], "loss"));
    assert_eq!(alphas, [-0.5, 0.0, 0.5, 1.0, 1.5]);
    for (alpha, loss) in alphas.iter().zip(losses) {
        let between = combined(&other, &weights, |from, to| (1.0 - alpha) * from + alpha * to);
        assert_eq!(*loss, evaluated(&job, &between, Split::Train).loss, "{alpha}");
    }
    assert_ne!(losses[1], evaluated(&job, &initial_weights(&job), Split::Train).loss);

    // What becomes of the file while the job trains is no matter.
    let mut worker = Worker::prepare(&job, Path::new("/nowhere"), ("a", 2));
    let kept = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    begin(1, std::slice::from_mut(&mut worker), job.batch.lanes(), &initial());
    let End::Finished { .. } = worker.end() else { panic!("it left") };
    assert_eq!(probes(&worker), report);
    std::fs::write(&file, kept).unwrap();

    // Another file, one of another network, and none.
    let refused = |job: &Job| trainer::check(job, &[]).expect_err("must be refused").to_string();
    let mut larger = job.clone();
    larger.model.hidden = vec![31];
    assert!(refused(&larger).starts_with("probe interpolation: `from`: /"), "{}", refused(&larger));
    assert!(refused(&larger).contains("of shape [10, 30], the model's of [10, 31]"), "{}", refused(&larger));
    std::fs::write(&file, named(&weights).to_safetensors().unwrap()).unwrap();
    assert!(
        refused(&job).contains("its BLAKE3 is ") && refused(&job).contains("not from_blake3 = "),
        "{}",
        refused(&job)
    );
    std::fs::remove_file(&file).unwrap();
    assert!(refused(&job).contains("cannot be read"), "{}", refused(&job));
}

/// The probe's normal direction of this number, for the tensors of an MLP of two layers: the last one's come first.
fn direction(job: &Job, place: u64, number: u64, weights: &Weights) -> Weights {
    let mut stream = (0..).flat_map(|block| {
        let mut random = Random::new(job.seed.init, Purpose::Probe, place * 65536 + number, block);
        (0..4096).map(move |_| random.next_normal() as f32)
    });
    let mut direction = weights.clone();
    for name in ["fc2.weight", "fc2.bias", "fc1.weight", "fc1.bias"] {
        let (_, shape, values) = direction.iter_mut().find(|tensor| tensor.0 == name).unwrap();
        let drawn: Vec<f32> = stream.by_ref().take(values.len()).collect();
        if shape.len() == 1 {
            values.fill(0.0);
            continue;
        }
        let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        for (filter, drawn) in values.chunks_exact_mut(shape[1]).zip(drawn.chunks_exact(shape[1])) {
            let scale = norm(filter) / norm(drawn);
            filter.iter_mut().zip(drawn).for_each(|(x, drawn)| *x = (f64::from(*drawn) * scale) as f32);
        }
    }
    direction
}

#[test]
fn slices_and_planes_are_along_filter_normalised_directions() {
    let mut job = mlp(3, 16);
    job.probe = vec![
        Probe { points: 5, extent: 2.0, ..on_train(ProbeMeasure::Slice) },
        Probe { points: 3, ..on_train(ProbeMeasure::Plane) },
        on_train(ProbeMeasure::Gap),
    ];
    let (report, weights, _) = train(&job);
    let loss = one(&report[2], "train_loss");
    let loss_at = |weights: &Weights| evaluated(&job, weights, Split::Train).loss;

    let [slice, plane] = [0, 1].map(|probe| figure(&report[probe], "loss"));
    assert_eq!(figure(&report[0], "alpha"), [-2.0, -1.0, 0.0, 1.0, 2.0]);
    assert_eq!(slice[2], loss);
    let along = direction(&job, 0, 0, &weights);
    for (point, alpha) in [(0, -2.0), (3, 1.0)] {
        assert_eq!(slice[point], loss_at(&combined(&weights, &along, |w, d| w + alpha * d)), "{alpha}");
    }

    assert_eq!((figure(&report[1], "alpha"), plane.len(), plane[4]), (&[-1.0, 0.0, 1.0][..], 9, loss));
    let [across, down] = [0, 1].map(|number| direction(&job, 1, number, &weights));
    let step = |alpha: f64, beta: f64| {
        // Summed in f64, rounded once.
        let tensors = weights.iter().zip(across.iter().zip(&down));
        let moved = tensors.map(|((name, shape, w), ((.., a), (.., d)))| {
            let values = w.iter().zip(a.iter().zip(d));
            let values =
                values.map(|(w, (a, d))| (f64::from(*w) + (alpha * f64::from(*a) + beta * f64::from(*d))) as f32);
            (name.clone(), shape.clone(), values.collect())
        });
        loss_at(&moved.collect())
    };
    // The second row is the one of β = 0.
    assert_eq!(
        [plane[0], plane[2], plane[3], plane[7]],
        [step(-1.0, -1.0), step(1.0, -1.0), step(-1.0, 0.0), step(0.0, 1.0)]
    );
    let others: Vec<f64> = [slice[0], slice[4], plane[0], plane[8]].to_vec();
    assert!(others.iter().all(|other| *other != loss), "{others:?}");
}

/// The network's outputs for all training samples, each changed by `change`, and their labels.
fn outputs(job: &Job, weights: &Weights, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<(usize, Vec<f32>)> {
    let dataset = Dataset::open(&job.data).unwrap();
    let shape = SampleShape { channels: 1, height: 28, width: 28, classes: 10 };
    let mut predictor = Predictor::new(job, shape, &named(weights)).unwrap();
    let of_sample = |sample| {
        let label = dataset.label(Split::Train, sample).unwrap();
        let pixels = change(dataset.pixels(Split::Train, sample).expect("in memory"));
        (usize::from(label), predictor.predict(&pixels).outputs)
    };
    (0..dataset.len(Split::Train)).map(of_sample).collect()
}

fn best(outputs: &[f32]) -> usize {
    (0..outputs.len()).rev().max_by(|a, b| outputs[*a].total_cmp(&outputs[*b])).unwrap()
}

#[test]
fn margins_are_those_of_single_predictions() {
    let mut job = mlp(3, 16);
    job.probe = vec![on_train(ProbeMeasure::Margins), on_train(ProbeMeasure::Gap)];
    let (report, weights, _) = train(&job);
    let margin = |(label, outputs): &(usize, Vec<f32>)| {
        let others = outputs.iter().enumerate().filter(|(class, _)| class != label).map(|(_, output)| *output);
        outputs[*label] - others.fold(f32::NEG_INFINITY, f32::max)
    };
    let mut margins: Vec<f32> = outputs(&job, &weights, <[u8]>::to_vec).iter().map(margin).collect();
    margins.sort_by(f32::total_cmp);
    assert_eq!((report[0].samples, margins.len() as u64), (job.data.limit, job.data.limit));
    let wanted = figure(&report[0], "quantile").iter().map(|q| (q * (margins.len() - 1) as f64) as usize);
    let wanted: Vec<f64> = wanted.map(|place| f64::from(margins[place])).collect();
    assert_eq!(figure(&report[0], "margin"), wanted);
    let right = margins.iter().filter(|margin| **margin > 0.0).count() as f64 / margins.len() as f64;
    assert_eq!(right, one(&report[1], "train_accuracy"));
    let mean = margins.iter().map(|margin| f64::from(*margin)).sum::<f64>() / margins.len() as f64;
    assert_eq!(one(&report[0], "mean"), mean);
    // Over the product of the layers' norms, by power iteration in f64.
    let norms = ["fc1.weight", "fc2.weight"].map(|name| spectral_norm(&weights, name)).iter().product::<f64>();
    let near =
        |found: f64, wanted: f64| assert!((found - wanted).abs() <= 1e-6 * wanted.abs(), "{found}, not {wanted}");
    near(one(&report[0], "spectral_norms"), norms);
    near(one(&report[0], "normalised_mean"), mean / norms);
    assert_eq!(figure(&report[0], "normalised").len(), wanted.len());
    figure(&report[0], "normalised").iter().zip(&wanted).for_each(|(found, margin)| near(*found, margin / norms));
    assert!(report[0].remarks.is_empty(), "{:?}", report[0].remarks);
}

/// A response norm has no parameters that would say that it divides.
#[test]
fn margins_behind_a_response_norm_are_not_normalised() {
    let layers = "{ kind = 'conv', channels = 2, kernel = 5, stride = 4 }, { kind = 'local_response_norm' }, \
                  { kind = 'linear', channels = 10 }";
    let text = format!("data.path = '.'\nmodel = {{ name = 'layers', layers = [{layers}] }}");
    let mut job = mlp(3, 16);
    job.model = Job::from_toml(&text).unwrap().model;
    job.probe = vec![on_train(ProbeMeasure::Margins)];
    let report = train(&job).0.remove(0);
    assert!(report.figures.iter().all(|figure| !figure.name.starts_with("normalised")), "{report:?}");
    let [remark] = &report.remarks[..] else { panic!("{:?}", report.remarks) };
    assert!(remark.starts_with("margins are not normalised: "), "{remark}");
    assert!(remark.ends_with(" divides by what its input comes to, and is no linear map"), "{remark}");
}

/// The largest singular value of a matrix of `weights`: ‖W·v‖ where v ← Wᵀ·W·v has settled.
fn spectral_norm(weights: &Weights, name: &str) -> f64 {
    let (_, shape, values) = weights.iter().find(|tensor| tensor.0 == name).unwrap();
    let rows = || values.chunks_exact(shape[1]);
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut v = vec![1.0; shape[1]];
    let mut largest = 0.0;
    for _ in 0..3000 {
        let length = norm(&v);
        v.iter_mut().for_each(|x| *x /= length);
        let product: Vec<f64> = rows().map(|row| row.iter().zip(&v).map(|(w, x)| f64::from(*w) * x).sum()).collect();
        largest = norm(&product);
        v.fill(0.0);
        for (row, y) in rows().zip(&product) {
            v.iter_mut().zip(row).for_each(|(x, w)| *x += f64::from(*w) * y);
        }
    }
    largest
}

#[test]
fn changed_images_are_those_that_are_changed_apart() {
    let mut job = mlp(3, 16);
    use ProbeMeasure::{Gap, Noise, Rotations, Scalings, Shifts};
    let changed = |measure, strengths: &[f64]| Probe { strengths: strengths.to_vec(), ..on_train(measure) };
    (job.schedule.epochs, job.optimizer.learning_rate) = (40, 0.5);
    job.probe = vec![
        changed(Shifts, &[0.0, 3.0, -1.0]),
        changed(Rotations, &[0.0, 180.0]),
        changed(Scalings, &[]),
        changed(Noise, &[0.0, 0.3]),
        on_train(Gap),
    ];
    let (report, weights, _) = train(&job);
    let clean = (one(&report[4], "train_loss"), one(&report[4], "train_accuracy"));
    let at =
        |probe: usize, place: usize| (figure(&report[probe], "loss")[place], figure(&report[probe], "accuracy")[place]);
    assert_eq!((at(0, 0), at(1, 0), at(2, 3), at(3, 0)), (clean, clean, clean, clean));
    assert_eq!(figure(&report[2], "strength"), [-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3]);
    assert!(at(3, 1) != clean && at(2, 0) != clean);
    let check = |found: (f64, f64), change: &dyn Fn(&[u8]) -> Vec<u8>| {
        let outputs = outputs(&job, &weights, change);
        let right = outputs.iter().filter(|(label, outputs)| best(outputs) == *label).count();
        let error = |(label, outputs): &(usize, Vec<f32>)| {
            let of = |(class, output): (usize, &f32)| (f64::from(*output) - f64::from(class == *label)).powi(2);
            outputs.iter().enumerate().map(of).sum::<f64>() / 10.0
        };
        let loss = outputs.iter().map(error).sum::<f64>() / outputs.len() as f64;
        assert_eq!(found.1, right as f64 / outputs.len() as f64);
        assert!((found.0 - loss).abs() < 1e-5 * loss && found.0 != clean.0, "{found:?}, not {loss}");
    };
    let shifted = |by: isize| {
        move |pixels: &[u8]| {
            let at = |place: usize| {
                let source = (place % 28) as isize - by;
                if (0..28).contains(&source) { pixels[place - place % 28 + source as usize] } else { 0 }
            };
            (0..784).map(at).collect()
        }
    };
    check(at(0, 1), &shifted(3));
    check(at(0, 2), &shifted(-1));
    check(at(1, 1), &|pixels| pixels.iter().rev().copied().collect());
}

/// A sample's input gradient in f64: of the squared error of a sigmoid MLP of two layers.
fn input_gradient(weights: &Weights, pixels: &[f64], label: usize) -> Vec<f64> {
    let tensor = |name: &str| &weights.iter().find(|tensor| tensor.0 == name).unwrap().2;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let layer = |name: &str, inputs: &[f64]| -> Vec<f64> {
        let (weight, bias) = (tensor(&format!("{name}.weight")), tensor(&format!("{name}.bias")));
        let rows = weight.chunks_exact(inputs.len()).zip(bias);
        let sum = |row: &[f32]| row.iter().zip(inputs).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
        rows.map(|(row, bias)| sigmoid(sum(row) + f64::from(*bias))).collect()
    };
    let back = |name: &str, inputs: usize, slopes: &[f64]| -> Vec<f64> {
        let rows = || tensor(name).chunks_exact(inputs).zip(slopes);
        (0..inputs).map(|input| rows().map(|(row, slope)| f64::from(row[input]) * slope).sum()).collect()
    };
    let hidden = layer("fc1", pixels);
    let outputs = layer("fc2", &hidden);
    let error = |(class, y): (usize, &f64)| (y - f64::from(u8::from(class == label))) * y * (1.0 - y);
    let slopes: Vec<f64> = outputs.iter().enumerate().map(error).collect();
    let slopes = back("fc2.weight", hidden.len(), &slopes);
    let slopes: Vec<f64> = slopes.iter().zip(&hidden).map(|(slope, y)| slope * y * (1.0 - y)).collect();
    back("fc1.weight", pixels.len(), &slopes)
}

#[test]
fn attacked_images_are_a_step_along_the_gradient_s_signs() {
    let mut job = mlp(3, 16);
    (job.schedule.epochs, job.optimizer.learning_rate) = (40, 0.5);
    // 51 whole grey levels.
    job.probe = vec![Probe { strengths: vec![0.0, 0.2], ..on_train(ProbeMeasure::Fgsm) }, on_train(ProbeMeasure::Gap)];
    let (report, weights, _) = train(&job);
    let (losses, accuracies) = (figure(&report[0], "loss"), figure(&report[0], "accuracy"));
    assert_eq!((losses[0], accuracies[0]), (one(&report[1], "train_loss"), one(&report[1], "train_accuracy")));

    let dataset = Dataset::open(&job.data).unwrap();
    let shape = SampleShape { channels: 1, height: 28, width: 28, classes: 10 };
    let mut predictor = Predictor::new(&job, shape, &named(&weights)).unwrap();
    let (mut loss, mut right) = (0.0, 0);
    for sample in 0..job.data.limit {
        let label = usize::from(dataset.label(Split::Train, sample).unwrap());
        let pixels = dataset.pixels(Split::Train, sample).unwrap();
        let white: Vec<f64> = pixels.iter().map(|pixel| f64::from(*pixel) / 255.0).collect();
        let slopes = input_gradient(&weights, &white, label);
        let step = |(pixel, slope): (&u8, &f64)| (f64::from(*pixel) + 51.0 * slope.signum()).clamp(0.0, 255.0) as u8;
        let attacked: Vec<u8> = pixels.iter().zip(&slopes).map(step).collect();
        let outputs = predictor.predict(&attacked).outputs;
        let of = |(class, output): (usize, &f32)| (f64::from(*output) - f64::from(u8::from(class == label))).powi(2);
        loss += outputs.iter().enumerate().map(of).sum::<f64>() / 10.0 / job.data.limit as f64;
        right += usize::from(best(&outputs) == label);
    }
    // Signs of slopes that are next to none may differ.
    assert!((losses[1] - loss).abs() < 1e-4 * loss && losses[1] > 1.2 * losses[0], "{losses:?}, not {loss}");
    let accuracy = right as f64 / job.data.limit as f64;
    assert!((accuracies[1] - accuracy).abs() < 0.016, "{accuracies:?}, not {accuracy}");
}

/// By way of convolutions, with a loss over their outputs.
#[test]
fn an_attack_on_a_convolutional_network_climbs_more_than_noise() {
    let mut job = workers::job(3, 16);
    job.model.name = ModelName::Lenet5;
    job.schedule.epochs = 10;
    job.probe = vec![
        Probe { strengths: vec![0.0, 0.01, 0.02], ..on_train(ProbeMeasure::Fgsm) },
        Probe { strengths: vec![0.0, 0.02], ..on_train(ProbeMeasure::Noise) },
    ];
    let report = train(&job).0;
    let (attacked, noisy) = (figure(&report[0], "loss"), figure(&report[1], "loss"));
    assert_eq!(attacked[0], noisy[0]);
    let climbs = [attacked[1] - attacked[0], attacked[2] - attacked[1]];
    assert!(climbs[0] > 0.0 && (climbs[1] / climbs[0] - 1.0).abs() < 0.3, "all but linear: {attacked:?}");
    assert!(attacked[2] - attacked[0] > 5.0 * (noisy[1] - noisy[0]).abs(), "{attacked:?} {noisy:?}");
}

#[test]
fn a_probe_that_does_not_apply_is_refused_before_the_job_starts() {
    let refused = |job: &Job| trainer::check(job, &[]).expect_err("must be refused").to_string();
    let mut job = mlp(3, 16);
    assert!(trainer::check(&job, &[]).is_ok());
    job.probe = vec![Probe { strengths: vec![28.0], ..on_train(ProbeMeasure::Shifts) }];
    let problem = "probe shifts: `strengths` has 28, which moves images out of sight: stay below 28";
    assert_eq!(refused(&job), problem);
    job.probe = vec![on_train(ProbeMeasure::Fgsm)];
    job.model.name = ModelName::Resnet20;
    let problem = "probe fgsm: it does not apply to networks with batch normalisation or dropout, whose way back is that \
                   of training: leave it out";
    assert_eq!(refused(&job), problem);
    // 17 terabytes.
    let mut job = mlp(3, 16);
    job.model.hidden = vec![65_536, 65_536];
    job.probe = vec![Probe { measure: ProbeMeasure::Eigenvalues, iterations: 1000, ..Probe::default() }];
    let problem = refused(&job);
    assert!(problem.starts_with("probe eigenvalues: it may keep 1001 vectors of 43"), "{problem}");
}

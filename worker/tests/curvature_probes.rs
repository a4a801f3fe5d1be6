//! Probes of curvature through the whole trainer: the same bits for any workers, and what they come to against an exact
//! Hessian in f64 and against PyTorch 2.15, whose figures are of:
//!
//! ```python
//! import gzip, torch, torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! def idx(name, skip): return torch.tensor(list(gzip.open(f'data/mnist/train-{name}-ubyte.gz').read(100_000)[skip:]))
//! x = (idx('images-idx3', 16)[:64 * 784].reshape(64, 784).float() / 255).double()
//! y = idx('labels-idx1', 8)[:64]
//! def units(k, n): return (torch.arange(n) * 7919 + k * 104729) % 1009 / 1009 - 0.5
//! shapes = [(3, 784), (3,), (10, 3), (10,)]
//! sizes = [2352, 3, 30, 10]
//! w = torch.cat([units(k, n) * (0.2 if k < 2 else 2) for k, n in enumerate(sizes)]).float().double()
//! def loss(w):
//!     w1, b1, w2, b2 = (part.reshape(shape) for part, shape in zip(w.split(sizes), shapes))
//!     return F.cross_entropy(torch.tanh(x @ w1.T + b1) @ w2.T + b2, y)
//! h = torch.autograd.functional.hessian(loss, w)
//! values = torch.linalg.eigvalsh(h)
//! g = torch.autograd.functional.jacobian(loss, w)
//! rise = loss(w + 0.5 * g / g.norm()) - loss(w)
//! top = values[values.abs().argsort(descending=True)[:4]]
//! print([float(f'{v:.9g}') for v in top.tolist() + [values.sum().item(), values.square().mean().item(), loss(w).item(), g.norm().item(), rise.item()]])
//! ```

mod workers;

use std::path::Path;

use lockstep_estimators::keskar::{ascend, half_widths};
use lockstep_estimators::symmetric;
use lockstep_kernels::cpu::Cpu;
use lockstep_proto::job::{Job, Probe, ProbeMeasure};
use lockstep_proto::wire;
use lockstep_worker::model::{Model, SampleShape, Tensor, build};
use lockstep_worker::trainer;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use workers::{Worker, begin, end_all, initial, mlp};

/// The four largest eigenvalues, the trace, the mean λ², the loss, the gradient's norm, and how far the loss rises.
const PYTORCH: [f64; 9] =
    [15.8418325, 11.166624, 2.33530022, 2.06508672, 58.8079729, 0.174571894, 2.52594856, 1.50204469, 0.820028103];

/// Of the small network: samples, micro-batch, pixels, hidden units, classes.
const SAMPLES: usize = 24;
const MICRO_BATCH: usize = 8;
const PIXELS: usize = 6;
const HIDDEN: usize = 4;
const CLASSES: usize = 3;

fn probe(measure: ProbeMeasure) -> Probe {
    Probe { measure, ..Probe::default() }
}

/// Trains to the end; gives the probes' reports, which all ranks agree on.
fn reports(job: &Job, seats: &[(&str, u32)]) -> Vec<wire::ProbeReport> {
    let mut workers: Vec<_> = seats.iter().map(|&seat| Worker::prepare(job, Path::new("/nowhere"), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    end_all(&mut workers);
    let of = |worker: &Worker| -> Vec<wire::ProbeReport> {
        let probe = |report: &wire::Report| match &report.report {
            Some(wire::report::Report::Probe(probe)) => Some(probe.clone()),
            _ => None,
        };
        worker.reports.iter().filter_map(probe).collect()
    };
    let first = of(&workers[0]);
    workers.iter().for_each(|worker| assert_eq!(of(worker), first));
    first
}

fn many<'r>(report: &'r wire::ProbeReport, name: &str) -> &'r [f64] {
    let figure = report.figures.iter().find(|figure| figure.name == name);
    &figure.unwrap_or_else(|| panic!("{}: no {name}: {:?}", report.probe, report.remarks)).values
}

fn one(report: &wire::ProbeReport, name: &str) -> f64 {
    many(report, name)[0]
}

#[track_caller]
fn close(what: &str, ours: f64, theirs: f64, tolerance: f64) {
    println!("{what}: {ours} {theirs}");
    assert!((ours - theirs).abs() <= tolerance * theirs.abs(), "{what}: {ours}, not {theirs}");
}

#[test]
fn they_are_the_same_bits_for_any_workers_and_leave_the_weights_alone() {
    use ProbeMeasure::{Density, Eigenvalues, Keskar, LaneGradients, Sam, Spectra, Trace};
    let mut job = mlp(4, 8);
    job.schedule.epochs = 1;
    let plain = workers::train(&job, &[("a", 1)]).0.weights_sha256;
    job.probe = [Eigenvalues, Trace, Density, Keskar, Sam, LaneGradients]
        .map(|measure| Probe { samples: 45, ..probe(measure) })
        .into_iter()
        .chain([probe(Spectra)])
        .collect();
    job.probe[0].top = 3;
    job.probe[1].draws = 3;
    (job.probe[2].draws, job.probe[2].iterations) = (2, 6);
    job.probe[3].iterations = 3;
    job.probe[5].lanes = 4;
    job.probe.push(Probe { name: "subspace".into(), draws: 5, iterations: 3, samples: 45, ..probe(Keskar) });
    let serial = reports(&job, &[("a", 1)]);
    assert_eq!(serial.len(), job.probe.len());
    assert_eq!(workers::train(&job, &[("a", 2)]).0.weights_sha256, plain);
    let splits: [&[(&str, u32)]; 2] = [&[("a", 1), ("b", 2)], &[("a", 1), ("a", 2), ("b", 1)]];
    for split in splits {
        assert_eq!(reports(&job, split), serial, "{split:?}");
    }
    assert!(serial[..3].iter().all(|report| report.method.starts_with("exact products") && report.samples == 45));
    assert!(one(&serial[6], "singular/fc1") > 0.0 && one(&serial[6], "edge/fc1") > 0.0);
    assert!(serial[6].remarks.iter().any(|remark| remark.starts_with("fc2: 10 singular values tell no edge")));
}

/// 300 lanes of one sample are two chunks; as 60 lanes they are one.
#[test]
fn more_lanes_than_are_reduced_at_once_come_to_the_same() {
    use ProbeMeasure::{Eigenvalues, Sam, Trace};
    let job = |micro_batch| {
        let mut job = mlp(1, micro_batch);
        (job.data.limit, job.data.validation) = (320, 59_000);
        (job.schedule.epochs, job.schedule.max_steps, job.optimizer.learning_rate) = (1, 1, 1e-30);
        job.evaluate.every_epochs = 0;
        job.probe = [Sam, Trace, Eigenvalues].map(|measure| Probe { samples: 300, ..probe(measure) }).to_vec();
        job.probe[1].draws = 2;
        job
    };
    let chunks = reports(&job(1), &[("a", 1)]);
    assert_eq!(reports(&job(1), &[("a", 2), ("a", 1), ("b", 1)]), chunks);
    let whole = reports(&job(5), &[("a", 1)]);
    for (place, name) in [(0, "loss"), (0, "gradient_norm"), (0, "sharpness"), (1, "trace"), (2, "highest")] {
        assert_eq!(chunks[place].samples, 300);
        close(name, one(&chunks[place], name), one(&whole[place], name), 1e-4);
    }
}

#[test]
fn two_lanes_are_the_least_for_angles() {
    let mut job = mlp(4, 8);
    job.probe = vec![Probe { samples: 15, ..probe(ProbeMeasure::LaneGradients) }];
    let error = trainer::check(&job, &[]).unwrap_err().to_string();
    assert!(error.contains("at least two whole lanes: take it over 16 samples or more"), "{error}");
}

/// A job whose weights are those of a formula and stay there, with probes at its end.
fn job_at(
    folder: &Path,
    text: &str,
    values: impl Fn(&Tensor) -> Vec<f32>,
    shape: SampleShape,
    probes: Vec<Probe>,
) -> Job {
    let text = format!(
        "{text}[optimizer]\nlearning_rate = 1e-30\n[schedule]\nepochs = 1\n[evaluate]\nevery_epochs = 0\n\
         [checkpoint]\nevery_epochs = 0\n"
    );
    let mut job = Job::from_toml(&text).unwrap();
    let model: Model<Cpu> = build(&job.model, shape).unwrap();
    let bytes = |tensor: &Tensor| values(tensor).iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>();
    let bytes: Vec<Vec<u8>> = model.tensors().iter().map(bytes).collect();
    let views = model.tensors().iter().zip(&bytes).map(|(tensor, bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.shape.clone(), bytes).unwrap();
        (tensor.shape.name.clone(), view)
    });
    job.model.init_from = folder.join("weights").display().to_string();
    std::fs::write(&job.model.init_from, safetensors::serialize(views, None).unwrap()).unwrap();
    trainer::seal_weights(&mut job).unwrap();
    job.probe = probes;
    job
}

fn units(k: usize, len: usize) -> impl Iterator<Item = f64> {
    (0..len).map(move |i| ((i * 7919 + k * 104_729) % 1009) as f64 / 1009.0 - 0.5)
}

#[test]
fn a_small_network_over_mnist_is_pytorchs() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[data]\npath = '{}/../data/mnist'\nlimit = 64\n[model]\nname = 'mlp'\nhidden = [3]\nactivation = 'tanh'\n\
         [batch]\nsize = 64\nmicro_batch = 16\n",
        env!("CARGO_MANIFEST_DIR")
    );
    let shape = SampleShape { channels: 1, height: 28, width: 28, classes: 10 };
    let values = |tensor: &Tensor| -> Vec<f32> {
        let names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];
        let k = names.iter().position(|name| *name == tensor.shape.name).unwrap();
        let scale = if k < 2 { 0.2 } else { 2.0 };
        units(k, tensor.range.len()).map(|unit| (unit * scale) as f32).collect()
    };
    let probes = vec![
        Probe { top: 4, tolerance: 1e-5, ..probe(ProbeMeasure::Eigenvalues) },
        Probe { draws: 200, ..probe(ProbeMeasure::Trace) },
        Probe { draws: 60, iterations: 8, ..probe(ProbeMeasure::Density) },
        Probe { radius: 0.5, ..probe(ProbeMeasure::Sam) },
    ];
    let all = reports(&job_at(folder.path(), &text, values, shape, probes), &[("a", 2)]);
    for (ours, theirs) in many(&all[0], "eigenvalues").iter().zip(PYTORCH) {
        close("eigenvalue", *ours, theirs, 1e-4);
    }
    let error = one(&all[1], "standard_error");
    assert!((one(&all[1], "trace") - PYTORCH[4]).abs() < 4.0 * error && error < 0.2 * PYTORCH[4], "{error}");
    let (moment, error) = (many(&all[2], "moments")[1], many(&all[2], "moment_errors")[1]);
    assert!((moment - PYTORCH[5]).abs() < 4.0 * error && error < 0.3 * PYTORCH[5], "{moment} {error}");
    close("loss", one(&all[3], "loss"), PYTORCH[6], 1e-6);
    close("gradient", one(&all[3], "gradient_norm"), PYTORCH[7], 1e-5);
    close("sharpness", one(&all[3], "sharpness"), PYTORCH[8], 1e-5);
}

/// The small network in f64, as PyTorch would have it: linear, batch norm perhaps, tanh, linear, cross-entropy.
struct Reference {
    tensors: Vec<(String, std::ops::Range<usize>)>,
    weights: Vec<f64>,
    has_norm: bool,
}

fn pixel(i: usize) -> u8 {
    (i * i * 7 % 251) as u8
}

fn label(sample: usize) -> usize {
    sample * 7 % CLASSES
}

impl Reference {
    fn tensor<'w>(&self, weights: &'w [f64], name: &str) -> Option<&'w [f64]> {
        let found = self.tensors.iter().find(|(tensor, _)| tensor == name);
        found.map(|(_, range)| &weights[range.clone()])
    }

    /// Mean loss of samples, each micro-batch normalised by itself.
    fn loss_of(&self, weights: &[f64], samples: std::ops::Range<usize>) -> f64 {
        let of = |layer: usize, kind: &str| self.tensor(weights, &format!("layers.{layer}.{kind}"));
        let last = if self.has_norm { 3 } else { 2 };
        let (w1, b1) = (of(0, "weight").expect("a weight"), of(0, "bias").expect("a bias"));
        let (w2, b2) = (of(last, "weight").expect("a weight"), of(last, "bias").expect("a bias"));
        let count = samples.len() as f64;
        let mut sum = 0.0;
        for first in samples.clone().step_by(MICRO_BATCH) {
            let batch = first..samples.end.min(first + MICRO_BATCH);
            let mut hidden: Vec<Vec<f64>> = batch
                .clone()
                .map(|n| {
                    let x = |i: usize| f64::from(pixel(n * PIXELS + i)) / 255.0;
                    (0..HIDDEN).map(|h| b1[h] + (0..PIXELS).map(|i| w1[h * PIXELS + i] * x(i)).sum::<f64>()).collect()
                })
                .collect();
            if self.has_norm {
                let (scale, shift) = (of(1, "weight").expect("a scale"), of(1, "bias").expect("a shift"));
                for h in 0..HIDDEN {
                    let mean = hidden.iter().map(|z| z[h]).sum::<f64>() / batch.len() as f64;
                    let variance = hidden.iter().map(|z| (z[h] - mean).powi(2)).sum::<f64>() / batch.len() as f64;
                    hidden
                        .iter_mut()
                        .for_each(|z| z[h] = (z[h] - mean) / (variance + 1e-5).sqrt() * scale[h] + shift[h]);
                }
            }
            for (n, z) in batch.zip(hidden) {
                let y = |k: usize| b2[k] + (0..HIDDEN).map(|h| w2[k * HIDDEN + h] * z[h].tanh()).sum::<f64>();
                sum += (0..CLASSES).map(|k| y(k).exp()).sum::<f64>().ln() - y(label(n));
            }
        }
        sum / count
    }

    fn loss(&self, weights: &[f64]) -> f64 {
        self.loss_of(weights, 0..SAMPLES)
    }

    fn gradient_of(&self, weights: &[f64], samples: std::ops::Range<usize>) -> Vec<f64> {
        let mut moved = weights.to_vec();
        let slope = |i: usize| {
            let mut at = |by: f64| {
                moved[i] = weights[i] + by;
                let loss = self.loss_of(&moved, samples.clone());
                moved[i] = weights[i];
                loss
            };
            (at(1e-5) - at(-1e-5)) / 2e-5
        };
        (0..weights.len()).map(slope).collect()
    }

    /// By differences of the loss, four for each element.
    fn hessian(&self) -> Vec<f64> {
        let (n, step) = (self.weights.len(), 1e-3);
        let mut moved = self.weights.clone();
        let mut at = |i: usize, by_i: f64, j: usize, by_j: f64| {
            moved[i] += by_i;
            moved[j] += by_j;
            let loss = self.loss(&moved);
            (moved[i], moved[j]) = (self.weights[i], self.weights[j]);
            loss
        };
        let mut hessian = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let sum = at(i, step, j, step) + at(i, -step, j, -step) - at(i, step, j, -step) - at(i, -step, j, step);
                hessian[i * n + j] = sum / (4.0 * step * step);
                hessian[j * n + i] = hessian[i * n + j];
            }
        }
        hessian
    }
}

/// The small network as a job with these probes, and in f64.
fn small(folder: &Path, has_norm: bool, probes: Vec<Probe>) -> (Job, Reference) {
    for (name, count) in [("train", SAMPLES), ("t10k", 3)] {
        let sizes = [count, 2, PIXELS / 2].map(|size| (size as u32).to_be_bytes()).concat();
        let pixels: Vec<u8> = (0..count * PIXELS).map(pixel).collect();
        let labels: Vec<u8> = (0..count).map(|n| label(n) as u8).collect();
        let write = |kind: &str, bytes: Vec<u8>| std::fs::write(folder.join(format!("{name}-{kind}")), bytes).unwrap();
        write("images-idx3-ubyte", [&[0, 0, 8, 3], &sizes[..], &pixels].concat());
        write("labels-idx1-ubyte", [&[0, 0, 8, 1], &sizes[..4], &labels].concat());
    }
    let norm = if has_norm { "{ kind = 'batch_norm' }, " } else { "" };
    let text = format!(
        "[data]\npath = '{}'\nclasses = {CLASSES}\n[batch]\nsize = {SAMPLES}\nmicro_batch = {MICRO_BATCH}\n\
         [model]\nname = 'layers'\nlayers = [{{ kind = 'linear', channels = {HIDDEN} }}, {norm}{{ kind = 'tanh' }}, \
         {{ kind = 'linear', channels = {CLASSES} }}]\n",
        folder.display()
    );
    let shape = SampleShape { channels: 1, height: 2, width: PIXELS / 2, classes: CLASSES };
    let values = |tensor: &Tensor| -> Vec<f32> {
        let turn = tensor.shape.name.bytes().map(usize::from).sum::<usize>();
        let base = if tensor.shape.name.ends_with("running_var") { 1.0 } else { 0.0 };
        units(turn, tensor.range.len()).map(|unit| (base + 2.0 * unit) as f32).collect()
    };
    let job = job_at(folder, &text, values, shape, probes);
    let model: Model<Cpu> = build(&job.model, shape).unwrap();
    let trained = model.trained_tensors();
    let tensors: Vec<_> = trained.iter().map(|tensor| (tensor.shape.name.clone(), tensor.range.clone())).collect();
    println!("{tensors:?}");
    let weights = trained.iter().flat_map(values).map(f64::from).collect();
    (job, Reference { tensors, weights, has_norm })
}

fn by_magnitude(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(|a, b| b.abs().total_cmp(&a.abs()));
    values
}

#[test]
fn spectra_are_those_of_the_exact_hessian() {
    let folder = tempfile::tempdir().unwrap();
    let probes = vec![
        Probe { top: 6, tolerance: 1e-6, ..probe(ProbeMeasure::Eigenvalues) },
        Probe { draws: 400, ..probe(ProbeMeasure::Trace) },
        Probe { draws: 160, iterations: 12, ..probe(ProbeMeasure::Density) },
    ];
    let (job, reference) = small(folder.path(), false, probes);
    let all = reports(&job, &[("a", 1)]);
    let (n, hessian) = (reference.weights.len(), reference.hessian());
    let exact = by_magnitude(symmetric::eigenvalues(&hessian, n).unwrap());
    for (ours, exact_value) in many(&all[0], "eigenvalues").iter().zip(&exact) {
        println!("{ours} {exact_value}");
        assert!((ours - exact_value).abs() < 2e-5 * exact[0].abs(), "{ours} {exact_value}");
    }
    let highest = exact.iter().copied().fold(f64::MIN, f64::max);
    close("edge", one(&all[0], "edge"), highest * 1e-30 / 2.0, 1e-4);
    let trace: f64 = exact.iter().sum();
    let off_diagonal: f64 = (0..n * n).filter(|k| k / n != k % n).map(|k| hessian[k] * hessian[k]).sum();
    let expected = (2.0 * off_diagonal / 400.0).sqrt();
    assert!((one(&all[1], "trace") - trace).abs() < 4.0 * expected, "{} {trace}", one(&all[1], "trace"));
    close("standard error", one(&all[1], "standard_error"), expected, 0.25);
    for power in 1..=4 {
        let moment = exact.iter().map(|value| value.powi(power)).sum::<f64>() / n as f64;
        let place = power as usize - 1;
        let (ours, error) = (many(&all[2], "moments")[place], many(&all[2], "moment_errors")[place]);
        assert!((ours - moment).abs() < 4.5 * error, "λ^{power}: {ours} ± {error}, not {moment}");
    }
    assert!((many(&all[2], "weights").iter().sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn sharpness_and_angles_are_those_in_f64() {
    let folder = tempfile::tempdir().unwrap();
    let probes = vec![
        Probe { radius: 0.5, ..probe(ProbeMeasure::Sam) },
        Probe { radius: 0.02, ..probe(ProbeMeasure::Keskar) },
        Probe { name: "subspace".into(), radius: 0.02, draws: 5, ..probe(ProbeMeasure::Keskar) },
        probe(ProbeMeasure::LaneGradients),
    ];
    let (job, reference) = small(folder.path(), false, probes);
    let all = reports(&job, &[("a", 1)]);
    let w = &reference.weights;
    let gradient = reference.gradient_of(w, 0..SAMPLES);
    let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let above: Vec<f64> = w.iter().zip(&gradient).map(|(w, g)| w + 0.5 * g / length).collect();
    close("sharpness", one(&all[0], "sharpness"), reference.loss(&above) - reference.loss(w), 1e-4);

    let widths = half_widths(w.iter().copied(), 0.02);
    let climbed = ascend(&widths, 10, |y: &[f64], slope: &mut [f64]| {
        let moved: Vec<f64> = w.iter().zip(y).map(|(w, y)| w + y).collect();
        slope.copy_from_slice(&reference.gradient_of(&moved, 0..SAMPLES));
        Ok::<_, ()>(reference.loss(&moved))
    });
    close("phi", one(&all[1], "phi"), climbed.unwrap().sharpness(), 1e-3);
    let inside = one(&all[2], "phi");
    assert!(inside > 0.0 && inside < one(&all[1], "phi"), "{inside}");

    let lanes: Vec<Vec<f64>> =
        (0..3).map(|k| reference.gradient_of(w, k * MICRO_BATCH..(k + 1) * MICRO_BATCH)).collect();
    let dot = |a: usize, b: usize| lanes[a].iter().zip(&lanes[b]).map(|(a, b)| a * b).sum::<f64>();
    let cosines = [(0, 1), (0, 2), (1, 2)].map(|(a, b)| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt());
    close("cosine", one(&all[3], "cosine_mean"), cosines.iter().sum::<f64>() / 3.0, 1e-4);
    let whole: f64 = (0..9).map(|k| dot(k / 3, k % 3)).sum();
    let squares: f64 = (0..3).map(|k| dot(k, k)).sum();
    close("diversity", one(&all[3], "diversity"), squares / whole, 1e-5);
    let covariance = (squares - whole / 3.0) / 2.0;
    close("covariance", many(&all[3], "covariance").iter().sum(), covariance, 1e-4);
}

/// Batch norm has no tangents: products are by differences, whose error is told and is as large as that.
#[test]
fn differences_say_how_good_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let probes = vec![Probe { top: 4, tolerance: 1e-4, iterations: 20, ..probe(ProbeMeasure::Eigenvalues) }];
    let (job, reference) = small(folder.path(), true, probes);
    let report = &reports(&job, &[("a", 1)])[0];
    let told = report.method.split("error about ").nth(1).unwrap_or_else(|| panic!("{}", report.method));
    let error: f64 = told.split(' ').next().unwrap().parse().unwrap();
    assert!((1e-7..0.02).contains(&error), "{}", report.method);
    assert!(report.method.ends_with("layer layers.1 has no exact product"), "{}", report.method);
    let exact = by_magnitude(symmetric::eigenvalues(&reference.hessian(), reference.weights.len()).unwrap());
    for (ours, value) in many(report, "eigenvalues").iter().zip(&exact) {
        println!("{ours} {value} {error}");
        assert!((ours - value).abs() < (5.0 * error).max(1e-4) * exact[0].abs(), "{ours} {value}: {}", report.method);
    }
}

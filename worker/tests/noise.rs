//! The noise of gradients as jobs report it: against lane gradients in f64, and the same bits whatever becomes of workers.

mod workers;

use std::collections::BTreeMap;
use std::ops::Range;

use lockstep_dataset::{Dataset, Order, Split};
use lockstep_kernels::cpu::Cpu;
use lockstep_proto::job::{Activation, AscentOver, Job, LossName, ModelName, OnNonfinite, Transport};
use lockstep_proto::wire;
use lockstep_worker::control::StopReason;
use lockstep_worker::model::{Model, SampleShape, build, initial_values};
use workers::{Worker, begin, begin_of, end_all, from_checkpoint, from_memory, initial, job, mlp};

/// What is told of noise, by step; each step once or the same.
fn noise_of(workers: &[Worker]) -> BTreeMap<u64, wire::NoiseScale> {
    let mut all = BTreeMap::new();
    for report in workers.iter().flat_map(|worker| &worker.reports) {
        let Some(wire::report::Report::Step(step)) = &report.report else { continue };
        let noise = step.noise.clone().expect("every step tells of noise");
        let before = all.insert(step.step, noise.clone());
        assert!(before.is_none_or(|before| before == noise), "step {}", step.step);
    }
    all
}

fn train(job: &Job, seats: &[(&str, u32)]) -> BTreeMap<u64, wire::NoiseScale> {
    let mut workers: Vec<_> = seats.iter().map(|&seat| Worker::prepare(job, "/nowhere".as_ref(), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    end_all(&mut workers);
    noise_of(&workers)
}

/// A perceptron of two layers with sigmoids, in f64, at the weights that a job begins with.
struct Reference {
    model: Model<Cpu>,
    weights: Vec<f64>,
}

impl Reference {
    fn new(job: &Job) -> Self {
        let shape = SampleShape { channels: 1, height: 28, width: 28, classes: 10 };
        let model = build::<Cpu>(&job.model, shape).unwrap();
        let weights = initial_values(model.tensors(), job.seed.init, &job.model);
        Self { model, weights: weights.into_iter().map(f64::from).collect() }
    }

    fn place(&self, name: &str) -> Range<usize> {
        self.model.tensors().iter().find(|tensor| tensor.shape.name == name).expect(name).range.clone()
    }

    /// Adds the gradient of a sample's mean squared error, by the chain rule.
    fn add(&self, pixels: &[u8], label: u16, sum: &mut [f64]) {
        let [w1, b1, w2, b2] = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"].map(|name| self.place(name));
        let x: Vec<f64> = pixels.iter().map(|&pixel| f64::from(pixel) / 255.0).collect();
        let layer = |w: &Range<usize>, b: &Range<usize>, x: &[f64]| -> Vec<f64> {
            let rows = self.weights[w.clone()].chunks(x.len()).zip(&self.weights[b.clone()]);
            let z = rows.map(|(row, bias)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias);
            z.map(|z| 1.0 / (1.0 + (-z).exp())).collect()
        };
        let h = layer(&w1, &b1, &x);
        let y = layer(&w2, &b2, &h);
        let d2: Vec<f64> = (y.iter().enumerate())
            .map(|(k, y)| 2.0 / 10.0 * (y - f64::from(u8::from(k == usize::from(label)))) * y * (1.0 - y))
            .collect();
        let d1: Vec<f64> = (h.iter().enumerate())
            .map(|(j, h)| {
                let d_h: f64 = d2.iter().enumerate().map(|(k, d)| d * self.weights[w2.start + k * 30 + j]).sum();
                d_h * h * (1.0 - h)
            })
            .collect();
        for (d, x, w, b) in [(&d1, &x, &w1, &b1), (&d2, &h, &w2, &b2)] {
            for (row, d) in d.iter().enumerate() {
                sum[b.start + row] += d;
                x.iter().enumerate().for_each(|(column, value)| sum[w.start + row * x.len() + column] += d * value);
            }
        }
    }
}

fn close(what: &str, ours: Option<f64>, theirs: f64) {
    let ours = ours.unwrap_or_else(|| panic!("{what} is not told"));
    assert!((ours - theirs).abs() <= 2e-5 * theirs.abs(), "{what}: {ours}, not {theirs}");
}

/// Steps of four lanes, with a last step of lanes of 8, 8 and 1 samples, at weights that stay.
#[test]
fn what_is_reported_is_what_lane_gradients_in_f64_come_to() {
    let mut job = mlp(4, 8);
    (job.metrics.every, job.optimizer.learning_rate) = (1, 1e-30);
    let noise = train(&job, &[("a", 2)]);
    let (reference, dataset) = (Reference::new(&job), Dataset::open(&job.data).unwrap());
    let (samples, layers) = (dataset.len(Split::Train), reference.model.layer_ranges());
    assert_eq!((samples, noise.len(), layers.len()), (81, 6, 2));

    // Of each layer, and behind them of all: Σ pairs·trΣ, Σ pairs·‖G‖².
    let (mut pairs, mut sums) = (0.0, [[0.0; 2]; 3]);
    for (step, told) in &noise {
        let (epoch, in_epoch) = ((step - 1) / 3, (step - 1) % 3);
        let order = Order::of(&job, epoch, samples);
        let batch: Vec<u64> = (in_epoch * 32..(in_epoch * 32 + 32).min(samples)).collect();
        let lanes: Vec<(f64, Vec<f64>)> = batch
            .chunks(8)
            .map(|positions| {
                let mut sum = vec![0.0; reference.weights.len()];
                for &position in positions {
                    let sample = order.sample_at(position);
                    let pixels = dataset.pixels(Split::Train, sample).unwrap();
                    reference.add(pixels, dataset.label(Split::Train, sample).unwrap(), &mut sum);
                }
                (positions.len() as f64, sum)
            })
            .collect();
        let whole = 0..reference.weights.len();
        let step_pairs: f64 = lanes.iter().map(|(n, _)| n * (batch.len() as f64 - n)).sum();
        pairs += step_pairs;
        for (part, sums) in layers.iter().chain([&whole]).zip(&mut sums) {
            let dot =
                |a: &[f64], b: &[f64]| a[part.clone()].iter().zip(&b[part.clone()]).map(|(a, b)| a * b).sum::<f64>();
            // ‖G‖² as a mean over pairs of samples of different lanes, not as the difference of two norms.
            let mut of_pairs = 0.0;
            for (k, (_, lane)) in lanes.iter().enumerate() {
                let others = lanes.iter().enumerate().filter(|(l, _)| *l != k);
                others.for_each(|(_, (_, other))| of_pairs += dot(lane, other));
            }
            let squared_norm = of_pairs / step_pairs;
            // The mean of Σ ‖s‖² is A·‖G‖² + N·trΣ.
            let p: f64 = lanes.iter().map(|(_, lane)| dot(lane, lane)).sum();
            let (count, squares) = (batch.len() as f64, lanes.iter().map(|(n, _)| n * n).sum::<f64>());
            let trace = (p - squares * squared_norm) / count;
            *sums = [sums[0] + step_pairs * trace, sums[1] + step_pairs * squared_norm];
            if part == &whole {
                let q = p / squares;
                close("q", told.lane_squared_norm, q);
                close("the implicit gradient", told.implicit_gradient, 1e-30 / 4.0 * q);
            }
        }
        let [fc2, fc1] = &told.layers[..] else { panic!("{told:?}") };
        assert_eq!((fc2.name.as_str(), fc1.name.as_str(), told.steps), ("fc2", "fc1", *step));
        let all = wire::LayerNoise {
            trace: told.trace,
            squared_norm: told.squared_norm,
            scale: told.scale,
            ..Default::default()
        };
        for (told, [trace, squared_norm]) in [fc2, fc1, &all].into_iter().zip(sums) {
            close(&format!("trace of {:?} at step {step}", told.name), told.trace, trace / pairs);
            close(&format!("squared norm of {:?} at step {step}", told.name), told.squared_norm, squared_norm / pairs);
            told.scale.iter().for_each(|scale| close("scale", Some(*scale), trace / squared_norm));
        }
        assert_eq!(told.reason.is_empty(), *step > 1, "{told:?}");
    }
    let last = &noise[&6];
    let (scale, low, high) = (last.scale.unwrap(), last.low.unwrap(), last.high.unwrap());
    assert!(low < scale && scale < high && last.above.is_none(), "{last:?}");
}

/// Of one worker and thread, of two and of three, in one node and in several.
#[test]
fn how_lanes_are_dealt_does_not_show() {
    let mut lenet = job(6, 9);
    (lenet.model.name, lenet.model.activation) = (ModelName::Lenet5, Activation::Tanh);
    let mut above = mlp(5, 8);
    (above.optimizer.sam, above.optimizer.sam_over) = (0.1, AscentOver::Batch);
    let mut above_lanes = above.clone();
    above_lanes.optimizer.sam_over = AscentOver::MicroBatch;
    for mut job in [mlp(7, 5), lenet, above, above_lanes] {
        job.metrics.every = 1;
        let serial = train(&job, &[("a", 1)]);
        // Lanes with a second pass of their own never add up plain gradients.
        let tells = job.optimizer.ascends_over() != Some(AscentOver::MicroBatch);
        assert_eq!((serial.len(), serial[&6].scale.or(serial[&6].above).is_some()), (6, tells), "{serial:?}");
        assert_eq!(serial[&6].reason.starts_with("lanes contribute"), !tells);
        let splits: [&[(&str, u32)]; 2] = [&[("a", 3), ("b", 1)], &[("a", 1), ("b", 1), ("b", 2)]];
        for split in splits {
            assert_eq!(train(&job, split), serial, "split {split:?}");
        }
        job.cluster.transport = Transport::Tcp;
        assert_eq!(train(&job, &[("a", 1), ("a", 2)]), serial, "over TCP");
    }
}

/// Through a loss, a newcomer that gets the state, and a checkpoint that all memory is lost behind: each step that is
/// reported has the numbers that it has without any of that.
#[test]
fn what_becomes_of_workers_does_not_show() {
    let mut job = mlp(4, 8);
    (job.data.limit, job.data.validation, job.schedule.epochs) = (100 * 32 + 17, 50_000, 5);
    job.metrics.every = 1;
    let serial = train(&job, &[("a", 1)]);
    assert_eq!(serial.len(), 505);
    assert!((249..=256).contains(&serial[&505].steps));

    let (folder, lanes) = (tempfile::tempdir().unwrap(), job.batch.lanes());
    let prepare = |node| Worker::prepare(&job, folder.path(), (node, 1));
    let mut told = BTreeMap::new();
    let mut workers: Vec<_> = ["a", "a", "b"].into_iter().map(prepare).collect();
    begin(1, &mut workers, lanes, &initial());
    workers[2].await_step(70);
    workers.iter().for_each(Worker::abort);
    let mut ends: Vec<_> = workers.iter_mut().map(Worker::end).collect();
    told.append(&mut noise_of(&workers));
    let _lost = (workers.remove(1), ends.remove(1));

    let mut newcomer = prepare("c");
    let mut start = from_memory(&ends);
    start.source += 1;
    let [first, second] = &mut workers[..] else { unreachable!() };
    begin_of(2, &mut [&mut newcomer, first, second], lanes, &start);
    newcomer.await_step(200);
    first.want_stop(StopReason::Interrupted);
    let ends: Vec<_> = [&mut newcomer, first, second].into_iter().map(Worker::end).collect();
    told.append(&mut noise_of(std::slice::from_ref(&newcomer)));
    let (held, name) = (ends[0].held(), newcomer.find(written));
    drop((newcomer, workers));

    let mut workers: Vec<_> = ["d", "d"].into_iter().map(prepare).collect();
    begin(3, &mut workers, lanes, &from_checkpoint(held.clone(), &name, 1));
    end_all(&mut workers);
    let mut last = noise_of(&workers);
    assert_eq!(last.keys().copied().collect::<Vec<_>>(), Vec::from_iter(held.step + 1..=505));
    told.append(&mut last);
    for (step, noise) in &told {
        assert_eq!(noise, &serial[step], "step {step}");
    }
    assert!(told.len() > 400, "{}", told.len());
}

fn written(event: &lockstep_worker::control::TrainerEvent) -> Option<String> {
    match event {
        lockstep_worker::control::TrainerEvent::CheckpointWritten(written) => Some(written.name.clone()),
        _ => None,
    }
}

#[test]
fn one_lane_tells_no_noise() {
    let mut job = mlp(1, 8);
    job.metrics.every = 1;
    for noise in train(&job, &[("a", 1)]).values() {
        assert_eq!((noise.reason.as_str(), noise.steps), ("needs two micro-batches a step", 0));
        assert_eq!((noise.trace, noise.squared_norm, noise.scale, noise.above), (None, None, None, None));
        assert!(
            noise.lane_squared_norm.unwrap() > 0.0 && noise.implicit_gradient.unwrap() > 0.0 && noise.layers.is_empty()
        );
    }
}

/// Steps that are not finite and committed nevertheless leave the window as it was.
#[test]
fn what_is_not_finite_does_not_stay() {
    let mut job = mlp(4, 8);
    (job.model.activation, job.loss.name) = (Activation::Relu, LossName::CrossEntropy);
    job.model.output_activation = lockstep_proto::job::OutputActivation::None;
    (job.optimizer.learning_rate, job.schedule.on_nonfinite, job.metrics.every) = (1e25, OnNonfinite::Continue, 1);
    let noise = train(&job, &[("a", 1)]);
    let (first, last) = (&noise[&1], &noise[&6]);
    assert!(last.steps >= 1 && last.steps < 6, "{last:?}");
    assert_eq!(last.lane_squared_norm, None);
    assert!(last.trace.unwrap().is_finite() && last.squared_norm.unwrap().is_finite());
    assert!(first.lane_squared_norm.unwrap().is_finite());
}

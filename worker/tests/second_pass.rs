//! Second passes above the weights through the whole trainer: against PyTorch, through aborts, with replayed lanes.
//!
//! The numbers are what this script prints: sharpness-aware minimisation and the penalty of the gradient's norm written
//! out around PyTorch's SGD, and the penalty's exact gradient, all in f64. Lanes are micro-batches of 4, 4 and 3 of 11
//! samples, all of which are a step's batch; each is normalised by itself. The order is the job's.
//!
//! ```python
//! import torch
//! torch.set_default_dtype(torch.float64)
//! F = torch.nn.functional
//! def units(k, n):
//!     return ((torch.arange(n) * 7919 + k * 104729) % 1009) / 1009 - 0.5
//! ORDER = [[int(c, 16) for c in line] for line in '''
//! 2051674a938 194326a5780 83054671a92 48936502a17 1379a864205
//! a8952460137 a7893516420 963280457a1 458390217a6 2a061749583
//! '''.split()]
//! x = (((torch.arange(11 * 36) ** 2) % 251) / 255 - 0.5) / 0.5
//! x, y = x.reshape(11, 1, 6, 6), torch.arange(11) * 7 % 3
//! def shown(name, numbers):
//!     print(f'#[rustfmt::skip]\nconst {name}: [f64; {len(numbers)}] = [')
//!     for i in range(0, len(numbers), 5):
//!         print('    ' + ' '.join(f'{v:.8},' for v in numbers[i:i + 5]))
//!     print('];\n')
//! def conv_net():
//!     return [units(1, 36).reshape(4, 1, 3, 3), 1 + units(2, 4) / 2, units(3, 4) / 5,
//!             units(4, 108).reshape(3, 36), units(5, 3) / 5]
//! def mlp():
//!     return [units(1, 180).reshape(5, 36), units(2, 5) / 5, units(3, 15).reshape(3, 5), units(4, 3) / 5]
//! def summed(at, lane, seen=None):
//!     if len(at) == 4:
//!         z = torch.tanh(x[lane].flatten(1) @ at[0].T + at[1])
//!         return F.cross_entropy(z @ at[2].T + at[3], y[lane], reduction='sum')
//!     z = F.conv2d(x[lane], at[0], padding=1)
//!     if seen is not None:
//!         seen[0].append(len(lane) * z.mean((0, 2, 3)).detach())
//!         seen[1].append(len(lane) * z.var((0, 2, 3)).detach())
//!     z = F.batch_norm(z, None, None, at[1], at[2], training=True, eps=1e-5)
//!     z = F.avg_pool2d(torch.tanh(z), 2).flatten(1)
//!     return F.cross_entropy(z @ at[3].T + at[4], y[lane], reduction='sum')
//! def norm(gradients):
//!     return torch.cat([g.flatten() for g in gradients]).norm()
//! def ends(w):
//!     return [(t.detach().flatten() * units(10 + k, t.numel())).sum().item() for k, t in enumerate(w)]
//! def train(over, sam=0, penalty=0, clip=1.0):
//!     w = [torch.nn.Parameter(tensor) for tensor in conv_net()]
//!     mean, variance, losses = torch.zeros(4), torch.ones(4), []
//!     sgd = torch.optim.SGD(w, lr=0.1, momentum=0.9, weight_decay=0.01)
//!     def blended(lanes, loss):
//!         n, r = sum(len(lane) for lane in lanes), sam or 0.01
//!         plain = torch.autograd.grad(loss / n, w, retain_graph=True)
//!         up = [(p + r * g / (norm(plain) + 1e-12)).detach().requires_grad_() for p, g in zip(w, plain)]
//!         above = torch.autograd.grad(sum(summed(up, lane) for lane in lanes) / n, up)
//!         c = 2 * penalty * norm(plain) / r
//!         return above if sam else [g + c * (a - g) for g, a in zip(plain, above)]
//!     for order in ORDER:
//!         lanes, seen = [order[0:4], order[4:8], order[8:11]], ([], [])
//!         loss = [summed(w, lane, seen) for lane in lanes]
//!         if over == 'batch':
//!             gradients = blended(lanes, sum(loss))
//!         else:
//!             of_lanes = [blended([lane], l) for lane, l in zip(lanes, loss)]
//!             gradients = [sum(len(lane) * g for lane, g in zip(lanes, of)) / 11 for of in zip(*of_lanes)]
//!         for p, g in zip(w, gradients):
//!             p.grad = g
//!         torch.nn.utils.clip_grad_norm_(w, clip)
//!         sgd.step()
//!         mean, variance = mean.lerp(sum(seen[0]) / 11, 0.1), variance.lerp(sum(seen[1]) / 11, 0.1)
//!         losses.append((sum(loss) / 11).item())
//!     name = f'{"SAM" if sam else "PENALTY"}_{over.upper()}'
//!     shown(f'{name}_LOSSES', losses)
//!     shown(f'{name}_WEIGHTS', ends([*w, mean, variance]))
//! def exact(net, over):
//!     w = [tensor.requires_grad_() for tensor in net()]
//!     lanes = [ORDER[0][0:4], ORDER[0][4:8], ORDER[0][8:11]]
//!     parts = [lanes] if over == 'batch' else [[lane] for lane in lanes]
//!     squares = 0
//!     for part in parts:
//!         n = sum(len(lane) for lane in part)
//!         g = torch.autograd.grad(sum(summed(w, lane) for lane in part) / n, w, create_graph=True)
//!         squares += n / 11 * sum((t * t).sum() for t in g)
//!     shown(f'{net.__name__.upper()}_{over.upper()}_GRADIENT', ends(torch.autograd.grad(squares, w)))
//! for over in ['batch', 'micro_batch']:
//!     train(over, sam=0.5)
//!     train(over, penalty=0.05)
//!     exact(conv_net, over)
//!     exact(mlp, over)
//! ```

mod workers;

use std::path::Path;

use lockstep_dataset::Order;
use lockstep_kernels::cpu::Cpu;
use lockstep_proto::job::{Activation, AscentOver, Init, Job, LastBatch, LossName};
use lockstep_proto::wire;
use lockstep_worker::control::Weights;
use lockstep_worker::model::{Model, SampleShape, Tensor, build};
use lockstep_worker::trainer;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
#[cfg(feature = "fault-points")]
use workers::check_outvoted;
use workers::{End, Worker, begin, end_all, from_memory, initial, lane_digests, mlp};

const SAMPLES: usize = 11;
const SIDE: usize = 6;
/// Ten epochs' orders, a digit a sample.
const ORDER: [&str; 10] = [
    "2051674a938",
    "194326a5780",
    "83054671a92",
    "48936502a17",
    "1379a864205",
    "a8952460137",
    "a7893516420",
    "963280457a1",
    "458390217a6",
    "2a061749583",
];

#[rustfmt::skip]
const SAM_BATCH_LOSSES: [f64; 10] = [
    1.2903612, 1.2055039, 1.169374, 1.0670589, 1.0391153,
    1.0005797, 0.98036286, 0.92890317, 0.89896591, 0.87137117,
];

#[rustfmt::skip]
const SAM_BATCH_WEIGHTS: [f64; 7] = [
    1.0118091, 0.028024046, 0.013107884, 0.95107868, -0.07571986,
    0.0030183794, -0.02853753,
];

#[rustfmt::skip]
const SAM_MICRO_BATCH_LOSSES: [f64; 10] = [
    1.2903612, 1.2058533, 1.1668304, 1.0588223, 1.0131065,
    0.9642275, 0.93775813, 0.90179732, 0.88328909, 0.85436138,
];

#[rustfmt::skip]
const SAM_MICRO_BATCH_WEIGHTS: [f64; 7] = [
    1.1981291, 0.0032639475, -0.014348424, 0.64199885, -0.088135329,
    0.0076530146, -0.026481101,
];

#[rustfmt::skip]
const PENALTY_BATCH_LOSSES: [f64; 10] = [
    1.2903612, 1.2074215, 1.1670815, 1.0440894, 0.98843702,
    0.92743659, 0.90045422, 0.84739483, 0.81254949, 0.77056416,
];

#[rustfmt::skip]
const PENALTY_BATCH_WEIGHTS: [f64; 7] = [
    0.85056282, 0.051464923, -0.031127176, 1.3268156, -0.053014235,
    0.0068480155, -0.02220551,
];

#[rustfmt::skip]
const PENALTY_MICRO_BATCH_LOSSES: [f64; 10] = [
    1.2903612, 1.2057237, 1.1627441, 1.0399992, 0.98444109,
    0.92449027, 0.89774017, 0.8466205, 0.81378144, 0.77218945,
];

#[rustfmt::skip]
const PENALTY_MICRO_BATCH_WEIGHTS: [f64; 7] = [
    0.915316, 0.043157992, -0.032430685, 1.2125656, -0.052515752,
    0.0075219918, -0.021728037,
];

#[rustfmt::skip]
const CONV_NET_BATCH_GRADIENT: [f64; 5] = [
    -0.10675054, 0.044871869, -0.052783112, 0.840593, 0.17894062,
];

#[rustfmt::skip]
const CONV_NET_MICRO_BATCH_GRADIENT: [f64; 5] = [
    -0.16527321, 0.12266259, -0.05641456, 1.6900805, 0.25840471,
];

#[rustfmt::skip]
const MLP_BATCH_GRADIENT: [f64; 4] = [
    -0.021189341, 0.0096378895, 0.042949123, -0.015025672,
];

#[rustfmt::skip]
const MLP_MICRO_BATCH_GRADIENT: [f64; 4] = [
    -0.12473951, 0.03697649, 0.33666922, -0.0044591024,
];

/// A network of the script.
struct Network {
    layers: &'static str,
    /// By name: place in the formula, base and scale.
    tensors: &'static [(&'static str, usize, f64, f64)],
}

const CONV_NET: Network = Network {
    layers: "{ kind = 'conv', channels = 4, kernel = 3, padding = 1, bias = false }, { kind = 'batch_norm' },
             { kind = 'tanh' }, { kind = 'average_pool', kernel = 2 }, { kind = 'linear', channels = 3 }",
    tensors: &[
        ("layers.0.weight", 1, 0.0, 1.0),
        ("layers.1.weight", 2, 1.0, 0.5),
        ("layers.1.bias", 3, 0.0, 0.2),
        ("layers.4.weight", 4, 0.0, 1.0),
        ("layers.4.bias", 5, 0.0, 0.2),
        ("layers.1.running_mean", 0, 0.0, 0.0),
        ("layers.1.running_var", 0, 1.0, 0.0),
    ],
};

const MLP: Network = Network {
    layers: "{ kind = 'linear', channels = 5 }, { kind = 'tanh' }, { kind = 'linear', channels = 3 }",
    tensors: &[
        ("layers.0.weight", 1, 0.0, 1.0),
        ("layers.0.bias", 2, 0.0, 0.2),
        ("layers.2.weight", 3, 0.0, 1.0),
        ("layers.2.bias", 4, 0.0, 0.2),
    ],
};

/// A second pass of either kind, with its strength.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Sam(f64),
    Penalty(f64),
}

impl Kind {
    fn set(self, job: &mut Job, over: AscentOver) {
        match self {
            Self::Sam(rho) => (job.optimizer.sam, job.optimizer.sam_over) = (rho, over),
            Self::Penalty(lambda) => {
                (job.optimizer.gradient_penalty, job.optimizer.gradient_penalty_over) = (lambda, over);
            }
        }
    }
}

const OVER: [AscentOver; 2] = [AscentOver::Batch, AscentOver::MicroBatch];

/// The formula of the script.
fn units(k: usize, len: usize) -> impl Iterator<Item = f64> {
    (0..len).map(move |i| ((i * 7919 + k * 104_729) % 1009) as f64 / 1009.0 - 0.5)
}

/// Writes the script's samples and initial weights, and a job over them with these keys of `[optimizer]`.
fn job_as_in_the_script(folder: &Path, network: &Network, keys: &str) -> Job {
    for (name, count) in [("train", SAMPLES), ("t10k", 3)] {
        let sizes = [count, SIDE, SIDE].map(|size| (size as u32).to_be_bytes()).concat();
        let pixels: Vec<u8> = (0..count * SIDE * SIDE).map(|i| (i * i % 251) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|i| (i * 7 % 3) as u8).collect();
        let write = |kind: &str, bytes: Vec<u8>| std::fs::write(folder.join(format!("{name}-{kind}")), bytes).unwrap();
        write("images-idx3-ubyte", [&[0, 0, 8, 3], &sizes[..], &pixels].concat());
        write("labels-idx1-ubyte", [&[0, 0, 8, 1], &sizes[..4], &labels].concat());
    }
    let text = format!(
        "[data]\npath = '{0}'\nclasses = 3\nmean = 0.5\nstd = 0.5\nlast_batch = 'keep'\n\
         [model]\nname = 'layers'\ninit_from = '{0}/weights'\nlayers = [{1}]\n\
         [batch]\nsize = 12\nmicro_batch = 4\n[schedule]\nepochs = 10\n[metrics]\nevery = 1\n\
         [optimizer]\n{2}\n\
         [evaluate]\nevery_epochs = 0\n[checkpoint]\nevery_epochs = 0\n",
        folder.display(),
        network.layers.replace('\n', ""),
        keys,
    );
    let mut job = Job::from_toml(&text).unwrap();
    write_weights(&job, network);
    trainer::seal_weights(&mut job).unwrap();
    job
}

fn write_weights(job: &Job, network: &Network) {
    let shape = SampleShape { channels: 1, height: SIDE, width: SIDE, classes: 3 };
    let model: Model<Cpu> = build(&job.model, shape).unwrap();
    let values = |tensor: &Tensor| {
        let place = network.tensors.iter().find(|(name, ..)| *name == tensor.shape.name);
        let &(_, k, base, scale) = place.expect("all tensors are in the script");
        units(k, tensor.range.len()).flat_map(|unit| ((base + scale * unit) as f32).to_le_bytes()).collect()
    };
    let bytes: Vec<Vec<u8>> = model.tensors().iter().map(values).collect();
    let views = model.tensors().iter().zip(&bytes).map(|(tensor, bytes)| {
        let shape = tensor.shape.shape.clone();
        (tensor.shape.name.clone(), TensorView::new(Dtype::F32, shape, bytes).unwrap())
    });
    std::fs::write(&job.model.init_from, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// Mean loss of each step, and each tensor's elements times the formula, summed, in the script's order.
fn trace(job: &Job, network: &Network, seats: &[(&str, u32)]) -> (Vec<f64>, Vec<f64>) {
    let mut workers: Vec<_> = seats.iter().map(|&seat| Worker::prepare(job, "/nowhere".as_ref(), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    let ends: Vec<_> = workers.iter_mut().map(Worker::end).collect();
    let End::Finished { weights: Some(Weights(file)), .. } = &ends[0] else { panic!("{ends:?}") };
    let file = SafeTensors::deserialize(file).unwrap();
    let project = |(index, &(name, ..)): (usize, &(&str, usize, f64, f64))| {
        let tensor = file.tensor(name).unwrap();
        let values = tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        let len = tensor.data().len() / 4;
        values.zip(units(10 + index, len)).map(|(value, unit)| f64::from(value) * unit).sum()
    };
    let weights = network.tensors.iter().enumerate().map(project).collect();
    let loss = |report: &wire::Report| match report.report.as_ref()? {
        wire::report::Report::Step(step) => Some(step.loss),
        _ => None,
    };
    (workers[0].reports.iter().filter_map(loss).collect(), weights)
}

fn assert_close(ours: &[f64], theirs: &[f64], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{what}: {worst:.1e}");
    assert!(worst < 2e-6, "{what}: {ours:?}, but PyTorch has {theirs:?}");
}

#[test]
fn ten_steps_are_pytorchs() {
    let seed = Job::default().seed.order;
    let digit = |order: &Order, position| char::from_digit(order.sample_at(position) as u32, 16).unwrap();
    let order = |epoch| Order::new(seed, epoch, SAMPLES as u64);
    let orders: Vec<String> =
        (0..10).map(|epoch| (0..SAMPLES as u64).map(|p| digit(&order(epoch), p)).collect()).collect();
    assert_eq!(orders, ORDER);
    let sam = [(SAM_BATCH_LOSSES, SAM_BATCH_WEIGHTS), (SAM_MICRO_BATCH_LOSSES, SAM_MICRO_BATCH_WEIGHTS)];
    let penalty =
        [(PENALTY_BATCH_LOSSES, PENALTY_BATCH_WEIGHTS), (PENALTY_MICRO_BATCH_LOSSES, PENALTY_MICRO_BATCH_WEIGHTS)];
    for (kind, figures) in [(Kind::Sam(0.5), sam), (Kind::Penalty(0.05), penalty)] {
        for (over, (losses, weights)) in OVER.into_iter().zip(figures) {
            let folder = tempfile::tempdir().unwrap();
            let keys = "learning_rate = 0.1\nmomentum = 0.9\nweight_decay = 0.01\nclip_norm = 1.0";
            let mut job = job_as_in_the_script(folder.path(), &CONV_NET, keys);
            kind.set(&mut job, over);
            let (our_losses, our_weights) = trace(&job, &CONV_NET, &[("a", 1), ("b", 1)]);
            assert_close(&our_losses, &losses, &format!("losses, {kind:?} over {over:?}"));
            assert_close(&our_weights, &weights, &format!("weights, {kind:?} over {over:?}"));
        }
    }
}

/// One step of SGD moves the weights by the penalty's gradient more than without: within the error of a difference of
/// radius 0.01.
#[test]
fn the_penalty_has_the_gradient_of_the_squared_norm() {
    let (learning_rate, lambda) = (0.5, 0.2);
    for (network, exact) in [
        (CONV_NET, [&CONV_NET_BATCH_GRADIENT[..], &CONV_NET_MICRO_BATCH_GRADIENT]),
        (MLP, [&MLP_BATCH_GRADIENT[..], &MLP_MICRO_BATCH_GRADIENT]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut plain = job_as_in_the_script(folder.path(), &network, &format!("learning_rate = {learning_rate}"));
        plain.schedule.epochs = 1;
        let weights_of = |job: &Job| trace(job, &network, &[("a", 2), ("b", 1)]).1;
        let weights = weights_of(&plain);
        for (over, exact) in OVER.into_iter().zip(exact) {
            let mut job = plain.clone();
            Kind::Penalty(lambda).set(&mut job, over);
            let more = weights.iter().zip(weights_of(&job)).map(|(without, with)| without - with);
            let found: Vec<f64> = more.map(|more| more / (learning_rate * lambda)).take(exact.len()).collect();
            let length = |numbers: &[f64]| numbers.iter().map(|number| number * number).sum::<f64>().sqrt();
            let error: Vec<f64> = found.iter().zip(exact).map(|(found, exact)| found - exact).collect();
            let relative = length(&error) / length(exact);
            println!("{} tensors over {over:?}: {relative:.1e}", exact.len());
            assert!(relative < 0.03, "over {over:?}: {found:?}, but PyTorch has {exact:?}");
        }
    }
}

/// A penalty that vanishes leaves the plain job, to the bit, though there are two passes. One that does not is not the
/// plain job, and lanes' penalties are not the batch's, but where one lane is the batch.
#[test]
fn the_penalty_shows_in_the_weights() {
    let weights = |lanes: u32, lambda, over| {
        let mut job = mlp(lanes, 8);
        Kind::Penalty(lambda).set(&mut job, over);
        workers::train(&job, &[("a", 1)]).0.weights_sha256
    };
    let plain = weights(4, 0.0, AscentOver::Batch);
    assert_eq!(OVER.map(|over| weights(4, 1e-300, over)), [plain.clone(), plain.clone()]);
    let [of_batch, of_lanes] = OVER.map(|over| weights(4, 0.02, over));
    assert!(of_batch != plain && of_lanes != plain && of_batch != of_lanes);
    assert_eq!(weights(1, 0.02, AscentOver::Batch), weights(1, 0.02, AscentOver::MicroBatch));
}

/// Whether the newest step of a worker is on its way up or has its second pass under way.
fn is_between_passes(recent: &[String]) -> bool {
    let last = |phase: &str| recent.iter().rposition(|line| line.contains(phase));
    last("ascend after") > last("commit after")
}

#[test]
fn a_generation_that_ends_between_the_passes_leaves_nothing() {
    [Kind::Sam(0.05), Kind::Penalty(0.01)].into_iter().for_each(check_ends_between_passes);
}

fn check_ends_between_passes(kind: Kind) {
    let mut job = mlp(64, 16);
    (job.data.validation, job.data.limit) = (50_000, 4 * 1024);
    (job.model.hidden, job.schedule.epochs) = (vec![100], 4);
    kind.set(&mut job, AscentOver::Batch);
    job.data.last_batch = LastBatch::Drop;
    let (serial, serial_ledger) = workers::train(&job, &[("a", 2)]);
    assert_eq!(serial.steps, 16);

    let seats = [("a", 1), ("a", 1), ("b", 1)];
    let mut workers: Vec<_> = seats.into_iter().map(|seat| Worker::prepare(&job, "/nowhere".as_ref(), seat)).collect();
    let (mut start, mut between) = (initial(), 0);
    let mut number = 1;
    while between < 3 {
        begin(number, &mut workers, job.batch.lanes(), &start);
        while !is_between_passes(&workers[0].progress.recent()) {
            std::thread::yield_now();
        }
        workers.iter().for_each(Worker::abort);
        let ends: Vec<_> = workers.iter_mut().map(Worker::end).collect();
        for end in &ends {
            let End::Left { recent, .. } = end else { panic!("all steps are done: {end:?}") };
            between += usize::from(is_between_passes(recent));
        }
        (start, number) = (from_memory(&ends), number + 1);
    }
    begin(number, &mut workers, job.batch.lanes(), &start);
    let (outcome, ledger) = end_all(&mut workers);
    assert_eq!(outcome, serial);
    assert_eq!(ledger.across_generations(), serial_ledger.across_generations());
}

fn replaying(kind: Kind, over: AscentOver) -> Job {
    let mut job = mlp(6, 8);
    job.cluster.replay_every = 1;
    kind.set(&mut job, over);
    job
}

/// Both kinds over both, as words and jobs.
fn all_replaying() -> impl Iterator<Item = (String, Job)> {
    let kinds = [Kind::Sam(0.05), Kind::Penalty(0.01)];
    kinds.into_iter().flat_map(|kind| OVER.map(|over| (format!("{kind:?} over {over:?}"), replaying(kind, over))))
}

#[test]
fn replayed_lanes_have_one_digest_a_step() {
    for (kind, job) in all_replaying() {
        let seats = [("a", 1), ("a", 2), ("b", 1)];
        let mut workers: Vec<_> =
            seats.into_iter().map(|seat| Worker::prepare(&job, "/nowhere".as_ref(), seat)).collect();
        begin(1, &mut workers, job.batch.lanes(), &initial());
        end_all(&mut workers);
        let lanes = lane_digests(&workers);
        // The last step of each epoch has a short batch.
        for step in [1, 2, 4, 5] {
            let of_step: Vec<_> = lanes.iter().filter(|(_, digest)| digest.step == step).collect();
            assert_eq!(of_step.len(), 3, "{kind}, step {step}: {of_step:?}");
            assert!(of_step.iter().all(|(_, digest)| digest.digest == of_step[0].1.digest), "{kind}: {of_step:?}");
        }
        assert_eq!(lanes.len(), 12);
    }
}

#[cfg(feature = "fault-points")]
#[test]
fn a_worker_that_computes_wrongly_is_outvoted() {
    for (kind, job) in all_replaying() {
        check_outvoted(&job, &format!("{kind}, "));
    }
}

/// Sixteen layers that are all but linear, each of which grows by dozens on the way up.
#[test]
fn a_place_that_is_not_finite_is_told_from_the_weights() {
    let mut job = workers::job(2, 8);
    (job.model.hidden, job.model.init, job.loss.name) = (vec![16; 16], Init::HeNormal, LossName::SquaredError);
    (job.model.activation, job.model.slope, job.optimizer.sam) = (Activation::LeakyRelu, 0.99, 1000.0);
    for (over, told) in [
        (AscentOver::Batch, "step 1 is not finite above the weights (optimizer.sam): in lane "),
        (AscentOver::MicroBatch, "step 1 is not finite: in lane "),
    ] {
        job.optimizer.sam_over = over;
        let seats = [("a", 1), ("b", 1)];
        let mut workers: Vec<_> =
            seats.into_iter().map(|seat| Worker::prepare(&job, "/nowhere".as_ref(), seat)).collect();
        begin(1, &mut workers, job.batch.lanes(), &initial());
        for (rank, worker) in workers.iter_mut().enumerate() {
            let End::Finished { outcome, held, .. } = worker.end() else { panic!("{over:?}: it was left") };
            assert_eq!((outcome.stop_reason.as_str(), held.step), ("nonfinite", 0), "{over:?}");
            assert!(if rank == 0 { outcome.reason.starts_with(told) } else { outcome.reason.is_empty() });
        }
    }
}

//! Every optimiser over several tensors, and the states that they make.

use lockstep_checkpoint::About;
use lockstep_estimators::noise;
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::fold::BLOCK;
use lockstep_proto::job::{self, OptimizerName};
use lockstep_proto::ledger::LedgerRow;

use super::{Optimizer, Step, kept};
use crate::layers::{Role, TensorShape};
use crate::model::Tensor;
use crate::trainer::crew::Devices;
use crate::trainer::epoch_loss::EpochLoss;
use crate::trainer::schedule::Cursor;
use crate::trainer::share;
use crate::trainer::snapshot::{restore, snapshot};
use crate::trainer::state::{Advance, Sizes, State};
use crate::trainer::stops::Evaluations;

/// Devices that take their turns.
struct Turns(Vec<Cpu>);

impl Turns {
    fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Cpu::new(InstructionSet::detect())).collect())
    }
}

impl Devices<Cpu> for Turns {
    fn threads(&self) -> usize {
        self.0.len()
    }

    fn first_device(&mut self) -> &mut Cpu {
        &mut self.0[0]
    }

    fn each_device<T: Send>(&mut self, parts: Vec<T>, work: impl Fn(&mut Cpu, T) + Sync) {
        assert!(parts.len() <= self.0.len());
        self.0.iter_mut().zip(parts).for_each(|(device, part)| work(device, part));
    }
}

/// Tensors that follow each other, by name and shape.
fn tensors(shapes: &[(&str, &[usize])]) -> Vec<Tensor> {
    let mut end = 0;
    let tensor = |&(name, shape): &(&str, &[usize])| {
        let role = match name {
            "bn.weight" => Role::Scale { ends_block: false },
            "bn.bias" => Role::Shift,
            _ if name.ends_with("bias") => Role::Bias { fan_in: 1, plane: false },
            _ => Role::Weight { fan_in: 1, fan_out: 1, plane: false },
        };
        let shape = TensorShape { name: name.into(), shape: shape.to_vec(), role };
        let start = end;
        end += shape.len();
        Tensor { shape, range: start..end }
    };
    shapes.iter().map(tensor).collect()
}

/// A layer, a normalisation and another layer; none a multiple of a block.
fn network() -> Vec<Tensor> {
    tensors(&[
        ("fc.weight", &[300, 401]),
        ("fc.bias", &[300]),
        ("bn.weight", &[70]),
        ("bn.bias", &[70]),
        ("conv.weight", &[3, 21, 1234]),
    ])
}

/// Numbers from −1 to 1 that sums round.
fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.3 - 1.0).collect()
}

/// Each optimiser with all of its parts.
fn optimizers() -> Vec<job::Optimizer> {
    use OptimizerName::*;
    let of = |name| job::Optimizer { name, learning_rate: 0.1, weight_decay: 0.01, ema: 0.9, ..Default::default() };
    vec![
        job::Optimizer { momentum: 0.9, dampening: 0.1, ..of(Sgd) },
        job::Optimizer { momentum: 0.9, nesterov: true, decoupled: true, clip_norm: 0.5, ..of(Sgd) },
        job::Optimizer { ema: 0.0, ..of(Sgd) },
        job::Optimizer { learning_rate_decay: 0.1, initial_accumulator: 0.2, ..of(Adagrad) },
        of(Rmsprop),
        job::Optimizer { momentum: 0.5, centered: true, clip_value: 0.1, ..of(Rmsprop) },
        of(Adam),
        job::Optimizer { decay_biases: false, ..of(Adamw) },
        job::Optimizer { momentum: 0.9, decay_norms: false, clip_norm: 0.5, ..of(Lars) },
        of(Lars),
        job::Optimizer { decay_biases: false, decay_norms: false, ..of(Lamb) },
        of(DiagonalLm),
    ]
}

fn fresh(keys: &job::Optimizer, tensors: &[Tensor], statistics: usize) -> State<Cpu> {
    let flat = tensors.last().unwrap().range.end;
    let sizes = Sizes { parameters: flat - statistics, statistics };
    State::new(&mut Cpu::new(InstructionSet::detect()), kept(keys), sizes, 2, &numbers(flat, 1))
}

/// Steps with gradients that are sums over three samples.
fn train(state: &mut State<Cpu>, keys: &job::Optimizer, trained: &[Tensor], flat: usize, steps: u64, threads: usize) {
    let mut optimizer = Optimizer::new(keys, trained);
    let mut crew = Turns::new(threads);
    for _ in 0..steps {
        let done = state.cursor.step;
        let cursor = Cursor { step: done + 1, position: 3 * (done + 1), samples: 3 * (done + 1), epoch: 0 };
        let row = LedgerRow {
            epoch: 0,
            from: 3 * done,
            to: 3 * done + 3,
            first_step: done,
            steps: 1,
            generation: 1,
            samples: 3,
            hashes: done,
            skipped: Vec::new(),
        };
        let epoch_loss = EpochLoss { sum: 0.5 * done as f64, samples: 3 * done, before: 0.0 };
        let evaluations = Evaluations { lowest: 1.0 / (1.0 + done as f64), since: done };
        let seconds = done as f64;
        let curvature: Vec<f32> =
            numbers(trained.last().unwrap().range.end, 9 + done as usize).into_iter().map(f32::abs).collect();
        let noise = noise::Step {
            lanes: noise::Lanes { samples: 3, squares: 5 },
            of_lanes: &[1.5, 2.0 + done as f64],
            of_sum: &[3.0, 1.0 / (1.0 + done as f64)],
        };
        let advance = Advance {
            cursor,
            epoch_loss,
            evaluations,
            noise: Some(noise),
            noise_kind: 7,
            seconds,
            row,
            curvature: done.is_multiple_of(2).then_some(&curvature[..]),
        };
        let gradient = numbers(flat, 2 + done as usize);
        let step = Step { learning_rate: keys.learning_rate, count: 3, steps: done };
        let sums = state.sums(&gradient);
        state.commit(&mut crew, &mut optimizer, &step, sums, advance).unwrap();
    }
}

/// Every vector of a state, by name.
fn bits(state: &State<Cpu>, tensors: &[Tensor]) -> Vec<(String, Vec<u32>)> {
    let of = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect();
    state.named(tensors).map(|named| (named.name, of(named.values))).collect()
}

fn trained(keys: &job::Optimizer, tensors: &[Tensor], threads: usize) -> Vec<(String, Vec<u32>)> {
    let mut state = fresh(keys, tensors, 0);
    train(&mut state, keys, tensors, tensors.last().unwrap().range.end, 3, threads);
    bits(&state, tensors)
}

#[test]
fn threads_do_not_show_in_the_result() {
    let network = network();
    for keys in optimizers() {
        let alone = trained(&keys, &network, 1);
        assert!(alone.iter().flat_map(|(_, bits)| bits).all(|bits| f32::from_bits(*bits).is_finite()), "{keys:?}");
        for threads in [2, 3, 7] {
            assert_eq!(trained(&keys, &network, threads), alone, "{threads} threads, {keys:?}");
        }
    }
}

#[test]
fn the_named_list_is_what_the_optimizer_keeps() {
    let names = |keys: &job::Optimizer| kept(keys).iter().map(|kept| kept.name).collect::<Vec<_>>().join(" ");
    let all: Vec<_> = optimizers().iter().map(names).collect();
    let adam = "parameters first_moment second_moment average";
    let expected = [
        "parameters velocity average",
        "parameters velocity average",
        "parameters",
        "parameters square_sum average",
        "parameters square_average average",
        "parameters square_average gradient_average velocity average",
        adam,
        adam,
        "parameters velocity average",
        "parameters average",
        adam,
        "parameters curvature average",
    ];
    assert_eq!(all, expected);
}

/// Tensors have trust ratios of their own: each fares as if it were alone.
#[test]
fn trust_ratios_are_by_tensor() {
    let pair = tensors(&[("a.weight", &[50, 100]), ("b.weight", &[3, BLOCK])]);
    for name in [OptimizerName::Lars, OptimizerName::Lamb] {
        let keys = job::Optimizer { name, learning_rate: 0.1, weight_decay: 0.01, ..Default::default() };
        let both = trained(&keys, &pair, 1);
        let mut state = fresh(&keys, &pair, 0);
        for tensor in &pair {
            // The other tensor's part is trained in a copy that is thrown away.
            let mut optimizer = Optimizer::<Cpu>::new(&keys, &tensors(&[("x.weight", &tensor.shape.shape)]));
            let mut crew = Turns::new(1);
            let flat = pair[1].range.end;
            let mut parameters = numbers(flat, 1)[tensor.range.clone()].to_vec();
            let mut vectors = [(); 2].map(|()| vec![0.0; tensor.range.len()]);
            for steps in 0..3 {
                let gradient = numbers(flat, 2 + steps as usize)[tensor.range.clone()].to_vec();
                let step = Step { learning_rate: 0.1, count: 3, steps };
                let [m, v] = &mut vectors;
                let state = [Some(m.as_mut_slice()), Some(v.as_mut_slice()), None];
                let whole = super::Whole { parameters: parameters.as_mut_slice(), state, average: None };
                optimizer.update(&mut crew, &step, &gradient, whole);
            }
            let name = format!("parameters/{}", tensor.shape.name);
            let expected = &both.iter().find(|(other, _)| *other == name).unwrap().1;
            assert_eq!(parameters.iter().map(|w| w.to_bits()).collect::<Vec<_>>(), *expected, "{name}");
        }
        train(&mut state, &keys, &pair, pair[1].range.end, 3, 2);
        assert_eq!(bits(&state, &pair), both);
    }
}

#[test]
fn tensors_without_decay_are_updated_as_if_there_were_none() {
    let network = network();
    let with = |decay, biases, norms| {
        let keys = job::Optimizer {
            weight_decay: decay,
            decay_biases: biases,
            decay_norms: norms,
            momentum: 0.9,
            ..Default::default()
        };
        trained(&keys, &network, 1)
    };
    let (none, all) = (with(0.0, true, true), with(0.1, true, true));
    for (biases, norms, decays) in [
        (false, true, [true, false, true, false, true]),
        (true, false, [true, true, false, false, true]),
        (false, false, [true, false, false, false, true]),
    ] {
        let some = with(0.1, biases, norms);
        for (index, decays) in decays.into_iter().enumerate() {
            let expected = if decays { &all[index] } else { &none[index] };
            assert_eq!(&some[index], expected, "biases {biases}, norms {norms}");
        }
    }
}

/// The norm is that of all tensors together.
#[test]
fn clipping_by_norm_shortens_the_whole_gradient() {
    let network = network();
    let flat = network.last().unwrap().range.end;
    let keys = job::Optimizer { learning_rate: 1.0, clip_norm: 0.25, ..Default::default() };
    let mut state = fresh(&keys, &network, 0);
    train(&mut state, &keys, &network, flat, 1, 1);
    let square = |(before, behind): (f32, &f32)| f64::from(before - behind).powi(2);
    let way: f64 = numbers(flat, 1).into_iter().zip(state.parameters()).map(square).sum();
    assert!((way.sqrt() - 0.25).abs() < 1e-4, "{}", way.sqrt());
}

/// Four tensors: two that are trained, and behind them two of running statistics.
fn with_statistics() -> Vec<Tensor> {
    tensors(&[("fc.weight", &[3, 7]), ("fc.bias", &[3]), ("bn.mean", &[5]), ("bn.variance", &[5])])
}

#[test]
fn states_come_back_from_a_checkpoint_and_from_another_worker() {
    let tensors = with_statistics();
    let device = &mut Cpu::new(InstructionSet::detect());
    for keys in optimizers() {
        let mut state = fresh(&keys, &tensors, 10);
        train(&mut state, &keys, &tensors[..2], 34, 2, 1);
        let digest = state.digests(device, &tensors).unwrap().state;

        let mut restored = fresh(&keys, &tensors, 10);
        restore(&snapshot(&state, device, &tensors, &About::default()).unwrap(), &mut restored, device, &tensors)
            .unwrap();
        let payload = share::pack(&state, device, &tensors, Vec::new()).unwrap();
        let mut shared = fresh(&keys, &tensors, 10);
        share::unpack(&payload, &mut shared, device, &tensors).unwrap();

        train(&mut state, &keys, &tensors[..2], 34, 2, 1);
        for mut other in [restored, shared] {
            assert_eq!(other.digests(device, &tensors).unwrap().state, digest, "{keys:?}");
            train(&mut other, &keys, &tensors[..2], 34, 2, 1);
            assert_eq!(bits(&other, &tensors), bits(&state, &tensors), "{keys:?}");
            assert_eq!(other.averaged(), state.averaged());
            assert_eq!(other.words(), state.words());
            assert_eq!((&other.noise, other.noise.steps()), (&state.noise, 4));
        }
    }
}

/// As if it were from before noise was kept: the digest that is told of it is without noise, too.
#[test]
fn a_checkpoint_without_noise_begins_it_anew() {
    let (tensors, keys) = (with_statistics(), job::Optimizer::default());
    let device = &mut Cpu::new(InstructionSet::detect());
    let mut state = fresh(&keys, &tensors, 10);
    train(&mut state, &keys, &tensors[..2], 34, 2, 1);
    let mut copy = snapshot(&state, device, &tensors, &About::default()).unwrap();
    let names: Vec<_> = copy.tensors.iter().map(|tensor| tensor.name.clone()).collect();
    copy.tensors.retain(|tensor| tensor.name != "noise");
    assert_eq!(copy.tensors.len() + 1, names.len(), "{names:?}");
    let mut restored = fresh(&keys, &tensors, 10);
    restore(&copy, &mut restored, device, &tensors).unwrap();
    assert!(restored.noise.is_empty() && restored.noise != state.noise);
    assert_ne!(restored.digests(device, &tensors).unwrap().state, copy.about.digest);
    state.set_noise(&[]).unwrap();
    assert_eq!(restored.digests(device, &tensors).unwrap(), state.digests(device, &tensors).unwrap());

    for (words, problem) in [(2, "half a word"), (4, "not those of 2 layers")] {
        let values = vec![f32::from_bits(1); words - 1 + words / 4];
        let tensor = lockstep_checkpoint::Tensor { name: "noise".into(), shape: vec![values.len()], values };
        copy.tensors.retain(|tensor| tensor.name != "noise");
        copy.tensors.push(tensor);
        let error = restore(&copy, &mut restored, device, &tensors).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn a_checkpoint_of_another_optimizer_is_refused_by_name() {
    let tensors = with_statistics();
    let device = &mut Cpu::new(InstructionSet::detect());
    let sgd = fresh(&job::Optimizer::default(), &tensors, 10);
    let adam = job::Optimizer { name: OptimizerName::Adam, ..Default::default() };
    let snapshot = snapshot(&sgd, device, &tensors, &About::default()).unwrap();
    let error = restore(&snapshot, &mut fresh(&adam, &tensors, 10), device, &tensors).unwrap_err();
    assert_eq!(error, "it has no tensor first_moment/fc.weight: it is of another model or another optimizer");
}

#[test]
fn averages_and_statistics_follow() {
    let tensors = with_statistics();
    let keys = job::Optimizer { ema: 0.75, ..Default::default() };
    let mut state = fresh(&keys, &tensors, 10);
    assert_eq!(state.averaged(), state.parameters());
    train(&mut state, &keys, &tensors[..2], 34, 1, 1);
    let (before, sum) = (numbers(34, 1), numbers(34, 2));
    let (now, average) = (state.parameters(), state.averaged());
    for i in 0..24 {
        assert_eq!(average[i], before[i] + 0.25 * (now[i] - before[i]), "element {i}");
    }
    for i in 24..34 {
        assert_eq!(now[i], before[i] + 0.1 * (sum[i] * (1.0f64 / 3.0) as f32 - before[i]), "statistic {i}");
        assert_eq!(average[i], now[i], "statistic {i}");
    }
    let device = &mut Cpu::new(InstructionSet::detect());
    let file = state.to_safetensors(device, &tensors).unwrap();
    let file = safetensors::SafeTensors::deserialize(&file).unwrap();
    let bias: Vec<u8> = average[21..24].iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!((file.len(), file.tensor("fc.bias").unwrap().data()), (4, bias.as_slice()));
}

//! Updates: ten steps of every rule, to the bits of the CPU.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::optimizer::{
    Adagrad, Adam, Decay, Diagonal, Lamb, Lars, Optimize, Rmsprop, Rule, Scaling, Sgd, Update, Vectors,
};

use crate::Bench;
use crate::array::Array;
use crate::numbers::{numbers, wide};

/// What the updates get that is not of ordinary size.
const ODD: [f32; 8] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-41, 3e38, -3e38];

/// A rule and its settings.
struct Case {
    name: &'static str,
    scaling: Scaling,
    decay: Decay,
    rule: Rule,
    /// Elements of the state's first vector before the first step.
    initial: f32,
}

pub fn optimizers<D: Optimize>(bench: &mut Bench<'_, D>) {
    for case in cases() {
        for len in [1, 37, 513] {
            check(bench, &case, &format!("{len} elements"), |step| numbers(len, step + 2));
        }
        check(bench, &case, "odd numbers", |step| (0..8).map(|i| ODD[(i + step) % 8]).collect());
    }
}

fn check<D: Optimize>(
    bench: &mut Bench<'_, D>,
    case: &Case,
    gradients_are: &str,
    gradients: impl Fn(usize) -> Vec<f32>,
) {
    let gradients: Vec<_> = (0..10).map(gradients).collect();
    let found = ten_steps(bench.device, case, &gradients);
    let again = ten_steps(bench.device, case, &gradients);
    let expected = ten_steps(&mut Cpu::new(InstructionSet::Portable), case, &gradients);
    let name = format!("{}, {gradients_are}", case.name);
    bench.compare(("update", &name, "parameters and state"), [&found, &again], &wide(&expected), 0.0);
}

/// Parameters and state behind the steps. The first step is in two parts, to see that any part may be updated.
fn ten_steps<D: Optimize>(device: &mut D, case: &Case, gradients: &[Vec<f32>]) -> Vec<f32> {
    let len = gradients[0].len();
    let mut parameters = Array::tensor(device, &numbers(len, 1));
    let mut state = [case.initial, 0.0, 0.0].map(|value| Array::tensor(device, &vec![value; len]));
    for (step, gradient) in gradients.iter().enumerate() {
        let gradient = Array::tensor(device, gradient);
        let update = Update { scaling: case.scaling, decay: case.decay, rule: at_step(case.rule, step as u64) };
        let cut = if step == 0 { len / 3 } else { 0 };
        for range in [0..cut, cut..len] {
            let (mut whole, mut views) = (parameters.view_mut(), state.each_mut().map(Array::view_mut));
            let vectors = Vectors {
                gradient: D::slice(gradient.view(), range.clone()),
                parameters: D::slice_mut(&mut whole, range.clone()),
                state: views.each_mut().map(|view| Some(D::slice_mut(view, range.clone()))),
            };
            device.update(&update, vectors);
        }
        if let Rule::Lamb(rule) = &update.rule {
            let rate = (rule.learning_rate * 0.7) as f32;
            device.descend(rate, state[2].view(), parameters.view_mut());
        }
    }
    let values = [parameters.read(device), state.map(|vector| vector.read(device)).concat()].concat();
    values.into_iter().map(comparable).collect()
}

/// NaNs are alike, and what is infinite has a difference.
fn comparable(x: f32) -> f32 {
    if x.is_nan() { 12345.0 } else { x.clamp(f32::MIN, f32::MAX) }
}

fn at_step(rule: Rule, steps: u64) -> Rule {
    match rule {
        Rule::Sgd(rule) => Rule::Sgd(Sgd { steps, ..rule }),
        Rule::Adagrad(rule) => Rule::Adagrad(Adagrad { steps, ..rule }),
        Rule::Adam(rule) => Rule::Adam(Adam { steps, ..rule }),
        Rule::Lamb(rule) => Rule::Lamb(Lamb { steps, ..rule }),
        Rule::Rmsprop(_) | Rule::Lars(_) | Rule::Diagonal(_) => rule,
    }
}

/// Every rule with its variants, decays and clippings.
fn cases() -> Vec<Case> {
    let mean = Scaling::mean(3);
    let case = |name, decay, rule| Case { name, scaling: mean, decay, rule, initial: 0.0 };
    let (coupled, decoupled) = (Decay::Coupled(5e-4), Decay::Decoupled(0.02));
    let plain = Rule::Sgd(Sgd { learning_rate: 0.1, momentum: 0.0, dampening: 0.0, nesterov: false, steps: 0 });
    let sgd = |dampening, nesterov| Rule::Sgd(Sgd { learning_rate: 0.1, momentum: 0.9, dampening, nesterov, steps: 0 });
    let adagrad = |learning_rate_decay, epsilon| {
        Rule::Adagrad(Adagrad { learning_rate: 0.1, learning_rate_decay, epsilon, steps: 0 })
    };
    let rmsprop = Rmsprop { learning_rate: 0.01, alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false };
    let adam = Adam { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 0 };
    let far = Adam { learning_rate: 0.02, beta1: 0.4, beta2: 0.9, epsilon: 1e-3, steps: 0 };
    let lamb = Lamb { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weight_decay: 0.01, steps: 0 };
    let lars = |momentum| Rule::Lars(Lars { learning_rate: 0.1, momentum, trust_ratio: 0.037 });
    let diagonal = Rule::Diagonal(Diagonal { learning_rate: 0.01, mu: 0.02 });
    vec![
        case("SGD", coupled, plain),
        case("momentum with dampening", Decay::None, sgd(0.3, false)),
        case("Nesterov's momentum", coupled, sgd(0.0, true)),
        case("momentum with decoupled decay", decoupled, sgd(0.0, false)),
        case("Adagrad", Decay::None, adagrad(0.0, 1e-10)),
        Case { initial: 0.3, ..case("decaying Adagrad", coupled, adagrad(0.2, 1e-3)) },
        case("RMSprop", decoupled, Rule::Rmsprop(rmsprop)),
        case("RMSprop with momentum", coupled, Rule::Rmsprop(Rmsprop { alpha: 0.9, momentum: 0.8, ..rmsprop })),
        case("centred RMSprop", Decay::None, Rule::Rmsprop(Rmsprop { alpha: 0.95, centered: true, ..rmsprop })),
        case(
            "centred RMSprop with momentum",
            Decay::None,
            Rule::Rmsprop(Rmsprop { alpha: 0.4, momentum: 0.9, centered: true, ..rmsprop }),
        ),
        case("Adam", Decay::None, Rule::Adam(adam)),
        case("Adam from far", coupled, Rule::Adam(far)),
        case("AdamW", decoupled, Rule::Adam(adam)),
        case("LARS", coupled, lars(0.9)),
        case("LARS without momentum", decoupled, lars(0.0)),
        case("LAMB", coupled, Rule::Lamb(lamb)),
        Case { initial: 0.3, ..case("diagonal Levenberg–Marquardt", decoupled, diagonal) },
        Case { scaling: Scaling { factor: 0.37, ..mean }, ..case("clipping by norm", Decay::None, plain) },
        Case { scaling: Scaling { limit: 0.1, ..mean }, ..case("clipping by value", Decay::None, plain) },
        Case {
            scaling: Scaling { count: 7, factor: 0.8, limit: 0.05 },
            ..case("all clippings", coupled, Rule::Adam(far))
        },
    ]
}

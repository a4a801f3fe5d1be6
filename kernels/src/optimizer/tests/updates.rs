//! Updates: the order of their roundings, parts of a vector, refusals.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::optimizer::{Adam, Decay, Optimize, Rule, Scaling, Sgd, Update, Vectors};

use crate::layout::{bits, devices};
use lockstep_selftest::numbers::numbers;

fn sgd(momentum: f64, nesterov: bool) -> Rule {
    Rule::Sgd(Sgd { learning_rate: 0.1, momentum, dampening: 0.0, nesterov, steps: 0 })
}

#[test]
fn sgd_rounds_like_the_formula_read_from_left_to_right() {
    let (rate, momentum, decay) = (0.1f32, 0.9f32, 5e-4f32);
    for nesterov in [false, true] {
        let (scaling, decay_of) = (Scaling::mean(96), Decay::Coupled(5e-4));
        let update = Update { scaling, decay: decay_of, rule: sgd(0.9, nesterov) };
        for len in [0, 1, 16, 53] {
            let gradient = numbers(len, 1);
            let (mut velocity, mut parameters) = (numbers(len, 2), numbers(len, 3));
            for i in 0..len {
                let g = gradient[i] * (1.0f64 / 96.0) as f32 + decay * parameters[i];
                velocity[i] = momentum * velocity[i] + g;
                let direction = if nesterov { g + momentum * velocity[i] } else { velocity[i] };
                parameters[i] -= rate * direction;
            }
            for mut device in devices() {
                let (mut v, mut w) = (numbers(len, 2), numbers(len, 3));
                let state = [Some(v.as_mut_slice()), None, None];
                device.update(&update, Vectors { gradient: &gradient, parameters: &mut w, state });
                assert_eq!(bits(&v), bits(&velocity));
                assert_eq!(bits(&w), bits(&parameters));
            }
        }
    }
}

/// The update of a vector is that of its parts, wherever it is cut.
#[test]
fn parts_are_updated_as_the_whole() {
    let rule = Rule::Adam(Adam { learning_rate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, steps: 4 });
    let update = Update { scaling: Scaling::mean(7), decay: Decay::Decoupled(0.1), rule };
    for mut device in devices() {
        let mut run = |cuts: &[usize]| {
            let gradient = numbers(100, 1);
            let [mut m, mut v, mut w] = [2, 3, 4].map(|seed| numbers(100, seed));
            v.iter_mut().for_each(|v| *v = v.abs());
            for pair in cuts.windows(2) {
                let range = pair[0]..pair[1];
                let state = [Some(&mut m[range.clone()]), Some(&mut v[range.clone()]), None];
                let vectors = Vectors::<Cpu> { gradient: &gradient[range.clone()], parameters: &mut w[range], state };
                device.update(&update, vectors);
            }
            [m, v, w].map(|vector| bits(&vector))
        };
        assert_eq!(run(&[0, 100]), run(&[0, 1, 17, 17, 60, 100]));
    }
}

#[test]
#[should_panic(expected = "gradient holds 3 elements where its shape has 4")]
fn a_wrong_length_names_the_buffer() {
    let update = Update { scaling: Scaling::mean(1), decay: Decay::None, rule: sgd(0.0, false) };
    let state = [None, None, None];
    devices().remove(0).update(&update, Vectors { gradient: &[0.0; 3], parameters: &mut [0.0; 4], state });
}

#[test]
#[should_panic(expected = "the rule needs vector 0 of the state")]
fn a_missing_vector_is_named() {
    let update = Update { scaling: Scaling::mean(1), decay: Decay::None, rule: sgd(0.9, false) };
    let state = [None, None, None];
    devices().remove(0).update(&update, Vectors { gradient: &[0.0; 4], parameters: &mut [0.0; 4], state });
}

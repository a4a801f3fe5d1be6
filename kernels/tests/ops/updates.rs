//! Pixels, updates and folds: element-wise work on flat vectors.

use std::slice;

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::device::Memory;
use lockstep_kernels::fold::{BLOCK, Fold};
use lockstep_kernels::optimizer::{Decay, Optimize, Rule, Scaling, Sgd, Update, Vectors};
use lockstep_kernels::pixels::{Pixels, PixelsSize};

use crate::layout::{assert_padding_is_zero, bits, devices, to_rows, unwritten};
use lockstep_selftest::numbers::numbers;

#[test]
fn pixels_are_normalised_with_one_rounding() {
    for (samples, features) in [(1, 1), (5, 784), (16, 16), (35, 49)] {
        let size = PixelsSize { samples, features, plane: 1, scale: 0.012_73, shift: -0.424 };
        let pixels: Vec<u8> = (0..samples * features).map(|i| (i * 37 % 256) as u8).collect();
        let expected: Vec<f32> = pixels.iter().map(|p| f32::from(*p).mul_add(size.scale, size.shift)).collect();
        for mut device in devices() {
            let mut y = unwritten(&device, samples, features);
            device.pixels_forward(&size, &pixels, &mut y);
            assert_eq!(bits(&to_rows(&device, &y, samples, features)), bits(&expected));
            assert_padding_is_zero(&device, "y", &y, samples, features);
        }
    }
}

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
    use lockstep_kernels::optimizer::Adam;
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
fn folds_add_element_by_element() {
    for mut device in devices() {
        let mut sum = numbers(37, 1);
        device.fold_add(&mut sum, &numbers(37, 2));
        let expected: Vec<f32> = numbers(37, 1).iter().zip(numbers(37, 2)).map(|(a, b)| a + b).collect();
        assert_eq!(bits(&sum), bits(&expected));
    }
}

/// Σ x², of all as one part.
pub fn squared_norm(device: &mut Cpu, x: &[f32]) -> f64 {
    let parts = device.parts(slice::from_ref(&(0..x.len())));
    let mut norm = [f64::NAN];
    device.squared_norms(&parts, x, &mut norm);
    norm[0]
}

#[test]
fn squared_norms_are_exact_to_f64() {
    for len in [0, 1, 15, BLOCK, 2 * BLOCK + 77] {
        let x = numbers(len, 1);
        // Squares of multiples of 1/512 below 1 add without rounding in f64: any order gives the true sum.
        let expected: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
        for mut device in devices() {
            assert_eq!(squared_norm(&mut device, &x), expected);
            let blocks: Vec<_> = (0..len).step_by(BLOCK).map(|start| start..len.min(start + BLOCK)).collect();
            let parts = device.parts(&blocks);
            let mut norms = vec![f64::NAN; blocks.len()];
            device.squared_norms(&parts, &x, &mut norms);
            assert_eq!(norms.iter().sum::<f64>(), expected);
        }
    }
}

#[test]
fn buffers_are_aligned_and_views_narrow() {
    for mut device in devices() {
        let mut buffer = device.zeros::<f32>(40);
        assert_eq!(buffer.as_slice().as_ptr() as usize % 64, 0);
        device.write(&[1.0, 2.0], Cpu::view_mut(&mut buffer, 38..40));
        let mut host = [0.0; 3];
        device.read(Cpu::view(&buffer, 37..40), &mut host);
        assert_eq!(host, [0.0, 1.0, 2.0]);
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

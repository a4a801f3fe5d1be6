//! Folds and squared norms of flat vectors.

use std::slice;

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::fold::{BLOCK, Fold};

use crate::layout::{bits, devices};
use lockstep_selftest::numbers::numbers;

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

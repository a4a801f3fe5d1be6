//! What the tree reduction needs: sums rounded once, and squared norms to the bits of the CPU.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::fold::{BLOCK, Fold};

use crate::Bench;
use crate::array::Array;
use crate::numbers::{numbers, wide};

pub fn folds<D: Fold>(bench: &mut Bench<'_, D>) {
    for len in [1, 37, 513] {
        let (sum, value) = (numbers(len, 1), numbers(len, 2));
        let [found, again] = [(); 2].map(|()| {
            let device = &mut *bench.device;
            let (mut sum, value) = (Array::tensor(device, &sum), Array::tensor(device, &value));
            device.fold_add(sum.view_mut(), value.view());
            sum.read(device)
        });
        let expected: Vec<f32> = sum.iter().zip(&value).map(|(sum, value)| sum + value).collect();
        bench.compare(("fold", &format!("of {len}"), "value"), [&found, &again], &wide(&expected), 0.0);
    }
    // The last has more blocks than a block of threads sums.
    for len in [0, 1, 15, 37, BLOCK, BLOCK + 1, 2 * BLOCK + 77, 17 * BLOCK + 5] {
        let [found, again] = [(); 2].map(|()| squared_norms(bench.device, len));
        let expected = squared_norms(&mut Cpu::new(InstructionSet::Portable), len);
        bench.compare(("squared norm", &format!("of {len}"), "value"), [&found, &again], &wide(&expected), 0.0);
    }
}

/// Norms of numbers whose sums are rounded: of all, of all but the first, of none, and of each block.
fn squared_norms<D: Fold>(device: &mut D, len: usize) -> Vec<f32> {
    let x: Vec<f32> = numbers(len, 1).iter().map(|x| 1.0 / (x + 1.001)).collect();
    let x = Array::tensor(device, &x);
    let blocks = (0..len).step_by(BLOCK).map(|start| start..len.min(start + BLOCK));
    let ranges: Vec<_> = [0..len, len.min(1)..len, len..len].into_iter().chain(blocks).collect();
    let mut norms = Array::tensor(device, &vec![f64::NAN; ranges.len()]);
    let parts = device.parts(&ranges);
    device.squared_norms(&parts, x.view(), norms.view_mut());
    norms.read(device).into_iter().flat_map(as_three).collect()
}

/// Three numbers whose sum it is, to the last bit.
fn as_three(x: f64) -> [f32; 3] {
    let high = x as f32;
    let middle = (x - f64::from(high)) as f32;
    [high, middle, (x - f64::from(high) - f64::from(middle)) as f32]
}

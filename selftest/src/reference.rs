//! Ops held against the CPU device: where the bits matter, or the formula's differences would take too long.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::device::Memory;

use crate::Bench;
use crate::numbers::wide;

impl<D: Memory> Bench<'_, D> {
    /// Checks all that an op gives, each with its name, against what the CPU device gives.
    pub fn cpu_check<const N: usize>(
        &mut self,
        (op, case): (&'static str, &str),
        parts: [&str; N],
        on_cpu: impl FnOnce(&mut Cpu) -> [Vec<f32>; N],
        on_device: impl Fn(&mut D) -> [Vec<f32>; N],
        bound: f64,
    ) {
        let expected = on_cpu(&mut Cpu::new(InstructionSet::Portable));
        let found = on_device(self.device);
        let again = on_device(self.device);
        for (index, part) in parts.into_iter().enumerate() {
            let part = format!("{part}, against the CPU");
            self.compare((op, case, &part), [&found[index], &again[index]], &wide(&expected[index]), bound);
        }
    }
}

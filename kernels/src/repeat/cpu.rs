//! On the CPU an op is a call, and there is nothing to save.

use super::Repeat;
use crate::cpu::Cpu;

impl Repeat for Cpu {
    fn repeats(&self) -> bool {
        false
    }

    fn repeat(&mut self, _samples: usize, _cuts: &[usize], _operands: &[&[f32]]) -> bool {
        false
    }

    fn cut(&mut self, between: impl FnOnce(&mut Self)) {
        between(self);
    }

    fn asked(&mut self) {}
}

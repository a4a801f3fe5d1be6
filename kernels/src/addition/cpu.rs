//! Contract only, so far.

use super::Addition;
use crate::cpu::Cpu;

impl Addition for Cpu {
    fn add(&mut self, _: &[f32], _: &[f32], _: &mut [f32]) {
        todo!()
    }

    fn accumulate(&mut self, _: &mut [f32], _: &[f32]) {
        todo!()
    }
}

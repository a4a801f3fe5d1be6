//! Contract only, so far.

use super::{Concatenate, ConcatenateSize};
use crate::cpu::Cpu;

impl Concatenate for Cpu {
    fn concatenate_forward(&mut self, _: &ConcatenateSize, _: &[f32], _: &mut [f32]) {
        todo!()
    }

    fn concatenate_backward(&mut self, _: &ConcatenateSize, _: &[f32], _: &mut [f32]) {
        todo!()
    }
}

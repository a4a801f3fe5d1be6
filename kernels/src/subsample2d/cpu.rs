//! Contract only, so far.

use super::{Subsample2d, Subsample2dSize};
use crate::cpu::Cpu;

impl Subsample2d for Cpu {
    fn subsample2d_forward(&mut self, _: &Subsample2dSize, _: &[f32], _: &[f32], _: &[f32], _: &mut [f32]) {
        todo!()
    }

    fn subsample2d_backward_input(&mut self, _: &Subsample2dSize, _: &[f32], _: &[f32], _: &mut [f32]) {
        todo!()
    }

    fn subsample2d_backward_weight(&mut self, _: &Subsample2dSize, _: &[f32], _: &[f32], _: &mut [f32], _: &mut [f32]) {
        todo!()
    }
}

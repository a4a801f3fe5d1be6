//! Contract only, so far.

use super::{RadialBasis, RadialBasisSize};
use crate::cpu::Cpu;

impl RadialBasis for Cpu {
    fn radial_basis_forward(&mut self, _: &RadialBasisSize, _: &[f32], _: &[f32], _: &mut [f32]) {
        todo!()
    }

    fn radial_basis_backward_input(&mut self, _: &RadialBasisSize, _: &[f32], _: &[f32], _: &[f32], _: &mut [f32]) {
        todo!()
    }
}

//! Contract only, so far.

use super::{LocalResponseNorm, LocalResponseNormSize};
use crate::cpu::Cpu;

impl LocalResponseNorm for Cpu {
    fn local_response_norm_forward(&mut self, _: &LocalResponseNormSize, _: &[f32], _: &mut [f32]) {
        todo!()
    }

    fn local_response_norm_backward(&mut self, _: &LocalResponseNormSize, _: &[f32], _: &[f32], _: &mut [f32]) {
        todo!()
    }
}

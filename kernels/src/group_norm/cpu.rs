//! Contract only, so far.

use super::{GroupNorm, GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};
use crate::cpu::Cpu;

impl GroupNorm for Cpu {
    fn group_norm_forward(&mut self, _: &GroupNormSize, _: &[f32], _: &[f32], _: &[f32], _: GroupNormOutput<'_, Cpu>) {
        todo!()
    }

    fn group_norm_backward(&mut self, _: &GroupNormSize, _: GroupNormSaved<'_, Cpu>, _: GroupNormGradients<'_, Cpu>) {
        todo!()
    }
}

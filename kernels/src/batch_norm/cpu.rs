//! Contract only, so far.

use super::{BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize};
use crate::cpu::Cpu;

impl BatchNorm for Cpu {
    fn batch_norm_forward(&mut self, _: &BatchNormSize, _: BatchNormInput<'_, Cpu>, _: BatchNormOutput<'_, Cpu>) {
        todo!()
    }

    fn batch_norm_evaluate(&mut self, _: &BatchNormSize, _: BatchNormInput<'_, Cpu>, _: &[f32], _: &mut [f32]) {
        todo!()
    }

    fn batch_norm_backward(&mut self, _: &BatchNormSize, _: BatchNormSaved<'_, Cpu>, _: BatchNormGradients<'_, Cpu>) {
        todo!()
    }
}

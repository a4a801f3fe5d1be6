//! None: the CPU computes by this crate's kernels.

use super::{Plan, Plans, Rest};
use crate::cpu::Cpu;

impl Plans for Cpu {
    fn uses_plans(&self) -> bool {
        false
    }

    fn tell_plans(&self) -> Vec<Plan> {
        Vec::new()
    }

    fn take_plans(&mut self, _plans: &[Plan], _rest: Rest) {}
}

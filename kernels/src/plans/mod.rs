//! Plans by which a vendor's libraries compute what is large. They go from device to device, since two that choose by
//! themselves may differ in the last bits.

mod cpu;
mod cuda;

use crate::device::Memory;
pub(crate) use cuda::Dealt;

/// How one work is computed, in words that devices of one kind with the same libraries have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// All that tells this work from another.
    pub work: String,
    /// The library, its version, and what it has chosen.
    pub text: String,
}

/// What becomes of work that no plan was dealt for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// The device chooses a plan, as it does for all work before it is dealt any.
    #[default]
    Chosen,
    /// The device fails.
    Refused,
}

/// Contract of plans: which works have one is a function of the ops and their sizes. A plan is made when its work is
/// first computed.
pub trait Plans: Memory {
    /// Whether it computes anything by plans.
    fn uses_plans(&self) -> bool;

    /// The plans that it has made, in the order of their works.
    fn tell_plans(&self) -> Vec<Plan>;

    /// Computes by these plans from here on, whatever it has made before. One that can't be made is a failure of the
    /// device.
    fn take_plans(&mut self, plans: &[Plan], rest: Rest);
}

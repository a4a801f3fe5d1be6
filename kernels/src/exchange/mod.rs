//! Vectors between the devices of several workers, without a way through the host's memory.
//!
//! On the CPU there is nothing to it: workers share the host's memory, or send from it. GPUs have NCCL. Nothing here
//! knows a tree: who sends what to whom is the caller's affair.

mod cpu;
mod cuda;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::device::{Failure, Memory, Precision};

/// Why an exchange has come to nothing. The device goes on, in another membership.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// The abort flag was set.
    #[error("the exchange between devices was aborted")]
    Aborted,
    /// A peer is lost, or the way to it.
    #[error("{0}")]
    Lost(String),
}

/// A device's way to others of its kind.
pub trait Exchange: Memory {
    /// What vectors go by.
    type Transport: Transport<Self>;

    /// What vectors go by; none on a device that has them in the host's memory.
    ///
    /// # Errors
    /// What is missing, with what to do about it.
    fn transport() -> Result<Option<Self::Transport>, Failure>;
}

/// What vectors go by, before anybody is met.
pub trait Transport<D: Memory>: Send {
    /// One membership, as one of its members takes part in it.
    type Peers: Peers<D>;

    /// For people, and to see whether others have the same.
    fn name(&self) -> String;

    /// What one member tells all of a new membership, so that they find each other.
    ///
    /// # Errors
    /// If no place to meet could be made.
    fn invitation(&self) -> Result<Vec<u8>, Failure>;

    /// Meets the other members, each of which calls this with the same invitation and a rank of its own. Once `abort` is
    /// set, this call and what is waited for later ends with [`Interrupted::Aborted`].
    ///
    /// # Errors
    /// If not all have come within `budget`, or one is lost.
    fn join(
        &self,
        device: &D,
        invitation: &[u8],
        rank_and_ranks: (usize, usize),
        abort: Arc<AtomicBool>,
        budget: Duration,
    ) -> Result<Self::Peers, Interrupted>;
}

/// A membership's exchanges. What is asked for here is done in that order, and beside the work of the worker's own
/// device. After an error drop it: what still runs ends then.
///
/// # Panics
/// If lengths don't fit, or a rank is none.
pub trait Peers<D: Memory>: Send {
    /// The device whose work this is, for what is to be done between one exchange and the next.
    fn device(&mut self) -> &mut D;

    /// What is asked for here from now on waits for all that `device` has been asked for.
    fn follow(&mut self, device: &D);

    /// What `device` is asked for from now on waits for all that was asked for here.
    fn release(&mut self, device: &mut D);

    /// Sends views to the ranks beside them and receives from the ranks beside those; what two ranks send each other is
    /// received in the order in which it was sent.
    ///
    /// # Errors
    /// [`Interrupted`].
    fn swap(
        &mut self,
        sends: &[(usize, D::View<'_, f32>)],
        receives: &mut [(usize, D::ViewMut<'_, f32>)],
    ) -> Result<(), Interrupted>;

    /// Every rank has its part of `all`, which are equally long and in the order of ranks; all get all of them.
    ///
    /// # Errors
    /// [`Interrupted`].
    fn gather(&mut self, all: D::ViewMut<'_, f32>) -> Result<(), Interrupted>;

    /// Adds up all ranks' vectors, in an order that is nobody's choice, and gives all of them the sum, which is the same
    /// bits on each. `all`: of a multiple of as many elements as there are ranks. `precision`: of numbers on their way, and
    /// of sums.
    ///
    /// # Errors
    /// [`Interrupted`].
    fn add_up(&mut self, all: D::ViewMut<'_, f32>, precision: Precision) -> Result<(), Interrupted>;

    /// Waits until all is done that was asked for.
    ///
    /// # Errors
    /// [`Interrupted`]. Whether the device has failed, its health tells.
    fn settle(&mut self) -> Result<(), Interrupted>;

    /// Leaves, together with all others.
    ///
    /// # Errors
    /// If others don't leave within `budget`.
    fn finish(self, budget: Duration) -> Result<(), Interrupted>;
}

//! Work that is asked for again and again: a device may record it and then do it as a whole, which takes the host one
//! call instead of one an op.

mod cpu;
mod cuda;

use crate::device::Memory;
pub(crate) use cuda::Repeated;

/// Contract of repeated work: ops alone, the same ones in the same order whenever `samples` and the places of
/// `operands` are the same, with all other operands at places of their own. Nothing is read to the host or sent from
/// there, and no memory is asked for but by the first time. [`crate::plans::Plans::take_plans`] has a device forget it.
pub trait Repeat: Memory {
    /// Whether repeating saves anything. If not, nothing is to be asked for differently because of it.
    fn repeats(&self) -> bool;

    /// Before work: whether it is done already, by the record. Else it is to be asked for, up to [`Repeat::asked`].
    fn repeat(&mut self, samples: usize, operands: &[Self::View<'_, f32>]) -> bool;

    /// Behind work that was asked for.
    fn asked(&mut self);
}

//! Work that is asked for again and again: a device may record it and then do it as a whole, which takes the host one
//! call instead of one an op.

mod cpu;
mod cuda;

use crate::device::Memory;
pub(crate) use cuda::Repeated;

/// Contract of repeated work: ops alone, the same ones in the same order whenever `samples`, `cuts` and the places of
/// `operands` are the same, with all other operands at places of their own. Nothing is read to the host or sent from
/// there, and no memory is asked for but by the first time. [`crate::plans::Plans::take_plans`] has a device forget it.
///
/// Work may be cut into parts, a cut behind another, and whatever is done between two parts is no part of it.
pub trait Repeat: Memory {
    /// Whether repeating saves anything. If not, nothing is to be asked for differently because of it.
    fn repeats(&self) -> bool;

    /// Before work: whether it is on record, so that none of its ops is to be asked for. [`Repeat::cut`] and
    /// [`Repeat::asked`] are to be called either way. `cuts`: numbers that tell where it is cut, one for each cut.
    fn repeat(&mut self, samples: usize, cuts: &[usize], operands: &[Self::View<'_, f32>]) -> bool;

    /// Does `between` behind one part of the work and before the next.
    fn cut(&mut self, between: impl FnOnce(&mut Self));

    /// Behind the work's last part.
    fn asked(&mut self);
}

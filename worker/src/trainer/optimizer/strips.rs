//! A vector in parts: cut off from its front, so that each thread has some of it.

use std::ops::Range;

use lockstep_kernels::device::Device;

/// Elements below which waking another thread takes longer than updating them.
const WORTH_A_THREAD: usize = 1 << 16;

/// Even parts of `len` elements, one a thread that is worth waking.
pub fn ranges(len: usize, threads: usize) -> impl Iterator<Item = Range<usize>> {
    let threads = threads.min(len / WORTH_A_THREAD).max(1);
    (0..threads).map(move |thread| len * thread / threads..len * (thread + 1) / threads)
}

/// What is left of a vector.
pub struct Strip<'a, D: Device>(Option<D::ViewMut<'a, f32>>);

impl<'a, D: Device> Strip<'a, D> {
    /// All of it.
    pub fn new(vector: D::ViewMut<'a, f32>) -> Self {
        Self(Some(vector))
    }

    /// The next `len` elements.
    pub fn cut(&mut self, len: usize) -> D::ViewMut<'a, f32> {
        let left = self.0.take().expect("put back by every cut");
        let (front, rest) = D::split_mut(left, len);
        self.0 = Some(rest);
        front
    }
}

//! How the samples of activations lie in memory.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use super::{Buffer, assert_len};
use crate::device::Element;
use crate::simd::{HALF, Pack, WIDTH};

/// Samples lie 16 abreast, `[⌈N/16⌉][features][16]`, so that a pack holds one feature of 16 samples. Up to 8 samples of
/// many features lie 8 abreast, `[features][8]`, two features to a pack: else half of the memory were padding.
///
/// Ops that take two features at a time work where values lie; others ask for [`Layout::whole`] packs.
pub(crate) struct Layout {
    halved_from: usize,
    spare: Spare,
}

/// Features from which on up to 8 samples lie 8 abreast: fewer are not worth the copies that some ops make.
const MANY_FEATURES: usize = 16_384;

/// Memory of copies that are in no use.
#[derive(Default)]
pub(crate) struct Spare {
    numbers: RefCell<Vec<Buffer<f32>>>,
    bytes: RefCell<Vec<Buffer<u8>>>,
}

/// What activations consist of: values, and the choices of poolings.
pub(crate) trait Lane: Element {
    fn spare(spare: &Spare) -> &RefCell<Vec<Buffer<Self>>>;
}

impl Lane for f32 {
    fn spare(spare: &Spare) -> &RefCell<Vec<Buffer<f32>>> {
        &spare.numbers
    }
}

impl Lane for u8 {
    fn spare(spare: &Spare) -> &RefCell<Vec<Buffer<u8>>> {
        &spare.bytes
    }
}

impl Layout {
    pub fn new(halved_from: Option<usize>) -> Layout {
        Layout { halved_from: halved_from.unwrap_or(MANY_FEATURES), spare: Spare::default() }
    }

    /// Samples that lie abreast: 16 or 8.
    pub fn lanes(&self, samples: usize, features: usize) -> usize {
        if samples <= HALF && features >= self.halved_from { HALF } else { WIDTH }
    }

    /// Numbers of an activation: whole packs.
    pub fn len(&self, samples: usize, features: usize) -> usize {
        match self.lanes(samples, features) {
            HALF => (features * HALF).next_multiple_of(WIDTH),
            _ => samples.div_ceil(WIDTH) * features * WIDTH,
        }
    }

    /// An activation where it lies, for ops that go value by value.
    ///
    /// # Panics
    /// If the length is not that of `samples` × `features`, as everywhere here.
    #[track_caller]
    pub fn packs<'a>(&self, name: &str, activation: &'a [f32], samples: usize, features: usize) -> &'a [Pack] {
        assert_len(name, activation.len(), self.len(samples, features));
        activation.as_chunks().0
    }

    /// Like [`Layout::packs`], exclusive.
    #[track_caller]
    pub fn packs_mut<'a>(
        &self,
        name: &str,
        activation: &'a mut [f32],
        samples: usize,
        features: usize,
    ) -> &'a mut [Pack] {
        assert_len(name, activation.len(), self.len(samples, features));
        activation.as_chunks_mut().0
    }

    /// An activation in packs of one feature each: itself, or a copy with zeros for further samples.
    #[track_caller]
    pub fn whole<'a, T: Lane>(
        &'a self,
        name: &str,
        activation: &'a [T],
        samples: usize,
        features: usize,
    ) -> Whole<'a, T> {
        assert_len(name, activation.len(), self.len(samples, features));
        match self.lanes(samples, features) {
            HALF => {
                let mut copy = self.lend(features * WIDTH);
                copy.widen(activation);
                Whole::Copy(copy)
            }
            _ => Whole::There(activation),
        }
    }

    /// Like [`Layout::whole`], exclusive: what is written is in the activation when this is dropped.
    #[track_caller]
    pub fn whole_mut<'a, T: Lane>(
        &'a self,
        name: &str,
        activation: &'a mut [T],
        samples: usize,
        features: usize,
    ) -> WholeMut<'a, T> {
        let mut whole = self.whole_out(name, activation, samples, features);
        if let Some(copy) = &mut whole.copy {
            copy.widen(whole.activation);
        }
        whole
    }

    /// Like [`Layout::whole_mut`], for ops that overwrite all values: a copy begins with left-over ones.
    #[track_caller]
    pub fn whole_out<'a, T: Lane>(
        &'a self,
        name: &str,
        activation: &'a mut [T],
        samples: usize,
        features: usize,
    ) -> WholeMut<'a, T> {
        assert_len(name, activation.len(), self.len(samples, features));
        let copy = (self.lanes(samples, features) == HALF).then(|| self.lend(features * WIDTH));
        WholeMut { activation, copy }
    }

    /// `len` elements with left-over contents: the smallest spare buffer that holds them, or a new one.
    fn lend<T: Lane>(&self, len: usize) -> Lent<'_, T> {
        let home = T::spare(&self.spare);
        let mut spare = home.borrow_mut();
        let lengths = spare.iter().map(|buffer| buffer.as_slice().len()).enumerate();
        let best = lengths.filter(|(_, has)| *has >= len).min_by_key(|(_, has)| *has);
        let buffer = best.map_or_else(|| Buffer::zeros(len), |(index, _)| spare.swap_remove(index));
        Lent { buffer: Some(buffer), len, home }
    }
}

/// A buffer that goes back when it is dropped.
pub(crate) struct Lent<'a, T: Lane> {
    buffer: Option<Buffer<T>>,
    len: usize,
    home: &'a RefCell<Vec<Buffer<T>>>,
}

impl<T: Lane> Lent<'_, T> {
    /// Takes up samples that lie 8 abreast, with zeros for further ones.
    fn widen(&mut self, activation: &[T]) {
        for (pack, half) in self.packs_mut().iter_mut().zip(activation.as_chunks::<HALF>().0) {
            let (first, second) = pack.split_at_mut(HALF);
            first.copy_from_slice(half);
            second.fill(T::default());
        }
    }

    fn packs(&self) -> &[[T; WIDTH]] {
        self.buffer.as_ref().map_or(&[][..], |buffer| buffer.as_slice()[..self.len].as_chunks().0)
    }

    fn packs_mut(&mut self) -> &mut [[T; WIDTH]] {
        self.buffer.as_mut().map_or(&mut [][..], |buffer| buffer.as_mut_slice()[..self.len].as_chunks_mut().0)
    }
}

impl<T: Lane> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        self.home.borrow_mut().extend(self.buffer.take());
    }
}

/// An activation in packs of one feature each.
pub(crate) enum Whole<'a, T: Lane = f32> {
    There(&'a [T]),
    Copy(Lent<'a, T>),
}

impl<T: Lane> Deref for Whole<'_, T> {
    type Target = [[T; WIDTH]];

    fn deref(&self) -> &[[T; WIDTH]] {
        match self {
            Whole::There(activation) => activation.as_chunks().0,
            Whole::Copy(copy) => copy.packs(),
        }
    }
}

/// An activation to be written in packs of one feature each.
pub(crate) struct WholeMut<'a, T: Lane = f32> {
    activation: &'a mut [T],
    copy: Option<Lent<'a, T>>,
}

impl<T: Lane> Deref for WholeMut<'_, T> {
    type Target = [[T; WIDTH]];

    fn deref(&self) -> &[[T; WIDTH]] {
        match &self.copy {
            None => self.activation.as_chunks().0,
            Some(copy) => copy.packs(),
        }
    }
}

impl<T: Lane> DerefMut for WholeMut<'_, T> {
    fn deref_mut(&mut self) -> &mut [[T; WIDTH]] {
        match &mut self.copy {
            None => self.activation.as_chunks_mut().0,
            Some(copy) => copy.packs_mut(),
        }
    }
}

impl<T: Lane> Drop for WholeMut<'_, T> {
    fn drop(&mut self) {
        if let Some(copy) = &self.copy {
            for (half, pack) in self.activation.as_chunks_mut::<HALF>().0.iter_mut().zip(copy.packs()) {
                half.copy_from_slice(&pack[..HALF]);
            }
        }
    }
}

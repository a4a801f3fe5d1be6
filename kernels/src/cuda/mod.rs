//! An NVIDIA GPU as a device, through cudarc.
//!
//! Nothing of CUDA is needed to build: the driver and NVRTC are looked for at run time, and kernels are compiled for the
//! GPU at hand. Activations lie sample by sample, place by place, `[N][H · W][C]`, so that neighbouring threads take
//! neighbouring channels; there is no padding but that of an odd count of bf16 to whole words. Sums are in an order that
//! only sizes decide: no atomics, and no number of blocks that comes from the hardware.

mod arithmetic;
pub(crate) mod bf16;
mod buffer;
pub(crate) mod columns;
pub mod compiler;
pub mod cublaslt;
pub mod cudnn;
mod error;
pub(crate) mod event;
mod gpu;
pub(crate) mod graph;
pub mod inventory;
pub(crate) mod launch;
pub(crate) mod libraries;
pub mod nvml;
pub(crate) mod page_locked;
mod places;
pub(crate) mod scratch;
pub mod sources;
pub(crate) mod stream;
mod timing;
mod vendor;
mod version;

use std::mem;
use std::ops::Range;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;

pub(crate) use crate::device::assert_len;
use crate::device::{ActivationShape, Device, Element, Failure, Memory, Precision, Room};
use crate::repeat::Repeated;
pub use arithmetic::Arithmetic;
pub use buffer::{Buffer, View, ViewMut};
pub use error::CudaError;
pub use gpu::{About, about, count, look};
use launch::{Argument, Grid};
pub use places::Places;
use scratch::{Part, Scratch};
use stream::Stream;
pub use timing::{Mark, Timed};
use vendor::Vendor;
pub use vendor::{Libraries, libraries_found};
pub(crate) use vendor::{Work, is_large};
pub use version::Version;

/// A GPU. Devices of one index share a stream and see each other's buffers.
pub struct Cuda {
    arithmetic: Arithmetic,
    // Before the plans whose kernels it launches.
    repeated: Repeated,
    vendor: Vendor,
    stream: Arc<Stream>,
    scratch: Scratch,
    /// Of copies from the host that go on beside ops; none before the first.
    copies: Option<Arc<Stream>>,
    /// Whether repeated work becomes a graph.
    graphs: bool,
}

impl Cuda {
    /// The GPU of this index among those that the driver shows, with kernels of this crate alone.
    ///
    /// # Errors
    /// See [`CudaError`]; each names what to do.
    pub fn new(index: usize) -> Result<Self, CudaError> {
        Self::open(index, Libraries::Own, Arithmetic::F32)
    }

    /// The same with a choice of whose kernels compute what is large, and of the numbers that ops compute in. Only
    /// libraries have TF32.
    ///
    /// # Errors
    /// The same, and if a library is there and can't be used.
    pub fn open(index: usize, libraries: Libraries, arithmetic: Arithmetic) -> Result<Self, CudaError> {
        let stream = Stream::open(index, arithmetic.precision())?;
        Ok(Self::on(arithmetic, Vendor::open(libraries, &stream)?, stream))
    }

    /// The same GPU with a stream of its own and kernels of this crate: what it is asked for goes on beside this
    /// device's work, which is to be ordered by [`Cuda::wait_for`] where one uses what the other makes.
    pub(crate) fn beside(&self) -> Result<Self, CudaError> {
        Ok(Self::on(self.arithmetic, Vendor::default(), self.stream.beside()?))
    }

    fn on(arithmetic: Arithmetic, vendor: Vendor, stream: Arc<Stream>) -> Self {
        let (scratch, repeated) = (Scratch::default(), Repeated::default());
        Self { arithmetic, repeated, vendor, stream, scratch, copies: None, graphs: true }
    }

    /// The same GPU, asked for each op by itself also where work is repeated: to see which op it is that fails.
    pub fn without_graphs(self) -> Self {
        Self { graphs: false, ..self }
    }

    /// What it is asked for from here on waits until all is done that `other` has been asked for.
    pub(crate) fn wait_for(&self, other: &Cuda) {
        self.stream.wait_for(&other.stream);
    }

    /// Whether all is done that it was asked for, or the GPU has failed.
    pub(crate) fn is_done(&self) -> bool {
        self.stream.is_done()
    }

    /// Makes this thread one that libraries can use the GPU from. Gives the stream for their calls.
    ///
    /// # Errors
    /// If the GPU has failed.
    pub(crate) fn enter(&self) -> Result<lockstep_nccl::Stream, CudaError> {
        self.stream.gpu().state()?;
        self.stream.gpu().enter()?;
        Ok(lockstep_nccl::Stream(self.stream.handle()))
    }

    /// What it is.
    pub fn about(&self) -> &About {
        self.stream.gpu().about()
    }

    /// How often the host has waited for this GPU since it was opened.
    pub fn waits(&self) -> u64 {
        self.stream.gpu().waits()
    }

    /// How often memory was asked for on this GPU since it was opened.
    pub fn allocations(&self) -> u64 {
        self.stream.gpu().allocations()
    }

    /// How often repeated work, or a part of it, was launched as a whole on this GPU since it was opened.
    pub fn graphs(&self) -> u64 {
        self.stream.gpu().graphs()
    }

    /// Waits until all that was asked for is done.
    ///
    /// # Errors
    /// The first call or kernel that has failed; everything after it was left out.
    pub fn finish(&mut self) -> Result<(), CudaError> {
        self.stream.finish();
        self.stream.gpu().state()
    }

    /// Marks how far the GPU was asked for.
    ///
    /// # Errors
    /// If the GPU fails or has failed.
    pub fn mark(&mut self) -> Result<Mark, CudaError> {
        self.stream.gpu().state()?;
        self.stream.gpu().enter()?;
        self.stream.mark_time()
    }

    /// From here on each kernel, copy and call of a library is put between two marks, which costs a little time.
    pub fn time(&mut self) {
        self.stream.time();
    }

    /// Waits for what was asked for since [`Cuda::time`] and gives it, in order; that ends it.
    ///
    /// # Errors
    /// If the GPU has failed.
    pub fn take_timed(&mut self) -> Result<Vec<Timed>, CudaError> {
        let timed = self.stream.take_timed();
        self.finish()?;
        Ok(timed)
    }

    #[track_caller]
    pub(crate) fn launch(&mut self, kernel: &str, grid: Grid, arguments: &[Argument]) {
        self.stream.launch(kernel, self.precision(), grid, arguments);
    }

    /// In which numbers ops compute.
    pub(crate) fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Values of activations in so many words, the last perhaps of padding.
    pub(crate) fn values(&self, words: usize) -> usize {
        words * size_of::<f32>() / self.precision().bytes()
    }

    /// # Panics
    /// If `len` words are not those of an activation.
    #[track_caller]
    pub(crate) fn assert_activation(&self, name: &str, len: usize, samples: usize, features: usize) {
        assert_len(name, len, self.activation_len(samples, features));
    }

    /// Of its ops.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Of copies from the host beside them; none if the GPU has failed.
    pub(crate) fn copies(&mut self) -> Option<Arc<Stream>> {
        if self.copies.is_none() {
            self.copies = self.stream.gpu().attempt(|| self.stream.beside());
        }
        self.copies.clone()
    }

    /// Whether repeated work becomes a graph.
    pub(crate) fn records(&self) -> bool {
        self.graphs
    }

    /// What was repeated, and where.
    pub(crate) fn repeated(&mut self) -> (&mut Repeated, &Stream) {
        (&mut self.repeated, &self.stream)
    }

    /// Of ops' own memory and the libraries' as they are now.
    pub(crate) fn scratch_addresses(&self) -> [u64; 2] {
        [self.scratch.address(), self.vendor.workspace()]
    }

    /// `len` words of memory for this op. Its name is that of the folder from where this is called.
    #[track_caller]
    pub(crate) fn scratch(&mut self, len: usize) -> Part {
        let file = Location::caller().file();
        let op = || Path::new(file).parent().and_then(Path::file_name).unwrap_or_default().display().to_string();
        self.scratch.words(&self.stream, len, op)
    }
}

impl Memory for Cuda {
    type Buffer<T: Element> = Buffer<T>;
    type View<'a, T: Element> = View<'a, T>;
    type ViewMut<'a, T: Element> = ViewMut<'a, T>;

    fn zeros<T: Element>(&self, len: usize) -> Buffer<T> {
        Buffer::zeros(&self.stream, len, "a buffer")
    }
    fn room(&self) -> Option<Room> {
        self.stream.gpu().room()
    }
    fn scratch_of(&mut self, work: impl FnOnce(&mut Self)) -> usize {
        let Some(idle) = self.stream.gpu().attempt(|| self.stream.idle()) else { return 0 };
        let (stream, scratch) = (mem::replace(&mut self.stream, idle), mem::take(&mut self.scratch));
        work(self);
        self.stream = stream;
        mem::replace(&mut self.scratch, scratch).bytes()
    }
    fn precision(&self) -> Precision {
        self.arithmetic.precision()
    }
    fn activation_len(&self, samples: usize, features: usize) -> usize {
        self.precision().words(samples * features)
    }
    fn note_len(&self, samples: usize, features: usize) -> usize {
        samples * features
    }
    fn view<T: Element>(buffer: &Buffer<T>, range: Range<usize>) -> View<'_, T> {
        buffer.view(range)
    }
    fn view_mut<T: Element>(buffer: &mut Buffer<T>, range: Range<usize>) -> ViewMut<'_, T> {
        buffer.view_mut(range)
    }
    fn slice<'short, 'long: 'short, T: Element>(view: View<'long, T>, range: Range<usize>) -> View<'short, T> {
        view.slice(range)
    }
    fn slice_mut<'a, T: Element>(view: &'a mut ViewMut<'_, T>, range: Range<usize>) -> ViewMut<'a, T> {
        view.slice_mut(range)
    }
    fn reborrow<'short, 'long: 'short, T: Element>(view: View<'long, T>) -> View<'short, T> {
        view
    }
    fn shared<'a, T: Element>(view: Self::ViewMut<'a, T>) -> Self::View<'a, T> {
        view.shared()
    }
    fn split_mut<'a, T: Element>(
        view: Self::ViewMut<'a, T>,
        middle: usize,
    ) -> (Self::ViewMut<'a, T>, Self::ViewMut<'a, T>) {
        view.split(middle)
    }
    fn host_view<T: Element>(_host: &[T]) -> Option<View<'_, T>> {
        None
    }
    fn host_view_mut(host: &mut [f32]) -> Result<ViewMut<'_, f32>, &mut [f32]> {
        Err(host)
    }
    fn health(&mut self) -> Result<(), Failure> {
        self.finish().map_err(|error| Failure(error.to_string()))
    }
    fn write<T: Element>(&mut self, from: &[T], to: ViewMut<'_, T>) {
        assert_len("to", to.len(), from.len());
        self.stream.upload(from, to.address());
    }
    fn read<T: Element>(&mut self, from: View<'_, T>, to: &mut [T]) {
        assert_len("to", to.len(), from.len());
        self.stream.download(from.address(), to);
    }
    fn read_activation(&mut self, shape: &ActivationShape, from: View<'_, f32>, to: &mut [f32]) {
        assert_len("the host's copy", to.len(), shape.values());
        self.assert_activation("the activation", from.len(), shape.samples, shape.features());
        let mut words = vec![0; from.len()];
        self.stream.download(from.address(), &mut words);
        turn(&values(self.precision(), &words, to.len()), to, shape.plane, shape.channels);
    }
    fn write_activation(&mut self, shape: &ActivationShape, from: &[f32], to: ViewMut<'_, f32>) {
        assert_len("the host's copy", from.len(), shape.values());
        self.assert_activation("the activation", to.len(), shape.samples, shape.features());
        let mut placed = vec![0.0; from.len()];
        turn(from, &mut placed, shape.channels, shape.plane);
        self.stream.upload(&words(self.precision(), &placed), to.address());
    }
    fn copy<T: Element>(&mut self, from: View<'_, T>, to: ViewMut<'_, T>) {
        assert_len("to", to.len(), from.len());
        self.stream.copy(from.address(), to.address(), size_of::<T>() * to.len());
    }
    fn fill(&mut self, value: f32, to: ViewMut<'_, f32>) {
        self.stream.fill(value, to.address(), to.len());
    }
}

/// So many values of an activation's words.
fn values(precision: Precision, words: &[u32], len: usize) -> Vec<f32> {
    let all = words.iter().flat_map(|word| match precision {
        Precision::F32 => [Some(*word), None],
        Precision::Bf16 => [Some(word << 16), Some(word & 0xffff_0000)],
    });
    all.flatten().take(len).map(f32::from_bits).collect()
}

/// The way back.
fn words(precision: Precision, values: &[f32]) -> Vec<u32> {
    let bits = |x: &f32| precision.round(*x).to_bits();
    match precision {
        Precision::F32 => values.iter().map(bits).collect(),
        Precision::Bf16 => values.chunks(2).map(|pair| bits(&pair[0]) >> 16 | pair.get(1).map_or(0, bits)).collect(),
    }
}

/// Turns each matrix of `rows` × `columns` around.
fn turn(from: &[f32], to: &mut [f32], rows: usize, columns: usize) {
    let len = (rows * columns).max(1);
    for (from, to) in from.chunks_exact(len).zip(to.chunks_exact_mut(len)) {
        for (place, value) in to.iter_mut().enumerate() {
            *value = from[place % rows * columns + place / rows];
        }
    }
}

impl Device for Cuda {}

/// The channels that features are, each of them a plane.
///
/// # Panics
/// If planes don't make up the features.
#[track_caller]
pub(crate) fn channels(features: usize, plane: usize) -> usize {
    assert!(plane > 0 && features.is_multiple_of(plane), "planes of {plane} of {features}");
    features / plane
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activation_comes_back_as_it_holds_values() {
        let row = [1.0, -2.5, 3.0e-3, f32::INFINITY, 0.7];
        for precision in [Precision::F32, Precision::Bf16] {
            for len in 0..=row.len() {
                let words = words(precision, &row[..len]);
                assert_eq!(words.len(), precision.words(len));
                let rounded: Vec<f32> = row[..len].iter().map(|x| precision.round(*x)).collect();
                assert_eq!(values(precision, &words, len), rounded, "{precision:?}");
            }
        }
        assert_eq!(words(Precision::Bf16, &[1.0, -2.0, 1.0]), [0xc000_3f80, 0x3f80], "the first is the lower half");
    }
}

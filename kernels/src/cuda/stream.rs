//! A stream of a GPU's work, which is done in the order in which it is asked for, so that memory can be passed on from
//! op to op without waiting.
//!
//! A process has one stream a GPU for its ops, and another for exchanges with other GPUs, which go on beside them: what
//! one does for the other is ordered by [`Stream::wait_for`].

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::CudaError;
use super::event::Event;
use super::gpu::{Gpu, failed, of_allocation};
use super::graph::Graph;
use super::launch::{Argument, Grid};
use super::timing::{Mark, Timed};
use crate::device::Precision;

/// Most arguments of a kernel.
const ARGUMENTS: usize = 24;

pub(crate) struct Stream {
    gpu: Arc<Gpu>,
    handle: sys::CUstream,
    /// Marks how far the stream was asked for when another began to wait for it.
    mark: Event,
    /// Whether whatever it is asked for is left out, and no memory is given.
    is_idle: bool,
    /// What was started since somebody wants to know how long each takes.
    timed: Mutex<Option<Vec<Timed>>>,
}

// SAFETY: the driver's handles may be used from any thread that has made the context current, as every call here does.
unsafe impl Send for Stream {}
// SAFETY: the driver's calls are safe to make from several threads at once.
unsafe impl Sync for Stream {}

impl Stream {
    /// The stream of this process' ops on the GPU of this index, whose activations are such: the one that is there, or
    /// else the first of a GPU that is opened for it.
    pub fn open(index: usize, precision: Precision) -> Result<Arc<Self>, CudaError> {
        static OPEN: OnceLock<Mutex<HashMap<usize, Weak<Stream>>>> = OnceLock::new();
        let mut open = OPEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let stream = match open.get(&index).and_then(Weak::upgrade) {
            Some(stream) => stream,
            None => {
                let stream = Arc::new(Self::new(Arc::new(Gpu::new(index)?))?);
                open.insert(index, Arc::downgrade(&stream));
                stream
            }
        };
        stream.gpu.take_activations(precision)?;
        Ok(stream)
    }

    /// One more of the same GPU.
    pub fn beside(&self) -> Result<Arc<Self>, CudaError> {
        Ok(Arc::new(Self::new(self.gpu.clone())?))
    }

    /// One that leaves out whatever it is asked for, and gives no memory.
    pub fn idle(&self) -> Result<Arc<Self>, CudaError> {
        let mut stream = Self::new(self.gpu.clone())?;
        stream.is_idle = true;
        Ok(Arc::new(stream))
    }

    /// Whether it is such.
    pub fn is_idle(&self) -> bool {
        self.is_idle
    }

    fn new(gpu: Arc<Gpu>) -> Result<Self, CudaError> {
        let mark = Event::new(&gpu)?;
        let handle =
            result::stream::create(result::stream::StreamKind::NonBlocking).map_err(failed("cuStreamCreate"))?;
        Ok(Self { gpu, handle, mark, is_idle: false, timed: Mutex::new(None) })
    }

    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }

    /// For libraries that take it.
    pub fn handle(&self) -> *mut c_void {
        self.handle.cast()
    }

    /// What it is asked for from here on waits until all is done that `other` has been asked for.
    pub fn wait_for(&self, other: &Stream) {
        other.mark(&other.mark);
        self.wait_for_event(&other.mark);
    }

    /// An event of the same GPU; none if that has failed.
    pub fn event(&self) -> Option<Event> {
        self.gpu.attempt(|| Event::new(&self.gpu))
    }

    /// Records an event behind all that was asked for.
    pub fn mark(&self, event: &Event) {
        self.gpu.attempt(|| self.record(event));
    }

    /// The same, where the context is current.
    pub fn record(&self, event: &Event) -> Result<(), CudaError> {
        // SAFETY: event and stream are there.
        unsafe { result::event::record(event.handle(), self.handle) }.map_err(failed("cuEventRecord"))
    }

    /// What it is asked for from here on waits for the event as it was recorded last, also if that is done again.
    pub fn wait_for_event(&self, event: &Event) {
        self.gpu.attempt(|| {
            let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
            // SAFETY: event and stream are there.
            unsafe { result::stream::wait_event(self.handle, event.handle(), flags) }
                .map_err(failed("cuStreamWaitEvent"))
        });
    }

    /// Whether all is done that it has been asked for, or the GPU has failed.
    pub fn is_done(&self) -> bool {
        let done = self.gpu.attempt(|| {
            // SAFETY: the stream lives as long as `self`.
            match unsafe { sys::cuStreamQuery(self.handle) } {
                sys::CUresult::CUDA_SUCCESS => Ok(true),
                sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
                error => Err(CudaError::of_driver("cuStreamQuery", DriverError(error))),
            }
        });
        done.unwrap_or(true)
    }

    /// A mark behind all that was asked for, which will tell when the GPU was there. The context is current.
    pub fn mark_time(&self) -> Result<Mark, CudaError> {
        let mark = Mark::new(&self.gpu)?;
        self.record(mark.event())?;
        Ok(mark)
    }

    /// From here on whatever is started is put between two marks.
    pub fn time(&self) {
        *self.timed() = Some(Vec::new());
    }

    /// What was started since [`Stream::time`], in order; that ends it.
    pub fn take_timed(&self) -> Vec<Timed> {
        self.timed().take().unwrap_or_default()
    }

    fn timed(&self) -> MutexGuard<'_, Option<Vec<Timed>>> {
        self.timed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts something of this name on the stream, unless the GPU has failed.
    pub fn start(&self, name: &str, call: impl FnOnce() -> Result<(), CudaError>) {
        if self.is_idle {
            return;
        }
        self.gpu.attempt(|| match &mut *self.timed() {
            None => call(),
            Some(timed) => {
                let from = self.mark_time()?;
                call()?;
                timed.push(Timed { name: name.into(), from, to: self.mark_time()? });
                Ok(())
            }
        });
    }

    /// Starts a kernel, of such activations if it takes any.
    ///
    /// # Panics
    /// If there is no such kernel, or the arguments are not as many and as long as its parameters.
    #[track_caller]
    pub fn launch(&self, name: &str, precision: Precision, grid: Grid, arguments: &[Argument]) {
        if grid.is_empty() {
            return;
        }
        let kernel = self.gpu.kernel(name, precision);
        let lengths = arguments.iter().map(Argument::bytes);
        assert!(
            lengths.clone().eq(kernel.parameters.iter().copied()),
            "{name} takes arguments of {:?} bytes, not {:?}",
            kernel.parameters,
            lengths.collect::<Vec<_>>()
        );
        let mut places = [std::ptr::null_mut(); ARGUMENTS];
        for (place, argument) in places.iter_mut().zip(arguments) {
            *place = std::ptr::from_ref(argument).cast_mut().cast::<c_void>();
        }
        let ([x, y, z], threads) = (grid.blocks, grid.threads);
        self.start(name, || {
            // SAFETY: the function is loaded. As many arguments as it takes, of the bytes that it takes, are read before
            // the call returns. Pointers among them are of views and scratch memory that the op has checked to be as
            // long as the kernel goes, in memory that is given back behind all that the stream was asked for before.
            unsafe { result::launch_kernel(kernel.function, (x, y, z), (threads, 1, 1), 0, self.handle, &mut places) }
                .map_err(failed("cuLaunchKernel"))
        });
    }

    /// What it is asked for from here on is recorded and not done. Until the end this thread may neither wait nor ask
    /// for memory or give it back.
    pub fn begin_recording(&self) {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.gpu.attempt(|| {
            // SAFETY: the stream lives as long as `self`.
            unsafe { result::stream::begin_capture(self.handle, mode) }.map_err(failed("cuStreamBeginCapture"))
        });
    }

    /// What was recorded; none if the GPU has failed.
    pub fn end_recording(&self) -> Option<Graph> {
        self.gpu.attempt(|| {
            // SAFETY: the same.
            let recording =
                unsafe { result::stream::end_capture(self.handle) }.map_err(failed("cuStreamEndCapture"))?;
            Graph::new(&self.gpu, recording)
        })
    }

    /// Asks for all that was recorded.
    pub fn launch_graph(&self, graph: &Graph) {
        self.gpu.attempt(|| graph.launch(self.handle));
    }

    /// Address of so many zeros; 0 if there is no memory left. `what`: they are for, as the error says.
    pub fn allocate(&self, bytes: usize, what: &str) -> u64 {
        if bytes == 0 || self.is_idle {
            return 0;
        }
        let allocated = self.gpu.attempt(|| {
            self.gpu.count_allocation();
            // SAFETY: the contents are set before anyone reads them.
            let address = unsafe { result::malloc_sync(bytes) }.map_err(|error| of_allocation(error, bytes, what))?;
            // SAFETY: so many bytes were just allocated.
            unsafe { result::memset_d8_async(address, 0, bytes, self.handle) }.map_err(failed("cuMemsetD8Async"))?;
            Ok(address)
        });
        allocated.unwrap_or(0)
    }

    /// Copies from the host; `from` may be changed at once.
    pub fn upload<T>(&self, from: &[T], to: u64) {
        if from.is_empty() {
            return;
        }
        // The driver copies pageable memory aside before the call returns.
        self.start("upload", || self.copy_in(from, to));
    }

    /// The same, where the context is current. Page-locked memory is read when the stream gets there, until which it is
    /// to stay as it is.
    pub fn copy_in<T>(&self, from: &[T], to: u64) -> Result<(), CudaError> {
        // SAFETY: `to` is of a view or scratch memory as long as `from`.
        unsafe { result::memcpy_htod_async(to, from, self.handle) }.map_err(failed("cuMemcpyHtoDAsync"))
    }

    /// Copies to the host and waits for it. Where the GPU has failed `to` stays as it is.
    pub fn download<T>(&self, from: u64, to: &mut [T]) {
        if to.is_empty() {
            return;
        }
        self.start("download", || {
            // SAFETY: `from` is of a view or scratch memory as long as `to`, which lives until the copy is done.
            unsafe { result::memcpy_dtoh_async(to, from, self.handle) }.map_err(failed("cuMemcpyDtoHAsync"))
        });
        self.finish();
    }

    /// Copies within the GPU's memory.
    pub fn copy(&self, from: u64, to: u64, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.start("copy", || {
            // SAFETY: both are of views of so many bytes, one of them exclusive, so that they don't overlap.
            unsafe { result::memcpy_dtod_async(to, from, bytes, self.handle) }.map_err(failed("cuMemcpyDtoDAsync"))
        });
    }

    /// Sets `len` elements.
    pub fn fill(&self, value: f32, to: u64, len: usize) {
        if len == 0 {
            return;
        }
        self.start("fill", || {
            // SAFETY: `to` is of an exclusive view of so many elements.
            let done = unsafe { sys::cuMemsetD32Async(to, value.to_bits(), len, self.handle) };
            done.result().map_err(failed("cuMemsetD32Async"))
        });
    }

    /// Waits until all that was asked for is done.
    pub fn finish(&self) {
        self.gpu.attempt(|| self.wait());
    }

    fn wait(&self) -> Result<(), CudaError> {
        self.gpu.count_wait();
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(self.handle) }.map_err(failed("cuStreamSynchronize"))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A failure here has nobody left to whom it matters.
        let _ = self.gpu.enter();
        // SAFETY: the stream is destroyed once, and used no more.
        let _ = unsafe { result::stream::destroy(self.handle) };
    }
}

//! Launches that were recorded, to be launched again as a whole.

use std::sync::Arc;

use cudarc::driver::result;
use cudarc::driver::sys;

use super::CudaError;
use super::gpu::{Gpu, failed};

/// What a stream was asked for while it recorded.
pub(crate) struct Graph {
    gpu: Arc<Gpu>,
    executable: sys::CUgraphExec,
}

// SAFETY: the driver's handles may be used from any thread that has made the context current, as every call here does.
unsafe impl Send for Graph {}
// SAFETY: it is launched by who has the stream, one after the other.
unsafe impl Sync for Graph {}

impl Graph {
    /// Of a recording, which it takes. The context is current.
    pub fn new(gpu: &Arc<Gpu>, recording: sys::CUgraph) -> Result<Self, CudaError> {
        // SAFETY: the recording is one that the driver has just given. The executable graph has what it needs of it.
        let made = unsafe { result::graph::instantiate(recording, sys::CUgraphInstantiate_flags(0)) };
        // SAFETY: it is destroyed once, and used no more.
        let gone = unsafe { result::graph::destroy(recording) };
        let executable = made.map_err(failed("cuGraphInstantiateWithFlags"))?;
        let graph = Self { gpu: gpu.clone(), executable };
        gone.map_err(failed("cuGraphDestroy"))?;
        Ok(graph)
    }

    /// On a stream of the same GPU, where the context is current.
    pub fn launch(&self, stream: sys::CUstream) -> Result<(), CudaError> {
        self.gpu.count_graph();
        // SAFETY: the graph lives as long as `self`, and one under way until it is done. What it reads and writes is at
        // places that who repeats it has shown to be those of the recording.
        unsafe { result::graph::launch(self.executable, stream) }.map_err(failed("cuGraphLaunch"))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // A failure here has nobody left to whom it matters.
        let _ = self.gpu.enter();
        // SAFETY: the graph is destroyed once, and launched no more.
        let _ = unsafe { result::graph::exec_destroy(self.executable) };
    }
}

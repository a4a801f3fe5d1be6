//! How the worker's GPU fares, for its signs of life. It is read on a thread of its own: a driver that takes its time does
//! not hold them back.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lockstep_kernels::cuda::nvml::Nvml;
use lockstep_kernels::cuda::{self, CudaError};
use lockstep_proto::gpu::GpuReading;

use crate::agent::preflight::told;
use crate::trainer::Hardware;

/// Between two readings.
const EVERY: Duration = Duration::from_secs(2);

/// The newest reading; none on a CPU, or without NVML. The thread ends with it.
pub(super) struct Gauge {
    newest: Arc<Mutex<Option<GpuReading>>>,
    _end: Sender<()>,
}

impl Gauge {
    /// Begins to read.
    ///
    /// # Errors
    /// If the system refuses a thread, or the driver does not know the GPU.
    pub(super) fn start(hardware: Hardware) -> Result<Self, GaugeError> {
        let (newest, (end, ended)) = (Arc::<Mutex<Option<GpuReading>>>::default(), mpsc::channel());
        if let Hardware::Gpu(index) = hardware {
            let (bus, shown) = (cuda::about(index)?.bus, newest.clone());
            std::thread::Builder::new().name("gauge".into()).spawn(move || read(&bus, &shown, &ended))?;
        }
        Ok(Self { newest, _end: end })
    }

    /// Some seconds old at most.
    pub(super) fn newest(&self) -> Option<GpuReading> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no gauge.
#[derive(Debug, thiserror::Error)]
pub(super) enum GaugeError {
    #[error("cannot start the gauge's thread: {0}")]
    Thread(#[from] std::io::Error),
    #[error(transparent)]
    Gpu(#[from] CudaError),
}

/// Reads until the gauge is gone, or NVML fails: its numbers are for people, and training goes on without.
fn read(bus: &str, shown: &Mutex<Option<GpuReading>>, ended: &Receiver<()>) {
    let Ok(nvml) = Nvml::open() else { return };
    loop {
        let newest = nvml.read(bus);
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = newest.as_ref().ok().map(told);
        if let Err(error) = newest {
            return tracing::warn!("how the GPU fares is not told any more: {error}");
        }
        if ended.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

//! A worker that computes wrongly, for tests: `LOCKSTEP_FAULT=gradient:WORKER:STEP`, of a worker's rank or id and the
//! step from which on it does.

use lockstep_kernels::device::Device;

/// Gradients of one worker's lanes are wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// A worker's rank or id.
    pub worker: String,
    /// First step, as a count of steps committed before.
    pub from_step: u64,
}

impl Fault {
    /// What this process' environment asks for, for the worker of this id.
    pub fn from_environment(id: &str) -> Option<Self> {
        let fault = Self::parse(&std::env::var("LOCKSTEP_FAULT").ok()?)?;
        let is_rank = fault.worker.parse::<u32>().is_ok();
        (is_rank || fault.worker == id).then_some(fault)
    }

    fn parse(text: &str) -> Option<Self> {
        let (worker, step) = text.strip_prefix("gradient:")?.split_once(':')?;
        Some(Self { worker: worker.into(), from_step: step.parse().ok()? })
    }

    /// Whether the worker, whose rank this is now, computes wrongly at `step`.
    pub(super) fn strikes(&self, rank: u32, step: u64) -> bool {
        step >= self.from_step && self.worker.parse().map_or(true, |wanted: u32| wanted == rank)
    }
}

/// Changes a gradient's first element.
pub(super) fn spoil<D: Device>(device: &mut D, mut first: D::ViewMut<'_, f32>) {
    let mut value = [0.0];
    device.read(D::shared(D::slice_mut(&mut first, 0..1)), &mut value);
    device.write(&[value[0] + 1.0], first);
}

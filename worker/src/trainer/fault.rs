//! A worker that computes wrongly or slowly, for tests: `LOCKSTEP_FAULT=gradient:WORKER:STEP`, of a worker's rank or id
//! and the step from which on it does, or `LOCKSTEP_FAULT=slow:TIMES`, of how often each lane's forward pass is made.

use lockstep_kernels::device::Device;

/// What a worker does wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Gradients of its lanes are wrong.
    Gradient {
        /// A worker's rank or id.
        worker: String,
        /// First step, as a count of steps committed before.
        from_step: u64,
    },
    /// Its lanes take long.
    Slow {
        /// How often a forward pass is made.
        times: u32,
    },
}

impl Fault {
    /// What this process' environment asks for, for the worker of this id.
    pub fn from_environment(id: &str) -> Option<Self> {
        Self::parse(&std::env::var("LOCKSTEP_FAULT").ok()?).filter(|fault| match fault {
            Self::Gradient { worker, .. } => worker.parse::<u32>().is_ok() || worker == id,
            Self::Slow { .. } => true,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(times) = text.strip_prefix("slow:") {
            return Some(Self::Slow { times: times.parse().ok()? });
        }
        let (worker, step) = text.strip_prefix("gradient:")?.split_once(':')?;
        Some(Self::Gradient { worker: worker.into(), from_step: step.parse().ok()? })
    }

    /// Whether the worker, whose rank this is now, computes wrongly at `step`.
    pub(super) fn spoils(&self, rank: u32, step: u64) -> bool {
        match self {
            Self::Gradient { worker, from_step } => {
                step >= *from_step && worker.parse().map_or(true, |wanted: u32| wanted == rank)
            }
            Self::Slow { .. } => false,
        }
    }

    /// How often a forward pass is made.
    pub(super) fn times(&self) -> u32 {
        match self {
            Self::Slow { times } => *times,
            Self::Gradient { .. } => 1,
        }
    }
}

/// Changes a gradient's first element.
pub(super) fn spoil<D: Device>(device: &mut D, mut first: D::ViewMut<'_, f32>) {
    let mut value = [0.0];
    device.read(D::shared(D::slice_mut(&mut first, 0..1)), &mut value);
    device.write(&[value[0] + 1.0], first);
}

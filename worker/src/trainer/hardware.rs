//! What a worker computes with.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cuda::{Arithmetic, Cuda, Libraries};
use lockstep_kernels::device::{Device, Failure};
use lockstep_kernels::exchange::{Exchange, Transport};
use lockstep_proto::job::{self, Job};
use lockstep_proto::wire;

use super::prepare::instruction_set;
use super::{Seat, TrainerError};

/// One worker's hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    /// Cores of the CPU.
    Cpu,
    /// The GPU of this index among those that the driver shows.
    Gpu(usize),
}

impl std::fmt::Display for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => write!(f, "cpu"),
            Self::Gpu(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl std::str::FromStr for Hardware {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let index = text.strip_prefix("cuda:").and_then(|index| index.parse().ok());
        match (text, index) {
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(index)) => Ok(Self::Gpu(index)),
            _ => Err(format!("{text:?} is no device: cpu, or cuda: and the number of a GPU")),
        }
    }
}

/// What vectors go by from a device of this hardware to others.
pub fn transport(hardware: Hardware) -> wire::Transport {
    let found = match hardware {
        Hardware::Cpu => return wire::Transport::default(),
        Hardware::Gpu(_) => Cuda::transport(),
    };
    match found {
        Ok(transport) => {
            wire::Transport { name: transport.map(|found| found.name()).unwrap_or_default(), ..Default::default() }
        }
        Err(Failure(missing)) => wire::Transport { missing, ..Default::default() },
    }
}

/// A device that a trainer can own.
pub(super) trait Owned: Device + Sized {
    /// Those of a seat, one a lane thread.
    fn of_seat(seat: &Seat, job: &Job) -> Result<Vec<Self>, TrainerError>;
}

impl Owned for Cpu {
    fn of_seat(seat: &Seat, job: &Job) -> Result<Vec<Self>, TrainerError> {
        let set = instruction_set(job.cluster.instruction_set)?;
        Ok((0..seat.threads).map(|_| Cpu::new(set)).collect())
    }
}

impl Owned for Cuda {
    /// One: its lanes come one after the other, each with all of the GPU.
    fn of_seat(seat: &Seat, job: &Job) -> Result<Vec<Self>, TrainerError> {
        let Hardware::Gpu(index) = seat.hardware else { return Ok(Vec::new()) };
        let libraries = match job.cluster.libraries {
            job::Libraries::Own => Libraries::Own,
            job::Libraries::Auto => Libraries::Auto,
        };
        let arithmetic = match job.model.precision {
            job::Precision::F32 => Arithmetic::F32,
            job::Precision::Tf32 => Arithmetic::Tf32,
            job::Precision::Bf16 => Arithmetic::Bf16,
        };
        Ok(vec![gpu(index, libraries, arithmetic)?])
    }
}

/// The GPU of this index.
pub(super) fn gpu(index: usize, libraries: Libraries, arithmetic: Arithmetic) -> Result<Cuda, TrainerError> {
    let gpu = Cuda::open(index, libraries, arithmetic).map_err(|error| Failure(error.to_string()))?;
    let graphs = std::env::var_os("LOCKSTEP_CUDA_GRAPHS").is_none_or(|wanted| wanted != "off");
    Ok(if graphs { gpu } else { gpu.without_graphs() })
}

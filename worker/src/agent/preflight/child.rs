//! The process that a preflight starts: it may hang or crash with the driver.

use std::io::Write;

use lockstep_kernels::cuda::nvml::Nvml;
use lockstep_kernels::cuda::{self, CudaError};
use lockstep_proto::gpu::Gpu;
use lockstep_proto::wire;
use prost::Message;

use super::{checks, told};
use crate::process::die_with_parent;

/// What it is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// To tell which GPUs there are.
    All,
    /// To check one, by its index.
    One(usize),
}

impl std::fmt::Display for Errand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => write!(f, "all"),
            Self::One(index) => write!(f, "{index}"),
        }
    }
}

impl std::str::FromStr for Errand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            index => index.parse().map(Self::One).map_err(|_| format!("{index:?} is neither all nor a GPU's number")),
        }
    }
}

/// Runs the errand and writes its outcome to the standard output; gives the exit code. `parent`: the process that
/// started this one, and that it ends with.
pub fn run(errand: Errand, parent: u32) -> u8 {
    let told = die_with_parent(parent).and_then(|()| std::io::stdout().write_all(&reply(errand).encode_to_vec()));
    match told {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn reply(errand: Errand) -> wire::PreflightReply {
    let outcome = match errand {
        Errand::All => all().map_err(|error| error.to_string()),
        Errand::One(index) => checks::check(index).map(|()| Vec::new()).map_err(|error| error.to_string()),
    };
    match outcome {
        Ok(gpus) => {
            wire::PreflightReply { gpus: gpus.into_iter().map(wire::Gpu::from).collect(), failure: String::new() }
        }
        Err(failure) => wire::PreflightReply { gpus: Vec::new(), failure },
    }
}

fn all() -> Result<Vec<Gpu>, CudaError> {
    // Nothing depends on NVML: `doctor` says why it is not there.
    let nvml = Nvml::open().ok();
    let gpu = |about: cuda::About| Gpu {
        index: about.index as u32,
        reading: nvml.as_ref().and_then(|nvml| nvml.read(&about.bus).ok()).as_ref().map(told),
        name: about.name,
        architecture: about.architecture.to_string(),
        bus: about.bus,
        memory: about.memory as u64,
        excluded: None,
    };
    Ok(cuda::look()?.into_iter().map(gpu).collect())
}

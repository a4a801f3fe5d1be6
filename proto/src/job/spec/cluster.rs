//! `[cluster]`: where a job runs.

use serde::{Deserialize, Serialize};

/// Where it runs: changes no result, but for [`Cluster::libraries`] and from one kind of device to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Kind of device.
    pub device: DeviceKind,
    /// Whose kernels GPUs use for large convolutions and matrix products.
    pub libraries: Libraries,
    /// Worker processes.
    pub workers: u32,
    /// Threads a worker; 0 for what its agent offers.
    pub threads: u32,
    /// Instruction set of the CPU kernels.
    pub instruction_set: InstructionSet,
    /// How workers of one node exchange gradients.
    pub transport: Transport,
    /// Workers beyond `workers` that hold no lanes but the whole state, and take over at once.
    pub spares: u32,
    /// Workers that may be lost, one after the other without progress, before the job fails.
    pub max_restarts: u32,
    /// Whether lanes move from slow to fast workers.
    pub rebalance: bool,
    /// Elements of a gradient that GPUs exchange at once, at least, while the backward pass makes the others.
    pub bucket: u32,
    /// Steps between comparisons of the state's digest over all workers; 0 for none.
    pub digest_every: u64,
    /// Steps between lanes that other workers compute a second time; 0 for none.
    pub replay_every: u64,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            device: DeviceKind::Cpu,
            libraries: Libraries::Own,
            workers: 1,
            threads: 0,
            instruction_set: InstructionSet::Auto,
            transport: Transport::Auto,
            spares: 0,
            max_restarts: 10,
            rebalance: false,
            bucket: 1 << 20,
            digest_every: 200,
            replay_every: 500,
        }
    }
}

/// Kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// GPUs where agents offer some, else CPUs.
    Auto,
    /// Cores of CPUs.
    Cpu,
    /// GPUs, through CUDA.
    Cuda,
}

/// Kernels for GPUs. Results differ from one library, and one version of it, to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Libraries {
    /// Lockstep's own.
    Own,
    /// cuDNN's and cuBLASLt's for what is large, where they are there.
    Auto,
}

/// Instruction sets of the CPU kernels. All give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstructionSet {
    /// The best that the machine has.
    Auto,
    /// AVX-512.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// Any x86-64.
    Portable,
}

/// Instruction sets whose kernels give the same bits, by the name of one of them; another name stands for itself.
pub fn instruction_set_family(name: &str) -> &str {
    match name {
        "avx512" | "avx2" | "portable" => "x86-64",
        other => other,
    }
}

/// How workers of one node exchange gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Shared memory on one node, TCP between nodes.
    Auto,
    /// TCP everywhere.
    Tcp,
}

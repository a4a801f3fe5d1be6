//! `[cluster]`: where a job runs.

use serde::{Deserialize, Serialize};

/// Where it runs: changes no result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// Kind of device.
    pub device: DeviceKind,
    /// Worker processes.
    pub workers: u32,
    /// Threads a worker; 0 for what its agent offers.
    pub threads: u32,
    /// Instruction set of the CPU kernels.
    pub instruction_set: InstructionSet,
    /// How workers of one node exchange gradients.
    pub transport: Transport,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            device: DeviceKind::Cpu,
            workers: 1,
            threads: 0,
            instruction_set: InstructionSet::Auto,
            transport: Transport::Auto,
        }
    }
}

/// Kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// CPU kernels.
    Cpu,
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

/// How workers of one node exchange gradients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Shared memory on one node, TCP between nodes.
    Auto,
    /// TCP everywhere.
    Tcp,
}

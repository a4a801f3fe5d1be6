//! What an agent's slots compute with.

/// Kinds of slots; a job's workers are of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotDevice {
    /// Cores of a CPU.
    Cpu,
    /// A GPU of its own for each slot.
    Cuda,
}

impl SlotDevice {
    /// As on the wire and in fingerprints.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Cpu, Self::Cuda].into_iter().find(|device| device.name() == name)
    }
}

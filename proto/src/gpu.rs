//! A node's GPUs: what they are, how they fare, and why some get no worker.

use crate::identity::Malformed;
use crate::wire;

/// Bytes of a name.
const SHORT: usize = 256;
/// Characters of a reason.
const LONG: usize = 2048;

/// A GPU of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpu {
    /// As the driver counts.
    pub index: u32,
    /// The maker's.
    pub name: String,
    /// What code is for: `sm_90`.
    pub architecture: String,
    /// Its place on the PCI bus: `0000:41:00.0`.
    pub bus: String,
    /// Bytes.
    pub memory: u64,
    /// How it fares; nothing without NVML.
    pub reading: Option<GpuReading>,
    /// Why no worker gets it; nothing where one may.
    pub excluded: Option<String>,
}

/// How a GPU fares at a moment, as NVML tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuReading {
    /// Bytes in use, by any process.
    pub memory_used: u64,
    /// Bytes.
    pub memory_total: u64,
    /// °C, where it tells.
    pub temperature: Option<u32>,
    /// Errors that its memory could not correct since the driver was loaded, where it checks.
    pub ecc_errors: Option<u64>,
}

impl Gpu {
    /// Why no worker gets it, in one line; nothing where one may.
    pub fn exclusion(&self) -> Option<String> {
        self.excluded.as_ref().map(|why| format!("GPU {} ({}) is excluded: {why}", self.index, self.name))
    }
}

impl From<Gpu> for wire::Gpu {
    fn from(gpu: Gpu) -> Self {
        Self {
            index: gpu.index,
            name: gpu.name,
            architecture: gpu.architecture,
            bus: gpu.bus,
            memory_bytes: gpu.memory,
            reading: gpu.reading.map(wire::GpuReading::from),
            excluded: gpu.excluded.unwrap_or_default(),
        }
    }
}

impl TryFrom<wire::Gpu> for Gpu {
    type Error = Malformed;

    fn try_from(message: wire::Gpu) -> Result<Self, Malformed> {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let reason: String = message.excluded.chars().take(LONG).map(plain).collect();
        Ok(Self {
            index: message.index,
            name: short(message.name)?,
            architecture: short(message.architecture)?,
            bus: short(message.bus)?,
            memory: message.memory_bytes,
            reading: message.reading.map(GpuReading::from),
            excluded: Some(reason).filter(|reason| !reason.is_empty()),
        })
    }
}

fn short(text: String) -> Result<String, Malformed> {
    if text.len() > SHORT || text.chars().any(char::is_control) {
        return Err(Malformed(format!("a word about a GPU is not up to {SHORT} printable bytes")));
    }
    Ok(text)
}

impl From<GpuReading> for wire::GpuReading {
    fn from(reading: GpuReading) -> Self {
        let GpuReading { memory_used, memory_total, temperature, ecc_errors } = reading;
        Self { memory_used, memory_total, temperature, ecc_errors }
    }
}

impl From<wire::GpuReading> for GpuReading {
    fn from(message: wire::GpuReading) -> Self {
        let wire::GpuReading { memory_used, memory_total, temperature, ecc_errors } = message;
        Self { memory_used, memory_total, temperature, ecc_errors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_comes_over_the_wire_as_it_was() {
        let reading = GpuReading { memory_used: 1, memory_total: 2, temperature: Some(0), ecc_errors: None };
        let gpu = Gpu { index: 3, name: "H".into(), reading: Some(reading), ..Gpu::default() };
        assert_eq!(Gpu::try_from(wire::Gpu::from(gpu.clone())).unwrap(), gpu);
        assert_eq!(gpu.exclusion(), None);
        let bad = Gpu { excluded: Some("too hot".into()), ..gpu };
        assert_eq!(Gpu::try_from(wire::Gpu::from(bad.clone())).unwrap(), bad);
        assert_eq!(bad.exclusion().unwrap(), "GPU 3 (H) is excluded: too hot");
    }

    #[test]
    fn words_about_it_are_bounded() {
        let named = |name: &str| Gpu::try_from(wire::Gpu { name: name.into(), ..Default::default() });
        assert!(named("H\n").is_err() && named(&"H".repeat(257)).is_err());
        let excluded = "a\nb".repeat(1000);
        let gpu = Gpu::try_from(wire::Gpu { excluded, ..Default::default() }).unwrap();
        let reason = gpu.excluded.unwrap();
        assert!(reason.starts_with("a ba b") && reason.len() == LONG, "{}", reason.len());
    }
}

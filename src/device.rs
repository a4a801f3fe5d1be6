//! What this machine's workers compute with, by what was asked for and what there is.

use anyhow::{Context, Result};
use lockstep_kernels::cuda;
use lockstep_proto::gpu::Gpu;
use lockstep_proto::job::DeviceKind;
use lockstep_proto::slot::SlotDevice;
use lockstep_worker::agent::preflight::{Preflight, PreflightError};

use crate::BadInput;

/// What slots compute with.
pub struct Offered {
    pub device: SlotDevice,
    /// GPUs that a preflight has looked at: those for slots, and those that are excluded.
    pub gpus: Vec<Gpu>,
    /// Why it is the CPU where a GPU would have been taken.
    pub instead: Option<String>,
}

/// Looks for what was asked for, GPUs until there are `slots` good ones. `auto` without a GPU that can be used is the CPU.
///
/// # Errors
/// If GPUs were asked for and none can be used.
pub fn offered(wanted: DeviceKind, slots: Option<u32>) -> Result<Offered> {
    let cpu = |instead| Offered { device: SlotDevice::Cpu, gpus: Vec::new(), instead };
    if wanted == DeviceKind::Cpu {
        return Ok(cpu(None));
    }
    let executable = std::env::current_exe().context("cannot find this program's own file")?;
    match Preflight::of(executable).look(slots.map(|slots| slots as usize)) {
        Ok(gpus) => Ok(Offered { device: SlotDevice::Cuda, gpus, instead: None }),
        Err(error @ PreflightError::Runtime(_)) => Err(error.into()),
        Err(why) if wanted == DeviceKind::Auto => Ok(cpu(Some(why.to_string()))),
        Err(why) => Err(BadInput::from_display(why).into()),
    }
}

impl Offered {
    /// How many slots there can be; none for as many as one likes.
    pub fn most(&self) -> Option<u32> {
        let good = self.gpus.iter().filter(|gpu| gpu.excluded.is_none()).count();
        (self.device == SlotDevice::Cuda).then_some(good as u32)
    }

    /// What is not as somebody might think who asked for `auto`, or knows how many GPUs there are; a line each.
    pub fn remarks(&self) -> Vec<String> {
        let instead = self.instead.iter().map(|why| format!("computing on the CPU: {why}"));
        instead.chain(self.gpus.iter().filter_map(Gpu::exclusion)).collect()
    }

    /// Refuses more slots than there are GPUs. `asked`: what named their number.
    ///
    /// # Errors
    /// With both numbers, and why there are no more.
    pub fn check(&self, slots: u32, asked: &str) -> Result<()> {
        match self.most() {
            Some(most) if slots > most => {
                let gpus = if most == 1 { "1 GPU".into() } else { format!("{most} GPUs") };
                let excluded: String =
                    self.gpus.iter().filter_map(Gpu::exclusion).map(|line| format!("; {line}")).collect();
                let but = format!("this machine has {gpus} that can be used, one for each worker{excluded}");
                Err(BadInput(format!("{asked} is {slots}, but {but}")).into())
            }
            _ => Ok(()),
        }
    }
}

/// What to check by itself, without a preflight; with a word to who asked for `auto` and gets the CPU.
///
/// # Errors
/// If a GPU was asked for and there is none, or something that all of them need is missing.
pub fn to_check(wanted: DeviceKind) -> Result<SlotDevice> {
    if wanted == DeviceKind::Cpu {
        return Ok(SlotDevice::Cpu);
    }
    match cuda::look() {
        Ok(_) => Ok(SlotDevice::Cuda),
        Err(why) if wanted == DeviceKind::Auto => {
            eprintln!("computing on the CPU: {why}");
            Ok(SlotDevice::Cpu)
        }
        Err(why) => Err(BadInput::from_display(why).into()),
    }
}

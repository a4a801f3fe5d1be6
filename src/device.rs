//! What this machine's workers compute with, by what was asked for and what there is.

use anyhow::Result;
use lockstep_kernels::cuda::{self, CudaError};
use lockstep_proto::job::DeviceKind;
use lockstep_proto::slot::SlotDevice;

use crate::BadInput;

/// What slots compute with, and how many there can be; none for as many as one likes.
pub struct Offered {
    pub device: SlotDevice,
    pub most: Option<usize>,
    /// Why it is the CPU where a GPU would have been taken.
    pub instead: Option<CudaError>,
}

/// Looks for what was asked for. `auto` without a GPU that can be used is the CPU.
///
/// # Errors
/// If GPUs were asked for and can't be used.
pub fn offered(wanted: DeviceKind) -> Result<Offered> {
    let cpu = |instead| Offered { device: SlotDevice::Cpu, most: None, instead };
    if wanted == DeviceKind::Cpu {
        return Ok(cpu(None));
    }
    match cuda::look() {
        Ok(gpus) => Ok(Offered { device: SlotDevice::Cuda, most: Some(gpus.len()), instead: None }),
        Err(why) if wanted == DeviceKind::Auto => Ok(cpu(Some(why))),
        Err(why) => Err(BadInput::from_display(why).into()),
    }
}

impl Offered {
    /// Says why it is the CPU, to somebody who asked for `auto`.
    pub fn explained(self) -> Self {
        if let Some(why) = &self.instead {
            eprintln!("computing on the CPU: {why}");
        }
        self
    }

    /// Refuses more slots than there are GPUs. `asked`: what named their number.
    ///
    /// # Errors
    /// With both numbers.
    pub fn check(&self, slots: u32, asked: &str) -> Result<()> {
        match self.most {
            Some(most) if slots as usize > most => {
                let gpus = if most == 1 { "1 GPU".into() } else { format!("{most} GPUs") };
                Err(BadInput(format!("{asked} is {slots}, but this machine has {gpus}, one for each worker")).into())
            }
            _ => Ok(()),
        }
    }
}

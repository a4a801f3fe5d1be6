//! What this machine's workers compute with, by what was asked for and what there is.

use anyhow::Result;
use lockstep_kernels::cuda;
use lockstep_proto::job::DeviceKind;
use lockstep_worker::agent::SlotDevice;

use crate::BadInput;

/// What slots compute with, and how many there can be; none for as many as one likes.
pub struct Offered {
    pub device: SlotDevice,
    pub most: Option<usize>,
}

/// Looks for what was asked for. `auto` without a GPU that can be used is the CPU, and says why.
///
/// # Errors
/// If GPUs were asked for and can't be used.
pub fn offered(wanted: DeviceKind) -> Result<Offered> {
    let cpu = Offered { device: SlotDevice::Cpu, most: None };
    if wanted == DeviceKind::Cpu {
        return Ok(cpu);
    }
    match cuda::look() {
        Ok(gpus) => Ok(Offered { device: SlotDevice::Cuda, most: Some(gpus.len()) }),
        Err(why) if wanted == DeviceKind::Auto => {
            eprintln!("computing on the CPU: {why}");
            Ok(cpu)
        }
        Err(why) => Err(BadInput::from_display(why).into()),
    }
}

impl Offered {
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

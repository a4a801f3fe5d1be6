//! What results depend on beside job and data: build, device, instruction set, and a canary that shows it.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cuda::{Arithmetic, Libraries, libraries_found};
use lockstep_kernels::device::{Device, Memory};
use lockstep_proto::slot::SlotDevice;
use lockstep_proto::{VERSION, job, wire};

use super::TrainerError;
use super::hardware::{Hardware, gpu};
use super::trial::Trial;
use crate::model::SampleShape;
use crate::program::Program;

/// The fingerprint of this process on its hardware; of a CPU with this machine's best instruction set.
///
/// # Errors
/// If the GPU can't be used.
pub fn fingerprint(hardware: Hardware) -> Result<wire::Fingerprint, TrainerError> {
    let (device, instruction_set, canary, libraries) = match hardware {
        Hardware::Cpu => {
            let set = InstructionSet::detect();
            (SlotDevice::Cpu, set.name().to_owned(), canary(&mut Cpu::new(set)), String::new())
        }
        Hardware::Gpu(index) => {
            let mut device = gpu(index, Libraries::Own, Arithmetic::F32)?;
            let canary = canary(&mut device);
            device.health()?;
            let name = format!("{} ({})", device.about().name, device.about().architecture);
            (SlotDevice::Cuda, name, canary, libraries_found())
        }
    };
    let build = build_id();
    Ok(wire::Fingerprint { build, device: device.name().into(), instruction_set, canary, libraries })
}

/// Version and hash of the program, so that two different builds of one version are told apart.
fn build_id() -> String {
    match Program::own() {
        Ok(program) => format!("{VERSION}+{}", program.hash()),
        Err(_) => format!("{VERSION}+unreadable"),
    }
}

/// BLAKE3 of the gradients of two small networks over one fixed micro-batch. Workers whose canaries differ would
/// train different weights.
pub fn canary<D: Device>(device: &mut D) -> String {
    let mut hasher = blake3::Hasher::new();
    let mlp = job::Model { hidden: vec![19], activation: job::Activation::Sigmoid, ..job::Model::default() };
    let lenet5 = job::Model { name: job::ModelName::Lenet5, activation: job::Activation::Tanh, ..mlp.clone() };
    for model in [mlp, lenet5] {
        for value in canary_gradient(device, &model) {
            hasher.update(&value.to_le_bytes());
        }
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

fn canary_gradient<D: Device>(device: &mut D, names: &job::Model) -> Vec<f32> {
    const SAMPLES: usize = 19;
    let shape = SampleShape { channels: 1, height: 14, width: 13, classes: 7 };
    let Ok(mut trial) = Trial::new(device, names, shape, SAMPLES) else { return Vec::new() };
    let bytes: Vec<u8> = (0..SAMPLES * shape.features()).map(|i| (i * i % 251) as u8).collect();
    let labels: Vec<u16> = (0..SAMPLES).map(|i| (i * 5 % shape.classes) as u16).collect();
    trial.compute(device, &bytes, &labels);
    trial.gradient(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_instruction_sets_have_the_same_canary() {
        let portable = canary(&mut Cpu::new(InstructionSet::Portable));
        for instruction_set in [InstructionSet::Avx2, InstructionSet::Avx512] {
            if instruction_set.is_available() {
                assert_eq!(canary(&mut Cpu::new(instruction_set)), portable, "{}", instruction_set.name());
            } else {
                println!("skipped {}: this processor lacks it", instruction_set.name());
            }
        }
    }
}

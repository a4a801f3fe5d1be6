//! What results depend on beside job and data: build, device, instruction set, and a canary that shows it.

use std::sync::OnceLock;

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::pixels::{Pixels, PixelsSize};
use lockstep_proto::{VERSION, job, wire};

use crate::layers::MicroBatch;
use crate::model::{Activations, SampleShape, Weights, build, initial_values};

/// The fingerprint of this process on this machine's best instruction set.
pub fn fingerprint() -> wire::Fingerprint {
    let instruction_set = InstructionSet::detect();
    wire::Fingerprint {
        build: build_id().to_owned(),
        device: "cpu".into(),
        instruction_set: instruction_set.name().into(),
        canary: canary(instruction_set),
    }
}

/// Version and hash of the executable, so that two different builds of one version are told apart.
fn build_id() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let hash = std::env::current_exe().and_then(std::fs::read).map(|bytes| blake3::hash(&bytes).to_hex());
        match hash {
            Ok(hash) => format!("{VERSION}+{}", &hash[..16]),
            Err(_) => format!("{VERSION}+unreadable"),
        }
    })
}

/// BLAKE3 of the gradients of two small networks over one fixed micro-batch. Workers whose canaries differ would
/// train different weights.
pub fn canary(instruction_set: InstructionSet) -> String {
    let mut hasher = blake3::Hasher::new();
    let mlp = job::Model { hidden: vec![19], activation: job::Activation::Sigmoid, ..job::Model::default() };
    let lenet5 = job::Model { name: job::ModelName::Lenet5, activation: job::Activation::Tanh, ..mlp.clone() };
    for model in [mlp, lenet5] {
        for value in canary_gradient(instruction_set, &model) {
            hasher.update(&value.to_le_bytes());
        }
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

fn canary_gradient(instruction_set: InstructionSet, names: &job::Model) -> Vec<f32> {
    const SAMPLES: usize = 19;
    let shape = SampleShape { channels: 1, height: 14, width: 13, classes: 7 };
    let mut device = Cpu::new(instruction_set);
    let Ok(model) = build::<Cpu>(names, shape) else { return Vec::new() };
    let parameters = initial_values(model.tensors(), 7, names);
    let (features, plane) = (shape.features(), model.input_shape().plane());
    let bytes: Vec<u8> = (0..SAMPLES * features).map(|i| (i * i % 251) as u8).collect();
    let labels: Vec<u8> = (0..SAMPLES).map(|i| (i * 5 % shape.classes) as u8).collect();
    let mut activations = Activations::new(&device, &model, SAMPLES);
    let pixels = PixelsSize { samples: SAMPLES, features, plane, scale: 1.0 / 128.0, shift: -1.0 };
    let input = activations.input(&device, &model, SAMPLES);
    device.pixels_forward(&pixels, &bytes, input);
    let weights = Weights::<Cpu> { parameters: &parameters, statistics: &[] };
    let batch = MicroBatch { samples: SAMPLES, keys: &[] };
    model.forward(&mut device, batch, weights, &mut activations, &mut []);
    let (output, d_output) = activations.output(&device, &model, SAMPLES);
    let size = ClassesSize { samples: SAMPLES, classes: shape.classes };
    device.cross_entropy(&size, output, &labels, d_output);
    let mut gradient = vec![0.0; model.parameters()];
    model.backward(&mut device, batch, weights, &mut activations, &mut gradient);
    gradient
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_instruction_sets_have_the_same_canary() {
        let portable = canary(InstructionSet::Portable);
        for instruction_set in [InstructionSet::Avx2, InstructionSet::Avx512] {
            if instruction_set.is_available() {
                assert_eq!(canary(instruction_set), portable, "{}", instruction_set.name());
            } else {
                println!("skipped {}: this processor lacks it", instruction_set.name());
            }
        }
    }
}

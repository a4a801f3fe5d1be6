//! A training step of a network, phase by phase.

use lockstep_kernels::cuda::{Cuda, CudaError};
use lockstep_kernels::optimizer::Sgd;
use lockstep_worker::model::BuildError;
use lockstep_worker::trainer::Trial;

use super::networks::Network;

/// Phases of a step, in order.
pub const PHASES: [&str; 5] = ["data", "forward", "backward", "norms", "update"];

/// As recipes have it.
const SGD: Sgd = Sgd { learning_rate: 0.01, momentum: 0.9, dampening: 0.0, nesterov: false, steps: 0 };

/// Steps of one network over the same batch, in one lane.
pub struct Steps<'g> {
    pub gpu: &'g mut Cuda,
    trial: Trial<Cuda>,
    pixels: Vec<u8>,
    labels: Vec<u16>,
}

/// Where a border between phases is of no interest.
pub fn nobody(_: &mut Cuda) -> Result<(), CudaError> {
    Ok(())
}

impl<'g> Steps<'g> {
    /// Of a network with initial weights.
    ///
    /// # Errors
    /// If it does not fit its samples.
    pub fn new(gpu: &'g mut Cuda, network: &Network) -> Result<Self, BuildError> {
        let shape = network.shape;
        let trial = Trial::new(gpu, &network.model, shape, network.batch)?;
        let pixels = (0..network.batch * shape.features()).map(|place| (place * 7919 % 251) as u8).collect();
        let labels = (0..network.batch).map(|sample| (sample * 7 % shape.classes) as u16).collect();
        Ok(Self { gpu, trial, pixels, labels })
    }

    /// Copies pixels and labels to the GPU, goes forward and back, takes norms, updates the weights, and waits for what
    /// the loss came to. `border` is called before the first phase and behind each.
    ///
    /// # Errors
    /// If the GPU has failed.
    pub fn step(&mut self, border: &mut impl FnMut(&mut Cuda) -> Result<(), CudaError>) -> Result<(), CudaError> {
        let Self { gpu, trial, pixels, labels } = self;
        border(gpu)?;
        trial.load(gpu, pixels, labels);
        border(gpu)?;
        trial.forward(gpu);
        border(gpu)?;
        trial.backward(gpu);
        border(gpu)?;
        trial.norms(gpu);
        border(gpu)?;
        trial.update(gpu, SGD);
        border(gpu)?;
        trial.sums(gpu);
        gpu.finish()
    }
}

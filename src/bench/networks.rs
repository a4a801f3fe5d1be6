//! How fast whole networks train.

use std::time::{Duration, Instant};

use anyhow::Result;
use lockstep_kernels::cuda::{Cuda, CudaError, Mark};
use lockstep_proto::job::{self, ModelName};
use lockstep_worker::model::SampleShape;
use lockstep_worker::selftest::Effort;

use super::kernels::Kernels;
use super::step::{PHASES, Steps, nobody};
use super::timing::{WARM_UP, median};
use crate::selftest::name_of;

/// A network with its batch, which one lane takes.
#[derive(Clone, Debug)]
pub struct Network {
    pub model: job::Model,
    pub shape: SampleShape,
    pub batch: usize,
}

impl Network {
    fn new(name: ModelName, [channels, side, classes]: [usize; 3], batch: usize) -> Self {
        let model = job::Model { name, hidden: vec![100], ..job::Model::default() };
        Self { model, shape: SampleShape { channels, height: side, width: side, classes }, batch }
    }

    /// As `model.name` has it.
    pub fn label(&self) -> String {
        name_of(self.model.name)
    }

    /// Of whole steps.
    pub fn images_per_second(&self, speed: &Speed) -> f64 {
        self.batch as f64 / speed.step.as_secs_f64().max(1e-9)
    }
}

/// The networks, the largest first. As `benches/peers/gpu_torch.py` has them.
pub fn all(effort: Effort) -> Vec<Network> {
    use ModelName::{Lenet5, Mlp, Resnet18, Resnet50};
    const GREY: [usize; 3] = [1, 28, 10];
    const COLOURS: [usize; 3] = [3, 224, 1000];
    let small = |batch| vec![Network::new(Lenet5, GREY, batch), Network::new(Mlp, GREY, batch)];
    match effort {
        Effort::Small => small(4),
        Effort::Full => {
            [vec![Network::new(Resnet50, COLOURS, 256), Network::new(Resnet18, COLOURS, 256)], small(1024)].concat()
        }
    }
}

/// How fast a network trains.
#[derive(Clone, Debug)]
pub struct Speed {
    /// Of a whole step, by the host's clock.
    pub step: Duration,
    /// Of each of [`PHASES`], by the GPU's; with what it waits for the host in between.
    pub phases: Vec<Duration>,
    /// How many steps these are medians of.
    pub steps: usize,
}

/// A network's outcome.
pub struct NetworkRow {
    pub network: Network,
    pub kernels: Kernels,
    /// Or why there is none: mostly that it does not fit the GPU's memory.
    pub speed: Result<Speed, String>,
}

/// Trains a network on a GPU, for so many steps and as many again for the phases.
///
/// # Errors
/// If the GPU fails.
pub fn speed(mut gpu: Cuda, network: &Network, steps: usize) -> Result<Speed> {
    let mut train = Steps::new(&mut gpu, network)?;
    for _ in 0..WARM_UP {
        train.step(&mut nobody)?;
    }
    let mut times = Vec::with_capacity(steps);
    for _ in 0..steps {
        let start = Instant::now();
        train.step(&mut nobody)?;
        times.push(start.elapsed());
    }
    let mut phases = vec![Vec::with_capacity(steps); PHASES.len()];
    for _ in 0..steps {
        let marks = marked(&mut train)?;
        for (times, ends) in phases.iter_mut().zip(marks.windows(2)) {
            times.push(ends[1].since(&ends[0])?);
        }
    }
    Ok(Speed { step: median(times), phases: phases.into_iter().map(median).collect(), steps })
}

/// A step's borders of phases, one more than there are phases.
///
/// # Errors
/// If the GPU fails.
pub fn marked(train: &mut Steps<'_>) -> Result<Vec<Mark>, CudaError> {
    let mut marks = Vec::with_capacity(PHASES.len() + 1);
    train.step(&mut |gpu| {
        marks.push(gpu.mark()?);
        Ok(())
    })?;
    Ok(marks)
}

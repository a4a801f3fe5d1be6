//! What a measure has to work with. Weights and gradients are on the host there: flat vectors, parameters first and
//! running statistics behind them, in the order of [`Model::tensors`](crate::model::Model::tensors).

use std::sync::Arc;

use lockstep_collective::Error;
use lockstep_kernels::device::{Device, Failure};
use lockstep_proto::job::{Job, Probe};

use super::directions::direction;
use super::samples::Samples;
use crate::control::StopReason;
use crate::trainer::TrainerError;
use crate::trainer::crew::{Crew, Devices};
use crate::trainer::foresight::Foresight;
use crate::trainer::initial_weights::initial_weights;
use crate::trainer::lane::Work;
use crate::trainer::progress::{Phase, Progress};
use crate::trainer::reduction::Reduction;
use crate::trainer::signals::Signals;
use crate::trainer::state::State;
use lockstep_dataset::DataError;

/// Why a probe was not taken to its end.
pub enum Broken {
    /// A stop is wanted, on all ranks alike.
    Off(StopReason),
    /// The job, or the generation, can't go on.
    Failed(TrainerError),
}

/// One probe, while it is taken.
pub struct Probing<'g, D: Device> {
    /// The job.
    pub job: &'g Job,
    /// What is wanted.
    pub probe: &'g Probe,
    /// The probe's place among the job's.
    pub place: usize,
    /// The flat vector that its line begins at, if it names a file.
    pub start: Option<&'g [f32]>,
    /// Over which samples it is.
    pub samples: Samples,
    /// η of the step that comes next, or would.
    pub learning_rate: f64,
    /// Network and data.
    pub work: &'g Work<D>,
    /// Whether all steps are committed.
    pub(super) is_done: bool,
    pub(super) state: &'g State<D>,
    pub(super) crew: &'g mut Crew<D>,
    /// The device's copy of the weights that a pass is at; made once, and kept for all probes.
    pub(super) scratch: &'g mut Option<D::Buffer<f32>>,
    pub(super) reduction: &'g mut Reduction<D>,
    pub(super) foresight: Option<&'g Arc<Foresight>>,
    pub(super) signals: &'g Signals,
    pub(super) progress: &'g Progress,
}

impl<D: Device> Probing<'_, D> {
    /// Elements of a flat vector.
    pub fn len(&self) -> usize {
        self.work.model.len()
    }

    /// Elements of its first part, the parameters: as many as a gradient has.
    pub fn parameters(&self) -> usize {
        self.work.model.parameters()
    }

    /// The weights that are probed: a flat vector.
    pub fn weights(&mut self) -> Vec<f32> {
        let mut flat = vec![0.0; self.len()];
        self.crew.first_device().read(self.state.averaged(), &mut flat);
        flat
    }

    /// The weights before the first step: a flat vector, made anew from the job.
    ///
    /// # Errors
    /// If the job's file of initial weights is gone, or another.
    pub fn initial_weights(&self) -> Result<Vec<f32>, Broken> {
        Ok(initial_weights(self.job, &self.work.model)?)
    }

    /// A vector of normal draws, as many as there are parameters; `number` tells the probe's vectors apart.
    pub fn direction(&self, number: u64) -> Vec<f32> {
        direction(self.job.seed.init, self.place, number, self.parameters())
    }

    /// The seed of what estimators draw by themselves: another for each of the job's probes.
    pub fn seed(&self) -> u64 {
        self.job.seed.init ^ (self.place as u64 + 1) << 48
    }

    /// A sign of life, for work on the host between passes: nobody shall think that it is stuck.
    ///
    /// # Errors
    /// If the generation is aborted.
    pub fn alive(&self) -> Result<(), Broken> {
        self.progress.enter(Phase::Probe, self.state.cursor.step);
        self.check_aborted()
    }

    /// Once the abort flag is set, lanes are left out: nothing of a pass can be used.
    pub(super) fn check_aborted(&self) -> Result<(), Broken> {
        let is_aborted = self.signals.abort_flag().load(std::sync::atomic::Ordering::Relaxed);
        if is_aborted { Err(Error::Aborted.into()) } else { Ok(()) }
    }
}

impl From<TrainerError> for Broken {
    fn from(error: TrainerError) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<DataError> for Broken {
    fn from(error: DataError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.into())
    }
}

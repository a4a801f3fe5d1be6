//! Probes (`[[probe]]`): what is measured of the network while it trains. They leave the state as it is.
//!
//! In reading order: here is when a probe is taken and what becomes of it; [`samples`] says over which samples it is;
//! [`probing`] is what a measure has to work with, and [`passes`] the two passes over the samples that all measures are
//! made of: losses in evaluation mode, and the sum of gradients, each at any weights, over the job's lanes and their
//! tree. So what they come to is the same bits for any number of workers and threads, as long as a measure adds in a fixed
//! order what it adds itself. [`directions`] draws random vectors, [`figures`] is what a measure tells. Behind them is a
//! file for each measure.
//!
//! All ranks take a probe together, at a step's end behind its evaluation: each whose `every` divides the step; at the
//! job's end those that were not taken at that very step. A generation that starts at a step whose probes were broken off,
//! by a loss or by a stop, makes them up.
//!
//! Probed are the weights that are evaluated: their average, with `optimizer.ema`.

mod directions;
mod figures;
mod gap;
mod hessian;
mod kept;
mod lane_gradients;
mod lines;
mod margins;
mod normaliser;
mod outlook;
mod passes;
mod probing;
mod products;
mod robustness;
mod samples;
mod sharpness;
mod spectra;
mod weights;

use std::time::Instant;

use lockstep_dataset::corruption::Kind;
use lockstep_kernels::device::Device;
use lockstep_proto::job::{Job, Libraries, Probe, ProbeMeasure};
use lockstep_proto::wire;

use super::TrainerError;
use super::generation::Generation;
use super::lane::Work;
use super::measures;
use super::sealed_weights;
use crate::control::StopReason;
use crate::trainer::Trainer;

use figures::Figures;
pub use kept::{Kept, kept};
pub use outlook::ProbeOutlook;
use probing::{Broken, Probing};
pub(super) use samples::{Samples, gradient_lanes, lane_sizes};

/// Takes one probe. All that it needs is in [`Probing`].
fn measure<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    match probing.probe.measure {
        ProbeMeasure::Gap => gap::measure(probing),
        ProbeMeasure::Weights => weights::measure(probing),
        ProbeMeasure::Margins => margins::measure(probing),
        ProbeMeasure::Slice => lines::slice(probing),
        ProbeMeasure::Plane => lines::plane(probing),
        ProbeMeasure::Interpolation => lines::interpolation(probing),
        ProbeMeasure::Shifts => robustness::measure(probing, Kind::Shift),
        ProbeMeasure::Rotations => robustness::measure(probing, Kind::Rotation),
        ProbeMeasure::Scalings => robustness::measure(probing, Kind::Scaling),
        ProbeMeasure::Noise => robustness::measure(probing, Kind::Noise),
        ProbeMeasure::Fgsm => robustness::attack(probing),
        ProbeMeasure::Eigenvalues => hessian::eigenvalues(probing),
        ProbeMeasure::Trace => hessian::trace(probing),
        ProbeMeasure::Density => hessian::density(probing),
        ProbeMeasure::Sam => sharpness::sam(probing),
        ProbeMeasure::Keskar => sharpness::keskar(probing),
        ProbeMeasure::LaneGradients => lane_gradients::measure(probing),
        ProbeMeasure::Spectra => spectra::measure(probing),
    }
}

/// Flat vectors that lines begin at, one for each of a job's probes that names a file: what becomes of the file while
/// the job trains is no matter.
pub(super) type Starts = Vec<Option<Vec<f32>>>;

/// Looks whether all of a job's probes can be taken, before it starts; gives what it read for them.
///
/// # Errors
/// In one line, if one can't.
pub(super) fn check<D: Device>(job: &Job, work: &Work<D>) -> Result<Starts, TrainerError> {
    for probe in &job.probe {
        if probe.measure.has_samples() && Samples::of(probe, &work.dataset).count == 0 {
            return Err(unfit(probe, "there are no samples to take it over"));
        }
        match probe.measure {
            ProbeMeasure::Shifts => check_shifts(probe, work.dataset.width())?,
            ProbeMeasure::Fgsm => check_attack(job, probe, work)?,
            ProbeMeasure::LaneGradients => lane_gradients::check(probe, job, &work.dataset)?,
            ProbeMeasure::Keskar => check_subspace(probe, work.model.parameters())?,
            _ => {}
        }
    }
    job.probe.iter().map(|probe| sealed_weights::of_probe(probe, work.model.tensors())).collect()
}

/// Shifts leave something of the image.
fn check_shifts(probe: &Probe, width: usize) -> Result<(), TrainerError> {
    match probe.strengths.iter().find(|shift| shift.abs() >= width as f64) {
        None => Ok(()),
        Some(shift) => {
            let problem = format!("`strengths` has {shift}, which moves images out of sight: stay below {width}");
            Err(unfit(probe, &problem))
        }
    }
}

/// A space has no more dimensions than weights.
fn check_subspace(probe: &Probe, parameters: usize) -> Result<(), TrainerError> {
    if probe.draws as usize <= parameters {
        return Ok(());
    }
    let problem = format!("`draws` = {} is more than the {parameters} weights: lower it", probe.draws);
    Err(unfit(probe, &problem))
}

/// A way back to the input there is in training mode.
fn check_attack<D: Device>(job: &Job, probe: &Probe, work: &Work<D>) -> Result<(), TrainerError> {
    if work.model.statistics() > 0 || work.model.streams() > 0 {
        let problem = "it does not apply to networks with batch normalisation or dropout, whose way back is that of \
                       training: leave it out";
        return Err(unfit(probe, problem));
    }
    match job.cluster.libraries {
        Libraries::Own => Ok(()),
        Libraries::Auto => Err(unfit(probe, "libraries have no plans for it: set cluster.libraries = \"own\"")),
    }
}

fn unfit(probe: &Probe, problem: &str) -> TrainerError {
    TrainerError::Job(format!("probe {}: {problem}", probe.title()))
}

/// Whether a probe is taken at a step's end; else it is at the job's.
fn is_due(probe: &Probe, step: u64) -> bool {
    step > 0 && probe.every > 0 && step.is_multiple_of(probe.every)
}

impl<D: Device> Generation<'_, D> {
    /// The probes behind the newest step, unless they were reported. Gives why to stop, if a stop has broken one off: the
    /// step's reports are not whole then.
    pub(super) fn probe_if_due(&mut self) -> Result<Option<StopReason>, TrainerError> {
        let step = self.state.cursor.step;
        match step > self.outbox.reported() {
            true => self.probe(|probe| is_due(probe, step)),
            false => Ok(None),
        }
    }

    /// At the job's end, those that were not taken at this very step. Gives why to stop, if a stop has broken one off.
    pub(super) fn probe_at_end(&mut self) -> Result<Option<StopReason>, TrainerError> {
        let step = self.state.cursor.step;
        self.probe(|probe| !is_due(probe, step))
    }

    fn probe(&mut self, wanted: impl Fn(&Probe) -> bool) -> Result<Option<StopReason>, TrainerError> {
        for place in 0..self.trainer.job.probe.len() {
            if !wanted(&self.trainer.job.probe[place]) {
                continue;
            }
            let started = Instant::now();
            let taken = self.take(place);
            self.trainer.meter.spent_apart(started.elapsed());
            match taken {
                Ok(report) => self.outbox.report(wire::report::Report::Probe(report)),
                Err(Broken::Off(why)) => return Ok(Some(why)),
                Err(Broken::Failed(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Takes the job's probe at this place.
    fn take(&mut self, place: usize) -> Result<wire::ProbeReport, Broken> {
        let is_done = self.is_done();
        let Trainer { job, work, starts, schedule, crew, scratch, seat, .. } = &mut *self.trainer;
        let probe = &job.probe[place];
        let cursor = self.state.cursor;
        let mut probing = Probing {
            job,
            probe,
            place,
            start: starts[place].as_deref(),
            samples: Samples::of(probe, &work.dataset),
            learning_rate: schedule.learning_rate(&cursor),
            work,
            is_done,
            state: &self.state,
            crew,
            scratch,
            reduction: &mut self.reduction,
            foresight: self.foresight.as_ref(),
            signals: &self.signals,
            progress: &seat.progress,
        };
        probing.alive()?;
        let figures = measure(&mut probing)?;
        Ok(figures.report(probe, &cursor))
    }
}

/// Whether a stop may break a probe off. Behind the last step others would find nothing left to do.
fn breaks_off(flags: u64, is_done: bool) -> Option<StopReason> {
    measures::stop_reason(flags).filter(|why| *why != StopReason::Regrouped || !is_done)
}

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
mod lane_gradients;
mod passes;
mod probing;
mod products;
mod samples;
mod sharpness;
mod spectra;

use std::time::Instant;

use lockstep_kernels::device::Device;
use lockstep_proto::job::{Job, Probe, ProbeMeasure};
use lockstep_proto::wire;

use super::TrainerError;
use super::generation::Generation;
use super::lane::Work;
use super::measures;
use crate::control::StopReason;
use crate::trainer::Trainer;

use figures::Figures;
use probing::{Broken, Probing};
pub(super) use samples::{Samples, gradient_lanes, lane_sizes};

/// Takes one probe. All that it needs is in [`Probing`].
fn measure<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    match probing.probe.measure {
        ProbeMeasure::Gap => gap::measure(probing),
        ProbeMeasure::Eigenvalues => hessian::eigenvalues(probing),
        ProbeMeasure::Trace => hessian::trace(probing),
        ProbeMeasure::Density => hessian::density(probing),
        ProbeMeasure::Sam => sharpness::sam(probing),
        ProbeMeasure::Keskar => sharpness::keskar(probing),
        ProbeMeasure::LaneGradients => lane_gradients::measure(probing),
        ProbeMeasure::Spectra => spectra::measure(probing),
        measure => Err(refusal(probing.probe, measure).into()),
    }
}

/// Looks whether all of a job's probes can be taken, before it starts.
///
/// # Errors
/// In one line, if one can't.
pub(super) fn check<D: Device>(job: &Job, work: &Work<D>) -> Result<(), TrainerError> {
    for probe in &job.probe {
        if probe.measure.has_samples() && Samples::of(probe, &work.dataset).count == 0 {
            return Err(TrainerError::Job(format!("probe {}: there are no samples to take it over", probe.title())));
        }
        if !is_measured(probe.measure) {
            return Err(refusal(probe, probe.measure));
        }
        if probe.measure == ProbeMeasure::LaneGradients {
            lane_gradients::check(probe, job, &work.dataset)?;
        }
    }
    Ok(())
}

/// Whether [`measure`] knows it.
fn is_measured(measure: ProbeMeasure) -> bool {
    use ProbeMeasure::{Density, Eigenvalues, Gap, Keskar, LaneGradients, Sam, Spectra, Trace};
    matches!(measure, Gap | Eigenvalues | Trace | Density | Keskar | Sam | LaneGradients | Spectra)
}

fn refusal(probe: &Probe, measure: ProbeMeasure) -> TrainerError {
    TrainerError::Job(format!(
        "probe {}: this build can't measure {}: leave the probe out",
        probe.title(),
        measure.as_str()
    ))
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
        let Trainer { job, work, schedule, crew, scratch, seat, .. } = &mut *self.trainer;
        let probe = &job.probe[place];
        let cursor = self.state.cursor;
        let mut probing = Probing {
            job,
            probe,
            place,
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

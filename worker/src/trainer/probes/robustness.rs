//! `shifts`, `rotations`, `scalings`, `noise` and `fgsm`: how well the network stands changes of the images; what the first
//! four are is [`lockstep_dataset::corruption`], the last is a lane's own (`lane/attack.rs`).

use lockstep_dataset::corruption::{Corruption, Kind};
use lockstep_kernels::device::Device;
use lockstep_proto::job::{Probe, ProbeMeasure};

use super::figures::Figures;
use super::probing::{Broken, Probing};
use crate::trainer::lane::Change;

/// `strength`, and `loss` and `accuracy` over the probe's samples so changed.
pub fn measure<D: Device>(probing: &mut Probing<'_, D>, kind: Kind) -> Result<Figures, Broken> {
    let seed = probing.job.seed.init;
    scan(probing, |strength| Change::Corruption(Corruption { kind, strength, seed }))
}

/// The same with `strength` = ε of the fast gradient sign method, in white.
pub fn attack<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    scan(probing, Change::Attack)
}

fn scan<D: Device>(probing: &mut Probing<'_, D>, change: impl Fn(f64) -> Change) -> Result<Figures, Broken> {
    let weights = probing.weights();
    let strengths = strengths(probing.probe);
    let (mut losses, mut accuracies, mut samples) = (Vec::new(), Vec::new(), 0);
    for strength in &strengths {
        let score = probing.score_changed(change(*strength), &weights)?;
        losses.push(score.loss);
        accuracies.push(score.accuracy);
        samples = score.samples;
    }
    let mut figures = Figures::over(samples);
    figures.many("strength", strengths).many("loss", losses).many("accuracy", accuracies);
    Ok(figures)
}

/// Those of a probe: what it says, or the measure's own.
pub fn strengths(probe: &Probe) -> Vec<f64> {
    let own: &[f64] = match probe.measure {
        ProbeMeasure::Shifts => &[0.0, 1.0, 2.0, 3.0, 4.0],
        ProbeMeasure::Rotations => &[0.0, 5.0, 10.0, 20.0, 30.0, 45.0],
        ProbeMeasure::Scalings => &[-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3],
        ProbeMeasure::Noise => &[0.0, 0.05, 0.1, 0.2, 0.4],
        ProbeMeasure::Fgsm => &[0.0, 0.01, 0.03, 0.1, 0.3],
        _ => &[],
    };
    if probe.strengths.is_empty() { own.to_vec() } else { probe.strengths.clone() }
}

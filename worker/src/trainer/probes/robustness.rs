//! `shifts`, `rotations`, `scalings`, `noise` and `fgsm`: how well the network stands changes of the images; what the first
//! four are is [`lockstep_dataset::corruption`], the last is a lane's own (`lane/attack.rs`).

use lockstep_dataset::corruption::{Corruption, Kind};
use lockstep_kernels::device::Device;

use super::figures::Figures;
use super::probing::{Broken, Probing};
use crate::trainer::lane::Change;

/// `strength`, and `loss` and `accuracy` over the probe's samples so changed.
pub fn measure<D: Device>(probing: &mut Probing<'_, D>, kind: Kind) -> Result<Figures, Broken> {
    let seed = probing.job.seed.init;
    scan(probing, defaults(kind), |strength| Change::Corruption(Corruption { kind, strength, seed }))
}

/// The same with `strength` = ε of the fast gradient sign method, in white.
pub fn attack<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    scan(probing, &[0.0, 0.01, 0.03, 0.1, 0.3], Change::Attack)
}

fn scan<D: Device>(
    probing: &mut Probing<'_, D>,
    defaults: &[f64],
    change: impl Fn(f64) -> Change,
) -> Result<Figures, Broken> {
    let weights = probing.weights();
    let strengths = match &probing.probe.strengths[..] {
        [] => defaults.to_vec(),
        strengths => strengths.to_vec(),
    };
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

/// `strengths` of a probe that says none.
fn defaults(kind: Kind) -> &'static [f64] {
    match kind {
        Kind::Shift => &[0.0, 1.0, 2.0, 3.0, 4.0],
        Kind::Rotation => &[0.0, 5.0, 10.0, 20.0, 30.0, 45.0],
        Kind::Scaling => &[-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3],
        Kind::Noise => &[0.0, 0.05, 0.1, 0.2, 0.4],
    }
}

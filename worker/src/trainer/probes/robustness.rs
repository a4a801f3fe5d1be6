//! `shifts`, `rotations`, `scalings`, `noise`: how well the network stands changes of the images; what they are is
//! [`lockstep_dataset::corruption`].

use lockstep_dataset::corruption::{Corruption, Kind};
use lockstep_kernels::device::Device;

use super::figures::Figures;
use super::probing::{Broken, Probing};

/// `strength`, and `loss` and `accuracy` over the probe's samples so changed.
pub fn measure<D: Device>(probing: &mut Probing<'_, D>, kind: Kind) -> Result<Figures, Broken> {
    let weights = probing.weights();
    let strengths = match &probing.probe.strengths[..] {
        [] => defaults(kind).to_vec(),
        strengths => strengths.to_vec(),
    };
    let (mut losses, mut accuracies, mut samples) = (Vec::new(), Vec::new(), 0);
    for strength in &strengths {
        let corruption = Corruption { kind, strength: *strength, seed: probing.job.seed.init };
        let score = probing.score_corrupted(corruption, &weights)?;
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

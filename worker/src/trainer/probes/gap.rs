//! `gap`: loss and accuracy over the probe's samples beside those of the samples that are held out: the generalisation gap.

use lockstep_kernels::device::Device;

use super::figures::Figures;
use super::probing::{Broken, Probing};
use super::samples::Samples;

/// `train_*` are the probe's samples', `held_out_*` those of validation if the job has some, else of the test;
/// `loss_gap` = held out less train, `accuracy_gap` = train less held out: both grow with the gap.
pub fn measure<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let weights = probing.weights();
    let train = probing.score(&weights)?;
    let held_out = Samples::held_out(&probing.work.dataset);
    let unseen = probing.score_over(held_out, &weights)?;
    let mut figures = Figures::over(train.samples);
    figures.by(format!("held out: {}", held_out.split.name()));
    figures.one("train_loss", train.loss).one("train_accuracy", train.accuracy);
    figures.one("held_out_loss", unseen.loss).one("held_out_accuracy", unseen.accuracy);
    figures.one("loss_gap", unseen.loss - train.loss).one("accuracy_gap", train.accuracy - unseen.accuracy);
    Ok(figures)
}

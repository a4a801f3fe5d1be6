//! `margins`: how far the right class is ahead of the best other, in outputs of the network, and over how steep it may be.

use lockstep_kernels::device::Device;

use super::figures::Figures;
use super::normaliser;
use super::passes::place;
use super::probing::{Broken, Probing};
use crate::trainer::lane::Evaluation;
use crate::trainer::loss::Loss;

/// Which quantiles are told.
const QUANTILES: [f64; 9] = [0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0];

/// `quantile`, `margin` at each, and `mean`, the mean of all. A margin is the output of the right class less the largest
/// of the others (of LeNet-5's distances the smallest of the others less the right one); below 0 the answer is wrong. It
/// is of the last layer's outputs as they are, in front of the loss's softmax or sigmoid. The quantile q of n margins in
/// ascending order is the one at ⌊q·(n − 1)⌋.
///
/// `normalised` and `normalised_mean` are these over `spectral_norms`, the [product](normaliser::product) of the layers'
/// norms. Where that is not known, for LeNet-5's distances, and with a layer that divides by what its input comes to, which
/// are no linear maps', a remark says so.
///
/// All margins of all ranks are brought together and sorted, so that quantiles are exact, and whose lanes they come from
/// does not show. One that is not a number goes behind all.
pub fn measure<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let weights = probing.weights();
    let own = margins_of_lanes(probing, &weights)?;
    let mut all = of_all(probing, &own)?;
    all.sort_unstable_by(f32::total_cmp);
    let at = |quantile: &f64| f64::from(all[(quantile * (all.len() - 1) as f64) as usize]);
    let mut figures = Figures::over(all.len() as u64);
    let margins: Vec<f64> = QUANTILES.iter().map(at).collect();
    let mean = all.iter().map(|margin| f64::from(*margin)).sum::<f64>() / all.len() as f64;
    figures.many("quantile", QUANTILES.to_vec()).many("margin", margins.clone()).one("mean", mean);
    match spectral_norms(probing, &weights)? {
        Ok(norms) => {
            figures.one("spectral_norms", norms).one("normalised_mean", mean / norms);
            figures.many("normalised", margins.iter().map(|margin| margin / norms).collect());
        }
        Err(problem) => _ = figures.remark(format!("margins are not normalised: {problem}")),
    }
    Ok(figures)
}

/// The product of the layers' norms, or why it is not known.
fn spectral_norms<D: Device>(probing: &Probing<'_, D>, flat: &[f32]) -> Result<Result<f64, String>, Broken> {
    if matches!(probing.work.loss, Loss::Map { .. }) {
        return Ok(Err("the outputs are distances".to_owned()));
    }
    if let Some(layer) = probing.work.model.divides_by_input() {
        return Ok(Err(format!("{layer} divides by what its input comes to, and is no linear map")));
    }
    let norms = normaliser::product(probing.work.model.tensors(), flat, || probing.alive())?;
    Ok(norms.and_then(|norms| match norms > 0.0 && norms.is_finite() {
        true => Ok(norms),
        false => Err("a layer's norm is 0 or no number".to_owned()),
    }))
}

/// The margins of this worker's lanes.
fn margins_of_lanes<D: Device>(probing: &mut Probing<'_, D>, flat: &[f32]) -> Result<Vec<f32>, Broken> {
    // A pass of its own first: it says how many samples there are, and that none is missing.
    probing.score(flat)?;
    let (samples, work) = (probing.samples, probing.work);
    probing.expect(samples.split, 0..samples.count);
    let weights = place(work, probing.scratch);
    let pulse = probing.signals.pulse(probing.progress);
    let evaluation = Evaluation::new(work, weights, (samples.split, 0..samples.count), pulse);
    let hands = probing.reduction.group.tally_hands(samples.lanes(work.micro_batch))?;
    let mut margins = vec![Vec::new(); hands.len()];
    let parts = hands.into_iter().map(|hand| hand.lanes).zip(&mut margins).collect();
    probing.crew.forget_unread();
    probing.crew.run(parts, |runner, (lanes, margins)| {
        let mut outputs = Vec::new();
        for lane in lanes {
            runner.evaluate_subtree(&evaluation, lane..lane + 1);
            let labels = runner.answers(work, &mut outputs);
            let outputs = outputs.chunks_exact(work.classes);
            margins.extend(labels.iter().zip(outputs).map(|(label, outputs)| margin(&work.loss, *label, outputs)));
        }
    });
    probing.check_aborted()?;
    probing.crew.check_read()?;
    probing.crew.first().device.health()?;
    Ok(margins.concat())
}

/// Of one sample.
fn margin(loss: &Loss, label: u16, outputs: &[f32]) -> f32 {
    let sign = if matches!(loss, Loss::Map { .. }) { -1.0 } else { 1.0 };
    let right = sign * outputs[usize::from(label)];
    let others = outputs.iter().enumerate().filter(|(class, _)| *class != usize::from(label));
    // `max` would pass over what is not a number.
    let better = |best: f32, x: f32| if best.is_nan() || best > x { best } else { x };
    right - others.map(|(_, x)| sign * x).fold(f32::NEG_INFINITY, better)
}

/// Those of all ranks, one rank's behind the other's.
fn of_all<D: Device>(probing: &mut Probing<'_, D>, own: &[f32]) -> Result<Vec<f32>, Broken> {
    let tag = probing.tag();
    let group = &mut probing.reduction.group;
    let (rank, ranks) = group.rank_and_ranks();
    let mut all = Vec::new();
    for source in 0..ranks {
        let mut payload = Vec::new();
        if source == rank {
            payload = own.iter().flat_map(|margin| margin.to_le_bytes()).collect();
        }
        group.broadcast(source as u32, tag, &mut payload)?;
        all.extend(payload.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_the_right_output_less_the_best_other() {
        assert_eq!(margin(&Loss::CrossEntropy, 1, &[0.5, 2.0, -1.0]), 1.5);
        assert_eq!(margin(&Loss::SquaredError, 0, &[0.5, 2.0, -1.0]), -1.5);
        assert_eq!(margin(&Loss::Map { rubbish: 1.0 }, 2, &[4.0, 3.0, 0.5]), 2.5);
        assert!(margin(&Loss::CrossEntropy, 0, &[0.5, 2.0, f32::NAN, 3.0]).is_nan());
        assert!(margin(&Loss::CrossEntropy, 0, &[0.5, f32::NAN, 3.0]).is_nan());
    }
}

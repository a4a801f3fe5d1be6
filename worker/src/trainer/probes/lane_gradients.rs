//! `lane_gradients`: angles between the gradients of single lanes, and the spectrum of their covariance, which a sum
//! over lanes keeps nothing of.

use lockstep_dataset::dataset::Dataset;
use lockstep_estimators::symmetric::eigenvalues;
use lockstep_estimators::vectors::dot_f32;
use lockstep_kernels::device::Device;
use lockstep_proto::job::{Job, Probe};

use super::figures::Figures;
use super::hessian::or;
use super::probing::{Broken, Probing};
use super::samples::Samples;
use crate::trainer::TrainerError;
use crate::trainer::measures;

const LANES: usize = 32;

/// Lanes whose gradients are kept: whole ones alone, since a short one's mean is noisier.
pub fn lanes(probe: &Probe, samples: Samples, micro_batch: u64) -> u64 {
    (samples.count / micro_batch).min(or(probe.lanes, LANES) as u64)
}

/// Whether there are two lanes at least.
///
/// # Errors
/// In one line, if not.
pub fn check(probe: &Probe, job: &Job, dataset: &Dataset) -> Result<(), TrainerError> {
    let micro_batch = u64::from(job.batch.micro_batch);
    if lanes(probe, Samples::of(probe, dataset), micro_batch) >= 2 {
        return Ok(());
    }
    Err(TrainerError::Job(format!(
        "probe {}: angles are between at least two whole lanes: take it over {} samples or more, and two `lanes`",
        probe.title(),
        2 * micro_batch
    )))
}

/// Mean, least and largest cosine of the angles between lanes' mean gradients g_k; `covariance`: the K − 1 eigenvalues of
/// Σ(g_k − ḡ)(g_k − ḡ)ᵀ/(K − 1) that are not 0, the largest first, by the Gram matrix of the g_k − ḡ; `diversity` =
/// Σ‖g_k‖²/‖Σ g_k‖² (Yin et al. 2018, "Gradient diversity").
pub fn measure<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let micro_batch = probing.work.micro_batch;
    let count = lanes(probing.probe, probing.samples, micro_batch);
    let (weights, len) = (probing.weights(), probing.parameters());
    let (mut kept, mut sum, mut samples) = (Vec::new(), vec![0.0; len], 0);
    for lane in 0..count {
        sum.fill(0.0);
        let tally = probing.gradient_over(lane * micro_batch..(lane + 1) * micro_batch, &weights, &mut sum)?;
        let of_lane = tally.counts[measures::SAMPLES];
        samples += of_lane;
        kept.push(sum.iter().map(|d| (d / of_lane as f64) as f32).collect::<Vec<f32>>());
    }
    let products = gram(&kept, || probing.alive())?;
    let mut figures = Figures::over(samples);
    figures.one("lanes", count as f64);
    angles(&mut figures, &products, kept.len());
    match eigenvalues(&centred(&products, kept.len()), kept.len()) {
        Ok(values) => {
            // The smallest is that of the mean, which was taken out.
            let values = values.into_iter().rev().take(kept.len() - 1);
            figures.many("covariance", values.map(|value| value / (kept.len() - 1) as f64).collect());
        }
        Err(unsolved) => _ = figures.remark(format!("the covariance has no spectrum: {unsolved}")),
    }
    Ok(figures)
}

/// ⟨g_i, g_j⟩, row by row; `alive` is asked before each row.
fn gram<E>(kept: &[Vec<f32>], mut alive: impl FnMut() -> Result<(), E>) -> Result<Vec<f64>, E> {
    let count = kept.len();
    let mut products = vec![0.0; count * count];
    for i in 0..count {
        alive()?;
        let wide: Vec<f64> = kept[i].iter().map(|d| f64::from(*d)).collect();
        for j in 0..=i {
            let product = dot_f32(&kept[j], &wide);
            (products[i * count + j], products[j * count + i]) = (product, product);
        }
    }
    Ok(products)
}

/// ⟨g_i − ḡ, g_j − ḡ⟩ of the products ⟨g_i, g_j⟩.
fn centred(products: &[f64], count: usize) -> Vec<f64> {
    let means: Vec<f64> = products.chunks_exact(count).map(|row| row.iter().sum::<f64>() / count as f64).collect();
    let mean = means.iter().sum::<f64>() / count as f64;
    (0..count * count).map(|k| products[k] - means[k / count] - means[k % count] + mean).collect()
}

fn angles(figures: &mut Figures, products: &[f64], count: usize) {
    let square = |i: usize| products[i * count + i];
    let pairs = (0..count).flat_map(|i| (0..i).map(move |j| (i, j)));
    let cosines: Vec<f64> = pairs.map(|(i, j)| products[i * count + j] / (square(i) * square(j)).sqrt()).collect();
    if cosines.iter().all(|cosine| cosine.is_finite()) {
        figures.one("cosine_mean", cosines.iter().sum::<f64>() / cosines.len() as f64);
        figures.one("cosine_min", cosines.iter().copied().fold(1.0, f64::min));
        figures.one("cosine_max", cosines.iter().copied().fold(-1.0, f64::max));
    } else {
        figures.remark("a lane's gradient is zero or not finite: there are no angles to it");
    }
    let whole: f64 = products.iter().sum();
    if whole > 0.0 {
        figures.one("diversity", (0..count).map(square).sum::<f64>() / whole);
    } else {
        figures.remark("the lanes' gradients add up to nothing: there is no diversity of them");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_and_covariance_are_those_of_the_vectors() {
        // Of (3, 0), (0, 4) and (3, 4), whose mean is (2, 8/3).
        let kept = [vec![3.0, 0.0], vec![0.0, 4.0], vec![3.0, 4.0]];
        let products = gram(&kept, || Ok::<_, ()>(())).unwrap();
        let mut figures = Figures::over(3);
        angles(&mut figures, &products, 3);
        let mut expected = Figures::over(3);
        expected.one("cosine_mean", (0.0 + 0.6 + 0.8) / 3.0).one("cosine_min", 0.0).one("cosine_max", 0.8);
        expected.one("diversity", 50.0 / (36.0 + 64.0));
        assert_eq!(figures, expected);
        // The covariance matrix is ((3, −2), (−2, 16/3)).
        let values = eigenvalues(&centred(&products, 3), 3).unwrap();
        let (mean, half) = ((3.0 + 16.0 / 3.0) / 2.0, ((7.0f64 / 6.0).powi(2) + 4.0).sqrt());
        for (value, expected) in values.iter().map(|value| value / 2.0).zip([0.0, mean - half, mean + half]) {
            assert!((value - expected).abs() < 1e-12, "{value} {expected}");
        }
    }
}

//! The gradient noise of a smaller batch in a large one (`optimizer.noise_batch`), with the covariance that the lanes have.
//!
//! Lane k of K has n_k of the step's N samples and the mean gradient g_k; with w_k = n_k/N the step's gradient is
//! ḡ = Σ w_k·g_k. With noise it is
//!
//! `ĝ = Σ w_k·f_k·g_k`, `f_k = 1 + a·(ξ_k − ξ̄)`, `ξ̄ = Σ w_k·ξ_k`, ξ_k independent and standard normal.
//!
//! Since E f_k = 1, ĝ has the mean of ḡ, over draws of ξ and of samples. Write ĝ = ḡ + Σ e_k·g_k with
//! `e_k = a·w_k·(ξ_k − ξ̄)`: Σ e_k = 0, so that what the lanes have in common, the true gradient G, drops out, and
//! Σ e_k·g_k = Σ e_k·(g_k − G). Let Σ₁ be the covariance of a sample's gradient; then cov g_k = Σ₁/n_k, lanes are
//! independent of each other and of ξ, and
//!
//! - ḡ and Σ e_k·g_k are uncorrelated, as E e_k = 0;
//! - cov Σ e_k·g_k = Σ₁·Σ E e_k²/n_k. With s = Σ w_k², E(ξ_k − ξ̄)² = 1 − 2·w_k + s, and so
//!   Σ E e_k²/n_k = a²/N·Σ w_k·(1 − 2·w_k + s) = a²·(1 − s)/N.
//!
//! Together cov ĝ = Σ₁·(1 + a²·(1 − s))/N, which is Σ₁/B′, the noise of a batch of B′ samples, for
//!
//! `a² = (N/B′ − 1) / (1 − s)`;
//!
//! with K lanes alike 1 − s = (K − 1)/K. Given the samples, the noise is in the span of g_k − ḡ, as that of drawing lanes
//! anew would be. (Of samples without replacement all covariances have the finite population's factor alike, but for
//! 1/N of the data set.)
//!
//! A step of no more than B′ samples, the short last of an epoch, has the noise of its own already and gets none; one of
//! more has two lanes at least, as B′ is no less than a micro-batch. Norms in the tally are those of g_k, while the
//! reduced gradient is N·ĝ: no noise scale can be reckoned from the two.

use lockstep_dataset::random::{Purpose, Random};
use lockstep_proto::job::Job;

use super::lane::lane_positions;
use super::schedule::StepPlan;

/// What the lanes of one step are multiplied by.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneNoise {
    factors: Vec<f32>,
}

impl LaneNoise {
    /// The factors f_k of a step behind `steps` others: a function of `seed.augment`, the plan, and `steps`. None where
    /// the step gets no noise.
    pub fn of(job: &Job, plan: &StepPlan, steps: u64) -> Option<Self> {
        let batch = u64::from(job.optimizer.noise_batch);
        if batch == 0 || plan.samples <= batch {
            return None;
        }
        let lanes = (0..plan.lanes).map(|lane| lane_positions(0..plan.samples, lane, job.batch.micro_batch.into()));
        let shares: Vec<f64> = lanes.map(|lane| (lane.end - lane.start) as f64 / plan.samples as f64).collect();
        let mut random = Random::new(job.seed.augment, Purpose::LaneNoise, 0, steps);
        let draws: Vec<f64> = shares.iter().map(|_| random.next_normal()).collect();
        let mean: f64 = shares.iter().zip(&draws).map(|(share, draw)| share * draw).sum();
        let squares: f64 = shares.iter().map(|share| share * share).sum();
        let amplitude = ((plan.samples as f64 / batch as f64 - 1.0) / (1.0 - squares)).sqrt();
        Some(Self { factors: draws.into_iter().map(|draw| (1.0 + amplitude * (draw - mean)) as f32).collect() })
    }

    /// The same factor for so many lanes.
    #[cfg(test)]
    pub fn alike(factor: f32, lanes: u32) -> Self {
        Self { factors: vec![factor; lanes as usize] }
    }

    /// f_k of lane k.
    pub fn factor(&self, lane: u32) -> f32 {
        self.factors[lane as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICRO_BATCH: u32 = 4;

    fn job(noise_batch: u32) -> Job {
        let mut job = Job::default();
        (job.batch.micro_batch, job.optimizer.noise_batch) = (MICRO_BATCH, noise_batch);
        job
    }

    fn plan(samples: u64) -> StepPlan {
        StepPlan { epoch: 0, first: 0, samples, lanes: samples.div_ceil(MICRO_BATCH.into()) as u32 }
    }

    /// Each lane's samples, and the e_k of many steps.
    fn drawn(samples: u64, noise_batch: u32, steps: u64) -> (Vec<f64>, Vec<Vec<f64>>) {
        let (job, plan) = (job(noise_batch), plan(samples));
        let counts: Vec<f64> =
            (0..plan.lanes).map(|lane| lane_positions(0..samples, lane, 4)).map(|lane| lane.count() as f64).collect();
        let of_step = |step| {
            let noise = LaneNoise::of(&job, &plan, step).unwrap();
            let e =
                |(lane, count): (usize, &f64)| (f64::from(noise.factor(lane as u32)) - 1.0) * count / samples as f64;
            counts.iter().enumerate().map(e).collect()
        };
        let all = (0..steps).map(of_step).collect();
        (counts, all)
    }

    /// Mean and its standard error.
    fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
        let count = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / count;
        let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, (variance / count).sqrt())
    }

    /// Σ e_k²/n_k is 1/B′ − 1/N on the mean of many steps, for lanes alike and with a short last one. The standard error is
    /// below a thirtieth: without the factor 1 − s it would be off by a quarter with four lanes.
    #[test]
    fn the_step_has_the_noise_of_the_smaller_batch() {
        for (samples, noise_batch) in [(16, 4), (16, 10), (8, 4), (13, 5), (9, 4), (256, 32)] {
            let (counts, steps) = drawn(samples, noise_batch, 20_000);
            let squares = |e: &Vec<f64>| e.iter().zip(&counts).map(|(e, count)| e * e / count).sum();
            let (found, error) = mean(steps.iter().map(squares));
            let expected = 1.0 / f64::from(noise_batch) - 1.0 / samples as f64;
            assert!(error < expected / 30.0, "{samples}, {noise_batch}: {error} is no error to tell {expected} by");
            assert!(
                (found - expected).abs() < 4.0 * error,
                "{samples}, {noise_batch}: {found} ± {error}, not {expected}"
            );
            for lane in 0..counts.len() {
                let (found, error) = mean(steps.iter().map(|e| e[lane]));
                assert!(found.abs() < 4.5 * error, "{samples}, {noise_batch}: lane {lane} has {found} ± {error}");
            }
        }
    }

    /// Neither the gradient that lanes have in common nor its length changes: Σ e_k = 0, but for the rounding of factors.
    #[test]
    fn what_lanes_have_in_common_gets_no_noise() {
        for samples in [16, 13] {
            let (_, steps) = drawn(samples, 5, 100);
            let worst = steps.iter().map(|e| e.iter().sum::<f64>().abs()).fold(0.0, f64::max);
            assert!(worst < 1e-6, "{worst}");
        }
    }

    #[test]
    fn a_step_of_no_more_samples_gets_none_and_steps_and_seeds_differ() {
        assert_eq!(LaneNoise::of(&job(0), &plan(16), 0), None);
        assert_eq!(LaneNoise::of(&job(8), &plan(8), 0), None);
        assert_eq!(LaneNoise::of(&job(8), &plan(5), 0), None);
        let mut other = job(8);
        other.seed.augment += 1;
        let of = |job: &Job, steps| LaneNoise::of(job, &plan(16), steps).unwrap();
        assert_eq!(of(&job(8), 3), of(&job(8), 3));
        assert!(of(&job(8), 3) != of(&job(8), 4) && of(&job(8), 3) != of(&other, 3));
    }
}

//! Descents whose course is known in closed form: SGD on a noisy quadratic gets to a target in as many steps as its
//! moments say, and the hyperbola of these steps is found with its critical batch; gradient descent on a quadratic is
//! stable up to its limit.
//!
//! The quadratic has L = ½ Σ λ_i θ_i², so H = diag(λ), and a sample's gradient is Hθ plus noise of covariance
//! Σ = diag(σ_i²). With a batch B and a learning rate η the second moments m_i = E θ_i² follow
//! m_i′ = (1 − ηλ_i)² m_i + η² σ_i²/B exactly, and E L = ½ Σ λ_i m_i.

use super::*;

/// Distinct curvatures: 1, 1/2, … 1/32.
const CURVATURES: usize = 32;
/// Directions of each: with many the loss of a run is close to its expectation, and it does not get there early by luck.
const ALIKE: usize = 100;
/// σ_i² = this · λ_i: with θ_i² = 1/λ_i at the start it is trΣ/‖G‖² there.
const NOISE: f64 = 20.0;
/// Share of the first loss that is to be reached.
const TARGET: f64 = 0.1;
const BATCHES: [f64; 9] = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

fn curvature(place: usize) -> f64 {
    1.0 / (place + 1) as f64
}

/// Second moments on the way with all samples (an infinite batch) or a batch, until the expected loss is at the target.
fn expected(batch: f64, rate: f64, most: usize) -> Option<Vec<[f64; CURVATURES]>> {
    let mut moments: [f64; CURVATURES] = std::array::from_fn(|place| 1.0 / curvature(place));
    let mut course = Vec::new();
    let loss = |moments: &[f64; CURVATURES]| (0..CURVATURES).map(|i| curvature(i) * moments[i]).sum::<f64>();
    let target = TARGET * loss(&moments);
    while loss(&moments) > target {
        if course.len() == most {
            return None;
        }
        course.push(moments);
        moments = std::array::from_fn(|i| {
            (1.0 - rate * curvature(i)).powi(2) * moments[i] + rate * rate * NOISE * curvature(i) / batch
        });
    }
    Some(course)
}

/// The best learning rate of a batch, and the steps that it takes to the target.
fn tuned(batch: f64) -> (f64, usize) {
    let mut best = (0.0, 5000);
    let mut rate = 1.9;
    while rate > 1e-3 {
        if let Some(course) = expected(batch, rate, best.1 - 1) {
            best = (rate, course.len());
        }
        rate /= 1.05;
    }
    assert!(best.0 > 0.0, "batch {batch} never gets there");
    best
}

fn normal(generator: &mut Generator) -> f64 {
    let radius = (-2.0 * (1.0 - generator.even()).ln()).sqrt();
    radius * (2.0 * std::f64::consts::PI * generator.even()).cos()
}

/// Steps of one run to the target.
fn simulated(batch: f64, rate: f64, generator: &mut Generator) -> f64 {
    let places: Vec<f64> = (0..CURVATURES * ALIKE).map(|place| curvature(place % CURVATURES)).collect();
    let mut weights: Vec<f64> = places.iter().map(|curvature| curvature.sqrt().recip()).collect();
    let loss = |weights: &[f64]| weights.iter().zip(&places).map(|(w, curvature)| curvature * w * w).sum::<f64>();
    let target = TARGET * loss(&weights);
    let mut steps = 0;
    while loss(&weights) > target {
        assert!(steps < 10_000, "batch {batch}");
        for (weight, curvature) in weights.iter_mut().zip(&places) {
            *weight -= rate * (curvature * *weight + (NOISE * curvature / batch).sqrt() * normal(generator));
        }
        steps += 1;
    }
    f64::from(steps)
}

#[test]
fn the_critical_batch_of_a_noisy_quadratic_is_found() {
    let best = BATCHES.map(tuned);
    let exact: Vec<(f64, f64)> = BATCHES.iter().zip(best).map(|(batch, (_, steps))| (*batch, steps as f64)).collect();
    let truth = fit_hyperbola(std::slice::from_ref(&exact)).unwrap();
    // The curve is a hyperbola, if only nearly: steps are whole, and the noise scale grows on the way.
    assert!(truth.residual < 0.06, "{truth:?}");

    let mut generator = Generator::new(11);
    let seeds: Vec<Vec<(f64, f64)>> = (0..5)
        .map(|_| {
            BATCHES
                .iter()
                .zip(best)
                .map(|(batch, (rate, _))| (*batch, simulated(*batch, rate, &mut generator)))
                .collect()
        })
        .collect();
    for (place, (batch, steps)) in exact.iter().enumerate() {
        let measured = mean(&seeds.iter().map(|seed| seed[place].1).collect::<Vec<_>>()).unwrap();
        assert!(
            (measured - steps).abs() < 1.0 + 0.1 * steps,
            "batch {batch}: {measured} steps, and {steps} by moments"
        );
    }
    let fit = fit_hyperbola(&seeds).unwrap();
    let critical = truth.curve.critical_batch();
    let Interval { value, low: Some(low), high: Some(high), .. } = fit.critical_batch else { panic!("{fit:?}") };
    // A run of a small batch gets there when its loss first dips to the target, some steps in a hundred before its
    // expectation does: that is no matter of seeds, so the interval need not have it.
    assert!((0.93 * low..1.07 * high).contains(&critical) && fit.bends_within, "{critical} is not in {fit:?}");
    assert!(high - low < 0.4 * value, "an interval that says little: {fit:?}");

    // McCandlish et al. 2018: B_crit is of the order of the noise scale, averaged over the run (here of all samples).
    let scale = |moments: &[f64; CURVATURES]| {
        let trace: f64 = (0..CURVATURES).map(|i| NOISE * curvature(i)).sum();
        trace / (0..CURVATURES).map(|i| curvature(i).powi(2) * moments[i]).sum::<f64>()
    };
    let course = expected(f64::INFINITY, tuned(f64::INFINITY).0, 5000).unwrap();
    assert!((scale(&course[0]) - NOISE).abs() < 1e-9);
    let average = mean(&course.iter().map(scale).collect::<Vec<_>>()).unwrap();
    assert!(
        (1.0 / 3.0..3.0).contains(&(value / average)) && value > NOISE,
        "B_crit {value}, noise scale {average} averaged over the run"
    );
}

/// How far along one direction of curvature 1 a descent is from its minimum after many steps, having begun at 1: by the
/// update of PyTorch, v′ = βv + g, w′ = w − ηv′, with Nesterov's w′ = w − η(g + βv′).
fn distance(rate: f64, momentum: f64, nesterov: bool) -> f64 {
    let (mut weight, mut velocity) = (1.0_f64, 0.0);
    for _ in 0..20_000 {
        let gradient = weight;
        velocity = momentum * velocity + gradient;
        weight -= rate * if nesterov { gradient + momentum * velocity } else { velocity };
        if weight.abs() > 1e6 {
            break;
        }
    }
    weight.abs()
}

#[test]
fn descent_is_stable_just_below_its_limit_and_not_just_above() {
    assert_eq!(stability_limit(0.0, false), 2.0);
    for (momentum, nesterov) in [(0.0, false), (0.5, false), (0.9, false), (0.5, true), (0.9, true)] {
        let limit = stability_limit(momentum, nesterov);
        let (below, above) = (distance(0.999 * limit, momentum, nesterov), distance(1.001 * limit, momentum, nesterov));
        assert!(below < 1e-3 && above > 1e6, "β = {momentum}, Nesterov's: {nesterov}: {below} below, {above} above");
    }
}

//! Gradient noise against a noisy quadratic: a sample's gradient at w is H·w + ξ with ξ ~ N(0, Σ), so that G, trΣ and
//! their ratio are known, for all parameters and for each layer.

mod random;

use lockstep_estimators::noise::{BLOCK_STEPS, BLOCKS, Estimate, Lanes, Scale, Step, Unknown, Window};
use random::Random;

/// A quadratic at one place: of each layer the gradient there, and the standard deviation of a sample's in each direction.
struct Quadratic {
    layers: Vec<Vec<(f64, f64)>>,
}

/// What a step's lanes came to: (P, S) of each layer.
struct Drawn {
    lanes: Lanes,
    of_lanes: Vec<f64>,
    of_sum: Vec<f64>,
}

impl Drawn {
    fn step(&self) -> Step<'_> {
        Step { lanes: self.lanes, of_lanes: &self.of_lanes, of_sum: &self.of_sum }
    }
}

impl Quadratic {
    /// H = diag(1, 2, … 6), w = `reach`·(1, 1/2, … 1/6), so G = reach·(1, … 1); Σ = diag(4, 1, …): two layers.
    fn at(reach: f64) -> Self {
        let direction = |i: u32| {
            let (h, w) = (f64::from(i), reach / f64::from(i));
            (h * w, if i % 2 == 1 { 2.0 } else { 1.0 })
        };
        Self { layers: vec![(1..=2).map(direction).collect(), (3..=6).map(direction).collect()] }
    }

    fn trace(&self, layer: usize) -> f64 {
        self.layers[layer].iter().map(|(_, deviation)| deviation * deviation).sum()
    }

    fn squared_norm(&self, layer: usize) -> f64 {
        self.layers[layer].iter().map(|(gradient, _)| gradient * gradient).sum()
    }

    fn both(&self, of: impl Fn(&Self, usize) -> f64) -> f64 {
        of(self, 0) + of(self, 1)
    }

    /// A step of lanes of these sizes. A lane's sum of n gradients is N(n·G, n·Σ).
    fn draw(&self, random: &mut Random, sizes: &[u64]) -> Drawn {
        let lanes = Lanes { samples: sizes.iter().sum(), squares: sizes.iter().map(|n| n * n).sum() };
        let (mut of_lanes, mut of_sum) = (vec![0.0; self.layers.len()], vec![0.0; self.layers.len()]);
        for (layer, directions) in self.layers.iter().enumerate() {
            for (gradient, deviation) in directions {
                let mut sum = 0.0;
                for &n in sizes {
                    let lane = n as f64 * gradient + (n as f64).sqrt() * deviation * random.normal();
                    of_lanes[layer] += lane * lane;
                    sum += lane;
                }
                of_sum[layer] += sum * sum;
            }
        }
        Drawn { lanes, of_lanes, of_sum }
    }

    fn window(&self, random: &mut Random, steps: u64, sizes: &[u64]) -> Window {
        let mut window = Window::new(self.layers.len());
        (0..steps).for_each(|_| window.add(&self.draw(random, sizes).step()));
        window
    }
}

/// Mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}

/// `values` have this mean, within four standard errors.
fn is_mean(what: &str, values: &[f64], expected: f64) {
    let (mean, error) = mean(values);
    assert!((mean - expected).abs() < 4.0 * error, "{what}: {mean} ± {error}, not {expected}");
}

/// `values` have clearly another mean: the test tells a formula without its correction from the right one.
fn is_not_mean(what: &str, values: &[f64], expected: f64) {
    let (mean, error) = mean(values);
    assert!((mean - expected).abs() > 20.0 * error, "{what}: {mean} ± {error} can't be told from {expected}");
}

const DRAWS: usize = 20_000;

#[test]
fn one_step_is_unbiased_for_lanes_of_any_sizes() {
    for sizes in [&[4, 4, 4, 4][..], &[7, 5, 3, 1], &[12, 1], &[2, 0, 3]] {
        let (quadratic, mut random) = (Quadratic::at(0.5), Random::new(1));
        let draws: Vec<_> = (0..DRAWS).map(|_| quadratic.draw(&mut random, sizes)).collect();
        for layer in 0..2 {
            let each = |of: &dyn Fn(&Lanes, f64, f64) -> f64| -> Vec<f64> {
                draws.iter().map(|d| of(&d.lanes, d.of_lanes[layer], d.of_sum[layer])).collect()
            };
            let (trace, norm) = (quadratic.trace(layer), quadratic.squared_norm(layer));
            let what = |name: &str| format!("{name} of layer {layer}, lanes {sizes:?}");
            is_mean(&what("trace"), &each(&|lanes, p, s| lanes.trace(p, s).unwrap()), trace);
            is_mean(&what("squared norm"), &each(&|lanes, p, s| lanes.squared_norm(p, s).unwrap()), norm);
            // q's own expectation: ‖G‖² and the noise of a lane.
            let Lanes { samples: n, squares: a } = draws[0].lanes;
            let of_lane = norm + n as f64 / a as f64 * trace;
            is_mean(&what("lanes"), &each(&|lanes, p, _| lanes.lane_squared_norm(p).unwrap()), of_lane);

            // Any correction that is left out would be seen.
            let batch = |lanes: &Lanes| (lanes.samples as f64).powi(2);
            is_not_mean(&what("‖mean gradient‖²"), &each(&|lanes, _, s| s / batch(lanes)), norm);
            is_not_mean(&what("S/(N² − A)"), &each(&|lanes, _, s| s / lanes.pairs()), norm);
            is_not_mean(&what("trace around 0"), &each(&|lanes, p, _| p / lanes.samples as f64), trace);
            let around_mean = |lanes: &Lanes, p: f64, s: f64| p - lanes.squares as f64 / batch(lanes) * s;
            let divided = |lanes: &Lanes, p, s| around_mean(lanes, p, s) / lanes.samples as f64;
            is_not_mean(&what("trace by N"), &each(&divided), trace);
        }
        if sizes.iter().any(|n| *n != sizes[0]) {
            // As if all lanes had as many samples as the mean lane.
            let as_equal = |d: &Drawn| {
                let squares = d.lanes.samples * d.lanes.samples / sizes.len() as u64;
                Lanes { squares, ..d.lanes }.trace(d.of_lanes[0], d.of_sum[0]).unwrap()
            };
            let values: Vec<_> = draws.iter().map(as_equal).collect();
            is_not_mean("trace as if lanes were equal", &values, quadratic.trace(0));
        }
    }
}

#[test]
fn equal_lanes_are_the_formulas_of_the_paper() {
    let (count, b) = (8_u64, 32.0);
    let batch = count as f64 * b;
    let drawn = Quadratic::at(0.1).draw(&mut Random::new(2), &[32; 8]);
    let (p, s) = (drawn.of_lanes[0], drawn.of_sum[0]);
    let (q, of_mean) = (p / (count as f64 * b * b), s / (batch * batch));
    let close = |ours: Option<f64>, paper: f64| assert!((ours.unwrap() / paper - 1.0).abs() < 1e-12);
    close(drawn.lanes.lane_squared_norm(p), q);
    close(drawn.lanes.squared_norm(p, s), (batch * of_mean - b * q) / (batch - b));
    close(drawn.lanes.trace(p, s), (q - of_mean) / (1.0 / b - 1.0 / batch));
}

/// Without replacement, of N samples: trΣ with divisor N − 1 as it is, ‖G‖² less trΣ/N.
#[test]
fn samples_that_do_not_come_again_take_their_part_of_the_noise_from_the_norm() {
    const N: usize = 12;
    let mut random = Random::new(4);
    let gradients: Vec<f64> = (0..N).map(|_| 0.3 + random.normal()).collect();
    let (average, _) = mean(&gradients);
    let trace = gradients.iter().map(|g| (g - average).powi(2)).sum::<f64>() / (N as f64 - 1.0);
    let (mut traces, mut norms, mut order) = (Vec::new(), Vec::new(), gradients);
    let lanes = Lanes { samples: 9, squares: 16 + 9 + 4 };
    for _ in 0..DRAWS {
        (1..N).rev().for_each(|last| order.swap(last, random.below(last + 1)));
        let sums = [&order[..4], &order[4..7], &order[7..9]].map(|lane| lane.iter().sum::<f64>());
        let (p, s) = (sums.iter().map(|sum| sum * sum).sum(), sums.iter().sum::<f64>().powi(2));
        traces.push(lanes.trace(p, s).unwrap());
        norms.push(lanes.squared_norm(p, s).unwrap());
    }
    is_mean("trace", &traces, trace);
    is_mean("squared norm", &norms, average * average - trace / N as f64);
    is_not_mean("squared norm", &norms, average * average);
}

fn between(estimate: Estimate) -> Option<[f64; 3]> {
    match estimate.scale {
        Scale::Between { scale, low, high } => Some([scale, low, high]),
        Scale::Above(_) | Scale::Unknown(_) => None,
    }
}

/// So many of `all` trials do what 95 % should: within four standard errors of the binomial.
fn covers(what: &str, hits: usize, all: usize) {
    let (share, error) = (hits as f64 / all as f64, (0.95_f64 * 0.05 / all as f64).sqrt());
    assert!((share - 0.95).abs() < 4.0 * error, "{what}: {share:.3} of {all} trials, not 0.95 ± {error:.3}");
}

/// Scale, trΣ and ‖G‖² of a window over many seeds, of all layers and of each: 95 of 100 intervals hold the true scale,
/// whether the window is full, began a while ago, or has steps of several sizes.
#[test]
fn intervals_hold_the_true_scale_as_often_as_they_say() {
    const SEEDS: usize = 2_000;
    let (quadratic, full) = (Quadratic::at(1.0), BLOCKS as u64 * BLOCK_STEPS);
    for steps in [20, 100, full + 37] {
        let (mut hits, mut traces, mut norms) = ([0; 3], Vec::new(), Vec::new());
        for seed in 0..SEEDS {
            let mut random = Random::new(1000 + seed as u64);
            let mut window = Window::new(2);
            for step in 0..steps {
                // Every fifth is the short last one of an epoch.
                let sizes: &[u64] = if step % 5 == 4 { &[2, 1] } else { &[2, 2, 2, 2] };
                window.add(&quadratic.draw(&mut random, sizes).step());
            }
            let all = [window.total(), window.layer(0), window.layer(1)].map(Option::unwrap);
            traces.push(all[0].trace);
            norms.push(all[0].squared_norm);
            let scales = [
                quadratic.both(Quadratic::trace) / quadratic.both(Quadratic::squared_norm),
                quadratic.trace(0) / quadratic.squared_norm(0),
                quadratic.trace(1) / quadratic.squared_norm(1),
            ];
            for ((hit, estimate), scale) in hits.iter_mut().zip(all).zip(scales) {
                *hit += usize::from(match estimate.scale {
                    Scale::Between { low, high, .. } => low <= scale && scale <= high,
                    Scale::Above(low) => low <= scale,
                    Scale::Unknown(why) => panic!("{why}"),
                });
            }
        }
        is_mean("trace", &traces, quadratic.both(Quadratic::trace));
        is_mean("squared norm", &norms, quadratic.both(Quadratic::squared_norm));
        for (hits, what) in hits.into_iter().zip(["all", "layer 0", "layer 1"]) {
            covers(&format!("{what} after {steps} steps"), hits, SEEDS);
        }
    }
}

/// A ratio of means is near the true scale where a mean of ratios is not, and where the plain batch norm is too low.
#[test]
fn the_scale_is_a_ratio_of_means() {
    let quadratic = Quadratic::at(0.5);
    let truth = quadratic.both(Quadratic::trace) / quadratic.both(Quadratic::squared_norm);
    let sizes = [2; 4];
    let (mut ratios_of_means, mut means_of_ratios, mut uncorrected) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let (mut window, mut ratios, mut plain) = (Window::new(2), Vec::new(), [0.0; 2]);
        for _ in 0..BLOCKS as u64 * BLOCK_STEPS {
            let drawn = quadratic.draw(&mut random, &sizes);
            let (p, s) = (drawn.of_lanes.iter().sum(), drawn.of_sum.iter().sum::<f64>());
            let (trace, norm) = (drawn.lanes.trace(p, s).unwrap(), drawn.lanes.squared_norm(p, s).unwrap());
            ratios.push(trace / norm);
            plain = [plain[0] + trace, plain[1] + s / 64.0];
            window.add(&drawn.step());
        }
        ratios_of_means.push(between(window.total().unwrap()).unwrap()[0]);
        means_of_ratios.push(mean(&ratios).0);
        uncorrected.push(plain[0] / plain[1]);
    }
    let off = |values: &[f64]| {
        let errors: Vec<f64> = values.iter().map(|value| (value / truth - 1.0).abs()).collect();
        mean(&errors).0
    };
    assert!(off(&ratios_of_means) < 0.15, "{}", off(&ratios_of_means));
    assert!(off(&means_of_ratios) > 0.5, "{}", off(&means_of_ratios));
    assert!(off(&uncorrected) > 0.3, "{}", off(&uncorrected));
}

/// Without a gradient the true scale is infinite, and 95 of 100 windows give a bound: of the others some give a scale, some
/// a ‖G‖² below 0. A gradient that is small is not above its bound more often than it should be.
#[test]
fn a_gradient_that_can_not_be_told_from_none_gives_a_bound() {
    const SEEDS: usize = 2_000;
    let (flat, mut kinds) = (Quadratic::at(0.0), [0; 3]);
    for seed in 0..SEEDS as u64 {
        let estimate = flat.window(&mut Random::new(seed), 200, &[2; 4]).total().unwrap();
        match estimate.scale {
            Scale::Between { .. } => kinds[0] += 1,
            Scale::Above(bound) => {
                assert!(bound > 0.0 && bound.is_finite(), "{bound}");
                kinds[1] += 1;
            }
            Scale::Unknown(Unknown::Negative) => kinds[2] += 1,
            Scale::Unknown(why) => panic!("{why}"),
        }
    }
    covers("bounds of an infinite scale", kinds[1], SEEDS);
    assert!(kinds[0] > 0 && kinds[2] > 0, "{kinds:?}");

    // So small a gradient that about half of the windows see none.
    let weak = Quadratic::at(0.11);
    let truth = weak.both(Quadratic::trace) / weak.both(Quadratic::squared_norm);
    let (mut bounds, mut hits) = (0, 0);
    for seed in 0..SEEDS as u64 {
        let estimate = weak.window(&mut Random::new(seed), 64, &[2; 4]).total().unwrap();
        hits += usize::from(match estimate.scale {
            Scale::Between { low, high, .. } => low <= truth && truth <= high,
            Scale::Above(bound) => {
                bounds += 1;
                bound <= truth
            }
            Scale::Unknown(_) => false,
        });
    }
    covers("a weak gradient", hits, SEEDS);
    assert!(bounds > SEEDS / 4 && bounds < SEEDS, "{bounds}");
}

/// Means, variances and covariance as the jackknife defines them, from blocks that are in fact left out.
#[test]
fn intervals_are_those_of_the_jackknife() {
    let (quadratic, mut random) = (Quadratic::at(0.7), Random::new(5));
    // While there are at most so many steps, each is a block.
    let steps: Vec<_> = (0..12).map(|step| quadratic.draw(&mut random, &vec![3; 2 + step % 4])).collect();
    let mut window = Window::new(2);
    steps.iter().for_each(|drawn| window.add(&drawn.step()));
    let [scale, low, high] = between(window.layer(1).unwrap()).unwrap();

    let all: Vec<(f64, [f64; 2])> = steps
        .iter()
        .map(|d| {
            let (p, s) = (d.of_lanes[1], d.of_sum[1]);
            (d.lanes.pairs(), [d.lanes.trace(p, s).unwrap(), d.lanes.squared_norm(p, s).unwrap()])
        })
        .collect();
    let mean = |left_out: Option<usize>, of: &dyn Fn([f64; 2]) -> f64| {
        let kept = all.iter().enumerate().filter(|(index, _)| Some(*index) != left_out);
        let (mut sum, mut size) = (0.0, 0.0);
        kept.for_each(|(_, (m, x))| (sum, size) = (sum + m * of(*x), size + m));
        sum / size
    };
    let size: f64 = all.iter().map(|(m, _)| m).sum();
    let error = |of: &dyn Fn([f64; 2]) -> f64| {
        let theta = mean(None, of);
        let h = |block: usize| size / all[block].0;
        let without: Vec<f64> = (0..all.len()).map(|block| mean(Some(block), of)).collect();
        let jackknifed =
            all.len() as f64 * theta - (0..all.len()).map(|block| (1.0 - 1.0 / h(block)) * without[block]).sum::<f64>();
        let pseudo = |block: usize| h(block) * theta - (h(block) - 1.0) * without[block];
        let each = (0..all.len()).map(|block| (pseudo(block) - jackknifed).powi(2) / (h(block) - 1.0));
        (each.sum::<f64>() / all.len() as f64).sqrt()
    };
    assert!((scale - mean(None, &|x| x[0]) / mean(None, &|x| x[1])).abs() < 1e-9);
    for end in [low, high] {
        let left = |x: [f64; 2]| x[0] - end * x[1];
        let t = mean(None, &left).abs() / error(&left);
        assert!((t - 2.2010).abs() < 1e-6, "{t} at {end}, not Student's t of 11 degrees of freedom");
    }
}

#[test]
fn what_does_not_tell_noise_from_gradient_changes_nothing() {
    let (quadratic, mut random) = (Quadratic::at(1.0), Random::new(7));
    let mut window = Window::new(2);
    assert_eq!((window.total(), window.layer(1), window.steps()), (None, None, 0));
    let one_lane = quadratic.draw(&mut random, &[8]);
    assert_eq!(one_lane.lanes.trace(1.0, 1.0), None);
    assert_eq!(one_lane.lanes.squared_norm(1.0, 1.0), None);
    window.add(&one_lane.step());
    window.add(&quadratic.draw(&mut random, &[8, 0]).step());
    assert!(window.is_empty() && Lanes::default().lane_squared_norm(0.0).is_none());

    window.add(&quadratic.draw(&mut random, &[4, 4]).step());
    assert_eq!(window.total().unwrap().scale, Scale::Unknown(Unknown::FewSteps));
    window.add(&quadratic.draw(&mut random, &[4, 4]).step());
    assert!(!matches!(window.total().unwrap().scale, Scale::Unknown(Unknown::FewSteps)));

    let before = window.clone();
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut drawn = quadratic.draw(&mut random, &[4, 4]);
        drawn.of_lanes[1] = bad;
        window.add(&drawn.step());
        let mut drawn = quadratic.draw(&mut random, &[4, 4]);
        drawn.of_sum[0] = bad;
        window.add(&drawn.step());
    }
    assert_eq!(window, before);
}

/// A window holds the newest 249 to 256 steps, once there are so many; what was before is forgotten.
#[test]
fn a_window_is_the_last_steps() {
    let (before, after, mut random) = (Quadratic::at(30.0), Quadratic::at(1.0), Random::new(3));
    let full = BLOCKS as u64 * BLOCK_STEPS;
    let mut window = before.window(&mut random, 1000, &[2; 4]);
    let mut newest = Vec::new();
    for _ in 0..full {
        let drawn = after.draw(&mut random, &[2; 4]);
        window.add(&drawn.step());
        newest.push(drawn);
    }
    assert!((full - BLOCK_STEPS + 1..=full).contains(&window.steps()), "{}", window.steps());
    let mut alone = Window::new(2);
    newest[newest.len() - window.steps() as usize..].iter().for_each(|drawn| alone.add(&drawn.step()));
    let [ours, theirs] = [window, alone].map(|window| window.total().unwrap());
    assert!(
        (ours.trace / theirs.trace - 1.0).abs() < 1e-12
            && (ours.squared_norm / theirs.squared_norm - 1.0).abs() < 1e-12
    );

    let mut steps = Vec::new();
    let mut window = Window::new(2);
    for _ in 0..full {
        window.add(&after.draw(&mut random, &[2; 4]).step());
        steps.push(window.steps());
    }
    assert_eq!(steps, Vec::from_iter(1..=full), "none is lost before it is full");
}

#[test]
fn a_window_goes_on_from_its_words() {
    let (quadratic, mut random) = (Quadratic::at(1.0), Random::new(9));
    let steps: Vec<_> = (0..700).map(|_| quadratic.draw(&mut random, &[3, 2, 1])).collect();
    let mut whole = Window::new(2);
    for (count, drawn) in steps.iter().enumerate() {
        if [0, 1, 31, 32, 33, 100, 256, 300, 699].contains(&count) {
            let mut resumed = Window::from_words(2, &whole.words()).unwrap();
            assert_eq!(resumed, whole);
            resumed.add(&drawn.step());
            let mut next = whole.clone();
            next.add(&drawn.step());
            assert_eq!(resumed.words(), next.words(), "behind {count} steps");
        }
        whole.add(&drawn.step());
    }
    let words = whole.words();
    assert!(Window::from_words(2, &words).is_some());
    let changed = |at: usize, word: u64| {
        let mut words = words.clone();
        words[at] = word;
        words
    };
    let too_long = [words.clone(), words[1..].to_vec()].concat();
    let bad = [
        Vec::new(),
        words[..words.len() - 1].to_vec(),
        too_long,
        changed(0, 3),
        changed(0, 16),
        changed(1, 0),
        changed(1, 9),
        changed(2, f64::NAN.to_bits()),
        changed(2, 0.0_f64.to_bits()),
        changed(4, f64::INFINITY.to_bits()),
    ];
    for words in bad {
        assert_eq!(Window::from_words(2, &words), None);
    }
    assert_eq!(Window::from_words(3, &words), None);
}

#[test]
fn steps_of_another_kind_begin_a_window_anew() {
    let (quadratic, mut random) = (Quadratic::at(1.0), Random::new(11));
    let mut draw = |count: usize| -> Vec<_> { (0..count).map(|_| quadratic.draw(&mut random, &[4, 4])).collect() };
    let (before, behind) = (draw(70), draw(50));
    let mut both = Window::new(2);
    for (kind, steps) in [(3, &before), (8, &behind)] {
        for drawn in steps {
            both.turn_to(kind);
            both.add(&drawn.step());
        }
    }
    let mut alone = Window::new(2);
    alone.turn_to(8);
    behind.iter().for_each(|drawn| alone.add(&drawn.step()));
    assert_eq!((both.steps(), &both), (50, &alone));

    // The kind is in its words: who goes on from them does the same. A window of no kind goes before all kinds.
    let mut resumed = Window::from_words(2, &both.words()).unwrap();
    assert_eq!(resumed, both);
    resumed.turn_to(8);
    assert_eq!(resumed.steps(), 50);
    resumed.turn_to(9);
    assert_eq!((resumed.steps(), resumed.words().len()), (0, 1));
    let mut old = Window::new(2);
    before.iter().for_each(|drawn| old.add(&drawn.step()));
    assert_eq!((old.words().len() % 6, both.words().len() % 6), (1, 2), "blocks are of six words");
    let mut old = Window::from_words(2, &old.words()).unwrap();
    old.turn_to(3);
    assert!(old.is_empty());
}

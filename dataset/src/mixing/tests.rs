//! Mixed lanes: what they are, and what they depend on.

use lockstep_proto::job::Augment;

use super::*;

const SHAPE: ImageShape = ImageShape { channels: 2, height: 6, width: 9 };

fn mixing(mixup: f64, cutmix: f64) -> Mixing {
    let job = Job { augment: Augment { mixup, cutmix, ..Augment::default() }, ..Job::default() };
    Mixing::of(&job, SHAPE).expect("one is on")
}

fn lane(samples: usize) -> Vec<u8> {
    (0..samples * SHAPE.len()).map(|i| (i * i % 251 + i % 3) as u8).collect()
}

fn seen(sample: u64) -> Seen {
    Seen { epoch: 2, sample }
}

/// The samples of a lane, each with the one behind it.
fn pairs(pixels: &[u8]) -> Vec<(&[u8], &[u8])> {
    let samples: Vec<_> = pixels.chunks_exact(SHAPE.len()).collect();
    (0..samples.len()).map(|i| (samples[i], samples[(i + 1) % samples.len()])).collect()
}

/// Within half a grey level of λ of the one and 1 − λ of the other.
#[test]
fn mixup_is_a_weighted_mean_of_two_samples() {
    for first in 0..50 {
        let (pixels, mixing) = (lane(5), mixing(0.4, 0.0));
        let mut mixed = pixels.clone();
        let share = mixing.mix(&mut mixed, seen(first), &mut vec![7; 3]);
        for (mixed, (own, other)) in mixed.chunks_exact(SHAPE.len()).zip(pairs(&pixels)) {
            for (mixed, (own, other)) in mixed.iter().zip(own.iter().zip(other)) {
                let exact = share * f64::from(*own) + (1.0 - share) * f64::from(*other);
                assert!((f64::from(*mixed) - exact).abs() <= 0.5, "{mixed} is not {exact}");
            }
        }
    }
}

/// As `rand_bbox` of CutMix's authors has it:
///
/// ```python
/// def span(size, lam, centre):
///     cut = int(size * (1. - lam) ** 0.5)
///     return [min(max(centre - cut // 2, 0), size), min(max(centre + cut // 2, 0), size)]
/// print([span(*of) for of in [(32, 0.5, 16), (32, 0.5, 3), (32, 0.5, 31), (9, 0.25, 4), (224, 0.9, 100), (6, 1.0, 5), (6, 0.0, 0)]])
/// ```
#[test]
fn windows_are_those_of_the_authors_code() {
    let spans = [(32, 0.5, 16), (32, 0.5, 3), (32, 0.5, 31), (9, 0.25, 4), (224, 0.9, 100), (6, 1.0, 5), (6, 0.0, 0)];
    let expected = [[5, 27], [0, 14], [20, 32], [1, 7], [65, 135], [5, 5], [0, 3]];
    assert_eq!(spans.map(|(all, share, centre)| span(all, share, centre)), expected);
}

/// A rectangle, the same in all channels and samples, whose area is what the share says.
#[test]
fn cutmix_puts_a_window_of_the_one_into_the_other() {
    let mut shares = Vec::new();
    for first in 0..200 {
        let (pixels, mixing) = (lane(3), mixing(0.0, 1.0));
        let mut mixed = pixels.clone();
        let share = mixing.mix(&mut mixed, seen(first), &mut Vec::new());
        let Mix::Paste([rows, columns]) = mixing.draw(&mut Random::new(0, Purpose::Mix, 2, first)) else {
            panic!("no other is on")
        };
        let area = (rows[1] - rows[0]) * (columns[1] - columns[0]);
        assert_eq!(share, 1.0 - area as f64 / 54.0);
        shares.push(share);
        for (mixed, (own, other)) in mixed.chunks_exact(SHAPE.len()).zip(pairs(&pixels)) {
            for (place, pixel) in mixed.iter().enumerate() {
                let (row, column) = (place % 54 / 9, place % 9);
                let within = (rows[0]..rows[1]).contains(&row) && (columns[0]..columns[1]).contains(&column);
                assert_eq!(*pixel, if within { other } else { own }[place]);
            }
        }
    }
    assert!(shares.iter().any(|share| *share < 0.5) && shares.contains(&1.0), "{shares:?}");
}

/// As a fair coin says, each with an α of its own.
#[test]
fn with_both_each_lane_has_one_of_them() {
    let both = mixing(0.2, 1.0);
    let draw = |mixing: &Mixing, first| mixing.draw(&mut Random::new(0, Purpose::Mix, 0, first));
    let [only_blends, only_pastes] = [mixing(0.2, 0.0), mixing(0.0, 1.0)];
    let mut blends = 0;
    for first in 0..2_000 {
        let mix = draw(&both, first);
        let is_blend = matches!(mix, Mix::Blend(_));
        blends += u32::from(is_blend);
        assert_eq!(mix, draw(if is_blend { &only_blends } else { &only_pastes }, first));
    }
    assert!((900..1_100).contains(&blends), "{blends} of 2,000");
}

#[test]
fn a_lane_depends_on_its_first_sample_epoch_and_seed_alone() {
    let of = |mixing: &Mixing, first| {
        let mut pixels = lane(4);
        mixing.mix(&mut pixels, first, &mut vec![1; 999]);
        pixels
    };
    let mixing = mixing(1.0, 0.0);
    let one = of(&mixing, seen(3));
    assert_eq!(of(&mixing, seen(3)), one);
    assert_ne!(of(&mixing, seen(4)), one);
    assert_ne!(of(&mixing, Seen { epoch: 3, sample: 3 }), one);
    assert_ne!(of(&Mixing { seed: 1, ..mixing.clone() }, seen(3)), one);
    let mut alone = lane(1);
    mixing.mix(&mut alone, seen(3), &mut Vec::new());
    assert_eq!(alone, lane(1), "a sample alone is mixed with itself");
    assert!(Mixing::of(&Job::default(), SHAPE).is_none());
}

/// Beta(α, α) has a mean of 1/2, a variance of 1/(4(2α + 1)), and a fourth central moment of 3/(16(2α + 1)(2α + 3)).
#[test]
fn shares_have_the_moments_of_their_distribution() {
    for alpha in [0.01, 0.2, 1.0, 2.5, 100.0] {
        let draws = (0..40_000).map(|first| beta(alpha, &mut Random::new(1, Purpose::Mix, 0, first)));
        let [mut mean, mut second, mut fourth] = [0.0; 3];
        for draw in draws {
            assert!((0.0..=1.0).contains(&draw), "{draw}");
            let distance = draw - 0.5;
            (mean, second, fourth) = (mean + distance, second + distance.powi(2), fourth + distance.powi(4));
        }
        let [mean, second, fourth] = [mean, second, fourth].map(|sum| sum / 40_000.0);
        let (variance, kurtosis) =
            (0.25 / (2.0 * alpha + 1.0), 3.0 / (16.0 * (2.0 * alpha + 1.0) * (2.0 * alpha + 3.0)));
        assert!(mean.abs() < 4.0 * (variance / 40_000.0).sqrt(), "α = {alpha}: a mean of 1/2 + {mean}");
        assert!((second / variance - 1.0).abs() < 0.03, "α = {alpha}: {second}, not {variance}");
        assert!((fourth / kurtosis - 1.0).abs() < 0.06, "α = {alpha}: {fourth}, not {kurtosis}");
    }
}

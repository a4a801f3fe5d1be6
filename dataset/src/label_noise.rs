//! Training labels that are wrong on purpose (`data.label_noise`; Zhang et al. 2017, "Understanding deep learning requires
//! rethinking generalization"): a share p of the training samples has one of the other classes, each as likely.
//!
//! Which samples, and which class, is a function of (`seed.augment`, sample): the same in every epoch, whatever the order,
//! whoever reads it. So the noise is a property of what is trained on, and so of all that looks at training samples. Those
//! that are held out, for validation or test, have the labels that they came with.

use lockstep_proto::job::Job;

use super::dataset::{Dataset, Split};
use super::random::{Purpose, Random};

/// A job's label noise.
#[derive(Clone, Debug)]
pub struct LabelNoise {
    seed: u64,
    /// p, in 2⁻³².
    share: f64,
    classes: u32,
}

impl LabelNoise {
    /// What a job wants of a dataset's labels; none if it wants them as they are.
    pub fn of(job: &Job, dataset: &Dataset) -> Option<Self> {
        Self::new(job.seed.augment, job.data.label_noise, dataset.classes())
    }

    fn new(seed: u64, share: f64, classes: usize) -> Option<Self> {
        let noise = || Self { seed, share: share * (1u64 << 32) as f64, classes: classes as u32 };
        (share > 0.0).then(noise)
    }

    /// The label of a sample that came with `label`.
    pub fn label(&self, split: Split, sample: u64, label: u16) -> u16 {
        if split != Split::Train {
            return label;
        }
        let mut random = Random::new(self.seed, Purpose::LabelNoise, 0, sample);
        if f64::from(random.next_u32()) >= self.share {
            return label;
        }
        let others = u64::from(self.classes - 1);
        let further = 1 + ((u64::from(random.next_u32()) * others) >> 32) as u32;
        // Below the classes, of which there are at most 2¹⁶.
        ((u32::from(label) + further) % self.classes) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 100,000 samples; the standard error of the share is √(p(1 − p)/100,000), and as much for each other class.
    #[test]
    fn the_share_is_wrong_and_evenly_so() {
        for (share, classes) in [(0.01, 10), (0.2, 10), (0.5, 2), (0.9, 3)] {
            let noise = LabelNoise::new(3, share, classes).unwrap();
            let mut counts = vec![0u32; classes];
            for sample in 0..100_000 {
                counts[usize::from(noise.label(Split::Train, sample, 1))] += 1;
            }
            let near = |count: u32, expected: f64| {
                let found = f64::from(count) / 1e5;
                let error = (expected * (1.0 - expected) / 1e5).sqrt();
                assert!((found - expected).abs() < 4.0 * error, "{found} for {expected} of {share}, {classes} classes");
            };
            let right = counts.remove(1);
            near(100_000 - right, share);
            counts.into_iter().for_each(|count| near(count, share / (classes as f64 - 1.0)));
        }
    }

    #[test]
    fn all_labels_may_be_wrong_and_held_out_ones_never_are() {
        let noise = LabelNoise::new(3, 1.0, 4).unwrap();
        assert!((0..1000).all(|sample| noise.label(Split::Train, sample, 2) != 2));
        assert!((0..1000).all(|sample| noise.label(Split::Validation, sample, 2) == 2));
        assert!((0..1000).all(|sample| noise.label(Split::Test, sample, 2) == 2));
        assert!(LabelNoise::new(3, 0.0, 4).is_none());
    }

    #[test]
    fn another_seed_gives_other_samples() {
        let wrong = |seed| {
            let noise = LabelNoise::new(seed, 0.3, 10).unwrap();
            (0..100).filter(|&sample| noise.label(Split::Train, sample, 5) != 5).collect::<Vec<_>>()
        };
        assert_eq!(wrong(1), wrong(1));
        assert_ne!(wrong(1), wrong(2));
    }
}

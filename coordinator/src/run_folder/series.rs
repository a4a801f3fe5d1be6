//! What the curves show: series of (step, value), down-sampled where they grow long.

use lockstep_proto::report::{NoiseEstimate, NoiseScale, Report};

/// Points that a series keeps in memory before it halves itself.
const KEPT: usize = 20_000;

/// Measures over steps.
#[derive(Default)]
pub struct Curves {
    /// Loss of steps.
    pub loss: Series,
    /// Accuracy of steps.
    pub accuracy: Series,
    /// Loss and accuracy of evaluations, by split in the order of appearance.
    pub evaluations: Vec<(String, Series, Series)>,
    /// Noise scale of steps.
    pub noise: Noise,
}

/// Noise scale over steps, as far as a logarithmic axis can show it.
#[derive(Default)]
pub struct Noise {
    /// The scale where it is identified.
    pub scale: Series,
    /// Ends of its interval.
    pub interval: [Series; 2],
    /// A lower bound where it is not.
    pub above: Series,
}

/// One curve.
#[derive(Default)]
pub struct Series {
    /// (step, value), finite, in the order of arrival.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    fn add(&mut self, step: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.points.len() == KEPT {
            self.points = keep_extremes(&self.points, KEPT / 4);
        }
        self.points.push((step as f64, value));
    }
}

impl Noise {
    fn add(&mut self, step: u64, noise: &NoiseScale) {
        let [low, high] = &mut self.interval;
        let NoiseEstimate { scale, low: lower, high: upper, above, .. } = noise.all;
        let all = [(&mut self.scale, scale), (low, lower), (high, upper), (&mut self.above, above)];
        for (series, value) in all {
            series.add(step, value.filter(|value| *value > 0.0).unwrap_or(f64::NAN));
        }
    }

    /// All values.
    pub fn points(&self) -> impl Iterator<Item = &(f64, f64)> {
        [&self.scale, &self.above].into_iter().chain(&self.interval).flat_map(|series| &series.points)
    }
}

impl Curves {
    /// Takes a report in.
    pub fn add(&mut self, report: &Report) {
        match report {
            Report::Step(step) => {
                self.loss.add(step.step, step.loss);
                self.accuracy.add(step.step, step.accuracy);
                step.noise.iter().for_each(|noise| self.noise.add(step.step, noise));
            }
            Report::Evaluation(evaluation) => {
                let known = self.evaluations.iter().position(|(split, ..)| *split == evaluation.split);
                let index = known.unwrap_or_else(|| {
                    let split = evaluation.split.clone();
                    self.evaluations.push((split, Series::default(), Series::default()));
                    self.evaluations.len() - 1
                });
                let (_, loss, accuracy) = &mut self.evaluations[index];
                loss.add(evaluation.step, evaluation.loss);
                accuracy.add(evaluation.step, evaluation.accuracy);
            }
            Report::Probe(_) => {}
        }
    }
}

/// Runs of points between which there is none of `gaps`; both in the order of steps.
pub fn split_at<'a>(points: &'a [(f64, f64)], gaps: &[(f64, f64)]) -> impl Iterator<Item = &'a [(f64, f64)]> {
    let gaps_before = |step: f64| gaps.partition_point(|gap| gap.0 < step);
    points.chunk_by(move |a, b| gaps_before(a.0) == gaps_before(b.0))
}

/// At most 4 × `buckets` points: first, lowest, highest and last of each run of neighbours.
pub fn keep_extremes(points: &[(f64, f64)], buckets: usize) -> Vec<(f64, f64)> {
    if points.len() <= 4 * buckets {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(4 * buckets);
    for bucket in points.chunks(points.len().div_ceil(buckets)) {
        let by_value = |a: &&usize, b: &&usize| bucket[**a].1.total_cmp(&bucket[**b].1);
        let all: Vec<usize> = (0..bucket.len()).collect();
        let lowest = all.iter().min_by(by_value).copied().unwrap_or(0);
        let highest = all.iter().max_by(by_value).copied().unwrap_or(0);
        let mut chosen = [0, lowest, highest, bucket.len() - 1];
        chosen.sort_unstable();
        for (position, index) in chosen.iter().enumerate() {
            if position == 0 || chosen[position - 1] != *index {
                kept.push(bucket[*index]);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{keep_extremes, split_at};

    #[test]
    fn curves_end_at_gaps() {
        let points = [1.0, 2.0, 5.0, 6.0, 9.0].map(|step| (step, 0.5));
        let runs = |gaps: &[f64]| -> Vec<usize> {
            let gaps: Vec<_> = gaps.iter().map(|step| (*step, 7.0)).collect();
            split_at(&points, &gaps).map(<[_]>::len).collect()
        };
        assert_eq!(runs(&[]), [5]);
        assert_eq!(runs(&[0.5, 3.0, 4.0, 8.0, 10.0]), [2, 2, 1]);
    }

    #[test]
    fn down_sampling_keeps_extremes_and_ends() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), 0.5)).collect();
        points[4321].1 = 9.0;
        points[8765].1 = -9.0;
        let kept = keep_extremes(&points, 100);
        assert!(kept.len() <= 400);
        assert!(kept.contains(&(4321.0, 9.0)) && kept.contains(&(8765.0, -9.0)));
        assert_eq!((kept[0].0, kept[kept.len() - 1].0), (0.0, 9999.0));
        assert!(kept.is_sorted_by(|a, b| a.0 < b.0));
    }
}

//! Counting right answers: where a label's output stands among the others.

use crate::device::LossSums;
use crate::simd::{Pack, Simd, WIDTH};

/// Which outputs are the better ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Larger,
    Smaller,
}

/// The classes of a group's labels as numbers; NaN, which equals no class, for padding samples.
pub(crate) fn classes_of(labels: &[u16]) -> Pack {
    let mut classes = [f32::NAN; WIDTH];
    for (class, label) in classes.iter_mut().zip(labels) {
        *class = f32::from(*label);
    }
    classes
}

/// Adds a group's right answers to `sums`. `x` (K packs), `labels` of the samples that are no padding.
///
/// An output stands behind those that are better, those that are equal and come first, and NaNs; a NaN behind all.
#[inline(always)]
pub(crate) fn count<S: Simd>(s: S, x: &[Pack], labels: &[u16], better: Better, sums: &mut LossSums) {
    let mut of_label = [f32::NAN; WIDTH];
    for (i, label) in labels.iter().enumerate() {
        of_label[i] = x[usize::from(*label)][i];
    }
    let (of_label, class_of) = (s.load(&of_label), s.load(&classes_of(labels)));
    let one = s.splat(1.0);
    let mut ahead = s.splat(0.0);
    for (k, x) in x.iter().enumerate() {
        let x = s.load(x);
        let (high, low) = match better {
            Better::Larger => (x, of_label),
            Better::Smaller => (of_label, x),
        };
        ahead = s.add(ahead, s.keep(s.greater_or_unordered(high, low), one));
        let earlier = s.greater(class_of, s.splat(k as f32));
        ahead = s.add(ahead, s.keep(s.both(earlier, s.equal(x, of_label)), one));
    }
    let mut places = [0.0; WIDTH];
    s.store(&mut places, ahead);
    for (i, (place, label)) in places.iter().zip(labels).enumerate() {
        let number = !x[usize::from(*label)][i].is_nan();
        sums.correct += u64::from(number && *place < 1.0);
        sums.correct_in_5 += u64::from(number && *place < 5.0);
    }
}

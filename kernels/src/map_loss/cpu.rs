//! The maximum a posteriori loss on the CPU: 16 samples at a time, classes in order.

use super::{MapLoss, MapLossSize};
use crate::cpu::Cpu;
use crate::cross_entropy::answers::{Better, classes_of};
use crate::cross_entropy::groups::GroupLoss;
use crate::device::LossOutput;
use crate::simd::{Pack, Simd, WIDTH, math};

impl MapLoss for Cpu {
    fn map_loss(&mut self, size: &MapLossSize, x: &[f32], labels: &[u16], output: LossOutput<'_, Cpu>) {
        self.loss_over_classes(Distances { rubbish: size.rubbish }, &size.classes, x, labels, output);
    }
}

struct Distances {
    rubbish: f32,
}

impl GroupLoss for Distances {
    const BETTER: Better = Better::Smaller;

    #[inline(always)]
    fn add<S: Simd>(&self, s: S, _: usize, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64) {
        let (smallest, log_of_sum) = wrong_answers(s, self.rubbish, labels, x, d_x);
        for (i, label) in labels.iter().map(|label| usize::from(*label)).enumerate() {
            *sum += f64::from(x[label][i]) - f64::from(smallest[i]) + f64::from(log_of_sum[i]);
            d_x[label][i] = 1.0;
        }
    }
}

/// The gradients of all outputs but the label's. Returns m, the smallest of j and these outputs, and
/// `ln(e^(m−j) + Σ e^(m−x[k]))`: in relation to the smallest no power overflows.
#[inline(always)]
fn wrong_answers<S: Simd>(s: S, rubbish: f32, labels: &[u16], x: &[Pack], d_x: &mut [Pack]) -> (Pack, Pack) {
    let class_of = s.load(&classes_of(labels));
    let (zero, j) = (s.splat(0.0), s.splat(rubbish));
    let mut smallest = j;
    for (k, x) in x.iter().enumerate() {
        let right = s.equal(class_of, s.splat(k as f32));
        smallest = s.select(right, smallest, s.min(smallest, s.load(x)));
    }
    let mut sum = math::exp(s, s.sub(smallest, j));
    for (k, (x, d_x)) in x.iter().zip(d_x.iter_mut()).enumerate() {
        let right = s.equal(class_of, s.splat(k as f32));
        let e = s.select(right, zero, math::exp(s, s.sub(smallest, s.load(x))));
        sum = s.add(sum, e);
        s.store(d_x, e);
    }
    for d_x in d_x {
        let d = s.sub(zero, s.div(s.load(d_x), sum));
        s.store(d_x, d);
    }
    let mut results = ([0.0; WIDTH], [0.0; WIDTH]);
    s.store(&mut results.0, smallest);
    s.store(&mut results.1, math::log(s, sum));
    results
}

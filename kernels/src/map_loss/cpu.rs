//! The maximum a posteriori loss on the CPU: 16 samples at a time, classes in order.

use super::{MapLoss, MapLossSize};
use crate::cpu::{Cpu, samples_in_group};
use crate::cross_entropy::answers::{Better, classes_of, count};
use crate::cross_entropy::cpu::check_labels;
use crate::device::{Label, LossSums};
use crate::simd::{Kernel, Pack, Simd, WIDTH, math};

impl MapLoss for Cpu {
    fn map_loss<L: Label>(&mut self, size: &MapLossSize, x: &[f32], labels: &[L], d_x: &mut [f32]) -> LossSums {
        check_labels(&size.classes, labels);
        let x = self.layout.whole("x", x, size.classes.samples, size.classes.classes);
        let mut d_x = self.layout.whole_out("d_x", d_x, size.classes.samples, size.classes.classes);
        self.isa.run(Loss { size, x: &x, labels, d_x: &mut d_x })
    }
}

struct Loss<'a, L> {
    size: &'a MapLossSize,
    x: &'a [Pack],
    labels: &'a [L],
    d_x: &'a mut [Pack],
}

impl<L: Label> Kernel for Loss<'_, L> {
    type Output = LossSums;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> LossSums {
        let classes = self.size.classes.classes.max(1);
        let mut sums = LossSums::default();
        let groups = self.x.chunks_exact(classes).zip(self.d_x.chunks_exact_mut(classes));
        for (group, (x, d_x)) in groups.enumerate() {
            let samples = samples_in_group(self.size.classes.samples, group);
            let labels = &self.labels[group * WIDTH..][..samples];
            let (smallest, log_of_sum) = wrong_answers(s, self.size.rubbish, labels, x, d_x);
            for (i, label) in labels.iter().map(|label| label.class()).enumerate() {
                sums.loss += f64::from(x[label][i]) - f64::from(smallest[i]) + f64::from(log_of_sum[i]);
                d_x[label][i] = 1.0;
            }
            count(s, x, labels, Better::Smaller, &mut sums);
            for d_x in d_x {
                d_x[samples..].fill(0.0);
            }
        }
        sums
    }
}

/// The gradients of all outputs but the label's. Returns m, the smallest of j and these outputs, and
/// `ln(e^(m−j) + Σ e^(m−x[k]))`: in relation to the smallest no power overflows.
#[inline(always)]
fn wrong_answers<S: Simd, L: Label>(s: S, rubbish: f32, labels: &[L], x: &[Pack], d_x: &mut [Pack]) -> (Pack, Pack) {
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

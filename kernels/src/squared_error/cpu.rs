//! Squared error on the CPU.

use super::SquaredError;
use crate::cpu::{Cpu, samples_in_group};
use crate::cross_entropy::ClassesSize;
use crate::cross_entropy::answers::{Better, classes_of, count};
use crate::cross_entropy::cpu::check_labels;
use crate::device::{Label, LossSums};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl SquaredError for Cpu {
    fn squared_error<L: Label>(&mut self, size: &ClassesSize, x: &[f32], labels: &[L], d_x: &mut [f32]) -> LossSums {
        check_labels(size, labels);
        let x = self.layout.whole("x", x, size.samples, size.classes);
        let mut d_x = self.layout.whole_out("d_x", d_x, size.samples, size.classes);
        self.isa.run(Loss { size, x: &x, labels, d_x: &mut d_x })
    }
}

struct Loss<'a, L> {
    size: &'a ClassesSize,
    x: &'a [Pack],
    labels: &'a [L],
    d_x: &'a mut [Pack],
}

impl<L: Label> Kernel for Loss<'_, L> {
    type Output = LossSums;

    /// Classes are added in order, in f32, and divided by K once.
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> LossSums {
        let classes = self.size.classes;
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let factor = s.splat((2.0 / classes as f64) as f32);
        let mut sums = LossSums::default();
        let groups = self.x.chunks_exact(classes.max(1)).zip(self.d_x.chunks_exact_mut(classes.max(1)));
        for (group, (x, d_x)) in groups.enumerate() {
            let samples = samples_in_group(self.size.samples, group);
            let labels = &self.labels[group * WIDTH..][..samples];
            let label_of = s.load(&classes_of(labels));
            let mut sum = zero;
            for (k, (x, d_x)) in x.iter().zip(d_x.iter_mut()).enumerate() {
                let target = s.keep(s.equal(label_of, s.splat(k as f32)), one);
                let difference = s.sub(s.load(x), target);
                sum = s.fma(difference, difference, sum);
                s.store(d_x, s.mul(factor, difference));
            }
            let mut losses = [0.0; WIDTH];
            s.store(&mut losses, s.div(sum, s.splat(classes as f32)));
            for loss in &losses[..samples] {
                sums.loss += f64::from(*loss);
            }
            count(s, x, labels, Better::Larger, &mut sums);
            for d_x in d_x {
                d_x[samples..].fill(0.0);
            }
        }
        sums
    }
}

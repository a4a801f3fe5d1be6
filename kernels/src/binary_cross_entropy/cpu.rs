//! Binary cross-entropy on the CPU: 16 samples at a time, by `LaneSums` over the classes in order.

use super::BinaryCrossEntropy;
use crate::cpu::{Cpu, samples_in_group};
use crate::cross_entropy::ClassesSize;
use crate::cross_entropy::answers::{Better, classes_of, count};
use crate::cross_entropy::cpu::check_labels;
use crate::device::{Label, LossSums};
use crate::simd::sums::{LaneSums, Terms};
use crate::simd::{Kernel, Pack, Simd, WIDTH, math};

impl BinaryCrossEntropy for Cpu {
    fn binary_cross_entropy<L: Label>(
        &mut self,
        size: &ClassesSize,
        x: &[f32],
        labels: &[L],
        d_x: &mut [f32],
    ) -> LossSums {
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

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> LossSums {
        let classes = self.size.classes.max(1);
        let mut sums = LossSums::default();
        let groups = self.x.chunks_exact(classes).zip(self.d_x.chunks_exact_mut(classes));
        for (group, (x, d_x)) in groups.enumerate() {
            let samples = samples_in_group(self.size.samples, group);
            let labels = &self.labels[group * WIDTH..][..samples];
            let mut losses = LaneSums::<1>::new();
            losses.add(s, classes, &mut Outputs::<S> { x, d_x, class_of: s.load(&classes_of(labels)), classes });
            for loss in &losses.0[0][..samples] {
                sums.loss += loss / classes as f64;
            }
            count(s, x, labels, Better::Larger, &mut sums);
            for d_x in d_x {
                d_x[samples..].fill(0.0);
            }
        }
        sums
    }
}

/// The losses of the outputs of 16 samples. With z = −x for the label and x for the others an output's loss is
/// `ln(1 + e^z)` and its gradient `∓ sigmoid(z) / K`: neither cancels.
struct Outputs<'a, S: Simd> {
    x: &'a [Pack],
    d_x: &'a mut [Pack],
    class_of: S::Vector,
    classes: usize,
}

impl<S: Simd> Terms<S, 1> for Outputs<'_, S> {
    #[inline(always)]
    fn at(&mut self, s: S, k: usize) -> [S::Vector; 1] {
        let zero = s.splat(0.0);
        let x = s.load(&self.x[k]);
        let right = s.equal(self.class_of, s.splat(k as f32));
        let z = s.select(right, s.sub(zero, x), x);
        let share = s.div(math::sigmoid(s, z), s.splat(self.classes as f32));
        s.store(&mut self.d_x[k], s.select(right, s.sub(zero, share), share));
        [math::softplus(s, z)]
    }
}

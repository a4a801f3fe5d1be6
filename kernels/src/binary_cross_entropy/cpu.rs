//! Binary cross-entropy on the CPU: 16 samples at a time, by `LaneSums` over the classes in order.

use super::BinaryCrossEntropy;
use crate::cpu::Cpu;
use crate::cross_entropy::ClassesSize;
use crate::cross_entropy::answers::{Better, classes_of};
use crate::cross_entropy::groups::GroupLoss;
use crate::device::LossOutput;
use crate::simd::sums::{LaneSums, Terms};
use crate::simd::{Pack, Simd, math};

impl BinaryCrossEntropy for Cpu {
    fn binary_cross_entropy(&mut self, size: &ClassesSize, x: &[f32], labels: &[u16], output: LossOutput<'_, Cpu>) {
        self.loss_over_classes(EachOutput, size, x, labels, output);
    }
}

struct EachOutput;

impl GroupLoss for EachOutput {
    const BETTER: Better = Better::Larger;

    #[inline(always)]
    fn add<S: Simd>(&self, s: S, _: usize, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64) {
        let classes = x.len();
        let mut losses = LaneSums::<1>::new();
        losses.add(s, classes, &mut Outputs::<S> { x, d_x, class_of: s.load(&classes_of(labels)), classes });
        for loss in &losses.0[0][..labels.len()] {
            *sum += loss / classes as f64;
        }
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

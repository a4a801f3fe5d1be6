//! Squared error on the CPU.

use super::SquaredError;
use crate::cpu::Cpu;
use crate::cross_entropy::ClassesSize;
use crate::cross_entropy::answers::{Better, classes_of};
use crate::cross_entropy::groups::GroupLoss;
use crate::device::LossOutput;
use crate::simd::{Pack, Simd, WIDTH};

impl SquaredError for Cpu {
    fn squared_error(&mut self, size: &ClassesSize, x: &[f32], labels: &[u16], output: LossOutput<'_, Cpu>) {
        self.loss_over_classes(Squares, size, x, labels, output);
    }
}

struct Squares;

impl GroupLoss for Squares {
    const BETTER: Better = Better::Larger;

    /// Classes are added in order, in f32, and divided by K once.
    #[inline(always)]
    fn add<S: Simd>(&self, s: S, _: usize, x: &[Pack], labels: &[u16], d_x: &mut [Pack], sum: &mut f64) {
        let classes = x.len();
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let factor = s.splat((2.0 / classes as f64) as f32);
        let label_of = s.load(&classes_of(labels));
        let mut squares = zero;
        for (k, (x, d_x)) in x.iter().zip(d_x).enumerate() {
            let target = s.keep(s.equal(label_of, s.splat(k as f32)), one);
            let difference = s.sub(s.load(x), target);
            squares = s.fma(difference, difference, squares);
            s.store(d_x, s.mul(factor, difference));
        }
        let mut losses = [0.0; WIDTH];
        s.store(&mut losses, s.div(squares, s.splat(classes as f32)));
        for loss in &losses[..labels.len()] {
            *sum += f64::from(*loss);
        }
    }
}

//! Activation functions on the CPU: one pass over the packs.

use super::{Activate, Activation, ActivationSize};
use crate::cpu::Cpu;
use crate::simd::{Kernel, Pack, Simd, math};

/// A and S of LeCun's scaled tanh, `A · tanh(S · x)`.
const AMPLITUDE: f32 = 1.7159;
const STEEPNESS: f32 = 2.0 / 3.0;

impl Activate for Cpu {
    fn activation_forward(&mut self, size: &ActivationSize, function: Activation, x: &mut [f32]) {
        function.check();
        let x = self.layout.packs_mut("x", x, size.samples, size.features);
        self.isa.run(Forward { function, x });
    }

    fn activation_backward(&mut self, size: &ActivationSize, function: Activation, y: &[f32], d: &mut [f32]) {
        function.check();
        let y = self.layout.packs("y", y, size.samples, size.features);
        let d = self.layout.packs_mut("d", d, size.samples, size.features);
        self.isa.run(Backward { function, y, d });
    }
}

struct Forward<'a> {
    function: Activation,
    x: &'a mut [Pack],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.function {
            // The zero comes first: the maximum then keeps a NaN of x.
            Activation::Relu => {
                for x in self.x {
                    let y = s.max(s.splat(0.0), s.load(x));
                    s.store(x, y);
                }
            }
            Activation::LeakyRelu { slope } => {
                for x in self.x {
                    let value = s.load(x);
                    let y = s.select(s.greater(value, s.splat(0.0)), value, s.mul(s.splat(slope), value));
                    s.store(x, y);
                }
            }
            Activation::ScaledTanh => {
                for x in self.x {
                    let y = s.mul(s.splat(AMPLITUDE), math::tanh(s, s.mul(s.splat(STEEPNESS), s.load(x))));
                    s.store(x, y);
                }
            }
            Activation::Sigmoid => {
                for x in self.x {
                    let y = math::sigmoid(s, s.load(x));
                    s.store(x, y);
                }
            }
            Activation::Tanh => {
                for x in self.x {
                    let y = math::tanh(s, s.load(x));
                    s.store(x, y);
                }
            }
        }
    }
}

struct Backward<'a> {
    function: Activation,
    y: &'a [Pack],
    d: &'a mut [Pack],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let pairs = self.d.iter_mut().zip(self.y);
        match self.function {
            Activation::Relu => {
                for (d, y) in pairs {
                    let d_x = s.keep(s.greater(s.load(y), zero), s.load(d));
                    s.store(d, d_x);
                }
            }
            Activation::LeakyRelu { slope } => {
                for (d, y) in pairs {
                    let d_y = s.load(d);
                    let d_x = s.select(s.greater(s.load(y), zero), d_y, s.mul(s.splat(slope), d_y));
                    s.store(d, d_x);
                }
            }
            Activation::ScaledTanh => {
                // 2/3 · (A − y²/A) as one constant minus another times y².
                let (most, bend) = (s.splat(STEEPNESS * AMPLITUDE), s.splat(STEEPNESS / AMPLITUDE));
                for (d, y) in pairs {
                    let y = s.load(y);
                    let d_x = s.mul(s.load(d), s.sub(most, s.mul(bend, s.mul(y, y))));
                    s.store(d, d_x);
                }
            }
            Activation::Sigmoid => {
                for (d, y) in pairs {
                    let y = s.load(y);
                    let d_x = s.mul(s.load(d), s.mul(y, s.sub(one, y)));
                    s.store(d, d_x);
                }
            }
            Activation::Tanh => {
                for (d, y) in pairs {
                    let y = s.load(y);
                    let d_x = s.mul(s.load(d), s.sub(one, s.mul(y, y)));
                    s.store(d, d_x);
                }
            }
        }
    }
}

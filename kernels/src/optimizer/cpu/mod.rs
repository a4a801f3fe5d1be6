//! Updates on the CPU: one pass over all vectors, 16 elements at a time.

mod adagrad;
mod adam;
mod diagonal;
mod lamb;
mod lars;
mod rmsprop;
mod sgd;

use super::{MOST_VECTORS, Optimize, Rule, Scaling, Shrink, Update, Vectors};
use crate::cpu::{Cpu, assert_len};
use crate::simd::{Kernel, Pack, Simd, WIDTH};

impl Optimize for Cpu {
    fn update(&mut self, update: &Update, mut vectors: Vectors<'_, '_, Cpu>) {
        vectors.keep(update.rule.needs());
        let Vectors { gradient, parameters, state } = &vectors;
        assert_len("gradient", gradient.len(), parameters.len());
        for vector in state.iter().flatten() {
            assert_len("a vector of the state", vector.len(), parameters.len());
        }
        let sweep = Sweep { isa: self.isa, scaling: &update.scaling, decay: update.shrink() };
        match &update.rule {
            Rule::Sgd(rule) => sweep.run(rule.constants(), vectors),
            Rule::Adagrad(rule) => sweep.run(rule.constants(), vectors),
            Rule::Rmsprop(rule) => sweep.run(rule.constants(), vectors),
            Rule::Adam(rule) => sweep.run(rule.constants(), vectors),
            Rule::Lars(rule) => sweep.run(rule.constants(), vectors),
            Rule::Lamb(rule) => sweep.run(rule.constants(), vectors),
            Rule::Diagonal(rule) => sweep.run(rule.constants(), vectors),
        }
    }

    fn descend(&mut self, rate: f32, direction: &[f32], parameters: &mut [f32]) {
        assert_len("direction", direction.len(), parameters.len());
        self.isa.run(Descend { rate, direction, parameters });
    }
}

/// What a rule computes of 16 elements.
trait Formula: Copy {
    /// The new parameters, and the new state in place of the old. Vectors that the rule does not have hold zeros.
    fn apply<S: Simd>(&self, s: S, g: S::Vector, w: S::Vector, state: &mut [S::Vector; MOST_VECTORS]) -> S::Vector;
}

/// A pass over all vectors.
struct Sweep<'a> {
    isa: crate::simd::Isa,
    scaling: &'a Scaling,
    decay: Shrink,
}

impl Sweep<'_> {
    fn run<F: Formula>(self, formula: F, vectors: Vectors<'_, '_, Cpu>) {
        let Self { isa, scaling, decay } = self;
        let Vectors { gradient, parameters, state } = vectors;
        isa.run(Pass { scaling, decay, formula, gradient, parameters, state });
    }
}

struct Pass<'a, F> {
    scaling: &'a Scaling,
    decay: Shrink,
    formula: F,
    gradient: &'a [f32],
    parameters: &'a mut [f32],
    state: [Option<&'a mut [f32]>; MOST_VECTORS],
}

impl<F: Formula> Kernel for Pass<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pass { scaling, decay, formula, gradient, parameters, state } = self;
        let step = Step { scaling, decay, formula };
        let (gradient, gradient_rest) = gradient.as_chunks();
        let (parameters, parameters_rest) = parameters.as_chunks_mut();
        let mut state = state.map(|vector| vector.map(<[f32]>::as_chunks_mut));
        for (index, (g, w)) in gradient.iter().zip(parameters).enumerate() {
            let state = state.each_mut().map(|vector| vector.as_mut().map(|(packs, _)| &mut packs[index]));
            step.pack(s, g, w, state);
        }
        let rest = gradient_rest.len();
        let (mut g, mut w, mut copies) = ([0.0; WIDTH], [0.0; WIDTH], [[0.0; WIDTH]; MOST_VECTORS]);
        g[..rest].copy_from_slice(gradient_rest);
        w[..rest].copy_from_slice(parameters_rest);
        for (copy, vector) in copies.iter_mut().zip(&state) {
            if let Some((_, vector)) = vector {
                copy[..rest].copy_from_slice(vector);
            }
        }
        step.pack(s, &g, &mut w, copies.each_mut().map(Some));
        parameters_rest.copy_from_slice(&w[..rest]);
        for (copy, vector) in copies.iter().zip(&mut state) {
            if let Some((_, vector)) = vector {
                vector.copy_from_slice(&copy[..rest]);
            }
        }
    }
}

struct Step<'a, F> {
    scaling: &'a Scaling,
    decay: Shrink,
    formula: F,
}

impl<F: Formula> Step<'_, F> {
    #[inline(always)]
    fn pack<S: Simd>(&self, s: S, g: &Pack, w: &mut Pack, mut state: [Option<&mut Pack>; MOST_VECTORS]) {
        let mut values = [s.splat(0.0); MOST_VECTORS];
        for (value, vector) in values.iter_mut().zip(&state) {
            if let Some(vector) = vector {
                *value = s.load(vector);
            }
        }
        let (g, before) = decayed(s, self.decay, scaled(s, self.scaling, s.load(g)), s.load(w));
        let behind = self.formula.apply(s, g, before, &mut values);
        s.store(w, behind);
        for (value, vector) in values.iter().zip(&mut state) {
            if let Some(vector) = vector {
                s.store(vector, *value);
            }
        }
    }
}

/// Bounds come first: min and max then keep a NaN.
#[inline(always)]
fn scaled<S: Simd>(s: S, scaling: &Scaling, sum: S::Vector) -> S::Vector {
    let g = s.mul(s.mul(sum, s.splat(scaling.reciprocal())), s.splat(scaling.factor));
    s.max(s.splat(-scaling.limit), s.min(s.splat(scaling.limit), g))
}

/// Gradient and parameters with the decay.
#[inline(always)]
fn decayed<S: Simd>(s: S, decay: Shrink, g: S::Vector, w: S::Vector) -> (S::Vector, S::Vector) {
    match decay {
        Shrink::None => (g, w),
        Shrink::Coupled(decay) => (s.add(g, s.mul(s.splat(decay), w)), w),
        Shrink::Decoupled(factor) => (g, s.mul(w, s.splat(factor))),
    }
}

struct Descend<'a> {
    rate: f32,
    direction: &'a [f32],
    parameters: &'a mut [f32],
}

impl Kernel for Descend<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rate = s.splat(self.rate);
        let (directions, directions_rest) = self.direction.as_chunks();
        let (parameters, parameters_rest) = self.parameters.as_chunks_mut();
        for (w, u) in parameters.iter_mut().zip(directions) {
            let behind = s.sub(s.load(w), s.mul(rate, s.load(u)));
            s.store(w, behind);
        }
        for (w, u) in parameters_rest.iter_mut().zip(directions_rest) {
            *w -= self.rate * u;
        }
    }
}

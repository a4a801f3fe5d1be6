//! Lanczos' process with full reorthogonalisation: from products A·v of a symmetric matrix alone, an orthonormal basis V
//! in which it is tridiagonal, T = Vᵀ·A·V (Lanczos 1950; Paige 1972; Golub and Van Loan, "Matrix Computations", §10.1).
//!
//! Without it rounding would let eigenvalues that were found come again. "Twice is enough": a vector that a pass has left
//! less than 1/√2 of is made orthogonal once more (Daniel, Gragg, Kaufman and Stewart 1976).
//!
//! Vectors are kept in f32, as products take them: memory is steps × length × 4 bytes. Dots are in f64, so rounding of the
//! basis moves eigenvalues by ‖A‖·2⁻²⁴ or so, as much as that of a product in f32. A pass over the basis goes through it
//! block by block, once for dots and once for sums, so that it streams.

use crate::Unsolved;
use crate::random::Signs;
use crate::tridiagonal::{Eigen, Tridiagonal};
use crate::vectors::{ABREAST, add_all_f32, add_f32, dot_f32, dots_f32, norm};

/// Elements that a pass over the basis takes at once: 16 KiB of f64.
const BLOCK: usize = 2048;
/// What is left of a product, as a share of the matrix' size, below which it is rounding: the basis then is closed under
/// the matrix.
const NOTHING: f64 = f32::EPSILON as f64;

/// A symmetric matrix as its product: from (n) to (n), which it overwrites.
pub trait Product<E>: FnMut(&[f32], &mut [f64]) -> Result<(), E> {}
impl<E, F: FnMut(&[f32], &mut [f64]) -> Result<(), E>> Product<E> for F {}

/// What a step has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grown {
    /// There is a next vector.
    More,
    /// The basis is closed under the matrix: eigenvalues of T are such of A, to rounding.
    Closed,
}

/// The process after some steps.
pub struct Lanczos {
    len: usize,
    seed: u64,
    draw: u64,
    /// One behind the other, (n) each; one more than T has rows while there is a next.
    basis: Vec<f32>,
    matrix: Tridiagonal,
    /// ‖what the last product has outside of the basis‖.
    rest: f64,
    size: f64,
    work: Vec<f64>,
}

/// Vectors that there is room made for at once.
const MORE: usize = 8;

impl Lanczos {
    /// Begins with random signs: vectors of norm 1 whose expected v·vᵀ is 1/n.
    pub fn new(len: usize, seed: u64, draw: u64) -> Self {
        let mut basis = vec![0.0; len];
        Signs::new(seed, draw).fill(&mut basis);
        let scale = (1.0 / (len as f64).sqrt()) as f32;
        basis.iter_mut().for_each(|x| *x *= scale);
        let (matrix, work) = (Tridiagonal::default(), vec![0.0; len]);
        Self { len, seed, draw, basis, matrix, rest: 0.0, size: 0.0, work }
    }

    /// Steps so far.
    pub fn steps(&self) -> usize {
        self.matrix.len()
    }

    /// One product, and the next vector. There is one, unless the last step has closed the basis.
    ///
    /// # Errors
    /// The product's.
    pub fn step<E>(&mut self, product: &mut impl Product<E>) -> Result<Grown, E> {
        let (m, len) = (self.steps(), self.len);
        let last = &self.basis[m * len..];
        product(last, &mut self.work)?;
        let whole = norm(&self.work);
        let mut diagonal = dot_f32(last, &self.work);
        add_f32(-diagonal, last, &mut self.work);
        if let Some(before) = m.checked_sub(1) {
            add_f32(-self.matrix.beside[before], &self.basis[before * len..m * len], &mut self.work);
        }
        let (rest, corrections) = orthogonalised(&self.basis, &mut self.work);
        diagonal += corrections[m];
        self.size = self.size.max(whole);
        self.rest = rest;
        self.matrix.diagonal.push(diagonal);
        // Of what is not finite there is no next vector; T says so.
        if rest > NOTHING * self.size && m + 1 < len {
            self.take_next(rest);
            return Ok(Grown::More);
        }
        Ok(Grown::Closed)
    }

    /// Goes on from a closed basis with another random vector; whether the basis leaves room for one.
    pub fn begin_again(&mut self) -> bool {
        if self.steps() >= self.len {
            return false;
        }
        self.draw += 1 << 32;
        self.work.fill(0.0);
        Signs::new(self.seed, self.draw).add_to(1.0 / (self.len as f64).sqrt(), &mut self.work);
        let (rest, _) = orthogonalised(&self.basis, &mut self.work);
        if rest <= NOTHING {
            return false;
        }
        self.take_next(rest);
        *self.matrix.beside.last_mut().expect("a vector was just taken") = 0.0;
        self.rest = 0.0;
        true
    }

    fn take_next(&mut self, rest: f64) {
        self.matrix.beside.push(rest);
        if self.basis.capacity() < self.basis.len() + self.len {
            // Not twice as much: it is the largest that a probe has in memory.
            self.basis.reserve_exact(MORE * self.len);
        }
        self.basis.extend(self.work.iter().map(|x| (x / rest) as f32));
    }

    /// T's eigenvalues with these rows of its eigenvectors.
    ///
    /// # Errors
    /// If a product had a number that is not finite.
    pub fn eigen(&self, rows: &[usize]) -> Result<Eigen, Unsolved> {
        self.square().eigen(rows)
    }

    /// Ritz values, from the smallest, and how far each is at most from an eigenvalue of A: ‖A·y − θ·y‖ = β·|s|, s being
    /// the last element of T's eigenvector.
    ///
    /// # Errors
    /// If a product had a number that is not finite.
    pub fn ritz(&self) -> Result<Vec<Ritz>, Unsolved> {
        let Some(last) = self.steps().checked_sub(1) else { return Ok(Vec::new()) };
        let eigen = self.eigen(&[last])?;
        let with = |(value, s): (&f64, &f64)| Ritz { value: *value, residual: self.rest * s.abs() };
        Ok(eigen.values.iter().zip(&eigen.rows[0]).map(with).collect())
    }

    /// T without what is beside its last row.
    fn square(&self) -> Tridiagonal {
        let rows = self.steps();
        let beside = self.matrix.beside.iter().take(rows.saturating_sub(1)).copied().collect();
        Tridiagonal { diagonal: self.matrix.diagonal.clone(), beside }
    }
}

/// An eigenvalue of T as an estimate of one of A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ritz {
    /// θ.
    pub value: f64,
    /// There is an eigenvalue of A no farther away than that.
    pub residual: f64,
}

/// Takes out of `w` what lies in the span of the basis; gives the norm of what is left, and the shares that were taken.
fn orthogonalised(basis: &[f32], w: &mut [f64]) -> (f64, Vec<f64>) {
    let mut before = norm(w);
    let mut shares = vec![0.0; basis.len() / w.len().max(1)];
    loop {
        let taken = pass(basis, w);
        shares.iter_mut().zip(&taken).for_each(|(share, taken)| *share += taken);
        let rest = norm(w);
        // Also out of what is not finite.
        if !(rest < before * std::f64::consts::FRAC_1_SQRT_2 && rest > NOTHING * NOTHING * before) {
            return (rest, shares);
        }
        before = rest;
    }
}

/// `w −= V·(Vᵀ·w)`; gives Vᵀ·w.
fn pass(basis: &[f32], w: &mut [f64]) -> Vec<f64> {
    let len = w.len();
    let mut shares = vec![0.0; basis.len() / len.max(1)];
    for (block, w) in w.chunks(BLOCK).enumerate() {
        let first = block * BLOCK;
        let part = |v: usize| &basis[v * len + first..][..w.len()];
        let (groups, rest) = shares.as_chunks_mut::<ABREAST>();
        for (group, shares) in groups.iter_mut().enumerate() {
            let dots = dots_f32(std::array::from_fn(|k| part(group * ABREAST + k)), w);
            shares.iter_mut().zip(dots).for_each(|(share, dot)| *share += dot);
        }
        let done = groups.len() * ABREAST;
        rest.iter_mut().enumerate().for_each(|(k, share)| *share += dot_f32(part(done + k), w));
    }
    for (block, w) in w.chunks_mut(BLOCK).enumerate() {
        let first = block * BLOCK;
        let size = w.len();
        let part = |v: usize| &basis[v * len + first..][..size];
        let (groups, rest) = shares.as_chunks::<ABREAST>();
        for (group, shares) in groups.iter().enumerate() {
            add_all_f32(shares.map(|share| -share), std::array::from_fn(|k| part(group * ABREAST + k)), w);
        }
        let done = groups.len() * ABREAST;
        rest.iter().enumerate().for_each(|(k, share)| add_f32(-share, part(done + k), w));
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::tests::matrix_of;

    pub(crate) fn product_of(a: &[f64], n: usize) -> impl FnMut(&[f32], &mut [f64]) -> Result<(), ()> + '_ {
        move |v, to| {
            for (row, to) in a.chunks_exact(n).zip(to) {
                *to = row.iter().zip(v).map(|(a, v)| a * f64::from(*v)).sum();
            }
            Ok(())
        }
    }

    #[test]
    fn a_whole_basis_has_the_matrix_own_eigenvalues() {
        for seed in 0..5 {
            let values: Vec<f64> = (0..40).map(|i| f64::from(i * i) / 40.0 - 5.0).collect();
            let a = matrix_of(&values, seed);
            let mut lanczos = Lanczos::new(40, seed, 0);
            for step in 0..40 {
                let grown = lanczos.step(&mut product_of(&a, 40)).unwrap();
                assert_eq!(grown == Grown::Closed, step == 39, "step {step}");
            }
            for (ritz, value) in lanczos.ritz().unwrap().iter().zip(&values) {
                assert!((ritz.value - value).abs() < 5e-6, "{} {value}", ritz.value);
            }
        }
    }

    #[test]
    fn the_basis_stays_orthogonal_long_after_values_were_found() {
        let values: Vec<f64> =
            (0..300).map(|i| if i < 3 { 100.0 + f64::from(i) } else { f64::from(i) / 300.0 }).collect();
        let a = matrix_of(&values, 1);
        let mut lanczos = Lanczos::new(300, 1, 0);
        for _ in 0..120 {
            assert_eq!(lanczos.step(&mut product_of(&a, 300)).unwrap(), Grown::More);
        }
        let vectors: Vec<&[f32]> = lanczos.basis.chunks_exact(300).collect();
        for (i, a) in vectors.iter().enumerate() {
            let wide: Vec<f64> = a.iter().map(|x| f64::from(*x)).collect();
            for b in &vectors[..i] {
                assert!(dot_f32(b, &wide).abs() < 1e-6);
            }
        }
        let large = lanczos.ritz().unwrap().iter().filter(|ritz| ritz.value > 50.0).count();
        assert_eq!(large, 3, "no eigenvalue comes twice");
    }

    #[test]
    fn residuals_bound_the_distance_to_an_eigenvalue() {
        let values: Vec<f64> = (0..200).map(|i| (f64::from(i) * 0.7).sin() * 10.0).collect();
        let a = matrix_of(&values, 3);
        let mut lanczos = Lanczos::new(200, 3, 0);
        for _ in 0..30 {
            lanczos.step(&mut product_of(&a, 200)).unwrap();
            for ritz in lanczos.ritz().unwrap() {
                let nearest = values.iter().map(|x| (x - ritz.value).abs()).fold(f64::INFINITY, f64::min);
                assert!(nearest <= ritz.residual + 1e-5, "{ritz:?}: {nearest}");
            }
        }
    }

    #[test]
    fn a_closed_basis_is_told_and_gone_on_from() {
        let mut product = |v: &[f32], to: &mut [f64]| -> Result<(), ()> {
            to.iter_mut().zip(v).for_each(|(to, v)| *to = 3.0 * f64::from(*v));
            Ok(())
        };
        let mut lanczos = Lanczos::new(50, 0, 0);
        for step in 1..=3 {
            assert_eq!(lanczos.step(&mut product).unwrap(), Grown::Closed);
            assert_eq!(lanczos.steps(), step);
            assert!(lanczos.begin_again());
        }
        assert!(lanczos.ritz().unwrap().iter().all(|ritz| (ritz.value - 3.0).abs() < 1e-6 && ritz.residual == 0.0));
        let mut small = Lanczos::new(1, 0, 0);
        assert_eq!(small.step(&mut product).unwrap(), Grown::Closed);
        assert!(!small.begin_again());
        assert!((small.ritz().unwrap()[0].value - 3.0).abs() < 1e-6);
    }

    #[test]
    fn failures_and_not_numbers_are_told() {
        let mut lanczos = Lanczos::new(3, 0, 0);
        assert_eq!(lanczos.step(&mut |_: &[f32], _: &mut [f64]| Err("away")), Err("away"));
        let mut product = |_: &[f32], to: &mut [f64]| -> Result<(), ()> {
            to.fill(f64::NAN);
            Ok(())
        };
        assert_eq!(lanczos.step(&mut product).unwrap(), Grown::Closed);
        assert_eq!(lanczos.ritz(), Err(Unsolved));
    }
}

//! Estimators of gradient noise and curvature: from numbers to numbers. They know no network and no cluster, and each is
//! held to an oracle whose answers are known in closed form.
//!
//! Noise: [`noise`]. Curvature: [`lanczos`] and, over it, [`eigenvalues`] and [`density`]; [`trace`]; [`keskar`]; [`spectrum`] of a weight
//! matrix. They stand on [`tridiagonal`] and [`symmetric`] eigenproblems, [`vectors`] and [`random`]. All of them add in
//! a fixed order and use nothing but + − × ÷ and the square root, so that results are the same bits on every machine.

pub mod density;
pub mod eigenvalues;
pub mod keskar;
pub mod lanczos;
pub mod noise;
pub mod random;
pub mod spectrum;
pub mod symmetric;
pub mod trace;
pub mod tridiagonal;
pub mod vectors;

/// A matrix whose eigenvalues can't be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsolved;

impl std::fmt::Display for Unsolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the matrix has numbers that are not finite")
    }
}

impl std::error::Error for Unsolved {}

/// An estimate that did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// A product failed.
    Product(E),
    /// Numbers were not finite.
    Unsolved,
}

impl<E> From<Unsolved> for Failure<E> {
    fn from(Unsolved: Unsolved) -> Self {
        Self::Unsolved
    }
}

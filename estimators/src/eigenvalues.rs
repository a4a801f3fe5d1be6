//! The eigenvalues of a symmetric matrix that are largest in magnitude, by [`Lanczos`] until their residuals are small.
//!
//! A process that begins with one vector finds a multiple eigenvalue once.

use crate::lanczos::{Grown, Lanczos, Product, Ritz};
use crate::{Failure, Unsolved};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// How many.
    pub top: usize,
    /// Most products.
    pub iterations: usize,
    /// Largest residual, as a fraction of the largest eigenvalue's magnitude.
    pub tolerance: f64,
    /// Of the first vector.
    pub seed: u64,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All residuals are within the tolerance.
    Converged,
    /// No more products were allowed; residuals tell how far they are.
    Iterations,
    /// The basis is all that the matrix reaches from it.
    Closed,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The largest in magnitude first; fewer than were looked for if the matrix has fewer, or too few products were made.
    pub values: Vec<Ritz>,
    /// The largest by sign, which may not be among them; of a matrix without rows 0.
    pub highest: Ritz,
    /// Products that were made.
    pub products: usize,
    /// Why no more.
    pub ended: Ended,
}

/// Looks for the `top` eigenvalues of a matrix of `len` rows.
///
/// # Errors
/// The product's, or numbers that are not finite.
pub fn largest<E>(len: usize, search: &Search, mut product: impl Product<E>) -> Result<Found, Failure<E>> {
    let mut lanczos = Lanczos::new(len, search.seed, 0);
    let mut values = Vec::new();
    let mut ended = Ended::Iterations;
    for _ in 0..search.iterations.min(len) {
        let grown = lanczos.step(&mut product).map_err(Failure::Product)?;
        values = by_magnitude(&lanczos, search.top)?;
        let largest = values.first().map_or(0.0, |ritz: &Ritz| ritz.value.abs());
        // No residual is nearer than rounding.
        let near = |ritz: &Ritz| ritz.residual <= search.tolerance.max(f64::from(f32::EPSILON)) * largest;
        if grown == Grown::Closed {
            ended = Ended::Closed;
            if values.len() >= search.top || !lanczos.begin_again() {
                break;
            }
        } else if values.len() >= search.top && values.iter().all(near) {
            ended = Ended::Converged;
            break;
        } else {
            ended = Ended::Iterations;
        }
    }
    let highest = lanczos.ritz()?.last().copied().unwrap_or(Ritz { value: 0.0, residual: 0.0 });
    Ok(Found { values, highest, products: lanczos.steps(), ended })
}

fn by_magnitude(lanczos: &Lanczos, top: usize) -> Result<Vec<Ritz>, Unsolved> {
    let mut values = lanczos.ritz()?;
    values.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()).then(b.value.total_cmp(&a.value)));
    values.truncate(top);
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::tests::matrix_of;

    fn found(values: &[f64], search: &Search) -> Found {
        let n = values.len();
        let a = matrix_of(values, search.seed + 100);
        let product = |v: &[f32], to: &mut [f64]| -> Result<(), ()> {
            for (row, to) in a.chunks_exact(n).zip(to) {
                *to = row.iter().zip(v).map(|(a, v)| a * f64::from(*v)).sum();
            }
            Ok(())
        };
        largest(n, search, product).unwrap()
    }

    #[test]
    fn the_largest_in_magnitude_are_found_on_both_ends() {
        for seed in 0..20 {
            let mut values: Vec<f64> = (0..150).map(|i| f64::from(i) / 150.0).collect();
            values.extend([9.0, -8.0, 5.0, -4.0]);
            let found = found(&values, &Search { top: 4, iterations: 100, tolerance: 1e-4, seed });
            assert_eq!(found.ended, Ended::Converged);
            assert!(found.products < 40);
            for (ritz, value) in found.values.iter().zip([9.0, -8.0, 5.0, -4.0]) {
                // A residual r is an error of at most r; of values apart from others only r².
                assert!((ritz.value - value).abs() < 2e-6 * 9.0 && ritz.residual <= 1e-4 * 9.0, "{ritz:?}");
            }
            assert_eq!(found.highest, found.values[0]);
            let negative: Vec<f64> = values.iter().map(|value| -value).collect();
            let mirrored = self::found(&negative, &Search { top: 1, iterations: 100, tolerance: 1e-4, seed });
            assert!((mirrored.values[0].value + 9.0).abs() < 1e-4 && (mirrored.highest.value - 8.0).abs() < 0.1);
        }
    }

    #[test]
    fn too_few_products_leave_residuals_that_say_so() {
        let values: Vec<f64> = (0..200).map(f64::from).collect();
        let found = found(&values, &Search { top: 3, iterations: 8, tolerance: 1e-6, seed: 1 });
        assert_eq!((found.ended, found.products), (Ended::Iterations, 8));
        assert!(found.values[0].residual > 1e-3);
        assert!((found.values[0].value - 199.0).abs() < found.values[0].residual);
    }

    #[test]
    fn small_and_degenerate_matrices_have_all_that_they_have() {
        let search = Search { top: 5, iterations: 50, tolerance: 1e-5, seed: 0 };
        let few = found(&[2.0, -3.0], &search);
        assert_eq!((few.values.len(), few.ended), (2, Ended::Closed));
        assert!((few.values[0].value + 3.0).abs() < 1e-6 && (few.values[1].value - 2.0).abs() < 1e-6);
        let same = found(&[7.0; 20], &search);
        assert_eq!((same.values.len(), same.products), (5, 5));
        assert!(same.values.iter().all(|ritz| (ritz.value - 7.0).abs() < 1e-5));
        let none = found(&[0.0; 20], &search);
        assert!(none.values.iter().all(|ritz| ritz.value == 0.0 && ritz.residual == 0.0));
    }
}

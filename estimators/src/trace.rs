//! The trace of a symmetric matrix as a mean of vᵀ·A·v over vectors of random signs (Hutchinson 1990, "A stochastic
//! estimator of the trace of the influence matrix for Laplacian smoothing splines"): unbiased, with the variance
//! 2·Σ_{i≠j} A_ij² a draw, the smallest of all distributions of independent elements.

use crate::lanczos::Product;
use crate::random::Signs;
use crate::vectors::dot_f32;

/// A mean over independent draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Its standard error, √(Σ(x − mean)²/(d·(d − 1))); a single draw has none.
    pub standard_error: Option<f64>,
    /// d.
    pub draws: usize,
}

impl Estimate {
    /// Of these draws.
    ///
    /// # Panics
    /// If there are none.
    pub fn of(draws: &[f64]) -> Self {
        assert!(!draws.is_empty(), "a mean of nothing");
        let count = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / count;
        let squares: f64 = draws.iter().map(|x| (x - mean) * (x - mean)).sum();
        let standard_error = (draws.len() > 1).then(|| (squares / (count * (count - 1.0))).sqrt());
        Self { mean, standard_error, draws: draws.len() }
    }
}

/// The trace of a matrix of `len` rows, by `draws` products.
///
/// # Errors
/// The product's.
///
/// # Panics
/// If there are no draws.
pub fn trace<E>(len: usize, draws: usize, seed: u64, mut product: impl Product<E>) -> Result<Estimate, E> {
    let (mut vector, mut image, mut all) = (vec![0.0; len], vec![0.0; len], Vec::with_capacity(draws));
    for draw in 0..draws {
        Signs::new(seed, draw as u64).fill(&mut vector);
        product(&vector, &mut image)?;
        all.push(dot_f32(&vector, &image));
    }
    Ok(Estimate::of(&all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::tests::matrix_of;

    #[test]
    fn errors_are_as_large_as_they_are_said_to_be() {
        let values: Vec<f64> = (0..30).map(|i| if i == 0 { 40.0 } else { f64::from(i % 7) - 2.0 }).collect();
        let (n, exact) = (30, values.iter().sum::<f64>());
        let a = matrix_of(&values, 5);
        let off_diagonal: f64 = (0..n * n).filter(|i| i / n != i % n).map(|i| a[i] * a[i]).sum();
        let (seeds, draws) = (400, 24);
        let (mut squares, mut stated, mut sum) = (0.0, 0.0, 0.0);
        for seed in 0..seeds {
            let product = |v: &[f32], to: &mut [f64]| -> Result<(), ()> {
                for (row, to) in a.chunks_exact(n).zip(to) {
                    *to = row.iter().zip(v).map(|(a, v)| a * f64::from(*v)).sum();
                }
                Ok(())
            };
            let estimate = trace(n, draws, seed, product).unwrap();
            let error = estimate.mean - exact;
            let claimed = estimate.standard_error.unwrap();
            sum += error;
            squares += error * error;
            stated += claimed * claimed;
        }
        let seeds = seeds as f64;
        let variance = 2.0 * off_diagonal / draws as f64;
        // 400 seeds tell a variance to 7 %, and the mean to a twentieth of the standard error.
        assert!((squares / seeds / variance - 1.0).abs() < 0.25, "{} {variance}", squares / seeds);
        assert!((stated / seeds / variance - 1.0).abs() < 0.1, "{} {variance}", stated / seeds);
        assert!((sum / seeds).abs() < 4.0 * (variance / seeds).sqrt());
    }

    #[test]
    fn one_draw_has_no_error() {
        let twice = |v: &[f32], to: &mut [f64]| -> Result<(), ()> {
            to.iter_mut().zip(v).for_each(|(to, v)| *to = 2.0 * f64::from(*v));
            Ok(())
        };
        assert_eq!(trace(10, 1, 0, twice).unwrap(), Estimate { mean: 20.0, standard_error: None, draws: 1 });
        // A diagonal matrix' trace is exact.
        assert_eq!(trace(10, 3, 0, twice).unwrap().standard_error, Some(0.0));
    }
}

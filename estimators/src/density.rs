//! The density of a symmetric matrix' eigenvalues by stochastic Lanczos quadrature (Golub and Welsch 1969; Ubaru, Chen
//! and Saad 2017; Ghorbani, Krishnan and Xiao 2019, "An investigation into neural net optimization via Hessian
//! eigenvalue density").
//!
//! For a random v of norm 1, vᵀ·f(A)·v is a mean of f over eigenvalues. m steps of Lanczos from v are its Gauss
//! quadrature: nodes are T's eigenvalues, weights the squares of its eigenvectors' first elements. It is exact for
//! polynomials of degree up to 2m − 1; its mean over draws estimates tr f(A)/n.

use crate::Failure;
use crate::lanczos::{Grown, Lanczos, Product};
use crate::trace::Estimate;

/// Moments that are told.
pub const MOMENTS: usize = 4;

/// A density of eigenvalues, 1 in sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    /// Nodes of all draws, one draw's behind the other's, from the smallest each.
    pub nodes: Vec<f64>,
    /// The weight of each; 1 in sum over all.
    pub weights: Vec<f64>,
    /// Means of λ, λ², λ³ and λ⁴ over eigenvalues, with standard errors over draws.
    pub moments: [Estimate; MOMENTS],
    /// Products that were made.
    pub products: usize,
}

/// Of a matrix of `len` rows, by `draws` quadratures of `steps` products each.
///
/// # Errors
/// The product's, or numbers that are not finite.
///
/// # Panics
/// If there are no draws.
pub fn density<E>(
    len: usize,
    (draws, steps): (usize, usize),
    seed: u64,
    mut product: impl Product<E>,
) -> Result<Density, Failure<E>> {
    let (mut nodes, mut weights, mut products) = (Vec::new(), Vec::new(), 0);
    let mut moments: [Vec<f64>; MOMENTS] = Default::default();
    for draw in 0..draws {
        let mut lanczos = Lanczos::new(len, seed, draw as u64);
        for _ in 0..steps {
            // What a closed basis does not reach has no weight.
            if lanczos.step(&mut product).map_err(Failure::Product)? == Grown::Closed {
                break;
            }
        }
        products += lanczos.steps();
        let eigen = lanczos.eigen(&[0])?;
        let squares: Vec<f64> = eigen.rows[0].iter().map(|first| first * first).collect();
        let mut terms = squares.clone();
        for moment in &mut moments {
            terms.iter_mut().zip(&eigen.values).for_each(|(term, node)| *term *= node);
            moment.push(terms.iter().sum());
        }
        weights.extend(squares.iter().map(|square| square / draws as f64));
        nodes.extend(eigen.values);
    }
    Ok(Density { nodes, weights, moments: moments.map(|of_draws| Estimate::of(&of_draws)), products })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::tests::matrix_of;

    fn of(a: &[f64], n: usize, draws: (usize, usize), seed: u64) -> Density {
        let product = |v: &[f32], to: &mut [f64]| -> Result<(), ()> {
            for (row, to) in a.chunks_exact(n).zip(to) {
                *to = row.iter().zip(v).map(|(a, v)| a * f64::from(*v)).sum();
            }
            Ok(())
        };
        density(n, draws, seed, product).unwrap()
    }

    #[test]
    fn moments_are_those_of_the_eigenvalues_within_their_errors() {
        let n = 60;
        let values: Vec<f64> = (0..n).map(|i| if i < 3 { 3.0 - i as f64 } else { i as f64 / n as f64 - 0.3 }).collect();
        let a = matrix_of(&values, 2);
        let exact = |power| values.iter().map(|x: &f64| x.powi(power)).sum::<f64>() / n as f64;
        let seeds = 200;
        for power in 1..=MOMENTS {
            let all: Vec<Estimate> = (0..seeds).map(|seed| of(&a, n, (12, 10), seed).moments[power - 1]).collect();
            let errors: Vec<f64> =
                all.iter().map(|of| (of.mean - exact(power as i32)) / of.standard_error.unwrap()).collect();
            // Student's t of 11 degrees: variance 11/9.
            let mean = errors.iter().sum::<f64>() / seeds as f64;
            let square = errors.iter().map(|x| x * x).sum::<f64>() / seeds as f64;
            assert!(mean.abs() < 0.5, "λ^{power}: {mean}");
            assert!((0.8..2.0).contains(&square), "λ^{power}: {square}");
        }
    }

    #[test]
    fn weights_are_one_in_sum_and_an_outlier_has_its_share() {
        let n = 100;
        let mut values = vec![0.5; n];
        values[0] = 20.0;
        values[1] = -10.0;
        let density = of(&matrix_of(&values, 4), n, (40, 6), 1);
        assert!((density.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(density.products, 40 * 3, "three different eigenvalues close a basis");
        let share = |near: f64| {
            let nodes = density.nodes.iter().zip(&density.weights);
            nodes.filter(|(node, _)| (*node - near).abs() < 1e-3).map(|(_, weight)| weight).sum::<f64>()
        };
        assert!((share(20.0) - 0.01).abs() < 0.008 && (share(-10.0) - 0.01).abs() < 0.008);
        assert!((share(0.5) - 0.98).abs() < 0.012);
    }

    #[test]
    fn a_quadrature_of_m_steps_has_2m_minus_1_moments_of_its_vector() {
        let n = 30;
        let values: Vec<f64> = (0..n).map(|i| i as f64 / 15.0 - 1.0).collect();
        let a = matrix_of(&values, 9);
        let (short, long) = (of(&a, n, (1, 3), 0), of(&a, n, (1, 25), 0));
        for power in 0..MOMENTS {
            assert!((short.moments[power].mean - long.moments[power].mean).abs() < 1e-6, "λ^{}", power + 1);
            assert_eq!(short.moments[power].standard_error, None);
        }
    }
}

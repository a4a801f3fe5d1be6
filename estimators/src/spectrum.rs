//! Singular values of a weight matrix beside those that noise would have (Marchenko and Pastur 1967; Martin and Mahoney
//! 2021, "Implicit self-regularization in deep neural networks").
//!
//! A matrix of m × n independent elements of variance σ², m ≤ n, has its largest singular value near σ·(√m + √n). σ is
//! told from the median singular value, which a few large ones do not move: σ = s_med / √(n·μ), μ being the median of the
//! Marchenko–Pastur law of ratio m/n (Gavish and Donoho 2014, "The optimal hard threshold for singular values is 4/√3",
//! §III-E). The largest of pure noise lies above the edge now and then, by a share of order m^(−2/3).

use crate::Unsolved;
use crate::symmetric::eigenvalues;
use crate::vectors::dot;

/// Singular values below which a median tells no variance.
pub const FEWEST: usize = 16;
/// Cells of the law's integral; its median is then good to 1e-6.
const CELLS: usize = 4096;

/// Singular values, the largest first, of `rows` × `columns` elements, row by row: square roots of the eigenvalues of the
/// smaller of W·Wᵀ and Wᵀ·W in f64. Those below 1e-7 of the largest are rounding.
///
/// # Errors
/// If an element is not finite.
///
/// # Panics
/// If there are not as many elements.
pub fn singular_values(matrix: &[f32], rows: usize, columns: usize) -> Result<Vec<f64>, Unsolved> {
    assert_eq!(matrix.len(), rows * columns);
    let (few, many) = (rows.min(columns), rows.max(columns));
    let at = |i: usize, j: usize| if rows <= columns { matrix[i * columns + j] } else { matrix[j * columns + i] };
    let wide: Vec<f64> = (0..few * many).map(|k| f64::from(at(k / many, k % many))).collect();
    let mut gram = vec![0.0; few * few];
    for i in 0..few {
        for j in 0..=i {
            gram[i * few + j] = dot(&wide[i * many..][..many], &wide[j * many..][..many]);
        }
    }
    let values = eigenvalues(&gram, few)?;
    Ok(values.into_iter().rev().map(|value| value.max(0.0).sqrt()).collect())
}

/// What of singular values is as noise would be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bulk {
    /// σ.
    pub deviation: f64,
    /// σ·(√m + √n).
    pub edge: f64,
    /// Singular values above it.
    pub above: usize,
}

/// The noise that singular values (the largest first) of an m × n matrix tell of; none where they are fewer than
/// [`FEWEST`].
pub fn bulk(singular: &[f64], rows: usize, columns: usize) -> Option<Bulk> {
    let (few, many) = (rows.min(columns) as f64, rows.max(columns) as f64);
    if singular.len() < FEWEST {
        return None;
    }
    let middle = singular.len() / 2;
    let median =
        if singular.len() % 2 == 1 { singular[middle] } else { (singular[middle - 1] + singular[middle]) / 2.0 };
    let deviation = median / (many * law_median(few / many)).sqrt();
    let edge = deviation * (few.sqrt() + many.sqrt());
    Some(Bulk { deviation, edge, above: singular.iter().filter(|value| **value > edge).count() })
}

/// The median of the Marchenko–Pastur law of ratio β in (0, 1] and variance 1, whose density is
/// √((b − x)(x − a)) / (2πβx) between a, b = (1 ∓ √β)².
///
/// With x = (a + b)/2 + (b − a)/2 · (3t − t³)/2 the roots at the ends go, and the integrand is in proportion to
/// (1 − t²)²·√(4 − t²)/x.
fn law_median(ratio: f64) -> f64 {
    let root = ratio.sqrt();
    let (a, b) = ((1.0 - root) * (1.0 - root), (1.0 + root) * (1.0 + root));
    let x = |t: f64| (a + b) / 2.0 + (b - a) / 4.0 * (3.0 * t - t * t * t);
    let cell = 2.0 / CELLS as f64;
    let share = |i: usize| {
        let t = -1.0 + (i as f64 + 0.5) * cell;
        let bump = 1.0 - t * t;
        bump * bump * (4.0 - t * t).sqrt() / x(t)
    };
    let half = (0..CELLS).map(share).sum::<f64>() / 2.0;
    let mut sum = 0.0;
    for i in 0..CELLS {
        let of_cell = share(i);
        if sum + of_cell >= half {
            return x(-1.0 + (i as f64 + (half - sum) / of_cell) * cell);
        }
        sum += of_cell;
    }
    b
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Signs;

    fn noise(rows: usize, columns: usize, deviation: f32, seed: u64) -> Vec<f32> {
        let mut matrix = vec![0.0f32; rows * columns];
        Signs::new(seed, 0).fill(&mut matrix);
        matrix.iter_mut().for_each(|x| *x *= deviation);
        matrix
    }

    #[test]
    fn medians_of_the_law_are_those_of_the_paper() {
        // Gavish and Donoho 2014: ω(β) = λ*(β)/√μ, and ω(1) = 2.8582.
        let omega = |ratio: f64| {
            let root = (ratio * ratio + 14.0 * ratio + 1.0).sqrt();
            let lambda = (2.0 * (ratio + 1.0) + 8.0 * ratio / (ratio + 1.0 + root)).sqrt();
            lambda / law_median(ratio).sqrt()
        };
        assert!((omega(0.05) - 1.5194).abs() < 1e-4 && (omega(1.0) - 2.8582).abs() < 2e-4);
        // For β = 1 it is that of Wigner's quarter circle, squared: 0.652777.
        assert!((law_median(1.0) - 0.652_777).abs() < 2e-6);
        // Their equation 5, good to 0.02.
        for ratio in [0.1, 0.25, 0.5, 0.75, 0.9] {
            let fitted = ((0.56 * ratio - 0.95) * ratio + 1.82) * ratio + 1.43;
            assert!((omega(ratio) - fitted).abs() < 0.02, "{ratio}: {} {fitted}", omega(ratio));
        }
    }

    #[test]
    fn singular_values_are_those_of_the_matrix() {
        // Orthogonal rows of known lengths.
        let matrix = [3.0, 0.0, 0.0, 4.0, 0.0, 0.0, -5.0, 0.0f32];
        assert_eq!(singular_values(&matrix, 2, 4).unwrap(), vec![5.0, 5.0]);
        let turned: Vec<f32> = (0..8).map(|k| matrix[k % 2 * 4 + k / 2]).collect();
        assert_eq!(singular_values(&turned, 4, 2).unwrap(), vec![5.0, 5.0]);
        assert_eq!(singular_values(&[f32::NAN; 4], 2, 2), Err(Unsolved));
        assert_eq!(singular_values(&[0.0; 6], 3, 2).unwrap(), vec![0.0, 0.0]);
    }

    #[test]
    fn noise_stays_below_the_edge_and_a_spike_does_not() {
        for seed in 0..6 {
            for (rows, columns) in [(60, 240), (240, 60), (100, 100)] {
                let mut matrix = noise(rows, columns, 0.05, seed);
                let of = |matrix: &[f32]| {
                    let singular = singular_values(matrix, rows, columns).unwrap();
                    (bulk(&singular, rows, columns).unwrap(), singular[0])
                };
                let (clean, largest) = of(&matrix);
                assert!((clean.deviation / 0.05 - 1.0).abs() < 0.03, "{clean:?}");
                assert!((largest / clean.edge - 1.0).abs() < 0.06 && clean.above <= 2, "{clean:?}");
                // Rank one, far above the edge.
                for (k, x) in matrix.iter_mut().enumerate() {
                    *x += if (k / columns + k % columns) % 2 == 0 { 0.05 } else { -0.05 };
                }
                let (spiked, largest) = of(&matrix);
                let strength = 0.05 * ((rows * columns) as f64).sqrt();
                assert!(largest > 0.95 * strength && (1..=3).contains(&spiked.above), "{spiked:?}");
                assert!((spiked.deviation / 0.05 - 1.0).abs() < 0.05, "{spiked:?}");
            }
        }
    }

    #[test]
    fn few_values_tell_nothing() {
        assert_eq!(bulk(&[1.0; 15], 15, 20), None);
        assert_eq!(bulk(&[0.0; 16], 16, 20), Some(Bulk { deviation: 0.0, edge: 0.0, above: 0 }));
    }
}

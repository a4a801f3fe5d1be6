//! Eigenvalues of a symmetric tridiagonal matrix, and chosen rows of its eigenvectors, by implicit QL with Wilkinson's
//! shift (Bowdler, Martin, Reinsch and Wilkinson 1968, "The QR and QL algorithms for symmetric matrices").
//!
//! Errors are a small multiple of ε·‖T‖, of small eigenvalues too.

use crate::Unsolved;
use crate::vectors::length;

/// Turns of one eigenvalue before it is given up. Two or three are usual; Wilkinson's shift always converges.
const MOST_TURNS: usize = 60;

/// A symmetric tridiagonal matrix of m rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tridiagonal {
    /// (m)
    pub diagonal: Vec<f64>,
    /// (m − 1): beside it.
    pub beside: Vec<f64>,
}

/// Eigenvalues, from the smallest, and what was asked for of their eigenvectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// (m)
    pub values: Vec<f64>,
    /// For each row that was asked for the eigenvectors' elements there (m), in the order of values; each eigenvector
    /// has norm 1.
    pub rows: Vec<Vec<f64>>,
}

impl Tridiagonal {
    /// Rows, m.
    pub fn len(&self) -> usize {
        self.diagonal.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.diagonal.is_empty()
    }

    /// Eigenvalues, and these rows of the matrix of eigenvectors.
    ///
    /// # Errors
    /// If a number is not finite.
    pub fn eigen(&self, rows: &[usize]) -> Result<Eigen, Unsolved> {
        let unit = |row: &usize| {
            let mut unit = vec![0.0; self.len()];
            unit[*row] = 1.0;
            unit
        };
        let mut rows: Vec<Vec<f64>> = rows.iter().map(unit).collect();
        let n = self.len();
        let (mut d, mut e) = (self.diagonal.clone(), self.beside.clone());
        if !d.iter().chain(&e).all(|x| x.is_finite()) {
            return Err(Unsolved);
        }
        e.resize(n, 0.0);
        let size = d.iter().zip(&e).fold(0.0, |most: f64, (d, e)| most.max(d.abs() + e.abs()));
        for l in 0..n {
            let mut turns = 0;
            loop {
                let negligible =
                    |i: &usize| e[*i].abs() <= f64::EPSILON * (d[*i].abs() + d[*i + 1].abs()).max(f64::EPSILON * size);
                let m = (l..n - 1).find(negligible).unwrap_or(n - 1);
                if m == l {
                    break;
                }
                turns += 1;
                if turns > MOST_TURNS {
                    return Err(Unsolved);
                }
                turn(&mut d, &mut e, l..m, &mut rows);
            }
        }
        Ok(sorted(d, rows))
    }
}

/// One implicit QL step of the block from `start` to `end`, both included, with rotations applied to `rows`.
fn turn(d: &mut [f64], e: &mut [f64], block: std::ops::Range<usize>, rows: &mut [Vec<f64>]) {
    let (l, m) = (block.start, block.end);
    // The eigenvalue of the block's first 2×2 that is nearer to its first element.
    let ratio = (d[l + 1] - d[l]) / (2.0 * e[l]);
    let root = length(ratio, 1.0);
    let shift = d[l] - e[l] / (ratio + if ratio < 0.0 { -root } else { root });
    let (mut g, mut sine, mut cosine, mut p) = (d[m] - shift, 1.0, 1.0, 0.0);
    for i in (l..m).rev() {
        let (f, b) = (sine * e[i], cosine * e[i]);
        let r = length(f, g);
        e[i + 1] = r;
        if r == 0.0 {
            // The block has come apart by underflow.
            d[i + 1] -= p;
            e[m] = 0.0;
            return;
        }
        (sine, cosine) = (f / r, g / r);
        g = d[i + 1] - p;
        let r = (d[i] - g) * sine + 2.0 * cosine * b;
        p = sine * r;
        d[i + 1] = g + p;
        g = cosine * r - b;
        for row in rows.iter_mut() {
            let (left, right) = (row[i], row[i + 1]);
            row[i + 1] = sine * left + cosine * right;
            row[i] = cosine * left - sine * right;
        }
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0.0;
}

fn sorted(d: Vec<f64>, rows: Vec<Vec<f64>>) -> Eigen {
    let mut order: Vec<usize> = (0..d.len()).collect();
    order.sort_by(|a, b| d[*a].total_cmp(&d[*b]));
    let of = |from: &[f64]| order.iter().map(|i| from[*i]).collect::<Vec<f64>>();
    Eigen { values: of(&d), rows: rows.iter().map(|row| of(row)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn all_rows(matrix: &Tridiagonal) -> Eigen {
        matrix.eigen(&(0..matrix.len()).collect::<Vec<_>>()).unwrap()
    }

    /// ‖T·v − λ·v‖ and the eigenvectors' dot products.
    fn check(matrix: &Tridiagonal, tolerance: f64) {
        let (n, eigen) = (matrix.len(), all_rows(matrix));
        let vector = |k: usize| (0..n).map(|i| eigen.rows[i][k]).collect::<Vec<f64>>();
        for k in 0..n {
            let v = vector(k);
            for i in 0..n {
                let mut image = matrix.diagonal[i] * v[i];
                if i > 0 {
                    image += matrix.beside[i - 1] * v[i - 1];
                }
                if i + 1 < n {
                    image += matrix.beside[i] * v[i + 1];
                }
                assert!((image - eigen.values[k] * v[i]).abs() < tolerance, "row {i} of vector {k}");
            }
            for other in 0..=k {
                let dot: f64 = vector(other).iter().zip(&v).map(|(a, b)| a * b).sum();
                assert!((dot - if other == k { 1.0 } else { 0.0 }).abs() < tolerance, "{other} and {k}");
            }
        }
        assert!(eigen.values.is_sorted());
    }

    #[test]
    fn second_differences_have_their_closed_form() {
        for n in [1usize, 2, 3, 10, 101, 250] {
            let matrix = Tridiagonal { diagonal: vec![2.0; n], beside: vec![-1.0; n - 1] };
            let eigen = matrix.eigen(&[0, n - 1]).unwrap();
            for (k, value) in eigen.values.iter().enumerate() {
                let angle = PI * (k + 1) as f64 / (n + 1) as f64;
                assert!((value - (2.0 - 2.0 * angle.cos())).abs() < 4e-13, "{n}: {k}");
                let first = (2.0 / (n + 1) as f64).sqrt() * angle.sin();
                assert!((eigen.rows[0][k].abs() - first).abs() < 1e-12, "{n}: {k}");
                assert!((eigen.rows[1][k].abs() - first).abs() < 1e-12, "{n}: {k}");
            }
            check(&matrix, 1e-12);
        }
    }

    #[test]
    fn wilkinsons_matrix_has_pairs_that_agree_to_fourteen_digits() {
        // W21+ (Wilkinson 1965, chapter 5): its two largest eigenvalues.
        let matrix =
            Tridiagonal { diagonal: (0..21).map(|i: i32| f64::from((i - 10).abs())).collect(), beside: vec![1.0; 20] };
        let values = all_rows(&matrix).values;
        assert!((values[20] - 10.746_194_182_903_393).abs() < 1e-12);
        assert!((values[19] - 10.746_194_182_903_322).abs() < 1e-12);
        assert!((values[0] - -1.125_441_522_119_984).abs() < 1e-12);
        check(&matrix, 1e-12);
    }

    #[test]
    fn graded_zero_and_split_matrices_are_solved() {
        let graded = Tridiagonal { diagonal: vec![1.0, 1e-5, 1e-10, 1e-15], beside: vec![1e-3, 1e-8, 1e-13] };
        check(&graded, 1e-14);
        check(&Tridiagonal { diagonal: vec![0.0; 5], beside: vec![0.0; 4] }, 1e-15);
        check(&Tridiagonal { diagonal: vec![0.0; 6], beside: vec![1.0, 0.0, 2.0, 0.0, 3.0] }, 1e-14);
        check(&Tridiagonal { diagonal: vec![3.0, 3.0, 3.0], beside: vec![0.0, 1e-300] }, 1e-14);
        assert_eq!(Tridiagonal::default().eigen(&[]).unwrap().values, Vec::<f64>::new());
    }

    #[test]
    fn numbers_that_are_not_finite_are_told() {
        let matrix = Tridiagonal { diagonal: vec![1.0, f64::NAN], beside: vec![1.0] };
        assert_eq!(matrix.eigen(&[]), Err(Unsolved));
        let matrix = Tridiagonal { diagonal: vec![1.0, 2.0], beside: vec![f64::INFINITY] };
        assert_eq!(matrix.eigen(&[]), Err(Unsolved));
    }
}

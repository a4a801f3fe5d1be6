//! Eigenvalues of a small dense symmetric matrix: Householder's reflections make it tridiagonal
//! (Householder 1958; Golub and Van Loan, "Matrix Computations", §8.3), which [`crate::tridiagonal`] solves.

use crate::Unsolved;
use crate::tridiagonal::Tridiagonal;
use crate::vectors::dot;

/// Eigenvalues, from the smallest, of a symmetric matrix of `n` rows, row by row; its lower triangle is looked at.
///
/// # Errors
/// If a number is not finite.
///
/// # Panics
/// If there are not n² elements.
pub fn eigenvalues(matrix: &[f64], n: usize) -> Result<Vec<f64>, Unsolved> {
    Ok(reduced(matrix, n)?.eigen(&[])?.values)
}

/// `T = Qᵀ·A·Q`, Q being the product of reflections.
fn reduced(matrix: &[f64], n: usize) -> Result<Tridiagonal, Unsolved> {
    assert_eq!(matrix.len(), n * n, "a matrix of {n} rows");
    if !(0..n).all(|i| matrix[i * n..][..=i].iter().all(|x| x.is_finite())) {
        return Err(Unsolved);
    }
    let at = |i: usize, j: usize| matrix[i.max(j) * n + i.min(j)];
    let mut a: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| at(i, j)).collect()).collect();
    let mut beside = Vec::new();
    for k in 0..n.saturating_sub(1) {
        let column: Vec<f64> = (k + 1..n).map(|i| a[i][k]).collect();
        let (v, to) = reflector(column);
        beside.push(to);
        reflect(&mut a, k + 1, &v);
    }
    let diagonal = (0..n).map(|i| a[i][i]).collect();
    Ok(Tridiagonal { diagonal, beside })
}

/// The unit vector v of the reflection `1 − 2·v·vᵀ` that leaves nothing of a column but its first element; gives that
/// too. Zero if there is nothing to reflect.
fn reflector(mut column: Vec<f64>) -> (Vec<f64>, f64) {
    let largest = column.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    if largest == 0.0 {
        return (column, 0.0);
    }
    column.iter_mut().for_each(|x| *x /= largest);
    let norm = dot(&column, &column).sqrt();
    let to = if column[0] > 0.0 { -norm } else { norm };
    column[0] -= to;
    let length = dot(&column, &column).sqrt();
    column.iter_mut().for_each(|x| *x /= length);
    (column, to * largest)
}

/// `A = H·A·H` of the block from row and column `from` on: A −= v·wᵀ + w·vᵀ, w = 2·(A·v − (vᵀ·A·v)·v).
fn reflect(a: &mut [Vec<f64>], from: usize, v: &[f64]) {
    let mut w: Vec<f64> = a[from..].iter().map(|row| dot(&row[from..], v)).collect();
    let product = dot(&w, v);
    w.iter_mut().zip(v).for_each(|(w, v)| *w = 2.0 * (*w - product * v));
    for (i, row) in a[from..].iter_mut().enumerate() {
        let (v_i, w_i) = (v[i], w[i]);
        row[from..].iter_mut().zip(v.iter().zip(&w)).for_each(|(x, (v, w))| *x -= v_i * w + w_i * v);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::random::Signs;

    /// A = Q·Λ·Qᵀ with Q of some reflections along ±1 and a ramp.
    pub(crate) fn matrix_of(values: &[f64], seed: u64) -> Vec<f64> {
        let n = values.len();
        let mut a: Vec<Vec<f64>> =
            (0..n).map(|i| (0..n).map(|j| if i == j { values[i] } else { 0.0 }).collect()).collect();
        for draw in 0..4 {
            let mut signs = vec![0.0f32; n];
            Signs::new(seed, draw).fill(&mut signs);
            let v: Vec<f64> = signs.iter().enumerate().map(|(i, s)| f64::from(*s) * (1.0 + i as f64)).collect();
            let norm = dot(&v, &v).sqrt();
            reflect(&mut a, 0, &v.iter().map(|v| v / norm).collect::<Vec<_>>());
        }
        a.concat()
    }

    #[test]
    fn known_spectra_are_found() {
        for seed in 0..10 {
            for n in [1usize, 2, 3, 8, 60] {
                let values: Vec<f64> =
                    (0..n).map(|i| (i as f64 - 2.0) * 1.5 - if i % 3 == 0 { 0.1 } else { 0.0 }).collect();
                let mut expected = values.clone();
                expected.sort_by(f64::total_cmp);
                let a = matrix_of(&values, seed);
                let size = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
                for (ours, value) in eigenvalues(&a, n).unwrap().iter().zip(&expected) {
                    assert!((ours - value).abs() <= 1e-12 * size, "{n} {seed}: {ours} {value}");
                }
            }
        }
    }

    #[test]
    fn hilberts_matrix_is_solved_to_its_norm() {
        let n = 8;
        let a: Vec<f64> = (0..n * n).map(|i| 1.0 / (i / n + i % n + 1) as f64).collect();
        let values = eigenvalues(&a, n).unwrap();
        assert!((values[7] - 1.695_938_996_921_949).abs() < 1e-13);
        assert!((values[0] - 1.111_538_966e-10).abs() < 1e-15);
    }

    #[test]
    fn zeros_and_not_numbers() {
        assert_eq!(eigenvalues(&[0.0; 9], 3).unwrap(), vec![0.0; 3]);
        assert_eq!(eigenvalues(&[], 0).unwrap(), Vec::<f64>::new());
        assert_eq!(eigenvalues(&[f64::NAN, 0.0, 0.0, 1.0], 2), Err(Unsolved));
        assert_eq!(eigenvalues(&[1.0, 0.0, f64::NAN, 1.0], 2), Err(Unsolved));
        assert!(eigenvalues(&[1.0, 0.0, f64::INFINITY, 1.0], 2).is_err());
    }
}

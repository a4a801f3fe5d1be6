//! Sharpness of Keskar et al. 2017, "On large-batch training for deep learning: generalization gap and sharp minima",
//! metric 2.1: with C_ε = {y : |y_i| ≤ ε·(|(A⁺x)_i| + 1)},
//!
//! ```text
//! φ = 100 · (max_{y ∈ C_ε} f(x + A·y) − f(x)) / (1 + f(x))
//! ```
//!
//! A is the identity, or has some random directions as its columns ([`Subspace`]). The paper takes ten iterations of
//! L-BFGS-B. Here the ascent is a projected L-BFGS: coordinates that press against a bound are left out (the two-metric
//! projection of Bertsekas 1982), the others go along L-BFGS's direction (Nocedal 1980), or along the gradient where it
//! has seen no curvature that bends down, and what a step leads out of the box is cut at its bounds. So φ, here as
//! there, is what an ascent reaches: a lower bound of the maximum.

use crate::random::Signs;
use crate::vectors::{dot, norm};

/// Pairs that L-BFGS remembers.
const HISTORY: usize = 5;
/// Share of the rise that a gradient promises that a step has to bring.
const ENOUGH: f64 = 1e-4;
/// Times that a step is halved before the ascent gives up.
const MOST_HALVINGS: usize = 20;

/// Where an ascent has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Ascent {
    /// y.
    pub point: Vec<f64>,
    /// f(x).
    pub start: f64,
    /// f(x + A·y), at least f(x).
    pub most: f64,
    /// Steps that were taken.
    pub steps: usize,
    /// Gradients that were evaluated.
    pub evaluations: usize,
}

impl Ascent {
    /// φ.
    pub fn sharpness(&self) -> f64 {
        100.0 * (self.most - self.start) / (1.0 + self.start)
    }
}

/// Half the box' width along each coordinate: ε·(|x| + 1).
pub fn half_widths(x: impl Iterator<Item = f64>, radius: f64) -> Vec<f64> {
    x.map(|x| radius * (x.abs() + 1.0)).collect()
}

/// Climbs from 0 within a box. `evaluate` overwrites the gradient at a point and gives f there.
///
/// # Errors
/// Those of `evaluate`.
pub fn ascend<E>(
    half_widths: &[f64],
    steps: usize,
    mut evaluate: impl FnMut(&[f64], &mut [f64]) -> Result<f64, E>,
) -> Result<Ascent, E> {
    let n = half_widths.len();
    let (mut point, mut gradient) = (vec![0.0; n], vec![0.0; n]);
    let start = evaluate(&point, &mut gradient)?;
    let mut ascent = Ascent { point: Vec::new(), start, most: start, steps: 0, evaluations: 1 };
    let (mut tried, mut slope) = (vec![0.0; n], vec![0.0; n]);
    let mut bends = Bends::default();
    // Of a step along the gradient, in diameters of the box.
    let mut reach = 1.0;
    'steps: while ascent.steps < steps {
        let free: Vec<bool> =
            (0..n).map(|i| point[i] * gradient[i] <= 0.0 || point[i].abs() < half_widths[i]).collect();
        let (mut direction, by_bends) = bends.direction(&gradient, &free);
        let length = norm(&direction);
        // Also where it is not finite.
        if !(length > 0.0 && length.is_finite()) {
            break;
        }
        if !by_bends {
            let scale = reach * norm(half_widths) / length;
            direction.iter_mut().for_each(|d| *d *= scale);
        }
        let mut share = 1.0;
        for halvings in 0..=MOST_HALVINGS {
            for i in 0..n {
                tried[i] = (point[i] + share * direction[i]).clamp(-half_widths[i], half_widths[i]);
            }
            let value = evaluate(&tried, &mut slope)?;
            ascent.evaluations += 1;
            let promised: f64 = (0..n).map(|i| gradient[i] * (tried[i] - point[i])).sum();
            if value >= ascent.most + ENOUGH * promised && promised > 0.0 {
                bends.remember(&tried, &point, &slope, &gradient);
                std::mem::swap(&mut point, &mut tried);
                std::mem::swap(&mut gradient, &mut slope);
                ascent.most = value;
                ascent.steps += 1;
                if !by_bends {
                    reach = if halvings == 0 { reach * 4.0 } else { (reach * share).max(f64::MIN_POSITIVE) };
                }
                continue 'steps;
            }
            share *= 0.5;
        }
        if !by_bends {
            break;
        }
        // The curvature that was seen misleads: once more along the gradient.
        bends = Bends::default();
    }
    ascent.point = point;
    Ok(ascent)
}

/// What steps have seen of the curvature: pairs of a step s and the gradient's fall q along it, sᵀq > 0.
#[derive(Default)]
struct Bends {
    pairs: Vec<(Vec<f64>, Vec<f64>)>,
}

impl Bends {
    fn remember(&mut self, to: &[f64], from: &[f64], slope_to: &[f64], slope_from: &[f64]) {
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let (s, q) = (difference(to, from), difference(slope_from, slope_to));
        if dot(&s, &q) > 1e-10 * norm(&s) * norm(&q) {
            if self.pairs.len() == HISTORY {
                self.pairs.remove(0);
            }
            self.pairs.push((s, q));
        }
    }

    /// Uphill along free coordinates, and whether its length is told by what was seen.
    fn direction(&self, gradient: &[f64], free: &[bool]) -> (Vec<f64>, bool) {
        let masked = |x: &[f64]| x.iter().zip(free).map(|(x, free)| if *free { *x } else { 0.0 }).collect::<Vec<f64>>();
        let gradient = masked(gradient);
        let pairs: Vec<_> = self.pairs.iter().map(|(s, q)| (masked(s), masked(q))).collect();
        let pairs: Vec<_> = pairs.iter().map(|(s, q)| (s, q, dot(s, q))).filter(|(_, _, sq)| *sq > 0.0).collect();
        let Some((_, q, sq)) = pairs.last() else { return (gradient, false) };
        let mut direction = gradient.clone();
        let mut shares = Vec::with_capacity(pairs.len());
        for (s, q, sq) in pairs.iter().rev() {
            let share = dot(s, &direction) / sq;
            direction.iter_mut().zip(*q).for_each(|(d, q)| *d -= share * q);
            shares.push(share);
        }
        let scale = sq / dot(q, q);
        direction.iter_mut().for_each(|d| *d *= scale);
        for ((s, q, sq), share) in pairs.iter().zip(shares.iter().rev()) {
            let back = share - dot(q, &direction) / sq;
            direction.iter_mut().zip(*s).for_each(|(d, s)| *d += back * s);
        }
        if dot(&direction, &gradient) > 0.0 { (direction, true) } else { (gradient, false) }
    }
}

/// Random directions as the columns of A: n × p, signs over √n, so that each has norm 1. They are made anew at each
/// use.
#[derive(Clone, Copy, Debug)]
pub struct Subspace {
    /// n.
    pub len: usize,
    /// p.
    pub dimensions: usize,
    /// Of the signs.
    pub seed: u64,
}

impl Subspace {
    fn columns(&self) -> impl Iterator<Item = Signs> + use<> {
        let seed = self.seed;
        (0..self.dimensions as u64).map(move |column| Signs::new(seed, column))
    }

    fn scale(&self) -> f64 {
        1.0 / (self.len as f64).sqrt()
    }

    /// `x = A·y`. Overwrites x.
    pub fn lift(&self, y: &[f64], x: &mut [f64]) {
        x.fill(0.0);
        self.columns().zip(y).for_each(|(column, y)| column.add_to(y * self.scale(), x));
    }

    /// Aᵀ·x.
    pub fn project(&self, x: impl Fn(usize) -> f64) -> Vec<f64> {
        self.columns().map(|column| self.scale() * column.dot(&x, self.len)).collect()
    }

    /// A⁺·x = (AᵀA)⁻¹·Aᵀ·x; none if columns depend on each other, as more than n do.
    pub fn coordinates(&self, x: impl Fn(usize) -> f64) -> Option<Vec<f64>> {
        let columns: Vec<Signs> = self.columns().collect();
        let overlap = |a: &Signs, b: &Signs| a.overlap(*b, self.len) as f64 / self.len as f64;
        // Of a symmetric matrix the lower triangle, which is all that is looked at.
        let row = |i: usize| {
            let of = |j: usize| if j <= i { overlap(&columns[i], &columns[j]) } else { 0.0 };
            (0..columns.len()).map(of).collect()
        };
        let gram = (0..columns.len()).map(row).collect();
        solved(gram, self.project(x))
    }
}

/// The solution of `M·z = right` by Cholesky's decomposition; none if M is not positive definite.
fn solved(mut m: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = right.len();
    for j in 0..n {
        for i in j..n {
            let sum = dot(&m[i][..j], &m[j][..j]);
            m[i][j] -= sum;
            if i == j {
                if m[j][j] <= 1e-10 {
                    return None;
                }
                m[j][j] = m[j][j].sqrt();
            } else {
                m[i][j] /= m[j][j];
            }
        }
        right[j] = (right[j] - dot(&m[j][..j], &right[..j])) / m[j][j];
    }
    for j in (0..n).rev() {
        let sum: f64 = (j + 1..n).map(|i| m[i][j] * right[i]).sum();
        right[j] = (right[j] - sum) / m[j][j];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symmetric::tests::matrix_of;

    /// f(y) = offset + Σ h·(x + y)²/2 of a diagonal H.
    fn bowl<'a>(h: &'a [f64], x: &'a [f64], offset: f64) -> impl FnMut(&[f64], &mut [f64]) -> Result<f64, ()> + 'a {
        move |y, gradient| {
            let mut value = offset;
            for i in 0..h.len() {
                let at = x[i] + y[i];
                value += h[i] * at * at / 2.0;
                gradient[i] = h[i] * at;
            }
            Ok(value)
        }
    }

    #[test]
    fn a_bowls_highest_corner_is_found() {
        let n = 50;
        let h: Vec<f64> = (0..n).map(|i| 0.01 + i as f64).collect();
        let x: Vec<f64> = (0..n).map(|i| if i % 2 == 0 { 0.3 } else { -0.02 } * (1.0 + i as f64 / 10.0)).collect();
        let widths = half_widths(x.iter().copied(), 1e-2);
        let ascent = ascend(&widths, 10, bowl(&h, &x, 0.5)).unwrap();
        // Every coordinate goes away from 0 to its bound.
        let most = 0.5 + (0..n).map(|i| h[i] * (x[i].abs() + widths[i]).powi(2) / 2.0).sum::<f64>();
        let start = 0.5 + (0..n).map(|i| h[i] * x[i] * x[i] / 2.0).sum::<f64>();
        assert!((ascent.sharpness() / (100.0 * (most - start) / (1.0 + start)) - 1.0).abs() < 1e-12, "{ascent:?}");
        assert!(ascent.evaluations <= 11);
    }

    #[test]
    fn a_summit_inside_the_box_is_found_along_a_ridge() {
        // Concave, badly scaled, with its top at a known place.
        let n = 20;
        let a = matrix_of(&(0..n).map(|i| 1.0 + 5.0 * i as f64).collect::<Vec<_>>(), 3);
        let top: Vec<f64> = (0..n).map(|i| (i as f64 - 8.0) / 40.0).collect();
        let mut hill = |y: &[f64], gradient: &mut [f64]| -> Result<f64, ()> {
            let off: Vec<f64> = y.iter().zip(&top).map(|(y, top)| y - top).collect();
            (0..n).for_each(|i| gradient[i] = -dot(&a[i * n..][..n], &off));
            Ok(3.0 + dot(gradient, &off) / 2.0)
        };
        let ascent = ascend(&vec![1.0; n], 60, &mut hill).unwrap();
        assert!((ascent.most - 3.0).abs() < 1e-6, "{}", ascent.most);
        // A bound in the way: the best point has the first coordinate there.
        let mut widths = vec![1.0; n];
        widths[0] = 0.05;
        let bounded = ascend(&widths, 100, &mut hill).unwrap();
        assert_eq!(bounded.point[0], -0.05);
        let mut slope = vec![0.0; n];
        hill(&bounded.point, &mut slope).unwrap();
        assert!(slope[0] < 0.0 && slope[1..].iter().all(|g| g.abs() < 1e-3), "{slope:?}");
    }

    #[test]
    fn a_summit_and_what_is_not_finite_end_an_ascent() {
        let flat = ascend(&[1.0, 1.0], 10, |_, g| {
            g.fill(0.0);
            Ok::<_, ()>(2.0)
        });
        assert_eq!(flat.as_ref().map(|ascent| (ascent.sharpness(), ascent.evaluations)), Ok((0.0, 1)));
        let nan = ascend(&[1.0], 10, |_, g| {
            g.fill(f64::NAN);
            Ok::<_, ()>(f64::NAN)
        });
        assert!(nan.unwrap().sharpness().is_nan());
        assert_eq!(ascend(&[1.0], 10, |_, _| Err("away")), Err("away"));
    }

    #[test]
    fn coordinates_in_a_subspace_are_those_of_what_lies_in_it() {
        let subspace = Subspace { len: 500, dimensions: 12, seed: 4 };
        let y: Vec<f64> = (0..12).map(|i| f64::from(i) - 4.0).collect();
        let mut x = vec![0.0; 500];
        subspace.lift(&y, &mut x);
        let back = subspace.coordinates(|i| x[i]).unwrap();
        assert!(back.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-12));
        // What is orthogonal to all columns has no coordinates.
        let residual: Vec<f64> = (0..500).map(|i| f64::from(i % 7)).collect();
        let of = subspace.coordinates(|i| residual[i]).unwrap();
        let mut inside = vec![0.0; 500];
        subspace.lift(&of, &mut inside);
        let outside = subspace.project(|i| residual[i] - inside[i]);
        assert!(outside.iter().all(|x| x.abs() < 1e-11));
        assert_eq!(Subspace { len: 3, dimensions: 5, seed: 0 }.coordinates(|_| 1.0), None);
    }
}

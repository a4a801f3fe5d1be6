//! `spectra`: each layer's largest singular values, and how many lie above the Marchenko–Pastur edge.

use lockstep_estimators::spectrum::{Bulk, FEWEST, bulk, singular_values};
use lockstep_kernels::device::Device;

use super::figures::Figures;
use super::probing::{Broken, Probing};
use crate::layers::Role;

/// Singular values of a layer that are told.
const TOLD: usize = 10;
/// Singular values of a layer that there is time for: Householder's reflections take a third of their cube.
pub(super) const MOST: usize = 1024;

/// For each weight, as a matrix of outputs × all else: `singular/…` the largest, `deviation/…` σ of the noise, `edge/…`
/// σ·(√m + √n), `above/…` singular values above it. What a layer is too small or too large for is a remark.
pub fn measure<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let weights = probing.weights();
    let mut figures = Figures::over(0);
    // The first layer's first.
    for tensor in probing.work.model.trained_tensors().iter().rev() {
        let shape = &tensor.shape.shape;
        if !matches!(tensor.shape.role, Role::Weight { .. }) || shape.len() < 2 {
            continue;
        }
        probing.alive()?;
        let name = tensor.shape.name.trim_end_matches(".weight");
        let (rows, columns) = (shape[0], shape[1..].iter().product::<usize>());
        let few = rows.min(columns);
        if few > MOST {
            figures.remark(format!("{name}: {few} singular values are more than {MOST}, which there is time for"));
            continue;
        }
        let Ok(values) = singular_values(&weights[tensor.range.clone()], rows, columns) else {
            figures.remark(format!("{name}: a weight is not finite"));
            continue;
        };
        figures.many(format!("singular/{name}"), values.iter().take(TOLD).copied().collect());
        match bulk(&values, rows, columns) {
            Some(Bulk { deviation, edge, above }) => {
                figures.one(format!("deviation/{name}"), deviation).one(format!("edge/{name}"), edge);
                figures.one(format!("above/{name}"), above as f64);
            }
            None => {
                let problem = format!("{name}: {few} singular values tell no edge, which takes {FEWEST}");
                figures.remark(problem);
            }
        }
    }
    Ok(figures)
}

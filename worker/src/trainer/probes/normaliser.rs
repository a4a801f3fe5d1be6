//! What margins are divided by, so that those of networks of different scales can be compared: the product of the layers'
//! spectral norms (Bartlett, Foster & Telgarsky 2017, "Spectrally-normalized margin bounds for neural networks"; the first
//! factor of their spectral complexity, which bounds how fast the outputs of a chain of such layers change with the input).

use lockstep_estimators::spectrum::singular_values;

use super::spectra::MOST;
use crate::layers::Role;
use crate::model::{BATCH_NORM_EPSILON, Tensor};

/// Π over the layers of ‖·‖₂ at `flat`, parameters and statistics, laid out as `tensors` say. A weight counts as the matrix
/// of outputs × all else, a convolution's so as well, whatever its stride: its kernel reshaped, not the operator over a
/// plane; one of groups is a matrix for each, of which the largest norm counts. Batch normalisation is the diagonal map
/// that it is in evaluation, max |γ|/√(variance + ε). Biases are no part of a norm, and layers without
/// parameters count as 1; so does a shortcut, though a sum of two ways may be twice as steep.
/// Factors are multiplied in the order of the network. `alive` is asked before each weight.
///
/// # Errors
/// The inner one in words, where the product is not known: a layer has no spectral norm or one that there is no time for,
/// or a weight is not finite. What `alive` says.
pub fn product<E>(
    tensors: &[Tensor],
    flat: &[f32],
    mut alive: impl FnMut() -> Result<(), E>,
) -> Result<Result<f64, String>, E> {
    let mut product = 1.0;
    // The flat vector has the last layer first, and statistics behind all.
    for tensor in tensors.iter().rev() {
        alive()?;
        match factor(tensor, tensors, flat) {
            Ok(factor) => product *= factor.unwrap_or(1.0),
            Err(problem) => return Ok(Err(problem)),
        }
    }
    Ok(Ok(product))
}

/// A tensor's; none where it is no factor.
fn factor(tensor: &Tensor, tensors: &[Tensor], flat: &[f32]) -> Result<Option<f64>, String> {
    let (shape, values) = (&tensor.shape, &flat[tensor.range.clone()]);
    let layer = shape.name.rsplit_once('.').map_or(&*shape.name, |(layer, _)| layer);
    match (shape.role, &shape.shape[..]) {
        (Role::Weight { fan_out, .. }, [outputs, inputs, kernel @ ..]) => {
            let kernel = kernel.iter().product::<usize>();
            // A value feeds the outputs of its own group, through each element of the kernel.
            let rows = fan_out / kernel;
            let columns = inputs * kernel;
            if rows == 0 || !outputs.is_multiple_of(rows) {
                return Err(format!("{layer} has no matrix of weights"));
            }
            let few = rows.min(columns);
            if few > MOST {
                return Err(format!("{layer}: {few} singular values are more than {MOST}, which there is time for"));
            }
            let norm = |group: &[f32]| singular_values(group, rows, columns).ok()?.first().copied();
            let norms: Option<Vec<f64>> = values.chunks_exact(rows * columns).map(norm).collect();
            let norms = norms.ok_or_else(|| format!("{layer}: a weight is not finite"))?;
            Ok(norms.into_iter().reduce(f64::max))
        }
        (Role::Weight { .. }, _) => Err(format!("{layer} has no matrix of weights")),
        (Role::Scale { .. }, _) => {
            let variance = format!("{layer}.running_var");
            let Some(variance) = tensors.iter().find(|tensor| tensor.shape.name == variance) else {
                return Err(format!("{layer} has no running variance"));
            };
            let steepness = |(scale, variance): (&f32, &f32)| {
                f64::from(*scale).abs() / (f64::from(*variance) + f64::from(BATCH_NORM_EPSILON)).sqrt()
            };
            let all = values.iter().zip(&flat[variance.range.clone()]).map(steepness);
            // `max` would pass over what is not a number.
            Ok(all.reduce(|most, one| if most.is_nan() || most > one { most } else { one }))
        }
        (Role::Bias { .. } | Role::Shift | Role::Mean | Role::Variance, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::TensorShape;

    fn tensors(list: &[(&str, &str, &[usize], Role)]) -> Vec<Tensor> {
        let mut end = 0;
        let place = |(layer, kind, shape, role): &(&str, &str, &[usize], Role)| {
            let shape = TensorShape::new(layer, kind, shape.to_vec(), *role);
            let range = end..end + shape.len();
            end = range.end;
            Tensor { shape, range }
        };
        list.iter().map(place).collect()
    }

    fn product_of(tensors: &[Tensor], flat: &[f32]) -> Result<f64, String> {
        product(tensors, flat, || Ok::<_, ()>(())).unwrap()
    }

    const fn weight(fan_out: usize) -> Role {
        Role::Weight { fan_in: 1, fan_out, plane: false }
    }

    const BIAS: Role = Role::Bias { fan_in: 1, plane: false };
    const SCALE: Role = Role::Scale { ends_block: false };

    #[test]
    fn it_is_the_product_of_the_spectral_norms() {
        let net = tensors(&[
            ("fc", "weight", &[2, 2], weight(2)),
            ("fc", "bias", &[2], BIAS),
            ("bn", "weight", &[2], SCALE),
            ("bn", "bias", &[2], Role::Shift),
            ("conv", "weight", &[2, 1, 1, 2], weight(4)),
            ("bn", "running_mean", &[2], Role::Mean),
            ("bn", "running_var", &[2], Role::Variance),
        ]);
        // ((3, 0), (4, 5)) has the singular values 3·√5 and √5; ((1, 1), (1, −1)) twice √2.
        let flat = [3.0, 0.0, 4.0, 5.0, 9.0, 9.0, -3.0, 2.0, 9.0, 9.0, 1.0, 1.0, 1.0, -1.0, 9.0, 9.0, 4.0, 0.25];
        let of_norm = 2.0 / (0.25 + f64::from(BATCH_NORM_EPSILON)).sqrt();
        let wanted = 3.0 * 5f64.sqrt() * 2f64.sqrt() * of_norm;
        let found = product_of(&net, &flat).unwrap();
        assert!((found / wanted - 1.0).abs() < 1e-14, "{found} {wanted}");
    }

    #[test]
    fn of_groups_the_largest_norm_counts() {
        // Two groups of two outputs each: ((3, 0), (4, 5)), and ((1, 1), (1, −1)).
        let net = tensors(&[("conv", "weight", &[4, 1, 1, 2], weight(4))]);
        let flat = [1.0, 1.0, 1.0, -1.0, 3.0, 0.0, 4.0, 5.0];
        let found = product_of(&net, &flat).unwrap();
        assert!((found / (3.0 * 5f64.sqrt()) - 1.0).abs() < 1e-14, "{found}");
    }

    #[test]
    fn what_has_none_is_told() {
        let told = |list: &[(&str, &str, &[usize], Role)], value: f32| {
            let net = tensors(list);
            product_of(&net, &vec![value; net.last().unwrap().range.end]).unwrap_err()
        };
        assert_eq!(told(&[("fc", "weight", &[2, 2], weight(2))], f32::NAN), "fc: a weight is not finite");
        assert_eq!(told(&[("s2", "weight", &[6], weight(1))], 1.0), "s2 has no matrix of weights");
        let group = [("gn", "weight", &[4][..], SCALE), ("gn", "bias", &[4], Role::Shift)];
        assert_eq!(told(&group, 1.0), "gn has no running variance");
        let large = [("fc", "weight", &[1025, 1025][..], weight(1025))];
        assert_eq!(told(&large, 0.0), "fc: 1025 singular values are more than 1024, which there is time for");
    }
}

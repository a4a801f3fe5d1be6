//! `weights`: how long the vector of all parameters is, and how far from where it began; of all and of each layer.

use lockstep_kernels::device::Device;

use super::figures::Figures;
use super::probing::{Broken, Probing};

/// Layers that are told one by one: a report has a bound.
const MOST_LAYERS: usize = 500;

/// `norm` = ‖w‖₂ and `distance` = ‖w − w₀‖₂ over the parameters, w₀ the initial ones; `norm/LAYER` and `distance/LAYER`
/// of one layer's. Running statistics are not among them. Squares are added in f64, layer by layer in the order of the
/// network, within a layer in that of the flat vector.
pub fn measure<D: Device>(probing: &mut Probing<'_, D>) -> Result<Figures, Broken> {
    let (now, initial) = (probing.weights(), probing.initial_weights()?);
    let model = &probing.work.model;
    let names: Vec<&str> = model.layer_names().collect();
    let mut layers: Vec<_> = names.into_iter().zip(model.layer_ranges()).collect();
    // The flat vector has the last layer first.
    layers.reverse();
    let mut figures = Figures::over(0);
    let mut whole = [0.0; 2];
    for (name, range) in &layers {
        let (now, initial) = (&now[range.clone()], &initial[range.clone()]);
        let squares = [square(now.iter().map(|x| f64::from(*x))), square(differences(now, initial))];
        whole.iter_mut().zip(squares).for_each(|(whole, square)| *whole += square);
        if layers.len() <= MOST_LAYERS {
            let [norm, distance] = squares.map(f64::sqrt);
            figures.one(format!("norm/{name}"), norm).one(format!("distance/{name}"), distance);
        }
    }
    if layers.len() > MOST_LAYERS {
        figures.remark(format!("{} layers are more than are told one by one", layers.len()));
    }
    let [norm, distance] = whole.map(f64::sqrt);
    figures.one("norm", norm).one("distance", distance);
    Ok(figures)
}

fn square(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum()
}

fn differences<'v>(a: &'v [f32], b: &'v [f32]) -> impl Iterator<Item = f64> + 'v {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b))
}

//! Products of the Hessian with vectors: of the mean loss over a probe's samples, in training mode, as gradients are.
//!
//! They are exact where all layers have tangents ([`Model::hessian_product`](crate::model::Model::hessian_product)). Else
//! they are central differences of gradients, `(g(w + r·v) − g(w − r·v))/2r`. Their error has a part that grows with the
//! square of the step r·‖v‖ and one of rounding, of ε·‖w‖ over the step: they are about equal at `r·‖v‖ = ε^(1/3)·‖w‖`
//! (Press et al., "Numerical Recipes", §5.7), where ε = 2⁻²⁴ is f32's. The first product of a probe is computed with twice
//! the radius too: how far both are apart estimates the error, from above as long as r² leads it.

use lockstep_estimators::vectors::{dot_f32, norm};
use lockstep_kernels::device::Device;

use super::probing::{Broken, Probing};
use crate::trainer::crew::Devices;
use crate::trainer::measures;

/// ε^(1/3), ε = 2⁻²⁴.
const RADIUS: f64 = 1.0 / 256.0;

/// The Hessian at the probed weights, as its products.
pub struct Products<'p, 'g, D: Device> {
    probing: &'p mut Probing<'g, D>,
    weights: Vec<f32>,
    norm: f64,
    /// v on the device; none where there are no exact products.
    direction: Option<D::Buffer<f32>>,
    /// The relative error of differences.
    error: Option<f64>,
    /// Samples of the newest product.
    samples: u64,
}

impl<'p, 'g, D: Device> Products<'p, 'g, D> {
    /// At the weights that are probed.
    pub fn new(probing: &'p mut Probing<'g, D>) -> Self {
        let weights = probing.weights();
        let parameters = probing.parameters();
        let wide: Vec<f64> = weights[..parameters].iter().map(|w| f64::from(*w)).collect();
        let is_exact = probing.work.model.without_tangents().is_none();
        let direction = is_exact.then(|| probing.crew.first_device().zeros(parameters));
        Self { norm: norm(&wide), weights, direction, error: None, samples: 0, probing }
    }

    /// `to = H·v`.
    ///
    /// # Errors
    /// As [`Probing::gradient`].
    pub fn times(&mut self, v: &[f32], to: &mut [f64]) -> Result<(), Broken> {
        let Some(mut direction) = self.direction.take() else { return self.by_differences(v, to) };
        let multiplied = self.exact(&mut direction, v, to);
        self.direction = Some(direction);
        multiplied
    }

    /// Which way they were taken, in words.
    pub fn method(&self) -> String {
        let Some(layer) = self.probing.work.model.without_tangents() else {
            return "exact products with the Hessian (forward over reverse)".to_owned();
        };
        let error = self.error.map_or(String::new(), |error| format!(", error about {error:.1e} of a product"));
        format!("central differences of gradients over ±‖w‖/256{error}; layer {layer} has no exact product")
    }

    /// Samples that products are over, those left aside that can't be decoded.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    fn exact(&mut self, direction: &mut D::Buffer<f32>, v: &[f32], to: &mut [f64]) -> Result<(), Broken> {
        let Self { probing, weights, .. } = self;
        probing.go_to(weights);
        probing.crew.first_device().write(v, D::view_mut(direction, 0..v.len()));
        to.fill(0.0);
        let tally = probing.sum_over(0..probing.samples.count, Some(D::view(direction, 0..v.len())), to)?;
        self.samples = tally.counts[measures::SAMPLES];
        to.iter_mut().for_each(|to| *to /= self.samples as f64);
        Ok(())
    }

    fn by_differences(&mut self, v: &[f32], to: &mut [f64]) -> Result<(), Broken> {
        let wide: Vec<f64> = v.iter().map(|v| f64::from(*v)).collect();
        let length = dot_f32(v, &wide).sqrt();
        // Of weights that are all 0 any step is as good.
        let step = RADIUS * if self.norm > 0.0 { self.norm } else { 1.0 };
        if length == 0.0 {
            to.fill(0.0);
            return Ok(());
        }
        self.difference(v, step / length, to)?;
        if self.error.is_none() {
            let mut wider = vec![0.0; to.len()];
            self.difference(v, 2.0 * step / length, &mut wider)?;
            wider.iter_mut().zip(&*to).for_each(|(wider, to)| *wider -= to);
            let size = norm(to);
            self.error = Some(if size > 0.0 { norm(&wider) / size } else { 0.0 });
        }
        Ok(())
    }

    fn difference(&mut self, v: &[f32], radius: f64, to: &mut [f64]) -> Result<(), Broken> {
        to.fill(0.0);
        let mut gradient = vec![0.0; to.len()];
        for side in [1.0, -1.0] {
            let mut moved = self.weights.clone();
            moved.iter_mut().zip(v).for_each(|(w, v)| *w = (f64::from(*w) + side * radius * f64::from(*v)) as f32);
            gradient.fill(0.0);
            let tally = self.probing.gradient(&moved, &mut gradient)?;
            self.samples = tally.counts[measures::SAMPLES];
            let scale = side / (2.0 * radius * self.samples as f64);
            to.iter_mut().zip(&gradient).for_each(|(to, d)| *to += scale * d);
        }
        Ok(())
    }
}

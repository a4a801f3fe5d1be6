//! The plans of a network's layers: that which keeps all values, and that of `model.recompute`.

use lockstep_kernels::device::Device;

use super::graph::Placed;
use super::plan::Use;
use super::{Model, Plan, Shape};
use crate::layers::Layer;

impl<D: Device> Model<D> {
    /// How a pass goes through memory.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The same network, whose way back runs a part of its layers again, for less memory.
    pub fn recomputing(self) -> Self {
        Self { plan: self.recomputing_plan(), ..self }
    }

    /// The plan of [`Model::recomputing`].
    pub fn recomputing_plan(&self) -> Plan {
        planned(&self.shapes, &self.layers, &self.placed, Plan::recomputing)
    }

    /// Multiplications and additions of a sample on the way back that repeat those of the way forward.
    pub fn operations_again(&self) -> u64 {
        self.plan.again().map(|index| self.layers[index].operations()).sum()
    }
}

/// The plan that `make` makes of features and nodes.
pub(super) fn planned<D: Device>(
    shapes: &[Shape],
    layers: &[Box<dyn Layer<D>>],
    placed: &[Placed],
    make: fn(&[usize], &[Use<'_>]) -> Plan,
) -> Plan {
    let features: Vec<usize> = shapes.iter().map(Shape::features).collect();
    let mut differentiable = vec![false; shapes.len()];
    let mut uses = Vec::with_capacity(layers.len());
    for (layer, Placed { links, parameters, memo, .. }) in layers.iter().zip(placed) {
        let differentiates = !parameters.is_empty() || links.inputs().any(|value| differentiable[value]);
        differentiable[links.output] = differentiates;
        let (keeps, passes_on, adds) = (layer.keeps(), layer.passes_on(), layer.adds());
        uses.push(Use { links, keeps, memo: *memo, passes_on, adds, differentiates });
    }
    make(&features, &uses)
}

//! The plans of a network's layers: that which keeps all values, that of `model.recompute`, and that which goes on to the
//! gradient of the input.

use lockstep_kernels::device::Device;

use super::graph::Placed;
use super::plan::Use;
use super::{Activations, Model, Plan, Shape};
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

    /// The same network, whose way back goes on to the gradient of its input, see [`Model::input_gradient`].
    pub fn reaching_input(self) -> Self {
        let mut differentiable = vec![false; self.shapes.len()];
        differentiable[0] = true;
        let plan = planned_from(differentiable, (&self.shapes, &self.layers, &self.placed), Plan::reaching_input);
        Self { plan, ..self }
    }

    /// The gradient of the input of so many samples, in the layout of an activation, behind a way back of
    /// [`Model::reaching_input`].
    ///
    /// # Panics
    /// If the network is another.
    pub fn input_gradient<'a>(&self, device: &D, samples: usize, activations: &'a Activations<D>) -> D::View<'a, f32> {
        let slot = self.plan.gradients[0].expect("the way back goes on to the input");
        activations.view(slot, self.value_len(device, samples, 0))
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
    planned_from(vec![false; shapes.len()], (shapes, layers, placed), make)
}

/// Shapes, layers, and where they are.
type Parts<'a, D> = (&'a [Shape], &'a [Box<dyn Layer<D>>], &'a [Placed]);

/// The same. `differentiable`: of the values, those whose gradients are wanted although nothing before them has any.
fn planned_from<D: Device>(
    mut differentiable: Vec<bool>,
    (shapes, layers, placed): Parts<'_, D>,
    make: fn(&[usize], &[Use<'_>]) -> Plan,
) -> Plan {
    let features: Vec<usize> = shapes.iter().map(Shape::features).collect();
    let mut uses = Vec::with_capacity(layers.len());
    for (layer, Placed { links, parameters, memo, .. }) in layers.iter().zip(placed) {
        let differentiates = !parameters.is_empty() || links.inputs().any(|value| differentiable[value]);
        differentiable[links.output] = differentiates;
        let (keeps, passes_on, adds) = (layer.keeps(), layer.passes_on(), layer.adds());
        uses.push(Use { links, keeps, memo: *memo, passes_on, adds, differentiates });
    }
    make(&features, &uses)
}

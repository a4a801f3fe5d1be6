//! Tensors of layers: names, shapes, and what they are for.

/// A tensor of a layer, as PyTorch names and shapes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorShape {
    /// Name within the model, e.g. `fc1.weight`.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

/// What a tensor is for: initial values and weight decay go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weights of a linear map.
    Weight {
        /// Values that feed one output.
        fan_in: usize,
        /// Outputs that one value feeds.
        fan_out: usize,
        /// Whether it is moved over a plane, as in a convolution.
        plane: bool,
    },
    /// What is added to a linear map.
    Bias {
        /// Of the map's weights.
        fan_in: usize,
        /// Of the map's weights.
        plane: bool,
    },
    /// γ of a normalisation, at first 1.
    Scale {
        /// The last of a residual block, which may begin at 0.
        ends_block: bool,
    },
    /// β of a normalisation, at first 0.
    Shift,
    /// A running mean, at first 0.
    Mean,
    /// A running variance, at first 1.
    Variance,
}

impl TensorShape {
    /// A tensor `layer.kind`.
    pub fn new(layer: &str, kind: &str, shape: Vec<usize>, role: Role) -> Self {
        Self { name: format!("{layer}.{kind}"), shape, role }
    }

    /// γ (C) and β (C) of a normalisation, `weight` and `bias` by name.
    pub fn of_norm(layer: &str, channels: usize, ends_block: bool) -> Vec<Self> {
        let tensor = |kind, role| Self::new(layer, kind, vec![channels], role);
        vec![tensor("weight", Role::Scale { ends_block }), tensor("bias", Role::Shift)]
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

//! Initial weights.

use lockstep_proto::job::{Init, Model};

use super::Tensor;
use super::named::default_init;
use crate::layers::Role;
use lockstep_dataset::random::{Purpose, Random};

/// A distribution of initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Draw {
    /// In ± this bound.
    Uniform(f64),
    /// Of this standard deviation.
    Normal(f64),
    /// This very value.
    Value(f64),
}

/// The flat vector at first: parameters and running statistics. Each element is a function of (seed, its tensor's index, its place in the
/// tensor) alone.
pub fn initial_values(tensors: &[Tensor], seed: u64, model: &Model) -> Vec<f32> {
    let default = default_init(model.name);
    let mut values = vec![0.0; tensors.last().map_or(0, |tensor| tensor.range.end)];
    for (index, tensor) in tensors.iter().enumerate() {
        let draw = draw(tensor.shape.role, model, default);
        let random = |element: usize| Random::new(seed, Purpose::Init, index as u64, element as u64);
        for (element, value) in values[tensor.range.clone()].iter_mut().enumerate() {
            *value = match draw {
                // In f32, as it always was: the bits are part of the promise.
                Draw::Uniform(bound) => (2.0 * random(element).next_uniform() - 1.0) * bound as f32,
                Draw::Normal(deviation) => (random(element).next_normal() * deviation) as f32,
                Draw::Value(fixed) => fixed as f32,
            };
        }
    }
    values
}

/// How a network begins by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// Uniform in ±1/√fan_in, weights and biases alike: PyTorch's for linear and convolutional layers (LeCun et al.
    /// 1998, "Efficient BackProp", §4.6, up to the constant).
    UniformByFanIn,
    /// Uniform in ±2.4/fan_in, weights and biases alike (LeCun et al. 1998, appendix A).
    Lecun1998,
    /// torchvision's ResNets: convolutions He-normal by fan_out; the last layer as `UniformByFanIn`.
    Resnet,
    /// torchvision's VGGs: convolutions He-normal by fan_out with biases of 0; linear layers N(0, 0.01).
    Vgg,
    /// N(0, 0.01) with biases of 0 (Krizhevsky et al. 2012, whose biases of 1 in some layers are left out).
    Alexnet2012,
    /// He et al. 2016 for small images: He-normal by fan_in everywhere, biases of 0.
    HeNormal,
}

fn draw(role: Role, model: &Model, default: Default) -> Draw {
    match role {
        Role::Weight { fan_in, fan_out, plane } => weight(model, default, fan_in as f64, fan_out as f64, plane),
        Role::Bias { fan_in, plane } => bias(model.init, default, fan_in as f64, plane),
        Role::Scale { ends_block } if ends_block && model.zero_gamma => Draw::Value(0.0),
        Role::Scale { .. } | Role::Variance => Draw::Value(1.0),
        Role::Shift | Role::Mean => Draw::Value(0.0),
    }
}

/// Weights of a linear map; `plane`: of a convolution.
fn weight(model: &Model, default: Default, fan_in: f64, fan_out: f64, plane: bool) -> Draw {
    // A uniform distribution in ±a has the variance a²/3.
    let uniform = |variance: f64| Draw::Uniform((3.0 * variance).sqrt());
    let normal = |variance: f64| Draw::Normal(variance.sqrt());
    match model.init {
        Init::Default => match (default, plane) {
            (Default::UniformByFanIn, _) | (Default::Resnet, false) => by_fan_in(fan_in),
            (Default::Lecun1998, _) => Draw::Uniform(2.4 / fan_in),
            (Default::Resnet | Default::Vgg, true) => normal(2.0 / fan_out),
            (Default::Vgg, false) | (Default::Alexnet2012, _) => Draw::Normal(0.01),
            (Default::HeNormal, _) => normal(2.0 / fan_in),
        },
        Init::Lecun1998 => Draw::Uniform(2.4 / fan_in),
        Init::LecunUniform => uniform(1.0 / fan_in),
        Init::LecunNormal => normal(1.0 / fan_in),
        Init::XavierUniform => uniform(2.0 / (fan_in + fan_out)),
        Init::XavierNormal => normal(2.0 / (fan_in + fan_out)),
        Init::HeUniform => uniform(2.0 / fan_in),
        Init::HeNormal => normal(2.0 / fan_in),
        Init::HeUniformFanOut => uniform(2.0 / fan_out),
        Init::HeNormalFanOut => normal(2.0 / fan_out),
        Init::Normal => Draw::Normal(model.init_value),
        Init::Constant => Draw::Value(model.init_value),
    }
}

fn bias(init: Init, default: Default, fan_in: f64, plane: bool) -> Draw {
    match (init, default) {
        (Init::Default, Default::UniformByFanIn) => by_fan_in(fan_in),
        (Init::Default, Default::Resnet) if !plane => by_fan_in(fan_in),
        (Init::Lecun1998, _) | (Init::Default, Default::Lecun1998) => Draw::Uniform(2.4 / fan_in),
        _ => Draw::Value(0.0),
    }
}

fn by_fan_in(fan_in: f64) -> Draw {
    // The square root is taken in f32, as it always was.
    Draw::Uniform(f64::from(1.0 / (fan_in as f32).sqrt()))
}

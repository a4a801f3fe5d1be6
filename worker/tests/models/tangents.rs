//! Passes of tangents: layers against their formula's nested differences in f64, and products with the Hessian of whole
//! networks against PyTorch 2.15 in f64, for weights and samples that come from a formula.
//!
//! ```python
//! import torch, torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! def units(name, n):
//!     t = sum((k + 1) * b for k, b in enumerate(name.encode())) % 1009
//!     return (torch.arange(n) * 7919 + t * 104729) % 1009 / 504 - 1
//! def single(x): return x.float().double()
//! def fill(name, p):
//!     u = units(name, p.numel()).reshape(p.shape)
//!     return single(u / 10 if p.dim() == 1 else u * (3 / p[0].numel()) ** 0.5)
//! class Mlp(torch.nn.Module):
//!     def __init__(self, f):
//!         super().__init__()
//!         self.fc1, self.fc2, self.fc3, self.f = torch.nn.Linear(144, 20), torch.nn.Linear(20, 12), torch.nn.Linear(12, 10), f
//!     def forward(self, x): return self.fc3(self.f(self.fc2(self.f(self.fc1(x.flatten(1))))))
//! class Lenet5(torch.nn.Module):
//!     def __init__(self, f):
//!         super().__init__()
//!         self.conv1, self.conv2 = torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.Conv2d(6, 16, 5)
//!         self.fc1, self.fc2, self.fc3, self.f = torch.nn.Linear(144, 120), torch.nn.Linear(120, 84), torch.nn.Linear(84, 10), f
//!     def forward(self, x):
//!         x = self.f(F.max_pool2d(self.conv1(x), 2))
//!         x = self.f(F.max_pool2d(self.conv2(x), 2)).flatten(1)
//!         return self.fc3(self.f(self.fc2(self.f(self.fc1(x)))))
//! y = torch.tensor([3, 7, 0])
//! one_hot = F.one_hot(y, 10).double()
//! losses = dict(CROSS_ENTROPY=lambda o: F.cross_entropy(o, y, reduction='sum'),
//!               SMOOTHED=lambda o: F.cross_entropy(o, y, reduction='sum', label_smoothing=0.125),
//!               SQUARED_ERROR=lambda o: F.mse_loss(o, one_hot, reduction='sum') / 10,
//!               BINARY=lambda o: F.binary_cross_entropy_with_logits(o, one_hot, reduction='sum') / 10)
//! nets = dict(MLP_TANH=(Mlp, torch.tanh, 12), MLP_SIGMOID=(Mlp, torch.sigmoid, 12), LENET5_RELU=(Lenet5, F.relu, 20),
//!             LENET5_SCALED=(Lenet5, lambda x: 1.7159 * torch.tanh(2 / 3 * x), 20))
//! for n, (make, f, side) in nets.items():
//!     for l, loss in losses.items():
//!         if n != 'MLP_TANH' and l != 'CROSS_ENTROPY': continue
//!         net = make(f)
//!         names = sorted(k for k, _ in net.named_parameters())
//!         at = dict(net.named_parameters())
//!         w = tuple(fill(k, at[k]) for k in names)
//!         v = tuple(single(units('v' + k, at[k].numel()).reshape(at[k].shape)) for k in names)
//!         x = single(units('x', 3 * side * side).reshape(3, 1, side, side))
//!         of = lambda *w: loss(torch.func.functional_call(net, dict(zip(names, w)), x))
//!         hv = torch.autograd.functional.hvp(of, w, v)[1]
//!         sums = [(h * units('r' + k, h.numel()).reshape(h.shape)).sum().item() for k, h in zip(names, hv)]
//!         print(f'const {n}_{l}: [f64; {len(sums)}] = {[float(f"{s:.8g}") for s in sums]};')
//! ```

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::ClassesSize;
use lockstep_kernels::device::{Device, LossOutput, LossSums, Memory};
use lockstep_kernels::tangent::OutputTangent;
use lockstep_proto::job::{self, Activation, ModelName};
use lockstep_worker::layers::{
    Forward, Inputs, Layer, MAX_INPUTS, MicroBatch, Mode, Own, SpareMut, Tangent, TangentBack, TangentGradient,
};
use lockstep_worker::model::{Along, Model, SampleShape, TangentMemory, Weights};

use super::net::{Net, units};
use crate::layout::{assert_close, assert_padding_is_zero, to_activation, to_rows};
use lockstep_selftest::numbers::{numbers, wide};

#[rustfmt::skip]
const MLP_TANH_CROSS_ENTROPY: [f64; 6] = [-0.84543887, 27.10917, 2.3541463, 38.283361, -1.4934327, -4.1986844];
#[rustfmt::skip]
const MLP_TANH_SMOOTHED: [f64; 6] = [-0.80687659, 25.063632, 1.9513486, 36.729062, -1.4934327, -4.1153232];
#[rustfmt::skip]
const MLP_TANH_SQUARED_ERROR: [f64; 6] = [-1.1908307, 28.167951, -0.96640467, 57.625836, -2.176104, -5.6146322];
#[rustfmt::skip]
const MLP_TANH_BINARY: [f64; 6] = [-0.15774328, 3.7487942, 0.048867807, 6.2268531, -0.25171382, -0.46901529];
#[rustfmt::skip]
const MLP_SIGMOID_CROSS_ENTROPY: [f64; 6] = [-0.18668173, -8.6574561, 0.93492713, 7.418156, -0.39986078, -2.6109655];
#[rustfmt::skip]
const LENET5_RELU_CROSS_ENTROPY: [f64; 10] = [0.15566766, -8.5423295, 1.8092493, -3.8143195, 0.62235547, 0.040582476, -24.619524, -8.4229475, -0.4199336, 11.978708];
#[rustfmt::skip]
const LENET5_SCALED_CROSS_ENTROPY: [f64; 10] = [1.1377022, 8.3904912, 7.7943453, -22.391886, -5.8789866, 13.921221, -51.844627, -32.432345, -0.55913527, 40.518541];
/// Samples and keys of a check of one layer.
pub struct Samples<'a> {
    pub count: usize,
    pub keys: &'a [u64],
}

/// A step of the outer difference, and that of the inner one.
const STEPS: [f64; 2] = [1e-4, 1e-5];

/// `Σ y·d_y` by its gradients of all operands but the last, which is d_y; and y itself.
fn value_and_gradients<const N: usize>(
    rows: &[Vec<f64>; N],
    formula: &impl Fn([&[f64]; N]) -> Vec<f64>,
) -> [Vec<f64>; N] {
    let scalar = |rows: &[Vec<f64>; N]| -> f64 {
        let y = formula(rows.each_ref().map(Vec::as_slice));
        y.iter().zip(&rows[N - 1]).map(|(y, d)| y * d).sum()
    };
    std::array::from_fn(|place| {
        let Some(operand) = place.checked_sub(1) else { return formula(rows.each_ref().map(Vec::as_slice)) };
        let mut moved = rows.clone();
        let slope = |i: usize| {
            let at = rows[operand][i];
            moved[operand][i] = at + STEPS[1];
            let above = scalar(&moved);
            moved[operand][i] = at - STEPS[1];
            let below = scalar(&moved);
            moved[operand][i] = at;
            (above - below) / (2.0 * STEPS[1])
        };
        (0..rows[operand].len()).map(slope).collect()
    })
}

/// A layer that has run forward, with all that its passes of tangents read.
struct Noted<'a> {
    samples: &'a Samples<'a>,
    parameters: &'a [f32],
    direction: &'a [f32],
    x: Vec<Vec<f32>>,
    r_x: Vec<Vec<f32>>,
    y: Vec<f32>,
    choices: Vec<u8>,
    spare: (Vec<f32>, [Vec<f32>; 2]),
}

fn views(values: &[Vec<f32>]) -> Inputs<'_, Cpu> {
    Inputs::new(std::array::from_fn(|place| values.get(place).map(Vec::as_slice)))
}

impl Noted<'_> {
    fn forward(&mut self, device: &mut Cpu, layer: &dyn Layer<Cpu>) {
        let mut moments = vec![0.0; layer.memo().moments_len(device, self.samples.count)];
        let pass = Forward::<Cpu> {
            batch: MicroBatch::<Cpu> { samples: self.samples.count, keys: self.samples.keys },
            own: Own::<Cpu> { parameters: self.parameters, statistics: &[] },
            mode: Mode::Train(&mut [][..]),
            inputs: views(&self.x),
            y: &mut self.y,
            choices: &mut self.choices,
            moments: &mut moments,
        };
        layer.forward(device, pass);
    }

    fn at(&mut self) -> Tangent<'_, Cpu> {
        let [first, second] = &mut self.spare.1;
        Tangent::<Cpu> {
            batch: MicroBatch::<Cpu> { samples: self.samples.count, keys: self.samples.keys },
            own: Own::<Cpu> { parameters: self.parameters, statistics: &[] },
            direction: self.direction,
            drops: true,
            inputs: views(&self.x),
            r_inputs: views(&self.r_x),
            y: &self.y,
            choices: &self.choices,
            spare: SpareMut::<Cpu> { parameters: &mut self.spare.0, values: [first, second] },
        }
    }
}

/// What a layer's passes of tangents give, of rows and their tangents: r_y, the gradients of inputs and their tangents, the
/// tangent of the parameters' gradient.
fn both_passes<const N: usize>(
    layer: &dyn Layer<Cpu>,
    samples: &Samples<'_>,
    sizes: [usize; N],
    rows: &[Vec<f32>; N],
    tangents: &[Vec<f32>; N],
) -> (Vec<f32>, [[Vec<f32>; 2]; MAX_INPUTS], Vec<f32>) {
    let mut device = Cpu::new(InstructionSet::detect());
    let (inputs, outputs, count) = (&sizes[..N - 2], sizes[N - 1], samples.count);
    let activations = |of: &[Vec<f32>; N], padding: f32| -> Vec<Vec<f32>> {
        of.iter().zip(inputs).map(|(x, features)| to_activation(&device, x, *features, padding)).collect()
    };
    let (len, spare) = (device.activation_len(count, outputs), layer.tangents().expect("a layer with tangents"));
    let values = spare.features.map(|features| vec![12345.0; device.activation_len(count, features)]);
    let mut noted = Noted {
        samples,
        parameters: &rows[N - 2],
        direction: &tangents[N - 2],
        x: activations(rows, 3.0),
        r_x: activations(tangents, 5.0),
        y: vec![12345.0; len],
        choices: vec![0; layer.memo().choices_len(&device, count)],
        spare: (vec![12345.0; spare.parameters], values),
    };
    noted.forward(&mut device, layer);
    let mut r_y = vec![12345.0; len];
    layer.tangent_forward(&mut device, noted.at(), &mut r_y);
    let [mut d_y, mut r_d_y] = [&rows[N - 1], &tangents[N - 1]].map(|d| to_activation(&device, d, outputs, 0.0));
    let mut before: Vec<[Vec<f32>; 2]> = noted.x.iter().map(|x| [(); 2].map(|()| vec![12345.0; x.len()])).collect();
    let mut product = vec![12345.0; rows[N - 2].len()];
    let mut gradients = before.iter_mut();
    let pass = TangentBack::<Cpu> {
        at: noted.at(),
        r_y: &r_y,
        d_y: &mut d_y,
        r_d_y: &mut r_d_y,
        before: std::array::from_fn(|_| {
            let [d_x, r_d_x] = gradients.next()?;
            Some(TangentGradient { d_x: d_x.as_mut_slice(), r_d_x: r_d_x.as_mut_slice() })
        }),
        product: &mut product,
    };
    layer.tangent_backward(&mut device, pass);
    for (pair, features) in before.iter().zip(inputs) {
        pair.iter().for_each(|d| assert_padding_is_zero(&device, "gradient", d, count, *features));
    }
    let of_inputs = std::array::from_fn(|place| match before.get(place) {
        Some(pair) => pair.each_ref().map(|d| to_rows(&device, d, count, sizes[place])),
        None => Default::default(),
    });
    (to_rows(&device, &r_y, count, outputs), of_inputs, product)
}

/// Checks a layer's passes of tangents, if it has them, as `gradients` checks its others.
#[track_caller]
pub fn check<const N: usize>(
    name: &str,
    layer: &dyn Layer<Cpu>,
    samples: &Samples<'_>,
    sizes: [usize; N],
    formula: impl Fn([&[f64]; N]) -> Vec<f64>,
) {
    if layer.tangents().is_none() {
        return;
    }
    let len = |place: usize| if place == N - 2 { sizes[place] } else { samples.count * sizes[place] };
    let rows: [Vec<f32>; N] = std::array::from_fn(|place| numbers(len(place), place + 1));
    let tangents: [Vec<f32>; N] = std::array::from_fn(|place| numbers(len(place), place + 51));
    let (r_y, before, product) = both_passes(layer, samples, sizes, &rows, &tangents);
    let moved = |by: f64| {
        let operands = rows.each_ref().map(|row| wide(row));
        let mut places = operands.into_iter().zip(&tangents);
        let moved = std::array::from_fn(|_| {
            let (mut row, tangent) = places.next().expect("as many");
            row.iter_mut().zip(tangent).for_each(|(x, r)| *x += by * f64::from(*r));
            row
        });
        value_and_gradients(&moved, &formula)
    };
    let (here, above, below) = (moved(0.0), moved(STEPS[0]), moved(-STEPS[0]));
    let slope = |place: usize| -> Vec<f64> {
        above[place].iter().zip(&below[place]).map(|(a, b)| (a - b) / (2.0 * STEPS[0])).collect()
    };
    // Of nested differences; a rounding of 1e-16 over both steps.
    let bound = 2e-5;
    assert_close(&format!("{name}: r_y"), &r_y, &slope(0), bound);
    for (place, [d_x, r_d_x]) in before.iter().take(N - 2).enumerate() {
        assert_close(&format!("{name}: gradient of input {place}"), d_x, &here[place + 1], bound);
        assert_close(&format!("{name}: its tangent"), r_d_x, &slope(place + 1), bound);
    }
    if !product.is_empty() {
        assert_close(&format!("{name}: product"), &product, &slope(N - 1), bound);
    }
}

/// Losses under which products are taken.
#[derive(Clone, Copy, Debug)]
enum Loss {
    CrossEntropy,
    Smoothed,
    SquaredError,
    Binary,
}

impl Loss {
    fn tangent(self, classes: usize) -> OutputTangent {
        match self {
            Self::CrossEntropy | Self::Smoothed => OutputTangent::Softmax,
            Self::SquaredError => OutputTangent::Quadratic { curvature: 2.0 / classes as f32 },
            Self::Binary => OutputTangent::Sigmoid { scale: 1.0 / classes as f32 },
        }
    }

    fn at<D: Device>(
        self,
        device: &mut D,
        size: &ClassesSize,
        x: D::View<'_, f32>,
        labels: D::View<'_, u16>,
        out: LossOutput<'_, D>,
    ) {
        match self {
            Self::CrossEntropy => device.cross_entropy(size, x, labels, out),
            Self::Smoothed => device.smoothed_cross_entropy(size, 0.125, x, labels, out),
            Self::SquaredError => device.squared_error(size, x, labels, out),
            Self::Binary => device.binary_cross_entropy(size, x, labels, out),
        }
    }
}

const LABELS: [u16; 3] = [3, 7, 0];

/// A network over three samples, and what products with its Hessian take.
struct Hessian {
    net: Net,
    device: Cpu,
    memory: TangentMemory<Cpu>,
    loss: Loss,
}

impl Hessian {
    fn new(model: &job::Model, shape: SampleShape, loss: Loss) -> Self {
        let (net, device) = (Net::new(model, shape, LABELS.len()), Cpu::new(InstructionSet::detect()));
        assert_eq!(net.model.without_tangents(), None);
        let memory = TangentMemory::new(&device, &net.model, LABELS.len());
        Self { net, device, memory, loss }
    }

    fn times(&mut self, direction: &[f32]) -> Vec<f32> {
        let Self { net, device, memory, loss } = self;
        let model: &Model<Cpu> = &net.model;
        let input = to_activation(device, &net.samples, model.input_features(), 0.0);
        memory.input(device, model, LABELS.len()).copy_from_slice(&input);
        let keys = vec![7 << 40; model.streams() * LABELS.len()];
        let batch = MicroBatch::<Cpu> { samples: LABELS.len(), keys: &keys };
        let weights = Weights::<Cpu> { parameters: &net.parameters, statistics: &net.statistics };
        let along = Along { batch, weights, direction, drops: true };
        let size = ClassesSize { samples: LABELS.len(), classes: model.output_features() };
        let mut sums = [0.0; LossSums::LEN];
        let mut product = vec![12345.0; model.parameters()];
        let mut at = |device: &mut Cpu, x: &[f32], d_x: &mut [f32]| {
            loss.at(device, &size, x, &LABELS[..], LossOutput::<Cpu> { d_x, sums: &mut sums });
        };
        model.hessian_product(device, &along, memory, (&mut at, loss.tangent(size.classes)), &mut product);
        product
    }

    fn direction(&self, prefix: &str) -> Vec<f32> {
        let tensors = self.net.model.trained_tensors().iter();
        tensors
            .flat_map(|t| units(&format!("{prefix}{}", t.shape.name), t.range.len()))
            .map(|unit| unit as f32)
            .collect()
    }
}

/// Each parameter tensor of H·v times the formula, summed, by name.
fn check_network(model: &job::Model, side: usize, loss: Loss, theirs: &[f64]) {
    let shape = SampleShape { channels: 1, height: side, width: side, classes: 10 };
    let mut hessian = Hessian::new(model, shape, loss);
    let product = hessian.times(&hessian.direction("v"));
    let mut tensors: Vec<_> = hessian.net.model.trained_tensors().iter().collect();
    tensors.sort_by(|a, b| a.shape.name.cmp(&b.shape.name));
    assert_eq!(tensors.len(), theirs.len());
    for (tensor, expected) in tensors.iter().zip(theirs) {
        let (part, name) = (&product[tensor.range.clone()], &tensor.shape.name);
        let terms = || units(&format!("r{name}"), part.len()).zip(part).map(|(unit, h)| unit * f64::from(*h));
        let (sum, size): (f64, f64) = (terms().sum(), terms().map(|term| term * term).sum::<f64>().sqrt());
        assert!((sum - expected).abs() <= 1e-5 * size.max(expected.abs()), "{loss:?} {name}: {sum} {expected}");
    }
}

#[test]
fn products_of_fully_connected_networks_are_pytorchs() {
    let mlp = |activation| job::Model { hidden: vec![20, 12], activation, ..job::Model::default() };
    check_network(&mlp(Activation::Tanh), 12, Loss::CrossEntropy, &MLP_TANH_CROSS_ENTROPY);
    check_network(&mlp(Activation::Tanh), 12, Loss::Smoothed, &MLP_TANH_SMOOTHED);
    check_network(&mlp(Activation::Tanh), 12, Loss::SquaredError, &MLP_TANH_SQUARED_ERROR);
    check_network(&mlp(Activation::Tanh), 12, Loss::Binary, &MLP_TANH_BINARY);
    check_network(&mlp(Activation::Sigmoid), 12, Loss::CrossEntropy, &MLP_SIGMOID_CROSS_ENTROPY);
}

#[test]
fn products_of_lenet5_are_pytorchs() {
    let lenet5 = |activation| job::Model { name: ModelName::Lenet5, activation, ..job::Model::default() };
    check_network(&lenet5(Activation::Relu), 20, Loss::CrossEntropy, &LENET5_RELU_CROSS_ENTROPY);
    check_network(&lenet5(Activation::ScaledTanh), 20, Loss::CrossEntropy, &LENET5_SCALED_CROSS_ENTROPY);
}

/// uᵀ·(H·v) = vᵀ·(H·u), and it is no small number.
#[test]
fn products_are_symmetric() {
    for (name, side) in [(ModelName::Mlp, 12), (ModelName::Lenet5, 20), (ModelName::Alexnet, 63)] {
        let model = job::Model { name, activation: Activation::Tanh, ..job::Model::default() };
        let channels = if name == ModelName::Alexnet { 3 } else { 1 };
        let shape = SampleShape { channels, height: side, width: side, classes: 10 };
        let mut hessian = Hessian::new(&model, shape, Loss::CrossEntropy);
        let [u, v] = ["u", "v"].map(|prefix| hessian.direction(prefix));
        let (hu, hv) = (hessian.times(&u), hessian.times(&v));
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let scale = (dot(&u, &u) * dot(&hv, &hv)).sqrt();
        let (one, other) = (dot(&u, &hv), dot(&v, &hu));
        println!("{name:?}: {one} {other} {scale}");
        assert!((one - other).abs() < 1e-5 * scale, "{name:?}: {one} {other}, of {scale}");
        assert!(one.abs() > 1e-4 * scale, "{name:?}: {one} of {scale} tells nothing");
    }
}

#[test]
fn layers_without_tangents_are_named() {
    let of = |name, side| {
        let shape = SampleShape { channels: 3, height: side, width: side, classes: 10 };
        Net::new(&job::Model { name, ..job::Model::default() }, shape, 1).model.without_tangents().map(str::to_owned)
    };
    assert_eq!(of(ModelName::Resnet20, 8).as_deref(), Some("bn1"));
    assert_eq!(of(ModelName::Vgg11, 32), None);
}

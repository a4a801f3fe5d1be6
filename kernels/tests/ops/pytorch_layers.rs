//! Normalisations, poolings, activations and losses, with all their gradients, against PyTorch 2.15.
//!
//! The numbers are what this script prints (inputs come from the formula of `layout::number`):
//!
//! ```python
//! import torch
//! import torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! def t(seed, *shape):
//!     i = torch.arange(torch.Size(shape).numel())
//!     return (((i * 7919 + seed * 104729) % 1009) / 512 - 504 / 512).reshape(shape).requires_grad_()
//! def show(name, *values):
//!     x = torch.cat([value.detach().flatten() for value in values])
//!     print(f'const {name}: [f64; {x.numel()}] = {[float(f"{v:.9g}") for v in x.tolist()]};')
//! def run(name, f, *inputs):
//!     y = f(*inputs)
//!     show(name, y, *torch.autograd.grad(y, inputs, t(9, *y.shape)))
//! mean, var = torch.zeros(2), torch.zeros(2)
//! x, w, b, r = t(1, 3, 2, 1, 3), t(5, 2), t(11, 2), t(14, 3, 2, 1, 3)
//! run('BATCH_NORM', lambda x, w, b, r: (F.batch_norm(x, mean, var, w, b, True, 1.0, 1e-5) + r).relu(), x, w, b, r)
//! show('RUNNING', mean, var)
//! show('EVALUATED', F.batch_norm(x, mean, var, w, b, False, 1.0, 1e-5))
//! run('GROUP_NORM', lambda x, w, b: F.group_norm(x, 2, w, b, 1e-5), t(1, 2, 4, 1, 3), t(2, 4), t(3, 4))
//! run('LAYER_NORM', lambda x, w, b: F.layer_norm(x, (5,), w, b, 1e-5), t(1, 2, 5), t(2, 5), t(3, 5))
//! run('RESPONSE', lambda x: F.local_response_norm(x, 5, 0.5, 0.75, 2.0), t(1, 2, 7, 1, 2))
//! run('RESPONSE_OF_4', lambda x: F.local_response_norm(x, 4, 2.0, 0.6, 1.0), t(1, 2, 7, 1, 2))
//! run('MAX_POOL', lambda x: F.max_pool2d(x, 3, 2, 1), t(1, 2, 1, 5, 4))
//! run('AVERAGE_POOL', lambda x: F.avg_pool2d(x, 3, 2, 1), t(1, 2, 1, 5, 4))
//! run('GRID', lambda x: F.adaptive_avg_pool2d(x, (3, 2)), t(1, 2, 1, 6, 4))
//! run('LEAKY_RELU', lambda x: F.leaky_relu(x, 0.01), t(1, 2, 5))
//! run('SCALED_TANH', lambda x: 1.7159 * torch.tanh(2 / 3 * x), t(1, 2, 5))
//! label = torch.tensor([2, 0])
//! run('SMOOTHED', lambda x: F.cross_entropy(3 * x, label, label_smoothing=0.1).reshape(1), t(1, 2, 5))
//! one_hot = F.one_hot(label, 5).double()
//! run('BINARY', lambda x: F.binary_cross_entropy_with_logits(3 * x, one_hot).reshape(1), t(1, 2, 5))
//! ```

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::batch_norm::{BatchNorm, BatchNormInput, BatchNormSize};
use lockstep_kernels::binary_cross_entropy::BinaryCrossEntropy;
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::LossOutput;
use lockstep_kernels::group_norm::GroupNormSize;
use lockstep_kernels::local_response_norm::LocalResponseNormSize;
use lockstep_kernels::pool2d::{AdaptivePool2dSize, Pool2dSize};

use crate::layout::{assert_close, devices, to_activation, to_rows, unwritten};
use crate::{batch_norm, group_norm, local_response_norm, losses, pooling};
use lockstep_selftest::formulas::Pooling;
use lockstep_selftest::numbers::numbers;

#[rustfmt::skip]
const BATCH_NORM: [f64; 58] = [
    0.147085384, 0.834236321, 0.0, 0.795016945, 0.0, 0.0, 0.910505313, 0.0, 0.314104062, 1.37135986, 0.40234375,
    0.0, 1.67392524, 0.390373054, 0.0, 1.94770277, 0.978686665, 0.00967055521, -1.10123606, -2.88022326,
    -0.443561686, -0.00111230343, -0.293897295, 0.293760752, -0.043145639, 0.823106316, 2.8929099, 0.04797413,
    -0.0345558075, -0.0557613542, 1.01494478, -0.764042411, 0.501248053, 0.0970605633, 0.0145306259,
    -0.0679993116, -2.06093756, 2.24049011, -2.24804688, 2.58203125, -0.681640625, -0.98046875, 0.0,
    0.392578125, 0.0, 0.0, -0.50390625, 0.0, 0.869140625, 0.5703125, 0.271484375, 0.0, -0.326171875, -0.625,
    0.0, 0.748046875, 0.44921875, 0.150390625,
];

#[rustfmt::skip]
const RUNNING: [f64; 4] = [
    0.4609375, -0.435546875, 0.0906658173, 0.0906658173,
];

#[rustfmt::skip]
const EVALUATED: [f64; 18] = [
    0.856688458, -0.071724692, -1.00013784, 0.437689946, -0.194173701, -0.826037348, 1.4088819, 0.48046875,
    -0.4479444, 0.813504272, 0.181640625, -0.450223022, 1.96107534, 1.03266219, 0.104249042, 1.1893186,
    0.557454951, -0.0744086959,
];

#[rustfmt::skip]
const GROUP_NORM: [f64; 56] = [
    0.0336089897, -0.0704596062, -0.174528202, -0.489938686, -0.419034807, -0.348130929, -1.43890963,
    -1.19303328, -0.947156926, 1.05808066, 1.47892949, 1.89977832, 0.0336089897, -0.0704596062, -0.174528202,
    -0.489938686, -0.419034807, -0.348130929, -0.148100007, -1.41084396, -1.18514323, 0.616203508, 1.00251918,
    1.38883484, -0.0232181229, -0.185967831, 0.337591044, -0.0550244633, -0.0428016969, -0.0305789305,
    0.181725677, 0.573227338, -0.656769303, -0.599202039, -0.0327279039, 0.533746231, 0.110458053,
    -0.0183807814, -0.147219616, -0.0277528585, 0.0183807814, 0.0645144213, 0.585780912, 0.368250114,
    0.673173301, -1.00793957, -0.542401443, -0.0768633178, -2.95337526, -0.730767393, -2.21530618, -0.449406531,
    -2.84570312, 1.62890625, -1.77929688, 2.6953125,
];

#[rustfmt::skip]
const LAYER_NORM: [f64; 30] = [
    0.024784827, -0.61101444, -0.82421875, 1.35587502, -0.799056442, -0.529950697, -0.671716634, -1.11282508,
    0.728198628, 0.21058127, -0.0473562975, 0.51548651, -0.45720373, -0.442629543, 0.431703062, -0.119193253,
    -0.0213117179, 0.472963904, -1.19126467, 0.858805733, -0.613895126, -1.3021817, -0.551707908, -0.133134052,
    -0.33497242, -0.88671875, -1.484375, -0.111328125, 1.26171875, 0.6640625,
];

#[rustfmt::skip]
const RESPONSE: [f64; 56] = [
    0.337078256, 0.162279089, -0.00886445709, -0.178831199, -0.347608222, -0.518379179, 0.432907812,
    0.257797045, 0.0895937304, -0.0756586346, -0.243842103, -0.418310322, 0.535597298, 0.366557958, 0.19541359,
    0.0235301932, -0.146836406, -0.318793109, -0.487119294, 0.465182968, 0.291181569, 0.120597323,
    -0.0444072808, -0.209979452, -0.38551853, -0.553834795, 0.399304789, 0.225236497, -0.383496689,
    -0.559325249, 0.391708175, 0.215991808, 0.0350325313, -0.140320289, -0.273851402, -0.442557967, 0.485127074,
    0.312143097, 0.140160341, -0.0396814045, -0.175368461, -0.34688213, -0.526962368, 0.429839242, 0.248726744,
    0.0809345304, -0.109791287, -0.24338825, -0.410741423, 0.511431911, 0.345356924, 0.176097564,
    -0.00643587119, -0.153256067, -0.313221071, -0.489472462,
];

#[rustfmt::skip]
const RESPONSE_OF_4: [f64; 56] = [
    0.529841125, 0.268999556, -0.0130066292, -0.24600561, -0.454750431, -0.684965954, 0.598106139, 0.350174563,
    0.12298297, -0.0960484841, -0.302483737, -0.556177887, 0.721443648, 0.504198849, 0.322544089, 0.0376034325,
    -0.205706119, -0.438362793, -0.647483434, 0.636812267, 0.400028404, 0.1660016, -0.0575805872, -0.257326404,
    -0.509565661, -0.72281718, 0.550777087, 0.296045172, -0.501316823, -0.894071299, 0.570446891, 0.232248337,
    0.00793534779, -0.255362837, -0.303029008, -0.579005243, 0.691622058, 0.366933191, 0.154743409, -0.12352429,
    -0.140306445, -0.415642757, -0.820494552, 0.690938501, 0.285660807, 0.0813070478, -0.224304666, -0.26079751,
    -0.525723861, 0.704844933, 0.42983301, 0.225782337, -0.0765436626, -0.248764534, -0.357778123, -0.638044815,
];

#[rustfmt::skip]
const MAX_POOL: [f64; 52] = [
    0.58203125, 0.759765625, 0.9375, 0.759765625, 0.9375, 0.81640625, 0.517578125, 0.6953125, 0.873046875,
    0.6953125, 0.873046875, 0.751953125, -0.681640625, 0.0, 0.0, 0.0, 0.0, 0.0, -0.587890625, 0.0, 0.0, 0.0,
    0.0, 0.0, 0.78515625, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.205078125, -0.50390625, 0.0, 0.0, 0.0, 0.0, 0.0,
    -0.232421875, 0.0, 0.0, 0.0, 0.0, 0.0, 1.140625, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.02734375,
];

#[rustfmt::skip]
const AVERAGE_POOL: [f64; 52] = [
    -0.0733506944, 0.0290798611, 0.00846354167, 0.00238715278, 0.0846354167, 0.0470920139, -0.101996528,
    -0.0138888889, -0.0345052083, -0.0620659722, 0.0559895833, 0.00412326389, -0.0757378472, -0.184678819,
    -0.108940972, -0.108940972, 0.00108506944, -0.0642361111, -0.0653211806, -0.0653211806, 0.0768229167,
    0.120442708, 0.0436197917, 0.0436197917, 0.0872395833, 0.108072917, 0.0208333333, 0.0208333333,
    0.0104166667, -0.0123697917, -0.0227864583, -0.0227864583, -0.0559895833, -0.145182292, -0.0891927083,
    -0.0891927083, 0.0405815972, 0.0147569444, -0.0258246528, -0.0258246528, 0.0965711806, 0.159939236,
    0.0633680556, 0.0633680556, 0.126736111, 0.187065972, 0.0603298611, 0.0603298611, 0.0301649306,
    0.0271267361, -0.00303819444, -0.00303819444,
];

#[rustfmt::skip]
const GRID: [f64; 60] = [
    -0.165039062, 0.22265625, 0.400390625, -0.197265625, -0.01953125, -0.124511719, -0.439453125, -0.0517578125,
    0.125976562, 0.0209960938, 0.198730469, 0.09375, -0.170410156, -0.170410156, -0.245117188, -0.245117188,
    -0.170410156, -0.170410156, -0.245117188, -0.245117188, 0.172851562, 0.172851562, 0.0981445312,
    0.0981445312, 0.172851562, 0.172851562, 0.0981445312, 0.0981445312, 0.0234375, 0.0234375, -0.0512695312,
    -0.0512695312, 0.0234375, 0.0234375, -0.0512695312, -0.0512695312, -0.125976562, -0.125976562, -0.200683594,
    -0.200683594, -0.125976562, -0.125976562, -0.200683594, -0.200683594, 0.217285156, 0.217285156, 0.142578125,
    0.142578125, 0.217285156, 0.217285156, 0.142578125, 0.142578125, 0.0678710938, 0.0678710938, -0.0068359375,
    -0.0068359375, 0.0678710938, 0.0678710938, -0.0068359375, -0.0068359375,
];

#[rustfmt::skip]
const LEAKY_RELU: [f64; 20] = [
    0.58203125, 0.283203125, -0.00015625, -0.00314453125, -0.0061328125, -0.00912109375, 0.759765625, 0.4609375,
    0.162109375, -0.0013671875, -0.681640625, -0.98046875, 0.0069140625, 0.00392578125, 0.0009375,
    -0.00205078125, -0.50390625, -0.802734375, 0.869140625, 0.005703125,
];

#[rustfmt::skip]
const SCALED_TANH: [f64; 20] = [
    0.634287158, 0.320170218, -0.0178733119, -0.35453498, -0.664910105, -0.93133759, 0.801705938, 0.511288824,
    0.184723701, -0.155965477, -0.673203735, -1.08254166, 0.790836842, 0.429911485, 0.0911404861, -0.165484195,
    -0.45060153, -0.836743899, 0.982716291, 0.647009506,
];

#[rustfmt::skip]
const SMOOTHED: [f64; 11] = [
    3.76399142, -0.591767825, -0.229336267, 0.838751204, -0.0211313825, 0.00348427018, 0.936551022,
    -0.599592975, -0.23252894, -0.082766255, -0.0216628516,
];

#[rustfmt::skip]
const BINARY: [f64; 11] = [
    1.25626454, -0.174116802, -0.14324375, 0.104642048, -0.0573032638, -0.0280296977, 0.192046088, -0.185504646,
    -0.163479709, -0.126629957, -0.0815667509,
];

#[test]
fn batch_norm_with_residual_and_relu() {
    let size = BatchNormSize { samples: 3, channels: 2, plane: 3, epsilon: 1e-5, relu: true };
    let rows = batch_norm::Rows {
        x: numbers(18, 1),
        weight: numbers(2, 5),
        bias: numbers(2, 11),
        residual: numbers(18, 14),
        d_y: numbers(18, 9),
    };
    for mut device in devices() {
        let results = batch_norm::both_passes(&mut device, &size, &rows);
        let all = [results.y, results.d_x, results.d_weight, results.d_bias, results.d_residual].concat();
        assert_close("batch norm", &all, &BATCH_NORM, 1e-6);
        let running: Vec<f32> = results.statistics.iter().map(|sum| sum / 3.0).collect();
        assert_close("running", &running, &RUNNING, 1e-6);
        let (x, mut y) = (to_activation(&device, &rows.x, 6, 0.0), unwritten(&device, 3, 6));
        let (weight, bias) = (rows.weight.as_slice(), rows.bias.as_slice());
        let input = BatchNormInput { x: x.as_slice(), weight, bias, residual: None };
        device.batch_norm_evaluate(&BatchNormSize { relu: false, ..size }, input, &running, &mut y);
        assert_close("evaluated", &to_rows(&device, &y, 3, 6), &EVALUATED, 1e-6);
    }
}

#[test]
fn group_norm_of_two_groups() {
    let size = GroupNormSize { samples: 2, channels: 4, groups: 2, plane: 3, epsilon: 1e-5 };
    let rows = [numbers(24, 1), numbers(4, 2), numbers(4, 3), numbers(24, 9)];
    for mut device in devices() {
        assert_close("group norm", &group_norm::both_passes(&mut device, &size, &rows).concat(), &GROUP_NORM, 1e-6);
    }
}

#[test]
fn layer_norm_is_one_group() {
    let size = GroupNormSize { samples: 2, channels: 5, groups: 1, plane: 1, epsilon: 1e-5 };
    let rows = [numbers(10, 1), numbers(5, 2), numbers(5, 3), numbers(10, 9)];
    for mut device in devices() {
        assert_close("layer norm", &group_norm::both_passes(&mut device, &size, &rows).concat(), &LAYER_NORM, 1e-6);
    }
}

#[test]
fn response_norms() {
    let of_5 = LocalResponseNormSize { samples: 2, channels: 7, plane: 2, size: 5, alpha: 0.5, beta: 0.75, k: 2.0 };
    let of_4 = LocalResponseNormSize { size: 4, alpha: 2.0, beta: 0.6, k: 1.0, ..of_5 };
    for (size, expected) in [(of_5, &RESPONSE), (of_4, &RESPONSE_OF_4)] {
        for mut device in devices() {
            let results = local_response_norm::both_passes(&mut device, &size, &numbers(28, 1), &numbers(28, 9));
            assert_close(&format!("{size:?}"), &results.concat(), expected, 1e-6);
        }
    }
}

#[test]
fn poolings() {
    let size = Pool2dSize { samples: 2, channels: 1, height: 5, width: 4, window: 3, stride: 2, padding: 1 };
    let grid = AdaptivePool2dSize { samples: 2, channels: 1, height: 6, width: 4, out_height: 3, out_width: 2 };
    for mut device in devices() {
        for (pooling, expected) in [(Pooling::Max, &MAX_POOL), (Pooling::Average, &AVERAGE_POOL)] {
            let results = pooling::both_passes(&mut device, pooling, &size, &numbers(40, 1), &numbers(12, 9));
            assert_close(&format!("{pooling:?}"), &results.concat(), expected, 1e-6);
        }
        let results = pooling::adaptive(&mut device, &grid, &numbers(48, 1), &numbers(12, 9));
        assert_close("grid", &results.concat(), &GRID, 1e-6);
    }
}

#[test]
fn activations() {
    let size = ActivationSize { samples: 2, features: 5 };
    for (function, expected) in
        [(Activation::LeakyRelu { slope: 0.01 }, &LEAKY_RELU), (Activation::ScaledTanh, &SCALED_TANH)]
    {
        for mut device in devices() {
            let (mut y, mut d) =
                (to_activation(&device, &numbers(10, 1), 5, 0.0), to_activation(&device, &numbers(10, 9), 5, 0.0));
            device.activation_forward(&size, function, &mut y);
            device.activation_backward(&size, function, &y, &mut d);
            let results = [y, d].map(|activation| to_rows(&device, &activation, 2, 5));
            assert_close(&format!("{function:?}"), &results.concat(), expected, 1e-6);
        }
    }
}

/// Loss and gradient of 3 · x, times what PyTorch starts its backward pass with, as means over the two samples.
fn loss(device: &mut Cpu, of: impl Fn(&mut Cpu, &[f32], LossOutput<'_, Cpu>)) -> Vec<f32> {
    let x: Vec<f32> = numbers(10, 1).into_iter().map(|x| 3.0 * x).collect();
    let mut d_x = unwritten(device, 2, 5);
    let x = to_activation(device, &x, 5, 0.0);
    let sums = losses::sums(&mut d_x, |out| of(device, &x, out));
    let start = numbers(1, 9)[0];
    let d_x = to_rows(device, &d_x, 2, 5).into_iter().map(|d| d / 2.0 * 3.0 * start);
    std::iter::once((sums.loss / 2.0) as f32).chain(d_x).collect()
}

#[test]
fn losses() {
    let (size, labels) = (ClassesSize { samples: 2, classes: 5 }, [2, 0]);
    for mut device in devices() {
        let smoothed = loss(&mut device, |d, x, out| d.smoothed_cross_entropy(&size, 0.1, x, &labels, out));
        assert_close("smoothed cross-entropy", &smoothed, &SMOOTHED, 1e-6);
        let binary = loss(&mut device, |d, x, out| d.binary_cross_entropy(&size, x, &labels, out));
        assert_close("binary cross-entropy", &binary, &BINARY, 1e-6);
    }
}

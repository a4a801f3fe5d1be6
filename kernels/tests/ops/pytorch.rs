//! A small network and all its gradients, against PyTorch 2.15.
//!
//! The numbers are what this script prints (inputs come from the formula of `layout::number`):
//!
//! ```python
//! import torch
//! import torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//! def t(seed, *shape):
//!     n = torch.Size(shape).numel()
//!     i = torch.arange(n)
//!     return (((i * 7919 + seed * 104729) % 1009) / 512 - 504 / 512).reshape(shape).requires_grad_()
//! def show(name, x):
//!     print(f'const {name}: [f64; {x.numel()}] = {[float(f"{v:.9g}") for v in x.detach().flatten().tolist()]};')
//! def net(x, w1, b1, w2, b2):
//!     return F.linear(torch.tanh(F.max_pool2d(F.conv2d(x, w1, b1, padding=1), 2)).flatten(1), w2, b2)
//! shapes = (2, 2, 4, 4), (3, 2, 3, 3), (3,), (3, 12), (3,)
//! for name, loss in ('ENTROPY', F.cross_entropy), ('SQUARE', lambda y, l: F.mse_loss(y.sigmoid(), F.one_hot(l, 3).double())):
//!     x, w1, b1, w2, b2 = p = [t(i + 1, *s) for i, s in enumerate(shapes)]
//!     value = loss(net(*p), torch.tensor([2, 0]))
//!     value.backward()
//!     show(name, torch.cat([value.reshape(1), *[v.grad.flatten() for v in (x, w1, b1, w2, b2)]]))
//! ```

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::conv2d::{Accumulation, Conv2d, Conv2dSize};
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::linear::{Linear, LinearSize};
use lockstep_kernels::pool2d::{Pool2d, Pool2dSize};
use lockstep_kernels::squared_error::SquaredError;

use crate::layout::{assert_close, devices, to_activation, to_rows, unwritten};
use crate::losses::sums;
use lockstep_selftest::numbers::numbers;

#[rustfmt::skip]
const ENTROPY: [f64; 161] = [
    0.707502241, -0.0307346356, 0.0180633822, -0.130155444, 0.266272793, 0.301182415, -0.0133893087,
    -0.00634032703, -0.0145869442, -0.024593345, -0.0318263253, 0.00461834138, -0.280862194, -0.34505996,
    0.184053886, -0.0354132382, -0.00210303076, 0.087382572, 0.137436219, 0.0222534147, 0.049575998,
    -0.0258553499, -0.028092633, -0.109488188, -0.306048598, -0.0413900271, -0.256653893, 0.285655464,
    0.100031937, 0.105416866, 0.0478505349, 0.066159603, 0.0389611397, -0.0349323485, 0.0313286552,
    0.0406317046, 0.00591725547, 0.0573560056, 0.130279427, -0.13530069, 0.0045498775, 0.0324522177,
    0.0581798257, 0.048846329, 0.0133237807, -0.0258052978, -0.0509144048, -0.0264870537, -0.0305890201,
    0.0272240322, 0.0524278945, 0.122123074, -0.0372864636, -0.064981462, -0.0917653632, 0.0545835126,
    0.0347634181, -0.0280292672, -0.0453229818, -0.0826184216, -0.0467693372, 0.0380060574, 0.0245139652,
    0.0347671828, 0.0166936583, 0.044871805, 0.035722847, 0.00322883131, 0.0595229927, 0.0145089946,
    -0.15415224, 0.0393905996, 0.0322036708, 0.0658910559, 0.0191590474, 0.0100100895, 0.153759093,
    0.0428985003, 0.0337495424, 0.0111124535, 0.0191920416, 0.0144479587, -0.14239432, 0.0933380403,
    0.138256179, -0.0772615976, -0.0536826274, -0.0717358949, 0.148659735, -0.0976157598, -0.0821861574,
    -0.0604550532, -0.0689728561, -0.0751072755, -0.0727569528, 0.10827964, 0.126401599, -0.0769158923,
    -0.0500307549, -0.0268207103, 0.101597202, 0.0440884866, -0.0760557652, -0.261156478, 0.0297804158,
    0.0822348825, -0.0683064133, -0.0551678655, 0.13110424, 0.303948615, -0.367246469, 0.293453106,
    0.068267135, 0.0317110876, -0.0727439406, -0.216094604, 0.0864046486, 0.0588011376, -0.0796482977,
    0.0306161207, -0.011131144, 0.289004936, 0.0226828235, 0.107422149, 0.100693083, 0.0614367198,
    0.100583723, 0.253368812, 0.150660112, 0.115083314, 0.146515272, 0.00488046052, -0.276107243,
    0.0945370784, 0.129287984, 0.209546005, 0.205129035, 0.194909081, 0.210292434, 0.0608614597, 0.074196587,
    0.202055054, 0.171639862, 0.185884021, 0.0737077961, -0.0606899952, -0.151970807, -0.316968154,
    -0.305822118, -0.256345801, -0.310876157, -0.314230272, -0.224856699, -0.317138368, -0.318155134,
    -0.190764482, 0.202399447, -0.0338470833, 0.104443364, 0.213708347, -0.318151711,
];

#[rustfmt::skip]
const SQUARE: [f64; 161] = [
    0.212880287, -0.0056201425, 0.00378174976, -0.0226931775, 0.0480752542, 0.0497969163, -0.0109331288,
    -0.00257725262, -0.00167182897, -0.00591389087, -0.0042438009, -0.0166147804, -0.0287826494,
    -0.0519239493, 0.0255954046, 0.00102005657, 0.000725047854, 0.0171943464, 0.026933826, 0.000821034469,
    0.00990873351, -0.00737585288, -0.00538547082, -0.0194736292, -0.0535784475, -0.00169957806,
    -0.0332673572, 0.0668298503, 0.0237231854, 0.0149452035, 0.00699909488, 0.00240832693, -0.00876039598,
    -0.00757804582, 0.00899869037, 0.0123017425, 0.00143898377, 0.0245982443, 0.016674535, -0.0397037091,
    0.0038559546, -0.00164316784, 0.00956914531, 0.0157723953, 0.00432804606, -0.00563603155, 0.00350878236,
    -0.0108925252, -0.0132551862, 0.0102996041, 0.0174408028, 0.0119712055, -0.00716006977, -0.0153583482,
    -0.0207767694, 0.0162240952, 0.010005062, -0.0027335809, -0.00245083412, -0.00638721801, -0.014918417,
    0.00153810709, 0.00121156083, 0.0118744972, 0.00664257863, -0.00576128835, -0.00179411036, -0.00217512342,
    0.0193197411, 0.0122007268, -0.0209615484, 0.0011715362, 0.00534270153, 0.0149688304, 0.00538829685,
    0.00935547484, 0.0368674754, -0.00490562251, -0.00093844452, 0.00018521266, 0.0128944192, 0.0138464598,
    -0.0176071577, 0.0207367704, 0.0171357406, -0.0135740804, -0.0104430366, -0.00741525164, 0.0162393188,
    -0.0165237666, -0.0142185987, -0.0115185439, -0.0127786485, -0.0104906757, -0.00907685034, 0.0222943546,
    0.0165316297, -0.0132289442, -0.00993758547, -0.00743406212, 0.0172133801, -0.0109267275, -0.0243768437,
    -0.0443054291, 0.0144619927, 0.0152815874, -0.00976481547, -0.00550531958, 0.0117277857, 0.0559339569,
    -0.0468812102, 0.0649758521, 0.0143959027, -0.0154305176, -0.0263431734, -0.0368256394, 0.0151570808,
    0.00938744224, -0.0118415764, -0.0132757852, -0.00880521587, 0.0875015468, 0.0188115548, 0.0418059521,
    0.0402096559, 0.0327224651, 0.0407983332, 0.0477251214, 0.0328407319, 0.0421535229, 0.0436169068,
    0.0226047833, -0.0355682621, 0.00801606431, 0.0468138938, 0.0771466983, 0.0754401561, 0.0710651032,
    0.0772914927, 0.0264068651, 0.0293440384, 0.0745958975, 0.0642448511, 0.0668074586, 0.0214848545,
    -0.0200814424, -0.013347009, -0.0287095271, -0.0276571809, -0.0228498282, -0.0280885366, -0.030590763,
    -0.0214458568, -0.028835171, -0.0293779345, -0.0164120886, 0.0213407057, -0.00426991272, 0.0418175326,
    0.0785870616, -0.0287677304,
];

#[derive(Clone, Copy, Debug)]
enum Loss {
    CrossEntropy,
    SquaredErrorOfSigmoid,
}

/// Loss, then the gradients of x, w1, b1, w2, b2: sums over the two samples.
fn loss_and_gradients(device: &mut Cpu, loss: Loss) -> Vec<f32> {
    let (x, w1, b1) = (to_activation(device, &numbers(64, 1), 32, 0.0), numbers(54, 2), numbers(3, 3));
    let (w2, b2) = (numbers(36, 4), numbers(3, 5));
    let samples = 2;
    let plain = Conv2dSize { height: 4, width: 4, kernel: 3, padding: 1, ..Conv2dSize::PLAIN };
    let conv = Conv2dSize { samples, in_channels: 2, out_channels: 3, ..plain };
    let pool = Pool2dSize { samples, channels: 3, height: 4, width: 4, window: 2, stride: 2, padding: 0 };
    let hidden = ActivationSize { samples, features: 12 };
    let linear = LinearSize { samples, inputs: 12, plane: 4, outputs: 3 };
    let classes = ClassesSize { samples, classes: 3 };

    let mut y = unwritten(device, samples, 48);
    device.conv2d_forward(&conv, &x, &w1, Some(&b1), &mut y);
    let mut h = unwritten(device, samples, 12);
    let mut choice = vec![0; h.len()];
    device.max_pool2d_forward(&pool, &y, &mut h, &mut choice);
    device.activation_forward(&hidden, Activation::Tanh, &mut h);
    let mut z = unwritten(device, samples, 3);
    device.linear_forward(&linear, &h, &w2, &b2, &mut z);

    let mut d_z = unwritten(device, samples, 3);
    let sums = match loss {
        Loss::CrossEntropy => sums(&mut d_z, |out| device.cross_entropy(&classes, &z, &[2, 0], out)),
        Loss::SquaredErrorOfSigmoid => {
            let size = ActivationSize { samples, features: 3 };
            device.activation_forward(&size, Activation::Sigmoid, &mut z);
            let sums = sums(&mut d_z, |out| device.squared_error(&classes, &z, &[2, 0], out));
            device.activation_backward(&size, Activation::Sigmoid, &z, &mut d_z);
            sums
        }
    };

    let mut d_h = unwritten(device, samples, 12);
    let (mut d_w2, mut d_b2) = (vec![0.0; 36], vec![0.0; 3]);
    device.linear_backward_weight(&linear, &h, &d_z, &mut d_w2, &mut d_b2);
    device.linear_backward_input(&linear, &w2, &d_z, &mut d_h);
    device.activation_backward(&hidden, Activation::Tanh, &h, &mut d_h);
    let (mut d_y, mut d_x) = (unwritten(device, samples, 48), unwritten(device, samples, 32));
    device.max_pool2d_backward(&pool, &d_h, &choice, &mut d_y);
    let (mut d_w1, mut d_b1) = (vec![0.0; 54], vec![0.0; 3]);
    device.conv2d_backward_weight(&conv, &x, &d_y, &mut d_w1, Some(&mut d_b1));
    device.conv2d_backward_input(&conv, &w1, &d_y, &mut d_x, Accumulation::Overwrite);
    [vec![sums.loss as f32], to_rows(device, &d_x, samples, 32), d_w1, d_b1, d_w2, d_b2].concat()
}

#[test]
fn a_network_has_pytorchs_loss_and_gradients() {
    for mut device in devices() {
        for (loss, expected) in [(Loss::CrossEntropy, &ENTROPY), (Loss::SquaredErrorOfSigmoid, &SQUARE)] {
            // PyTorch's losses are means over the samples.
            let actual: Vec<f32> = loss_and_gradients(&mut device, loss).into_iter().map(|x| x / 2.0).collect();
            assert_close(&format!("{loss:?} {}", device.instruction_set()), &actual, expected, 2e-6);
        }
    }
}

//! Ten steps of every rule, of clipping, averages and the step up, against PyTorch 2.15: the same bits.
//!
//! The numbers are what this script prints: three elements after each step (inputs come from the formula of
//! `layout::number`). LARS and LAMB, which PyTorch does not have, are written out from their papers; the square root is
//! NumPy's, which rounds as IEEE 754 wants.
//!
//! ```python
//! import os
//! os.environ['ATEN_CPU_CAPABILITY'] = 'default'  # without fused multiply-adds
//! import numpy, torch
//! from torch.nn.utils import clip_grad_norm_, clip_grad_value_
//! def root(x):  # MKL's is off by one unit here and there
//!     return torch.from_numpy(numpy.sqrt(x.detach().numpy()))
//! torch.Tensor.sqrt, torch.Tensor.sqrt_ = root, lambda x: x.copy_(root(x))
//! def t(seed, n=37):
//!     return ((torch.arange(n) * 7919 + seed * 104729) % 1009) / 512 - 504 / 512
//! def trace(name, optimizer, before=lambda w: None, after=lambda w: None):
//!     w = torch.nn.Parameter(t(1))
//!     step, shown = optimizer(w), []
//!     for i in range(10):
//!         w.grad = t(i + 2) * torch.tensor(1 / 3)
//!         with torch.no_grad():
//!             before(w); step(); out = after(w)
//!         shown += (w if out is None else out).detach()[[0, 17, 36]].view(torch.int32).tolist()
//!     print(f'#[rustfmt::skip]\nconst {name}: [u32; 30] = [')
//!     for i in range(0, 30, 9):
//!         print('    ' + ' '.join(f'{x & 0xffffffff:#010x},' for x in shown[i:i + 9]))
//!     print('];\n')
//! def torchs(optimizer, **keys):
//!     return lambda w: optimizer([w], foreach=False, **keys).step
//! def lars(w, lr=0.1, momentum=0.9, decay=5e-4, trust=0.02):
//!     v = torch.zeros_like(w)
//!     def step():
//!         weights, gradient = w.double().norm().item(), w.grad.double().norm().item()
//!         ratio = trust * weights / (gradient + decay * weights)
//!         v.mul_(momentum).add_(w.grad.add(w, alpha=decay), alpha=lr * ratio); w.sub_(v)
//!     return step
//! def lamb(w, lr=0.01, betas=(0.9, 0.999), eps=1e-6, decay=0.01):
//!     m, v, count = torch.zeros_like(w), torch.zeros_like(w), [0]
//!     def step():
//!         count[0] += 1
//!         m.lerp_(w.grad, 1 - betas[0]); v.mul_(betas[1]).addcmul_(w.grad, w.grad, value=1 - betas[1])
//!         root = (v.sqrt() / (1 - betas[1] ** count[0]) ** 0.5).add_(eps)
//!         u = (m / (1 - betas[0] ** count[0]) / root).add_(w, alpha=decay)
//!         w.add_(u, alpha=-lr * (w.double().norm() / u.double().norm()).item())
//!     return step
//! def average(decay):
//!     a = t(1)
//!     return lambda w: a.lerp_(w, 1 - decay).clone()
//! def up(w, rho=0.05):
//!     return w + w.grad * (rho / (w.grad.double().norm().item() + 1e-12))
//! o = torch.optim
//! trace('SGD', torchs(o.SGD, lr=0.1, weight_decay=5e-4))
//! trace('MOMENTUM', torchs(o.SGD, lr=0.1, momentum=0.9, dampening=0.3))
//! trace('NESTEROV', torchs(o.SGD, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True))
//! trace('SGDW', torchs(o.SGD, lr=0.1, momentum=0.9), before=lambda w: w.mul_(1 - 0.1 * 0.02))
//! trace('ADAGRAD', torchs(o.Adagrad, lr=0.1))
//! rates = dict(lr=0.1, lr_decay=0.2, weight_decay=0.01, eps=1e-3)
//! trace('ADAGRAD_ALL', torchs(o.Adagrad, initial_accumulator_value=0.3, **rates))
//! trace('RMSPROP', torchs(o.RMSprop, lr=0.01))
//! trace('RMSPROP_MOMENTUM', torchs(o.RMSprop, lr=0.01, alpha=0.9, momentum=0.8, weight_decay=0.01, eps=1e-5))
//! trace('RMSPROP_CENTERED', torchs(o.RMSprop, lr=0.01, alpha=0.95, centered=True))
//! trace('RMSPROP_ALL', torchs(o.RMSprop, lr=0.01, alpha=0.4, momentum=0.9, centered=True, eps=1e-6))
//! trace('ADAM', torchs(o.Adam, lr=0.01))
//! trace('ADAM_DECAY', torchs(o.Adam, lr=0.02, betas=(0.4, 0.9), eps=1e-3, weight_decay=0.05))
//! trace('ADAMW', torchs(o.AdamW, lr=0.02, betas=(0.8, 0.99), weight_decay=0.1))
//! trace('LARS', lars)
//! trace('LAMB', lamb)
//! trace('CLIP_NORM', torchs(o.SGD, lr=0.1), before=lambda w: clip_grad_norm_([w], 0.5, foreach=False))
//! trace('CLIP_VALUE', torchs(o.SGD, lr=0.1), before=lambda w: clip_grad_value_([w], 0.1, foreach=False))
//! trace('AVERAGE', torchs(o.SGD, lr=0.1), after=average(0.9))
//! trace('FAST_AVERAGE', torchs(o.SGD, lr=0.1), after=average(0.3))
//! trace('UP', torchs(o.SGD, lr=0.1), after=up)
//! ```

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::moving_average::{AverageStep, MovingAverage};
use lockstep_kernels::optimizer::{
    Adagrad, Adam, Decay, Lamb, Lars, MOST_VECTORS, Optimize, Rmsprop, Rule, Scaling, Sgd, Update, Vectors,
};
use lockstep_kernels::perturb::{Perturb, PerturbStep};

use crate::fold::squared_norm;
use crate::layout::{bits, devices};
use lockstep_selftest::numbers::numbers;

const LEN: usize = 37;
const SHOWN: [usize; 3] = [0, 17, 36];
/// Samples of the gradient's sum.
const COUNT: u64 = 3;

#[rustfmt::skip]
const SGD: [u32; 30] = [
    0x3f1379d3, 0xbf064afa, 0xbe98977d, 0x3f1566df, 0xbf0b73ed, 0xbea6eade, 0x3f1ac718, 0xbf0d299c, 0xbeae57aa,
    0x3f12c961, 0xbf0b6c12, 0xbeaeddf7, 0x3f0e3ef7, 0xbf063b5a, 0xbea87ddc, 0x3f0d27d0, 0xbf0e6891, 0xbe9b3770,
    0x3f0f83df, 0xbf13227a, 0xbea8aceb, 0x3f15531a, 0xbf146920, 0xbeaf3bd3, 0x3f0dc464, 0xbf123c8f, 0xbeaee43f,
    0x3f09a8fa, 0xbf0c9cd2, 0xbea7a646,
];

#[rustfmt::skip]
const MOMENTUM: [u32; 30] = [
    0x3f137bbc, 0xbf064ccd, 0xbe98999a, 0x3f1378bf, 0xbf028963, 0xbe97792d, 0x3f173ac0, 0xbf0059f1, 0xbe9ba9a5,
    0x3f1505f1, 0xbefa57a8, 0xbe9fce71, 0x3f0fdd3e, 0xbeed5c8b, 0xbe9f1440, 0x3f0a767a, 0xbeed22a6, 0xbe95234b,
    0x3f074218, 0xbef38ef9, 0xbe959e0f, 0x3f087219, 0xbefb22cf, 0xbe9aa54b, 0x3f043abe, 0xbefeec21, 0xbe9ef012,
    0x3efb2134, 0xbefa7781, 0xbe9dbcc2,
];

#[rustfmt::skip]
const NESTEROV: [u32; 30] = [
    0x3f121aab, 0xbefdd01c, 0xbe8d6ca1, 0x3f148772, 0xbf021035, 0xbe9e97f3, 0x3f1f313b, 0xbf03826e, 0xbeaf42af,
    0x3f14c477, 0xbeffeea2, 0xbeb89315, 0x3f09f323, 0xbee8f702, 0xbeb45ef1, 0x3f023aa6, 0xbefcb5da, 0xbe9d1a21,
    0x3f00befa, 0xbf08dcba, 0xbeadae15, 0x3f085397, 0xbf107d54, 0xbebcf288, 0x3ef71fa8, 0xbf121330, 0xbec42273,
    0x3ede2560, 0xbf0ac5d3, 0xbebd264a,
];

#[rustfmt::skip]
const SGDW: [u32; 30] = [
    0x3f132f73, 0xbf0603d7, 0xbe98451f, 0x3f137595, 0xbf03889d, 0xbe9b2389, 0x3f190f29, 0xbf02fec9, 0xbea51e2d,
    0x3f16133b, 0xbf00c08b, 0xbeae94d5, 0x3f0ed4db, 0xbef30e78, 0xbeb0ae0f, 0x3f07369b, 0xbef665cc, 0xbea54348,
    0x3f02b5d6, 0xbf016874, 0xbea8710c, 0x3f0474cb, 0xbf083e19, 0xbeb1d46a, 0x3efce556, 0xbf0c2ffd, 0xbeb9e4af,
    0x3ee9da1a, 0xbf0a1607, 0xbeb9dd8f,
];

#[rustfmt::skip]
const ADAGRAD: [u32; 30] = [
    0x3ef6cccd, 0xbee9cccd, 0xbe63999a, 0x3f0f8ab3, 0xbf028c0a, 0xbe98855f, 0x3f26d495, 0xbf07030a, 0xbeab3727,
    0x3f1243ab, 0xbf02926f, 0xbeac8e69, 0x3f07a3a6, 0xbeed9261, 0xbe9d4772, 0x3f051cd1, 0xbf05d668, 0xbe823e96,
    0x3f0a8226, 0xbf0e1478, 0xbe9a6e78, 0x3f1648a4, 0xbf104e65, 0xbea5ecb9, 0x3f092913, 0xbf0c9663, 0xbea55761,
    0x3f024b82, 0xbf0390d1, 0xbe990d5d,
];

#[rustfmt::skip]
const ADAGRAD_ALL: [u32; 30] = [
    0x3f11fc52, 0xbf016e4d, 0xbe901988, 0x3f14a8ea, 0xbf07b6f4, 0xbea1f588, 0x3f1af607, 0xbf0965de, 0xbea9a10c,
    0x3f136811, 0xbf07aa55, 0xbea9f6fa, 0x3f0fadf2, 0xbf037b0f, 0xbea4b1fd, 0x3f0ecd5f, 0xbf08b027, 0xbe9b96b5,
    0x3f103c90, 0xbf0b520c, 0xbea35370, 0x3f136f89, 0xbf0beb8c, 0xbea6b1e6, 0x3f0fb973, 0xbf0acfb0, 0xbea673bc,
    0x3f0ddd40, 0xbf085688, 0xbea32b68,
];

#[rustfmt::skip]
const RMSPROP: [u32; 30] = [
    0x3ef6ccd2, 0xbee9ccce, 0xbe63999c, 0x3f0f948e, 0xbf02989c, 0xbe989aa8, 0x3f26e587, 0xbf071932, 0xbeab6a3d,
    0x3f12490c, 0xbf0299c0, 0xbeacc55f, 0x3f0798bf, 0xbeed4b2a, 0xbe9d442a, 0x3f050ad6, 0xbf05e310, 0xbe81d84a,
    0x3f0a8550, 0xbf0e425f, 0xbe9a64f6, 0x3f167c08, 0xbf10881a, 0xbea61b49, 0x3f09289a, 0xbf0cb805, 0xbea58254,
    0x3f022995, 0xbf037535, 0xbe98e187,
];

#[rustfmt::skip]
const RMSPROP_MOMENTUM: [u32; 30] = [
    0x3f0ce894, 0xbf0667c5, 0xbe94cfac, 0x3f0c817c, 0xbf0445df, 0xbe94411a, 0x3f139cf9, 0xbf03fc72, 0xbe9a01e1,
    0x3f129029, 0xbf02092b, 0xbe9ef32d, 0x3f0e132f, 0xbef83d89, 0xbe9d23e2, 0x3f097c33, 0xbef95560, 0xbe91cc98,
    0x3f07ad87, 0xbf0010c7, 0xbe917220, 0x3f0a7dc5, 0xbf03903f, 0xbe956fba, 0x3f07e1ea, 0xbf04c2c1, 0xbe984a54,
    0x3f03216f, 0xbf01f9a5, 0xbe956654,
];

#[rustfmt::skip]
const RMSPROP_CENTERED: [u32; 30] = [
    0x3f094101, 0xbf02c101, 0xbe8d8202, 0x3f125ba3, 0xbf08fb2c, 0xbe9f0556, 0x3f1d1a90, 0xbf0b109b, 0xbea7b3e5,
    0x3f13ca70, 0xbf08f0b5, 0xbea85781, 0x3f0ed794, 0xbf033573, 0xbea0f999, 0x3f0da1bf, 0xbf0a5d2c, 0xbe93f092,
    0x3f10408a, 0xbf0e5cb9, 0xbe9f9473, 0x3f15f3f9, 0xbf0f78ad, 0xbea53dbc, 0x3f0f9799, 0xbf0d955e, 0xbea4f24b,
    0x3f0c2d8a, 0xbf08fe50, 0xbe9ea82c,
];

#[rustfmt::skip]
const RMSPROP_ALL: [u32; 30] = [
    0x3f0fc64c, 0xbf094643, 0xbe9a8c87, 0x3f0e703b, 0xbf06f3b1, 0xbe979da8, 0x3f12e6fd, 0xbf061baa, 0xbe9a3e5d,
    0x3f136de4, 0xbf03b933, 0xbe9d1b5a, 0x3f10ce55, 0xbef9fab9, 0xbe9a0452, 0x3f0d72f4, 0xbef4f297, 0xbe8c8e3c,
    0x3f0c889d, 0xbef6d4c9, 0xbe865297, 0x3f1066db, 0xbefade85, 0xbe853498, 0x3f109615, 0xbefaa8f8, 0xbe83e504,
    0x3f0df2c0, 0xbef16bfc, 0xbe789b3f,
];

#[rustfmt::skip]
const ADAM: [u32; 30] = [
    0x3f1270a4, 0xbf0bf0a4, 0xbe9fe148, 0x3f12e175, 0xbf0b813b, 0xbea084a0, 0x3f14828c, 0xbf0b7583, 0xbea22c13,
    0x3f141be4, 0xbf0b29eb, 0xbea39aca, 0x3f13387f, 0xbf0a4c67, 0xbea3ecee, 0x3f1253aa, 0xbf0a7b82, 0xbea2bf27,
    0x3f11d661, 0xbf0b0d77, 0xbea310fb, 0x3f120a09, 0xbf0ba9f5, 0xbea3e969, 0x3f118cef, 0xbf0c04c1, 0xbea4a236,
    0x3f10cc16, 0xbf0be062, 0xbea4a97a,
];

#[rustfmt::skip]
const ADAM_DECAY: [u32; 30] = [
    0x3f0feff3, 0xbf096509, 0xbe9accab, 0x3f108f6c, 0xbf09dff2, 0xbe9f4b9e, 0x3f157a47, 0xbf0ab1e9, 0xbea50104,
    0x3f118646, 0xbf097ca2, 0xbea76a4b, 0x3f0cef09, 0xbf057eaf, 0xbea38372, 0x3f09c5f5, 0xbf081c33, 0xbe99cafb,
    0x3f098df4, 0xbf0b7d69, 0xbe9d44c2, 0x3f0ceb37, 0xbf0d5658, 0xbea23e6e, 0x3f0954bc, 0xbf0c3cf6, 0xbea3a933,
    0x3f051649, 0xbf07edb8, 0xbe9ed526,
];

#[rustfmt::skip]
const ADAMW: [u32; 30] = [
    0x3f0f94ff, 0xbf091852, 0xbe9a6e14, 0x3f10790c, 0xbf083dec, 0xbe9bfe70, 0x3f13d47d, 0xbf083144, 0xbe9f99f0,
    0x3f126af3, 0xbf077bb5, 0xbea276b1, 0x3f0feb0c, 0xbf055569, 0xbea27bf2, 0x3f0d899c, 0xbf05db71, 0xbe9ecbf1,
    0x3f0c52df, 0xbf074c49, 0xbe9f54be, 0x3f0cf8ab, 0xbf08b76f, 0xbea14097, 0x3f0b86e9, 0xbf094a7a, 0xbea2ae1f,
    0x3f095c91, 0xbf086196, 0xbea1fef4,
];

#[rustfmt::skip]
const LARS: [u32; 30] = [
    0x3f14e8dc, 0xbf0e0366, 0xbea4439e, 0x3f14f01c, 0xbf0dde79, 0xbea46ae7, 0x3f154425, 0xbf0dd5e3, 0xbea4f951,
    0x3f151972, 0xbf0db463, 0xbea58144, 0x3f14acf1, 0xbf0d4623, 0xbea5993d, 0x3f143ac4, 0xbf0d5ec2, 0xbea4e5bd,
    0x3f13f659, 0xbf0db9b7, 0xbea50819, 0x3f140c90, 0xbf0e1dfc, 0xbea5859d, 0x3f13af83, 0xbf0e57b6, 0xbea5f178,
    0x3f131c40, 0xbf0e34b4, 0xbea5e28f,
];

#[rustfmt::skip]
const LAMB: [u32; 30] = [
    0x3f1395a1, 0xbf0d15b7, 0xbea22d1f, 0x3f13e953, 0xbf0cbd6d, 0xbea2a751, 0x3f15a8e3, 0xbf0cacd5, 0xbea46d5b,
    0x3f14ec97, 0xbf0c20cc, 0xbea6ee5b, 0x3f12924e, 0xbf09d668, 0xbea7b932, 0x3f107e55, 0xbf0a3a13, 0xbea4fd26,
    0x3f0f65db, 0xbf0b6fc3, 0xbea5a5e7, 0x3f0fd4bf, 0xbf0cd129, 0xbea79044, 0x3f0e753e, 0xbf0dbf24, 0xbea97cf6,
    0x3f0c175b, 0xbf0d43ce, 0xbea985fd,
];

#[rustfmt::skip]
const CLIP_NORM: [u32; 30] = [
    0x3f1453b8, 0xbf0adc8d, 0xbe9f7f77, 0x3f152696, 0xbf0d1015, 0xbea59ace, 0x3f176ac8, 0xbf0dc919, 0xbea8bbf1,
    0x3f13f879, 0xbf0d0988, 0xbea8f6e2, 0x3f11eeeb, 0xbf0ab532, 0xbea61a68, 0x3f117483, 0xbf0e51d4, 0xbea03f68,
    0x3f127598, 0xbf1053fd, 0xbea5f63b, 0x3f14e73f, 0xbf10de07, 0xbea8b88e, 0x3f119e14, 0xbf0feca2, 0xbea8936b,
    0x3f0fc619, 0xbf0d660f, 0xbea552bd,
];

#[rustfmt::skip]
const CLIP_VALUE: [u32; 30] = [
    0x3f137bbc, 0xbf0bf0a4, 0xbe9fe148, 0x3f156aab, 0xbf0e8000, 0xbea50000, 0x3f17fa07, 0xbf103777, 0xbeaa1eb8,
    0x3f156aab, 0xbf0e7bbb, 0xbeaaa741, 0x3f12db4f, 0xbf0bec5f, 0xbea58889, 0x3f11c5fa, 0xbf0e7bbb, 0xbea069d1,
    0x3f1423d8, 0xbf110b17, 0xbea58889, 0x3f16b334, 0xbf1253a0, 0xbeaaa741, 0x3f1423d8, 0xbf1028f5, 0xbeaa51ec,
    0x3f11947c, 0xbf0d9999, 0xbea53334,
];

#[rustfmt::skip]
const AVERAGE: [u32; 30] = [
    0x3f14d92c, 0xbf0dae14, 0xbea3c28f, 0x3f14e7b9, 0xbf0d756b, 0xbea413cc, 0x3f157ea1, 0xbf0d6e5f, 0xbea51b34,
    0x3f153a13, 0xbf0d3ba7, 0xbea615ec, 0x3f148852, 0xbf0c8950, 0xbea65495, 0x3f13cc9c, 0xbf0cba4d, 0xbea5395a,
    0x3f136041, 0xbf0d5f90, 0xbea59331, 0x3f1393a4, 0xbf0e1527, 0xbea68c27, 0x3f13009c, 0xbf0e811e, 0xbea763af,
    0x3f121352, 0xbf0e5280, 0xbea76c7d,
];

#[rustfmt::skip]
const FAST_AVERAGE: [u32; 30] = [
    0x3f13f037, 0xbf08c290, 0xbe9c51ec, 0x3f14f922, 0xbf0aa799, 0xbea3bfd4, 0x3f190d4d, 0xbf0c6cbc, 0xbeab2e75,
    0x3f14aff0, 0xbf0bbe0f, 0xbeadc8d2, 0x3f10345a, 0xbf07e8ce, 0xbeaa1bd2, 0x3f0e19f2, 0xbf0c7ce1, 0xbe9fb822,
    0x3f0f2088, 0xbf112cb8, 0xbea60774, 0x3f1381a7, 0xbf137aa5, 0xbeac84cc, 0x3f0f8907, 0xbf12a75b, 0xbeae3b78,
    0x3f0b7952, 0xbf0e7976, 0xbea9aedb,
];

#[rustfmt::skip]
const UP: [u32; 30] = [
    0x3f142804, 0xbf09f040, 0xbe9e1a23, 0x3f1497cc, 0xbf0943f0, 0xbea0d398, 0x3f18889b, 0xbf0c75eb, 0xbeab3cbb,
    0x3f164360, 0xbf0c32c4, 0xbeaeab75, 0x3f105216, 0xbf08989a, 0xbeab6503, 0x3f0dad9b, 0xbf0ad690, 0xbea11f45,
    0x3f0e8ffc, 0xbf112cc6, 0xbea304e9, 0x3f12f07b, 0xbf13ed6e, 0xbeac8a7a, 0x3f111e80, 0xbf133e32, 0xbeaf1c9b,
    0x3f0b93b6, 0xbf0f3582, 0xbeaafc6a,
];

/// Parameters, the rule's vectors and the gradient's sum.
struct Trainee {
    parameters: Vec<f32>,
    state: [Vec<f32>; MOST_VECTORS],
    sum: Vec<f32>,
    steps: u64,
}

impl Trainee {
    fn update(&mut self, device: &mut Cpu, update: &Update) {
        let [a, b, c] = &mut self.state;
        let state = [Some(a.as_mut_slice()), Some(b.as_mut_slice()), Some(c.as_mut_slice())];
        device.update(update, Vectors { gradient: &self.sum, parameters: &mut self.parameters, state });
    }

    /// Norm of the mean gradient.
    fn norm(&self, device: &mut Cpu) -> f64 {
        squared_norm(device, &self.sum).sqrt() / COUNT as f64
    }
}

/// Ten steps with every instruction set. `initial`: elements of the state's first vector; `step` gives what is shown,
/// if that is not the parameters.
#[track_caller]
fn check(expected: &[u32; 30], initial: f32, step: impl Fn(&mut Cpu, &mut Trainee) -> Option<Vec<f32>>) {
    for mut device in devices() {
        let state = [vec![initial; LEN], vec![0.0; LEN], vec![0.0; LEN]];
        let mut trainee = Trainee { parameters: numbers(LEN, 1), state, sum: Vec::new(), steps: 0 };
        let mut shown = Vec::new();
        for seed in 2..12 {
            trainee.sum = numbers(LEN, seed);
            let values = step(&mut device, &mut trainee).unwrap_or_else(|| trainee.parameters.clone());
            shown.extend(SHOWN.map(|index| values[index]));
            trainee.steps += 1;
        }
        assert_eq!(bits(&shown), expected, "{}: {shown:?}", device.instruction_set());
    }
}

#[track_caller]
fn check_rule(expected: &[u32; 30], decay: Decay, rule: impl Fn(u64) -> Rule) {
    check(expected, 0.0, |device, trainee| {
        trainee.update(device, &Update { scaling: Scaling::mean(COUNT), decay, rule: rule(trainee.steps) });
        None
    });
}

fn sgd(momentum: f64, dampening: f64, nesterov: bool) -> impl Fn(u64) -> Rule {
    move |steps| Rule::Sgd(Sgd { learning_rate: 0.1, momentum, dampening, nesterov, steps })
}

#[test]
fn sgd_is_pytorchs() {
    check_rule(&SGD, Decay::Coupled(5e-4), sgd(0.0, 0.0, false));
    check_rule(&MOMENTUM, Decay::None, sgd(0.9, 0.3, false));
    check_rule(&NESTEROV, Decay::Coupled(5e-4), sgd(0.9, 0.0, true));
    check_rule(&SGDW, Decay::Decoupled(0.02), sgd(0.9, 0.0, false));
}

#[test]
fn adagrad_is_pytorchs() {
    let rule = Adagrad { learning_rate: 0.1, learning_rate_decay: 0.0, epsilon: 1e-10, steps: 0 };
    check_rule(&ADAGRAD, Decay::None, |steps| Rule::Adagrad(Adagrad { steps, ..rule }));
    check(&ADAGRAD_ALL, 0.3, |device, trainee| {
        let rule = Adagrad { learning_rate_decay: 0.2, epsilon: 1e-3, steps: trainee.steps, ..rule };
        let (scaling, decay) = (Scaling::mean(COUNT), Decay::Coupled(0.01));
        trainee.update(device, &Update { scaling, decay, rule: Rule::Adagrad(rule) });
        None
    });
}

#[test]
fn rmsprop_is_pytorchs() {
    let rule = Rmsprop { learning_rate: 0.01, alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false };
    check_rule(&RMSPROP, Decay::None, |_| Rule::Rmsprop(rule));
    let momentum = Rmsprop { alpha: 0.9, epsilon: 1e-5, momentum: 0.8, ..rule };
    check_rule(&RMSPROP_MOMENTUM, Decay::Coupled(0.01), |_| Rule::Rmsprop(momentum));
    check_rule(&RMSPROP_CENTERED, Decay::None, |_| Rule::Rmsprop(Rmsprop { alpha: 0.95, centered: true, ..rule }));
    let all = Rmsprop { alpha: 0.4, epsilon: 1e-6, momentum: 0.9, centered: true, ..rule };
    check_rule(&RMSPROP_ALL, Decay::None, |_| Rule::Rmsprop(all));
}

#[test]
fn adam_is_pytorchs() {
    let rule = Adam { learning_rate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, steps: 0 };
    check_rule(&ADAM, Decay::None, |steps| Rule::Adam(Adam { steps, ..rule }));
    let decay = Adam { learning_rate: 0.02, beta1: 0.4, beta2: 0.9, epsilon: 1e-3, ..rule };
    check_rule(&ADAM_DECAY, Decay::Coupled(0.05), |steps| Rule::Adam(Adam { steps, ..decay }));
    let decoupled = Adam { learning_rate: 0.02, beta1: 0.8, beta2: 0.99, ..rule };
    check_rule(&ADAMW, Decay::Decoupled(0.1), |steps| Rule::Adam(Adam { steps, ..decoupled }));
}

#[test]
fn lars_is_the_papers() {
    check(&LARS, 0.0, |device, trainee| {
        let decay = 5e-4;
        let weights = squared_norm(device, &trainee.parameters).sqrt();
        let trust_ratio = Lars::trust_ratio(0.02, weights, trainee.norm(device), decay);
        let rule = Rule::Lars(Lars { learning_rate: 0.1, momentum: 0.9, trust_ratio });
        trainee.update(device, &Update { scaling: Scaling::mean(COUNT), decay: Decay::Coupled(decay), rule });
        None
    });
}

#[test]
fn lamb_is_the_papers() {
    let (learning_rate, beta1, beta2, epsilon, weight_decay) = (0.01, 0.9, 0.999, 1e-6, 0.01);
    check(&LAMB, 0.0, |device, trainee| {
        let rule = Lamb { learning_rate, beta1, beta2, epsilon, weight_decay, steps: trainee.steps };
        let weights = squared_norm(device, &trainee.parameters).sqrt();
        let before = trainee.parameters.clone();
        trainee.update(device, &Update { scaling: Scaling::mean(COUNT), decay: Decay::None, rule: Rule::Lamb(rule) });
        assert_eq!(bits(&trainee.parameters), bits(&before), "parameters follow later");
        let direction = &trainee.state[2];
        let rate = learning_rate * Lamb::trust_ratio(weights, squared_norm(device, direction).sqrt());
        device.descend(rate as f32, direction, &mut trainee.parameters);
        None
    });
}

#[test]
fn trust_ratios_let_zeros_move() {
    assert_eq!(Lars::trust_ratio(0.001, 0.0, 3.0, 0.1), 1.0);
    assert_eq!(Lars::trust_ratio(0.001, 3.0, 0.0, 0.1), 1.0);
    assert_eq!(Lars::trust_ratio(0.5, 3.0, 2.0, 0.0), 0.75);
    assert_eq!(
        (Lamb::trust_ratio(0.0, 2.0), Lamb::trust_ratio(2.0, 0.0), Lamb::trust_ratio(3.0, 2.0)),
        (1.0, 1.0, 1.5)
    );
}

#[test]
fn clipping_is_pytorchs() {
    check(&CLIP_NORM, 0.0, |device, trainee| {
        let factor = Scaling::factor_of_norm(trainee.norm(device), 0.5);
        let scaling = Scaling { factor, ..Scaling::mean(COUNT) };
        trainee.update(device, &Update { scaling, decay: Decay::None, rule: sgd(0.0, 0.0, false)(0) });
        None
    });
    check(&CLIP_VALUE, 0.0, |device, trainee| {
        let scaling = Scaling { limit: 0.1, ..Scaling::mean(COUNT) };
        trainee.update(device, &Update { scaling, decay: Decay::None, rule: sgd(0.0, 0.0, false)(0) });
        None
    });
    assert_eq!(Scaling::factor_of_norm(0.1, 0.5), 1.0);
    assert!(Scaling::factor_of_norm(f64::NAN, 0.5).is_nan());
}

#[test]
fn averages_of_weights_are_pytorchs() {
    for (expected, decay) in [(&AVERAGE, 0.9), (&FAST_AVERAGE, 0.3f64)] {
        check(expected, 0.0, |device, trainee| {
            let update = Update { scaling: Scaling::mean(COUNT), decay: Decay::None, rule: sgd(0.0, 0.0, false)(0) };
            trainee.update(device, &update);
            let average = &mut trainee.state[1];
            if trainee.steps == 0 {
                average.copy_from_slice(&numbers(LEN, 1));
            }
            let step = AverageStep { scale: 1.0, weight: (1.0 - decay) as f32 };
            device.moving_average(&step, &trainee.parameters, average);
            Some(average.clone())
        });
    }
}

#[test]
fn the_step_up_is_as_long_as_it_should_be() {
    check(&UP, 0.0, |device, trainee| {
        let update = Update { scaling: Scaling::mean(COUNT), decay: Decay::None, rule: sgd(0.0, 0.0, false)(0) };
        trainee.update(device, &update);
        let step = PerturbStep { count: COUNT, scale: PerturbStep::scale(0.05, trainee.norm(device)) };
        let mut up = vec![0.0; LEN];
        device.perturb(&step, &trainee.sum, &trainee.parameters, &mut up);
        let way: f64 = up.iter().zip(&trainee.parameters).map(|(up, w)| f64::from(up - w).powi(2)).sum();
        assert!((way.sqrt() - 0.05).abs() < 1e-6, "{}", way.sqrt());
        Some(up)
    });
}

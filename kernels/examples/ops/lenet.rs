//! LeNet-5.

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::conv2d::{Accumulation, Conv2d, Conv2dSize};
use lockstep_kernels::conv2d_max_pool2d::{Conv2dMaxPool2d, Pooled, PooledMut};
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::{LossOutput, LossSums, Memory};
use lockstep_kernels::linear::LinearSize;
use lockstep_kernels::pixels::{Levels, Pixels, PixelsSize};
use lockstep_kernels::pool2d::{Pool2d, Pool2dSize};

use crate::Net;
use crate::clock::Clock;
use crate::layers::{Buffer, Parameters, linear_backward, linear_forward, linear_input, parameters};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pooling {
    Fused,
    Separate,
}

/// LeNet-5, pooling before relu: the same function, cheaper.
pub struct LeNet {
    pooling: Pooling,
    device: Cpu,
    samples: usize,
    pixels: Vec<u8>,
    labels: Vec<u16>,
    sums: [f64; LossSums::LEN],
    layers: [Parameters; 5],
    activations: [Buffer; 8],
    gradients: [Buffer; 8],
    choices: [Vec<u8>; 2],
}

/// Values a sample: pixels, convolution 1, pooling 1, convolution 2, pooling 2, linear 1, 2, 3.
pub const LENET: [usize; 8] = [784, 6 * 784, 6 * 196, 16 * 100, 400, 120, 84, 10];

impl LeNet {
    pub fn new(device: Cpu, samples: usize, pooling: Pooling) -> LeNet {
        let buffers = || LENET.map(|features| device.zeros(device.activation_len(samples, features)));
        let layers = [(150, 6), (2400, 16), (48_000, 120), (10_080, 84), (840, 10)];
        LeNet {
            pooling,
            samples,
            pixels: (0..samples * 784).map(|i| (i * 37) as u8).collect(),
            labels: (0..samples).map(|i| (i * 7 % 10) as u16).collect(),
            sums: [0.0; LossSums::LEN],
            layers: layers.map(|(weights, biases)| parameters(weights, biases)),
            activations: buffers(),
            gradients: buffers(),
            choices: [1176, 400].map(|features| vec![0; device.activation_len(samples, features)]),
            device,
        }
    }
}

impl Net for LeNet {
    fn step(&mut self, c: &mut Clock) {
        let LeNet { device: d, samples, pooling, .. } = self;
        let (samples, fused) = (*samples, *pooling == Pooling::Fused);
        let conv = |i: usize| Conv2dSize {
            samples,
            in_channels: [1, 6][i],
            out_channels: [6, 16][i],
            height: [28, 14][i],
            width: [28, 14][i],
            kernel: 5,
            padding: [2, 0][i],
            ..Conv2dSize::PLAIN
        };
        let pool = |i: usize| {
            let side = [28, 10][i];
            Pool2dSize { samples, channels: [6, 16][i], height: side, width: side, window: 2, stride: 2, padding: 0 }
        };
        let linear = |i: usize| LinearSize { samples, inputs: LENET[4 + i], plane: 1, outputs: LENET[5 + i] };
        let relu = |features| ActivationSize { samples, features };
        let work = |i: usize| samples * [6 * 784 * 25, 1600 * 150][i];
        let a = &mut self.activations;
        let size =
            PixelsSize { samples, features: 784, plane: 784, image: 784, levels: Levels::of_all(1.0 / 255.0, -0.5) };
        c.time("pixels", 0, || d.pixels_forward(&size, &self.pixels, a[0].as_mut_slice()));
        for i in 0..2 {
            let [x, y, z] = &mut a[2 * i..2 * i + 3] else { unreachable!("three buffers") };
            let Parameters { weight, bias, .. } = &self.layers[i];
            if fused {
                c.time(&format!("conv{}+pool forward", i + 1), work(i), || {
                    let z = PooledMut { values: z.as_mut_slice(), choice: self.choices[i].as_mut_slice() };
                    d.conv2d_max_pool2d_forward(&conv(i), x.as_slice(), weight, bias, z);
                });
            } else {
                c.time(&format!("conv{} forward", i + 1), work(i), || {
                    d.conv2d_forward(&conv(i), x.as_slice(), weight, Some(bias), y.as_mut_slice());
                });
                c.time(&format!("pool{} forward", i + 1), 0, || {
                    d.max_pool2d_forward(&pool(i), y.as_slice(), z.as_mut_slice(), &mut self.choices[i]);
                });
            }
            let size = relu(LENET[2 * i + 2]);
            c.time(&format!("relu{} forward", i + 1), 0, || {
                d.activation_forward(&size, Activation::Relu, z.as_mut_slice());
            });
        }
        for i in 0..3 {
            let [x, y] = &mut a[4 + i..6 + i] else { unreachable!("two buffers") };
            linear_forward(c, d, &linear(i), &self.layers[2 + i], x, y);
            if i < 2 {
                d.activation_forward(&relu(LENET[5 + i]), Activation::Relu, y.as_mut_slice());
            }
        }
        let g = &mut self.gradients;
        let size = ClassesSize { samples, classes: 10 };
        c.time("cross-entropy", 0, || {
            let output = LossOutput { d_x: g[7].as_mut_slice(), sums: self.sums.as_mut_slice() };
            d.cross_entropy(&size, a[7].as_slice(), &self.labels, output);
        });
        for i in (0..3).rev() {
            let [d_x, d_y] = &mut g[4 + i..6 + i] else { unreachable!("two buffers") };
            linear_backward(c, d, &linear(i), &mut self.layers[2 + i], &a[4 + i], d_y);
            linear_input(c, d, &linear(i), &self.layers[2 + i], d_y, d_x);
            c.time(&format!("relu of {} backward", LENET[4 + i]), 0, || {
                d.activation_backward(&relu(LENET[4 + i]), Activation::Relu, a[4 + i].as_slice(), d_x.as_mut_slice());
            });
        }
        for i in (0..2).rev() {
            let [d_x, d_y, d_z] = &mut g[2 * i..2 * i + 3] else { unreachable!("three buffers") };
            let Parameters { weight, d_weight, d_bias, .. } = &mut self.layers[i];
            let (size, x, choice) = (conv(i), a[2 * i].as_slice(), self.choices[i].as_slice());
            if fused {
                let d_z = || Pooled { values: d_z.as_slice(), choice };
                c.time(&format!("conv{}+pool weight", i + 1), work(i), || {
                    d.conv2d_max_pool2d_backward_weight(&size, x, d_z(), d_weight, d_bias);
                });
                if i > 0 {
                    c.time(&format!("conv{}+pool input", i + 1), work(i), || {
                        d.conv2d_max_pool2d_backward_input(&size, weight, d_z(), d_x.as_mut_slice());
                    });
                }
            } else {
                c.time(&format!("pool{} backward", i + 1), 0, || {
                    d.max_pool2d_backward(&pool(i), d_z.as_slice(), choice, d_y.as_mut_slice());
                });
                c.time(&format!("conv{} weight", i + 1), work(i), || {
                    d.conv2d_backward_weight(&size, x, d_y.as_slice(), d_weight, Some(d_bias));
                });
                if i > 0 {
                    c.time(&format!("conv{} input", i + 1), work(i), || {
                        let d_x = d_x.as_mut_slice();
                        d.conv2d_backward_input(&size, weight, d_y.as_slice(), d_x, Accumulation::Overwrite);
                    });
                }
            }
            if i > 0 {
                let y = a[2 * i].as_slice();
                c.time("relu of 1176 backward", 0, || {
                    d.activation_backward(&relu(LENET[2 * i]), Activation::Relu, y, d_x.as_mut_slice());
                });
            }
        }
    }
}

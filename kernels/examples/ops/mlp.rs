//! One hidden layer.

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::{LossOutput, LossSums, Memory};
use lockstep_kernels::linear::LinearSize;
use lockstep_kernels::pixels::{Levels, Pixels, PixelsSize};

use crate::Net;
use crate::clock::Clock;
use crate::layers::{Buffer, Parameters, linear_backward, linear_forward, linear_input, parameters};

/// 784 − hidden − 10 with sigmoid and cross-entropy.
pub struct Mlp {
    device: Cpu,
    samples: usize,
    hidden: usize,
    pixels: Vec<u8>,
    labels: Vec<u16>,
    sums: [f64; LossSums::LEN],
    layers: [Parameters; 2],
    activations: [Buffer; 3],
    gradients: [Buffer; 3],
}

impl Mlp {
    pub fn new(device: Cpu, samples: usize, hidden: usize) -> Mlp {
        let buffers = || [784, hidden, 10].map(|features| device.zeros(device.activation_len(samples, features)));
        Mlp {
            samples,
            hidden,
            pixels: (0..samples * 784).map(|i| (i * 37) as u8).collect(),
            labels: (0..samples).map(|i| (i * 7 % 10) as u16).collect(),
            sums: [0.0; LossSums::LEN],
            layers: [parameters(784 * hidden, hidden), parameters(hidden * 10, 10)],
            activations: buffers(),
            gradients: buffers(),
            device,
        }
    }
}

impl Net for Mlp {
    fn step(&mut self, c: &mut Clock) {
        let Mlp { device: d, samples, hidden, .. } = self;
        let samples = *samples;
        let first = LinearSize { samples, inputs: 784, plane: 1, outputs: *hidden };
        let second = LinearSize { samples, inputs: *hidden, plane: 1, outputs: 10 };
        let middle = ActivationSize { samples, features: *hidden };
        let classes = ClassesSize { samples, classes: 10 };
        let [x, h, y] = &mut self.activations;
        let [_, d_h, d_y] = &mut self.gradients;
        let [p, q] = &mut self.layers;
        let size =
            PixelsSize { samples, features: 784, plane: 1, image: 784, levels: Levels::of_all(1.0 / 255.0, -0.5) };
        c.time("pixels", 0, || d.pixels_forward(&size, &self.pixels, x.as_mut_slice()));
        linear_forward(c, d, &first, p, x, h);
        c.time("sigmoid", 0, || d.activation_forward(&middle, Activation::Sigmoid, h.as_mut_slice()));
        linear_forward(c, d, &second, q, h, y);
        c.time("cross-entropy", 0, || {
            let output = LossOutput { d_x: d_y.as_mut_slice(), sums: self.sums.as_mut_slice() };
            d.cross_entropy(&classes, y.as_slice(), &self.labels, output);
        });
        linear_backward(c, d, &second, q, h, d_y);
        linear_input(c, d, &second, q, d_y, d_h);
        let (h, d_h_mut) = (h.as_slice(), d_h.as_mut_slice());
        c.time("sigmoid backward", 0, || d.activation_backward(&middle, Activation::Sigmoid, h, d_h_mut));
        linear_backward(c, d, &first, p, x, d_h);
    }
}

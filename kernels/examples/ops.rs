//! Time of each op and of whole forward + backward passes on one core.
//!
//! `cargo run --release -p lockstep-kernels --example ops [avx512|avx2|portable]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::conv2d::{Conv2d, Conv2dSize};
use lockstep_kernels::conv2d_max_pool2d::{Conv2dMaxPool2d, Pooled, PooledMut};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::Memory;
use lockstep_kernels::linear::{Linear, LinearSize};
use lockstep_kernels::pixels::{Pixels, PixelsSize};
use lockstep_kernels::pool2d::{Pool2d, Pool2dSize};

type Buffer = lockstep_kernels::cpu::Buffer<f32>;

/// A stopwatch per op, in order of first use.
#[derive(Default)]
struct Clock {
    ops: Vec<(String, f64, Vec<Duration>)>,
}

impl Clock {
    /// Runs `op`, which does `multiply_adds`.
    fn time(&mut self, name: &str, multiply_adds: usize, op: impl FnOnce()) {
        let start = Instant::now();
        op();
        let elapsed = start.elapsed();
        match self.ops.iter_mut().find(|(known, ..)| known == name) {
            Some((.., times)) => times.push(elapsed),
            None => self.ops.push((name.to_owned(), 2.0 * multiply_adds as f64, vec![elapsed])),
        }
    }

    fn report(&mut self, peak: f64) {
        for (name, flops, times) in &mut self.ops {
            let seconds = median(times).as_secs_f64();
            let rate = *flops / seconds / 1e9;
            if rate > 0.0 {
                println!("  {name:<28} {:8.1} µs {rate:7.1} GFLOP/s {:4.0} %", seconds * 1e6, 100.0 * rate / peak);
            } else {
                println!("  {name:<28} {:8.1} µs", seconds * 1e6);
            }
        }
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A layer's parameters and their gradients.
struct Parameters {
    weight: Vec<f32>,
    bias: Vec<f32>,
    d_weight: Vec<f32>,
    d_bias: Vec<f32>,
}

fn parameters(weights: usize, biases: usize) -> Parameters {
    let scale = (biases as f32 / weights as f32).sqrt();
    let weight = (0..weights).map(|i| scale * (((i * 7919) % 1009) as f32 / 504.0 - 1.0)).collect();
    Parameters { weight, bias: vec![0.1; biases], d_weight: vec![0.0; weights], d_bias: vec![0.0; biases] }
}

fn linear_forward(c: &mut Clock, d: &mut Cpu, size: &LinearSize, p: &Parameters, x: &Buffer, y: &mut Buffer) {
    let name = format!("linear {}-{} forward", size.inputs, size.outputs);
    let work = size.samples * size.inputs * size.outputs;
    c.time(&name, work, || d.linear_forward(size, x.as_slice(), &p.weight, &p.bias, y.as_mut_slice()));
}

fn linear_backward(c: &mut Clock, d: &mut Cpu, size: &LinearSize, p: &mut Parameters, x: &Buffer, d_y: &Buffer) {
    let name = format!("linear {}-{} weight", size.inputs, size.outputs);
    let work = size.samples * size.inputs * size.outputs;
    let Parameters { d_weight, d_bias, .. } = p;
    c.time(&name, work, || d.linear_backward_weight(size, x.as_slice(), d_y.as_slice(), d_weight, d_bias));
}

fn linear_input(c: &mut Clock, d: &mut Cpu, size: &LinearSize, p: &Parameters, d_y: &Buffer, d_x: &mut Buffer) {
    let name = format!("linear {}-{} input", size.inputs, size.outputs);
    let work = size.samples * size.inputs * size.outputs;
    c.time(&name, work, || d.linear_backward_input(size, &p.weight, d_y.as_slice(), d_x.as_mut_slice()));
}

trait Net {
    fn step(&mut self, clock: &mut Clock);
}

/// 784 − hidden − 10 with sigmoid and cross-entropy.
struct Mlp {
    device: Cpu,
    samples: usize,
    hidden: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    layers: [Parameters; 2],
    activations: [Buffer; 3],
    gradients: [Buffer; 3],
}

impl Mlp {
    fn new(device: Cpu, samples: usize, hidden: usize) -> Mlp {
        let buffers = || [784, hidden, 10].map(|features| device.zeros(device.activation_len(samples, features)));
        Mlp {
            samples,
            hidden,
            pixels: (0..samples * 784).map(|i| (i * 37) as u8).collect(),
            labels: (0..samples).map(|i| (i * 7 % 10) as u8).collect(),
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
        let first = LinearSize { samples, inputs: 784, outputs: *hidden };
        let second = LinearSize { samples, inputs: *hidden, outputs: 10 };
        let middle = ActivationSize { samples, features: *hidden };
        let classes = ClassesSize { samples, classes: 10 };
        let [x, h, y] = &mut self.activations;
        let [_, d_h, d_y] = &mut self.gradients;
        let [p, q] = &mut self.layers;
        let size = PixelsSize { samples, features: 784, scale: 1.0 / 255.0, shift: -0.5 };
        c.time("pixels", 0, || d.pixels_forward(&size, &self.pixels, x.as_mut_slice()));
        linear_forward(c, d, &first, p, x, h);
        c.time("sigmoid", 0, || d.activation_forward(&middle, Activation::Sigmoid, h.as_mut_slice()));
        linear_forward(c, d, &second, q, h, y);
        c.time("cross-entropy", 0, || {
            black_box(d.cross_entropy(&classes, y.as_slice(), &self.labels, d_y.as_mut_slice()));
        });
        linear_backward(c, d, &second, q, h, d_y);
        linear_input(c, d, &second, q, d_y, d_h);
        let (h, d_h_mut) = (h.as_slice(), d_h.as_mut_slice());
        c.time("sigmoid backward", 0, || d.activation_backward(&middle, Activation::Sigmoid, h, d_h_mut));
        linear_backward(c, d, &first, p, x, d_h);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pooling {
    Fused,
    Separate,
}

/// LeNet-5, pooling before relu: the same function, cheaper.
struct LeNet {
    pooling: Pooling,
    device: Cpu,
    samples: usize,
    pixels: Vec<u8>,
    labels: Vec<u8>,
    layers: [Parameters; 5],
    activations: [Buffer; 8],
    gradients: [Buffer; 8],
    choices: [Vec<u8>; 2],
}

/// Values a sample: pixels, convolution 1, pooling 1, convolution 2, pooling 2, linear 1, 2, 3.
const LENET: [usize; 8] = [784, 6 * 784, 6 * 196, 16 * 100, 400, 120, 84, 10];

impl LeNet {
    fn new(device: Cpu, samples: usize, pooling: Pooling) -> LeNet {
        let buffers = || LENET.map(|features| device.zeros(device.activation_len(samples, features)));
        let layers = [(150, 6), (2400, 16), (48_000, 120), (10_080, 84), (840, 10)];
        LeNet {
            pooling,
            samples,
            pixels: (0..samples * 784).map(|i| (i * 37) as u8).collect(),
            labels: (0..samples).map(|i| (i * 7 % 10) as u8).collect(),
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
        };
        let pool = |i: usize| {
            let side = [28, 10][i];
            Pool2dSize { samples, channels: [6, 16][i], height: side, width: side, window: 2 }
        };
        let linear = |i: usize| LinearSize { samples, inputs: LENET[4 + i], outputs: LENET[5 + i] };
        let relu = |features| ActivationSize { samples, features };
        let work = |i: usize| samples * [6 * 784 * 25, 1600 * 150][i];
        let a = &mut self.activations;
        let size = PixelsSize { samples, features: 784, scale: 1.0 / 255.0, shift: -0.5 };
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
                    d.conv2d_forward(&conv(i), x.as_slice(), weight, bias, y.as_mut_slice());
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
            black_box(d.cross_entropy(&size, a[7].as_slice(), &self.labels, g[7].as_mut_slice()));
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
                    d.conv2d_backward_weight(&size, x, d_y.as_slice(), d_weight, d_bias);
                });
                if i > 0 {
                    c.time(&format!("conv{} input", i + 1), work(i), || {
                        d.conv2d_backward_input(&size, weight, d_y.as_slice(), d_x.as_mut_slice());
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

fn measure(name: &str, samples: usize, peak: f64, net: &mut dyn Net) {
    let mut clock = Clock::default();
    (0..10).for_each(|_| net.step(&mut Clock::default()));
    let mut steps = Vec::new();
    let end = Instant::now() + Duration::from_millis(700);
    while Instant::now() < end {
        let start = Instant::now();
        net.step(&mut clock);
        steps.push(start.elapsed());
    }
    let rate = samples as f64 / median(&mut steps).as_secs_f64();
    println!("{name}, {samples} samples: {rate:.0} samples/s");
    clock.report(peak);
}

/// GFLOP/s of a product that stays in the first-level cache: what the kernels can reach, in place of a data sheet.
fn measured_peak(device: &mut Cpu) -> f64 {
    let size = LinearSize { samples: 64, inputs: 64, outputs: 96 };
    let (x, weight, bias) = (vec![0.5; 64 * 64], vec![0.5; 64 * 96], vec![0.5; 96]);
    let mut y = vec![0.0; 64 * 96];
    let mut times: Vec<_> = (0..3000)
        .map(|_| {
            let start = Instant::now();
            device.linear_forward(&size, black_box(&x), &weight, &bias, black_box(&mut y));
            start.elapsed()
        })
        .collect();
    times.sort();
    2.0 * (64 * 64 * 96) as f64 / times[times.len() / 20].as_secs_f64() / 1e9
}

fn main() {
    let set =
        std::env::args().nth(1).map_or(InstructionSet::detect(), |name| name.parse().expect("an instruction set"));
    let small = measured_peak(&mut Cpu::new(set));
    // 117 GFLOP/s is the FMA peak measured on the AVX-512 machine that the targets were written for.
    let peak = 117.0;
    println!("{set}: a product in the first-level cache reaches {small:.0} GFLOP/s; fractions are of {peak}");
    for samples in [64, 128] {
        for pooling in [Pooling::Fused, Pooling::Separate] {
            let name = format!("LeNet-5, pooling {pooling:?}");
            measure(&name, samples, peak, &mut LeNet::new(Cpu::new(set), samples, pooling));
        }
        measure("MLP 784-100-10", samples, peak, &mut Mlp::new(Cpu::new(set), samples, 100));
        measure("MLP 784-300-10", samples, peak, &mut Mlp::new(Cpu::new(set), samples, 300));
    }
}

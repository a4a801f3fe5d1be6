//! A layer's parameters, and linear layers under the stopwatch.

use lockstep_kernels::cpu::Cpu;
use lockstep_kernels::linear::{Linear, LinearSize};

use crate::clock::Clock;

pub type Buffer = lockstep_kernels::cpu::Buffer<f32>;

/// A layer's parameters and their gradients.
pub struct Parameters {
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
    pub d_weight: Vec<f32>,
    pub d_bias: Vec<f32>,
}

pub fn parameters(weights: usize, biases: usize) -> Parameters {
    let scale = (biases as f32 / weights as f32).sqrt();
    let weight = (0..weights).map(|i| scale * (((i * 7919) % 1009) as f32 / 504.0 - 1.0)).collect();
    Parameters { weight, bias: vec![0.1; biases], d_weight: vec![0.0; weights], d_bias: vec![0.0; biases] }
}

pub fn linear_forward(c: &mut Clock, d: &mut Cpu, size: &LinearSize, p: &Parameters, x: &Buffer, y: &mut Buffer) {
    let name = format!("linear {}-{} forward", size.inputs, size.outputs);
    let work = size.samples * size.inputs * size.outputs;
    c.time(&name, work, || d.linear_forward(size, x.as_slice(), &p.weight, &p.bias, y.as_mut_slice()));
}

pub fn linear_backward(c: &mut Clock, d: &mut Cpu, size: &LinearSize, p: &mut Parameters, x: &Buffer, d_y: &Buffer) {
    let name = format!("linear {}-{} weight", size.inputs, size.outputs);
    let work = size.samples * size.inputs * size.outputs;
    let Parameters { d_weight, d_bias, .. } = p;
    c.time(&name, work, || d.linear_backward_weight(size, x.as_slice(), d_y.as_slice(), d_weight, d_bias));
}

pub fn linear_input(c: &mut Clock, d: &mut Cpu, size: &LinearSize, p: &Parameters, d_y: &Buffer, d_x: &mut Buffer) {
    let name = format!("linear {}-{} input", size.inputs, size.outputs);
    let work = size.samples * size.inputs * size.outputs;
    c.time(&name, work, || d.linear_backward_input(size, &p.weight, d_y.as_slice(), d_x.as_mut_slice()));
}

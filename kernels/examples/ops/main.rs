//! Time of each op and of whole forward + backward passes on one core.
//!
//! `cargo run --release -p lockstep-kernels --example ops [avx512|avx2|portable]`

mod clock;
mod layers;
mod lenet;
mod mlp;

use std::hint::black_box;
use std::time::{Duration, Instant};

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::linear::{Linear, LinearSize};
use lockstep_kernels::simd::peak;

use clock::{Clock, median};
use lenet::{LeNet, Pooling};
use mlp::Mlp;

trait Net {
    fn step(&mut self, clock: &mut Clock);
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
    // The ops are shorter than a time slice: their sum says what a quiet machine would do.
    let quiet = samples as f64 / clock.total();
    println!("{name}, {samples} samples: {rate:.0} samples/s, by the sum of the ops {quiet:.0}");
    clock.report(peak);
}

/// GFLOP/s of multiply-adds that stay in registers: no kernel is faster.
fn multiply_add_peak(set: InstructionSet) -> f64 {
    let rounds = 100_000;
    let time = || {
        let start = Instant::now();
        peak::multiply_adds(set, rounds);
        start.elapsed()
    };
    let best = (0..50).map(|_| time()).min().expect("fifty runs");
    peak::operations(set, rounds) as f64 / best.as_secs_f64() / 1e9
}

/// GFLOP/s of a product that stays in the first-level cache.
fn small_product(device: &mut Cpu) -> f64 {
    let size = LinearSize { samples: 64, inputs: 64, plane: 1, outputs: 96 };
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
    let small = small_product(&mut Cpu::new(set));
    let peak = multiply_add_peak(set);
    println!(
        "{set}: a product in the first-level cache reaches {small:.0} GFLOP/s; shares are of {peak:.0} in registers"
    );
    for samples in [64, 128] {
        for pooling in [Pooling::Fused, Pooling::Separate] {
            let name = format!("LeNet-5, pooling {pooling:?}");
            measure(&name, samples, peak, &mut LeNet::new(Cpu::new(set), samples, pooling));
        }
        measure("MLP 784-100-10", samples, peak, &mut Mlp::new(Cpu::new(set), samples, 100));
        measure("MLP 784-300-10", samples, peak, &mut Mlp::new(Cpu::new(set), samples, 300));
    }
}

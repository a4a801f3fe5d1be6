//! Time of each update on one core, in GB/s of the vectors that it reads and writes, and the share of the best rate of
//! three plain loops over vectors of the same length: a copy, STREAM's triad (McCalpin 1995), a sum in place.
//!
//! `cargo run --release -p lockstep-kernels --example updates [avx512|avx2|portable]`

use std::hint::black_box;
use std::time::{Duration, Instant};

use lockstep_kernels::addition::Addition;
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::fold::{BLOCK, Fold};
use lockstep_kernels::optimizer::{
    Adagrad, Adam, Decay, Lamb, Lars, Optimize, Rmsprop, Rule, Scaling, Sgd, Update, Vectors,
};

/// Elements in and out of the second-level cache.
const SIZES: [usize; 2] = [20_000, 8_000_000];

/// Median seconds of a call.
fn seconds(mut call: impl FnMut()) -> f64 {
    call();
    let end = Instant::now() + Duration::from_millis(200);
    let mut times = Vec::new();
    while Instant::now() < end || times.len() < 5 {
        let start = Instant::now();
        call();
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn triad(a: &mut [f32], b: &[f32], c: &[f32]) {
    for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
        *a = b + 3.0 * c;
    }
}

fn main() {
    let set =
        std::env::args().nth(1).map_or(InstructionSet::detect(), |name| name.parse().expect("an instruction set"));
    let mut device = Cpu::new(set);
    let (learning_rate, momentum, steps, epsilon) = (1e-6, 0.9, 9, 1e-8);
    let (beta1, beta2) = (0.9, 0.999);
    let sgd = Sgd { learning_rate, momentum, dampening: 0.0, nesterov: false, steps };
    let rmsprop = Rmsprop { learning_rate, alpha: 0.99, epsilon, momentum, centered: true };
    // With the f32 that an element moves: gradient, parameters twice, state twice.
    let rules = [
        ("sgd", 3, Rule::Sgd(Sgd { momentum: 0.0, ..sgd })),
        ("sgd with momentum", 5, Rule::Sgd(sgd)),
        ("adagrad", 5, Rule::Adagrad(Adagrad { learning_rate, learning_rate_decay: 0.0, epsilon, steps })),
        ("rmsprop", 5, Rule::Rmsprop(Rmsprop { momentum: 0.0, centered: false, ..rmsprop })),
        ("rmsprop, all of it", 9, Rule::Rmsprop(rmsprop)),
        ("adamw", 7, Rule::Adam(Adam { learning_rate, beta1, beta2, epsilon, steps })),
        ("lars", 5, Rule::Lars(Lars { learning_rate, momentum, trust_ratio: 0.1 })),
        ("lamb, its direction", 9, Rule::Lamb(Lamb { learning_rate, beta1, beta2, epsilon, weight_decay: 0.1, steps })),
    ];
    for len in SIZES {
        println!("{set}, {len} elements");
        let gradient = vec![0.5; len];
        let [mut w, mut a, mut b, mut c] = [(); 4].map(|()| vec![0.5; len]);
        let rate = |moved: usize, took: f64| (4 * moved * len) as f64 / took / 1e9;
        let plain = [
            ("copy", rate(2, seconds(|| a.copy_from_slice(black_box(&gradient))))),
            ("triad", rate(3, seconds(|| triad(&mut a, black_box(&w), &b)))),
            ("sum in place", rate(3, seconds(|| device.accumulate(&mut a, black_box(&gradient))))),
        ];
        a.fill(0.5);
        let best = plain.iter().fold(0.0, |best: f64, (_, rate)| best.max(*rate));
        for (name, rate) in plain {
            println!("  {name:20} {:>10} {rate:6.1} GB/s", "");
        }
        for (name, moved, rule) in rules {
            let decay = if name == "adamw" { Decay::Decoupled(0.01) } else { Decay::Coupled(1e-4) };
            let update = Update { scaling: Scaling::mean(64), decay, rule };
            let took = seconds(|| {
                let state = [Some(a.as_mut_slice()), Some(b.as_mut_slice()), Some(c.as_mut_slice())];
                device.update(&update, Vectors { gradient: &gradient, parameters: &mut w, state });
            });
            let rate = rate(moved, took);
            println!("  {name:20} {:7.1} µs {rate:6.1} GB/s {:4.0}%", took * 1e6, 100.0 * rate / best);
        }
        let blocks: Vec<_> = (0..len).step_by(BLOCK).map(|start| start..len.min(start + BLOCK)).collect();
        let (parts, mut norms) = (device.parts(&blocks), vec![0.0; blocks.len()]);
        let took = seconds(|| device.squared_norms(&parts, &gradient, &mut norms));
        println!("  {:20} {:7.1} µs {:6.1} GB/s", "norms", took * 1e6, (4 * len) as f64 / took / 1e9);
    }
}

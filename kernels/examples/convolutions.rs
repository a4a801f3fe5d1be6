//! Rate of convolutions of real networks on one core: forward, gradient of the input, gradient of the weight.
//!
//! `cargo run --release -p lockstep-kernels --example convolutions [avx512|avx2|portable] [direct] [name]`
//!
//! GFLOP/s are those of the formula, 2·N·C/groups·O·K²·H′·W′: Winograd's kernels need fewer and can exceed the peak.

use std::hint::black_box;
use std::time::Instant;

use lockstep_kernels::conv2d::{Accumulation, Algorithm, Conv2d, Conv2dSize};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::device::Memory;
use lockstep_kernels::simd::peak;

/// Name, (N, C, O, H = W, K, stride, padding, groups).
const SHAPES: &[(&str, [usize; 8])] = &[
    ("3x3 64 56 b16", [16, 64, 64, 56, 3, 1, 1, 1]),
    ("3x3 128 28 b16", [16, 128, 128, 28, 3, 1, 1, 1]),
    ("3x3 256 14 b16", [16, 256, 256, 14, 3, 1, 1, 1]),
    ("3x3 512 7 b16", [16, 512, 512, 7, 3, 1, 1, 1]),
    ("3x3 16 32 b128", [128, 16, 16, 32, 3, 1, 1, 1]),
    ("3x3 32 16 b128", [128, 32, 32, 16, 3, 1, 1, 1]),
    ("3x3 64 8 b128", [128, 64, 64, 8, 3, 1, 1, 1]),
    ("3x3 64 56 b8", [8, 64, 64, 56, 3, 1, 1, 1]),
    ("3x3 256 14 b8", [8, 256, 256, 14, 3, 1, 1, 1]),
    ("1x1 64-256 56 b8", [8, 64, 256, 56, 1, 1, 0, 1]),
    ("1x1 256-1024 14 b8", [8, 256, 1024, 14, 1, 1, 0, 1]),
    ("1x1 2048-512 7 b8", [8, 2048, 512, 7, 1, 1, 0, 1]),
    ("1x1 64-256 56 b16", [16, 64, 256, 56, 1, 1, 0, 1]),
    ("1x1 256-64 56 b16", [16, 256, 64, 56, 1, 1, 0, 1]),
    ("1x1 512-128 28 b16", [16, 512, 128, 28, 1, 1, 0, 1]),
    ("1x1 256-1024 14 b16", [16, 256, 1024, 14, 1, 1, 0, 1]),
    ("1x1 2048-512 7 b16", [16, 2048, 512, 7, 1, 1, 0, 1]),
    ("1x1 256-512 56/2 b16", [16, 256, 512, 56, 1, 2, 0, 1]),
    ("3x3 64-128 56/2 b16", [16, 64, 128, 56, 3, 2, 1, 1]),
    ("3x3 128 56/2 b16", [16, 128, 128, 56, 3, 2, 1, 1]),
    ("3x3 512 14/2 b16", [16, 512, 512, 14, 3, 2, 1, 1]),
    ("3x3 16-32 32/2 b128", [128, 16, 32, 32, 3, 2, 1, 1]),
    ("7x7 3-64 224/2 b16", [16, 3, 64, 224, 7, 2, 3, 1]),
    ("11x11 3-96 224/4 b16", [16, 3, 96, 224, 11, 4, 2, 1]),
    ("5x5 96-256 27 g2 b16", [16, 96, 256, 27, 5, 1, 2, 2]),
    ("3x3 3-16 32 b128", [128, 3, 16, 32, 3, 1, 1, 1]),
    ("3x3 3-64 224 b16", [16, 3, 64, 224, 3, 1, 1, 1]),
    ("3x3 64 56 depthwise b16", [16, 64, 64, 56, 3, 1, 1, 64]),
];

/// Seconds that the fastest run took this thread's core, without the time that other processes took from it.
fn seconds(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed().as_secs_f64() < 0.3 {
        let begin = on_core();
        run();
        best = best.min(on_core() - begin);
    }
    best
}

/// Seconds that this thread has run.
fn on_core() -> f64 {
    // Yielding brings the kernel's count up to date.
    std::thread::yield_now();
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts scheduled time");
    let nanoseconds = line.split(' ').next().and_then(|first| first.parse::<f64>().ok());
    nanoseconds.expect("the first number is time on a core") / 1e9
}

/// GFLOP/s of multiply-adds in registers.
fn measured_peak(set: InstructionSet) -> f64 {
    let rounds = 1_000_000;
    peak::operations(set, rounds) as f64 / seconds(|| peak::multiply_adds(set, rounds)) / 1e9
}

/// Numbers around zero that no kernel can profit from.
fn values(len: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919) % 1009) as f32 / 504.0 - 1.0).collect()
}

/// Seconds of forward, backward-input and backward-weight.
fn measure(device: &mut Cpu, size: &Conv2dSize) -> [f64; 3] {
    let in_features = size.in_channels * size.height * size.width;
    let out_features = size.out_channels * size.out_height() * size.out_width();
    let x = values(device.activation_len(size.samples, in_features));
    let mut y = values(device.activation_len(size.samples, out_features));
    let mut d_x = x.clone();
    let weight = values(size.weights());
    let mut d_weight = weight.clone();
    let forward = seconds(|| device.conv2d_forward(size, black_box(&x), &weight, None, &mut y));
    let input =
        seconds(|| device.conv2d_backward_input(size, &weight, black_box(&y), &mut d_x, Accumulation::Overwrite));
    let weight = seconds(|| device.conv2d_backward_weight(size, black_box(&x), &y, &mut d_weight, None));
    [forward, input, weight]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let set = arguments.iter().find_map(|name| name.parse().ok()).unwrap_or_else(InstructionSet::detect);
    let direct = arguments.iter().any(|name| name == "direct");
    let names: Vec<_> = arguments.iter().filter(|a| *a != "direct" && a.parse::<InstructionSet>().is_err()).collect();
    let peak = measured_peak(set);
    println!("{set}: multiply-adds in registers reach {peak:.0} GFLOP/s; shares are of that");
    println!("{:<24} {:>17} {:>17} {:>17} {:>17}", "", "forward", "input", "weight", "all three");
    for (name, [samples, in_channels, out_channels, side, kernel, stride, padding, groups]) in SHAPES.iter().copied() {
        if !names.is_empty() && !names.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let convolution = if direct { Algorithm::Direct } else { Algorithm::Auto };
        let plain = Conv2dSize { kernel, stride, padding, groups, convolution, ..Conv2dSize::PLAIN };
        let size = Conv2dSize { samples, in_channels, out_channels, height: side, width: side, ..plain };
        let work = 2.0 * (samples * size.weights() * size.out_height() * size.out_width()) as f64 / 1e9;
        let times = measure(&mut Cpu::new(set), &size);
        let all = times.iter().sum::<f64>() / 3.0;
        let columns: String = [times[0], times[1], times[2], all]
            .map(|seconds| format!(" {:8.1} ({:5.2})", work / seconds, work / seconds / peak))
            .concat();
        println!("{name:<24}{columns}");
    }
}

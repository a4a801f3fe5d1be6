//! Time and memory traffic of the ops that move more numbers than they multiply, on one core.
//!
//! `cargo run --release -p lockstep-kernels --example layers [avx512|avx2|portable]`

use std::time::{Duration, Instant};

use lockstep_kernels::activation::{Activate, Activation, ActivationSize};
use lockstep_kernels::addition::Addition;
use lockstep_kernels::batch_norm::{
    BatchNorm, BatchNormGradients, BatchNormInput, BatchNormOutput, BatchNormSaved, BatchNormSize,
};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::{LossOutput, LossSums, Memory};
use lockstep_kernels::dropout::{Dropout, DropoutSize};
use lockstep_kernels::group_norm::{GroupNorm, GroupNormGradients, GroupNormOutput, GroupNormSaved, GroupNormSize};
use lockstep_kernels::local_response_norm::{LocalResponseNorm, LocalResponseNormSize};
use lockstep_kernels::pool2d::{AdaptivePool2dSize, Pool2d, Pool2dSize};

/// Buffers that are large enough for every size below.
struct Bench {
    device: Cpu,
    x: Vec<f32>,
    y: Vec<f32>,
    d_y: Vec<f32>,
    d_x: Vec<f32>,
    choice: Vec<u8>,
}

/// The fastest of the runs of a third of a second: what a quiet machine would do.
fn time(name: &str, numbers: usize, mut op: impl FnMut()) {
    op();
    let mut fastest = Duration::MAX;
    let end = Instant::now() + Duration::from_millis(300);
    while Instant::now() < end {
        let start = Instant::now();
        op();
        fastest = fastest.min(start.elapsed());
    }
    let seconds = fastest.as_secs_f64();
    println!("  {name:<44} {:9.1} µs {:6.1} GB/s", seconds * 1e6, 4.0 * numbers as f64 / seconds / 1e9);
}

fn batch_norm(b: &mut Bench, samples: usize, channels: usize, side: usize) {
    let plane = side * side;
    let len = b.device.activation_len(samples, channels * plane);
    let parameters = vec![0.5; channels];
    let [mut d_weight, mut d_bias] = [(); 2].map(|()| vec![0.0; channels]);
    let [mut moments, mut statistics] = [(); 2].map(|()| vec![0.0; 2 * channels]);
    for (relu, residual) in [(false, false), (true, false), (true, true)] {
        let size = BatchNormSize { samples, channels, plane, epsilon: 1e-5, relu };
        let name = format!("batch norm {samples}×{channels}×{side}² relu {relu} residual {residual}");
        let Bench { device, x, y, d_y, d_x, .. } = b;
        let (weight, bias) = (parameters.as_slice(), parameters.as_slice());
        time(&format!("{name} ↑"), len * (2 + usize::from(residual)), || {
            let residual = if residual { Some(&d_x[..len]) } else { None };
            let input = BatchNormInput { x: &x[..len], weight, bias, residual };
            let output =
                BatchNormOutput { y: &mut y[..len], moments: &mut moments[..], statistics: &mut statistics[..] };
            device.batch_norm_forward(&size, input, output);
        });
        time(&format!("{name} ↓"), len * (3 + 2 * usize::from(relu)), || {
            let saved = BatchNormSaved { x: &x[..len], y: &y[..len], weight, moments: &moments[..] };
            let (d_y, d_x) = (&mut d_y[..len], &mut d_x[..len]);
            let gradients = BatchNormGradients { d_y, d_x, d_weight: &mut d_weight[..], d_bias: &mut d_bias[..] };
            device.batch_norm_backward(&size, saved, gradients);
        });
    }
}

fn group_norm(b: &mut Bench, samples: usize, channels: usize, side: usize) {
    let size = GroupNormSize { samples, channels, groups: 8, plane: side * side, epsilon: 1e-5 };
    let len = b.device.activation_len(samples, channels * side * side);
    let parameters = vec![0.5; channels];
    let [mut d_weight, mut d_bias] = [(); 2].map(|()| vec![0.0; channels]);
    let mut moments = vec![0.0; b.device.activation_len(samples, size.moments_features())];
    let Bench { device, x, y, d_y, d_x, .. } = b;
    time(&format!("group norm {samples}×{channels}×{side}² ↑"), 2 * len, || {
        let output = GroupNormOutput { y: &mut y[..len], moments: &mut moments[..] };
        device.group_norm_forward(&size, &x[..len], &parameters, &parameters, output);
    });
    time(&format!("group norm {samples}×{channels}×{side}² ↓"), 3 * len, || {
        let saved = GroupNormSaved { x: &x[..len], weight: &parameters[..], moments: &moments[..] };
        let (d_weight, d_bias) = (d_weight.as_mut_slice(), d_bias.as_mut_slice());
        let gradients = GroupNormGradients { d_y: &d_y[..len], d_x: &mut d_x[..len], d_weight, d_bias };
        device.group_norm_backward(&size, saved, gradients);
    });
}

fn pool2d(b: &mut Bench, name: &str, size: Pool2dSize) {
    let Pool2dSize { samples, channels, height, width, .. } = size;
    let inside = b.device.activation_len(samples, channels * height * width);
    let outside = b.device.activation_len(samples, channels * size.out_height() * size.out_width());
    let Bench { device, x, y, d_y, d_x, choice } = b;
    let both = inside + outside;
    time(&format!("max pool {name} ↑"), both, || {
        device.max_pool2d_forward(&size, &x[..inside], &mut y[..outside], &mut choice[..outside]);
    });
    time(&format!("max pool {name} ↓"), both, || {
        device.max_pool2d_backward(&size, &d_y[..outside], &choice[..outside], &mut d_x[..inside]);
    });
    time(&format!("average pool {name} ↑"), both, || {
        device.average_pool2d_forward(&size, &x[..inside], &mut y[..outside]);
    });
    time(&format!("average pool {name} ↓"), both, || {
        device.average_pool2d_backward(&size, &d_y[..outside], &mut d_x[..inside]);
    });
}

fn response_norm(b: &mut Bench, samples: usize, channels: usize, side: usize) {
    let plane = side * side;
    let size = LocalResponseNormSize { samples, channels, plane, size: 5, alpha: 5e-4, beta: 0.75, k: 2.0 };
    let len = b.device.activation_len(samples, channels * plane);
    let Bench { device, x, y, d_y, d_x, .. } = b;
    time(&format!("response norm {samples}×{channels}×{side}² ↑"), 2 * len, || {
        device.local_response_norm_forward(&size, &x[..len], &mut y[..len]);
    });
    time(&format!("response norm {samples}×{channels}×{side}² ↓"), 3 * len, || {
        device.local_response_norm_backward(&size, &x[..len], &d_y[..len], &mut d_x[..len]);
    });
}

fn element_wise(b: &mut Bench, samples: usize, features: usize) {
    let len = b.device.activation_len(samples, features);
    let keys: Vec<u64> = (0..samples as u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    let Bench { device, x, y, d_y, .. } = b;
    let size = DropoutSize { samples, features, plane: 1, probability: 0.5 };
    time(&format!("dropout {samples}×{features}"), 2 * len, || {
        device.dropout_forward(&size, &keys, &x[..len], &mut y[..len]);
    });
    time(&format!("addition {samples}×{features}"), 3 * len, || device.add(&x[..len], &d_y[..len], &mut y[..len]));
    let size = ActivationSize { samples, features };
    for function in
        [Activation::Relu, Activation::LeakyRelu { slope: 0.01 }, Activation::Sigmoid, Activation::ScaledTanh]
    {
        time(&format!("{function:?} {samples}×{features}"), 2 * len, || {
            device.activation_forward(&size, function, &mut y[..len]);
        });
    }
}

fn classes(b: &mut Bench, samples: usize, classes: usize) {
    let len = b.device.activation_len(samples, classes);
    let labels: Vec<u16> = (0..samples).map(|n| (n * 7 % classes) as u16).collect();
    let Bench { device, x, d_x, .. } = b;
    let (size, mut sums) = (ClassesSize { samples, classes }, [0.0; LossSums::LEN]);
    time(&format!("cross-entropy {samples}×{classes}"), 2 * len, || {
        let output = LossOutput { d_x: &mut d_x[..len], sums: sums.as_mut_slice() };
        device.cross_entropy(&size, &x[..len], &labels, output);
    });
    time(&format!("smoothed cross-entropy {samples}×{classes}"), 2 * len, || {
        let output = LossOutput { d_x: &mut d_x[..len], sums: sums.as_mut_slice() };
        device.smoothed_cross_entropy(&size, 0.1, &x[..len], &labels, output);
    });
}

fn main() {
    let set =
        std::env::args().nth(1).map_or(InstructionSet::detect(), |name| name.parse().expect("an instruction set"));
    let len = 16 * 64 * 112 * 112;
    let buffer = || (0..len).map(|i| ((i * 7919) % 1009) as f32 / 504.0 - 1.0).collect::<Vec<_>>();
    let (x, y, d_y, d_x) = (buffer(), buffer(), buffer(), buffer());
    let b = &mut Bench { device: Cpu::new(set), x, y, d_y, d_x, choice: vec![0; len] };
    println!("{set}; ↑ forward, ↓ backward");
    for (samples, channels, side) in [(128, 16, 32), (128, 64, 8), (16, 64, 112), (16, 256, 14)] {
        batch_norm(b, samples, channels, side);
    }
    group_norm(b, 128, 16, 32);
    group_norm(b, 16, 64, 56);
    let apart = |samples, channels, side| Pool2dSize {
        samples,
        channels,
        height: side,
        width: side,
        window: 2,
        stride: 2,
        padding: 0,
    };
    pool2d(b, "2/2 64×6×28²", apart(64, 6, 28));
    pool2d(b, "2/2 16×64×112²", apart(16, 64, 112));
    pool2d(b, "3/2 p1 16×64×112²", Pool2dSize { window: 3, padding: 1, ..apart(16, 64, 112) });
    pool2d(b, "3/2 16×96×55²", Pool2dSize { window: 3, ..apart(16, 96, 55) });
    let size = AdaptivePool2dSize { samples: 16, channels: 512, height: 7, width: 7, out_height: 1, out_width: 1 };
    let Bench { device, x, y, .. } = b;
    let (inside, outside) = (16 * 512 * 49, 16 * 512);
    time("mean of the plane 16×512×7²", inside + outside, || {
        device.adaptive_average_pool2d_forward(&size, &x[..inside], &mut y[..outside]);
    });
    response_norm(b, 16, 96, 27);
    response_norm(b, 16, 256, 13);
    element_wise(b, 16, 4096);
    element_wise(b, 16, 64 * 56 * 56);
    classes(b, 64, 10);
    classes(b, 16, 1000);
}

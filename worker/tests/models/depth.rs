//! Signals through fifty layers: initial weights keep them, or lose them, as He et al. 2015 and Glorot & Bengio 2010 say.

use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_proto::job::{self, Init};
use lockstep_worker::layers::MicroBatch;
use lockstep_worker::model::{Activations, SampleShape, Weights, build, initial_values};

/// Of every layer, the output among them.
const WIDTH: usize = 256;
const HIDDEN: usize = 50;
const SAMPLES: usize = 32;

fn names(activation: job::Activation, hidden: usize) -> job::Model {
    job::Model { hidden: vec![WIDTH as u32; hidden], activation, ..job::Model::default() }
}

const SHAPE: SampleShape = SampleShape { channels: 1, height: 1, width: WIDTH, classes: WIDTH };

/// Values of variance 1 without a pattern, in ±√3.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let number = |i: u64| {
        let mut z = (i + (seed << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z >> 40) as f32 / (1 << 23) as f32 - 1.0) * 3f32.sqrt()
    };
    (0..len as u64).map(number).collect()
}

fn mean_square(values: &[f32]) -> f64 {
    values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / values.len() as f64
}

/// The mean square of every hidden layer's sums before its activation, first to last, and of its weights' gradient under
/// a random gradient behind the network.
fn mean_squares(activation: job::Activation, init: Init, init_value: f64) -> (Vec<f64>, Vec<f64>) {
    let all = job::Model { init, init_value, ..names(activation, HIDDEN) };
    let mut device = Cpu::new(InstructionSet::detect());
    let whole = build::<Cpu>(&all, SHAPE).unwrap();
    let parameters = initial_values(whole.tensors(), 1, &all);
    let batch = MicroBatch::<Cpu> { samples: SAMPLES, keys: &[] };
    let layer = parameters.len() / (HIDDEN + 1);
    let (mut sums, mut gradient) = (Vec::new(), vec![0.0; parameters.len()]);
    for layers in 1..=HIDDEN + 1 {
        // The last layer lies first, so that the first layers are the end of the vector; the last of these is the output,
        // which has no activation.
        let weights = Weights::<Cpu> { parameters: &parameters[parameters.len() - layers * layer..], statistics: &[] };
        let part = build::<Cpu>(&names(activation, layers - 1), SHAPE).unwrap();
        let mut activations = Activations::new(&device, &part, SAMPLES);
        activations.input(&device, &part, SAMPLES).copy_from_slice(&noise(SAMPLES * WIDTH, 1));
        part.forward(&mut device, batch, weights, &mut activations, &mut []);
        let (output, d_output) = activations.output(&device, &part, SAMPLES);
        if layers <= HIDDEN {
            sums.push(mean_square(output));
        } else {
            d_output.copy_from_slice(&noise(SAMPLES * WIDTH, 2));
            part.backward(&mut device, batch, weights, &mut activations, &mut gradient, &mut |_, _, _| {});
        }
    }
    let mut gradients: Vec<f64> = whole.layer_ranges().into_iter().skip(1).map(|r| mean_square(&gradient[r])).collect();
    gradients.reverse();
    (sums, gradients)
}

/// The largest of the values over the smallest.
fn spread(values: &[f64]) -> f64 {
    let [least, most] = [f64::min, f64::max].map(|of| values.iter().copied().fold(values[0], of));
    most / least
}

/// In expectation nothing changes; the deviation of 50 factors whose variance is 5/256 each is about one e-fold.
#[test]
fn hes_weights_keep_signals_through_relus() {
    let (sums, gradients) = mean_squares(job::Activation::Relu, Init::HeNormal, 0.0);
    let spreads = [spread(&sums), spread(&gradients)];
    assert!(spreads.iter().all(|spread| *spread < 10.0), "{spreads:?}");
}

/// A tanh takes a little: its mean square q becomes about q − 2q², which is 1/(2k) behind k layers. Gradients of weights
/// have that of the values, which falls, and that of the sums behind them, which falls the other way.
#[test]
fn glorots_weights_keep_signals_through_tanhs() {
    let (sums, gradients) = mean_squares(job::Activation::Tanh, Init::XavierNormal, 0.0);
    let (spreads, last) = ([spread(&sums), spread(&gradients)], sums[HIDDEN - 1] * 2.0 * HIDDEN as f64);
    assert!(spreads[0] < 200.0 && spreads[1] < 10.0, "{spreads:?}");
    assert!((0.5..2.0).contains(&last), "{last} times 1/(2·{HIDDEN})");
}

/// 256 weights of variance 1e-4 leave a fortieth of a mean square, and a ReLU half of that.
#[test]
fn small_normal_weights_lose_them() {
    for (activation, factor) in [(job::Activation::Relu, 0.0128), (job::Activation::Tanh, 0.0256)] {
        let (sums, gradients) = mean_squares(activation, Init::Normal, 0.01);
        let found = (sums[10] / sums[0]).powf(0.1);
        assert!((found / factor - 1.0).abs() < 0.2, "{activation:?}: a layer leaves {found} of a mean square");
        assert!(sums[HIDDEN - 1] / sums[0] < 1e-20, "{activation:?}: {:e}", sums[HIDDEN - 1]);
        assert!(gradients[0] < 1e-20, "{activation:?}: {:e}", gradients[0]);
    }
}

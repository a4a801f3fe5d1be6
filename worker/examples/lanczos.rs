//! What a Lanczos probe takes beside its products with the Hessian: LeNet-5 at batch 1,024, lanes of 64.
//!
//! `cargo run --release -p lockstep-worker --example lanczos -- [threads] [iterations]`

use std::time::{Duration, Instant};

use lockstep_estimators::eigenvalues::{Search, largest};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::cross_entropy::{ClassesSize, CrossEntropy};
use lockstep_kernels::device::{LossOutput, LossSums};
use lockstep_kernels::tangent::OutputTangent;
use lockstep_proto::job::{self, ModelName};
use lockstep_worker::layers::MicroBatch;
use lockstep_worker::model::{Along, Model, SampleShape, TangentMemory, Weights, build, initial_values};

const SAMPLES: usize = 1024;
const LANE: usize = 64;
const CLASSES: usize = 10;

/// A thread's device, memory, and sum over its lanes.
struct Hand {
    device: Cpu,
    memory: TangentMemory<Cpu>,
    lane: Vec<f32>,
    sum: Vec<f32>,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse().expect("a number"));
    let (threads, iterations) = (arguments.next().unwrap_or(1), arguments.next().unwrap_or(100));
    let names = job::Model { name: ModelName::Lenet5, activation: job::Activation::Tanh, ..job::Model::default() };
    let shape = SampleShape { channels: 1, height: 28, width: 28, classes: CLASSES };
    let model: Model<Cpu> = build(&names, shape).expect("LeNet-5 fits MNIST's images");
    let parameters = initial_values(model.tensors(), 1, &names);
    let hand = || {
        let device = Cpu::new(InstructionSet::detect());
        let memory = TangentMemory::new(&device, &model, LANE);
        let [lane, sum] = [(); 2].map(|()| vec![0.0; model.parameters()]);
        Hand { device, memory, lane, sum }
    };
    let mut hands: Vec<Hand> = (0..threads).map(|_| hand()).collect();
    let mut in_products = Duration::ZERO;
    // More than converge, so that all products are made.
    let search = Search { top: 25, iterations, tolerance: 0.0, seed: 1 };
    let started = Instant::now();
    let found = largest(model.parameters(), &search, |v: &[f32], to: &mut [f64]| -> Result<(), ()> {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for (index, hand) in hands.iter_mut().enumerate() {
                let (model, parameters) = (&model, &parameters);
                scope.spawn(move || hand.times(model, parameters, v, (index..SAMPLES / LANE).step_by(threads)));
            }
        });
        to.fill(0.0);
        for hand in &hands {
            to.iter_mut().zip(&hand.sum).for_each(|(to, sum)| *to += f64::from(*sum) / SAMPLES as f64);
        }
        in_products += started.elapsed();
        Ok(())
    });
    let (all, found) = (started.elapsed(), found.expect("the loss is finite"));
    let each = in_products.as_secs_f64() / found.products as f64;
    println!(
        "{} parameters, {threads} threads: {} products of {:.1} ms, all {:.3} s: {:.3} × the products; λ = {:.4}",
        model.parameters(),
        found.products,
        1e3 * each,
        all.as_secs_f64(),
        all.as_secs_f64() / in_products.as_secs_f64(),
        found.values[0].value
    );
}

impl Hand {
    /// The sum of these lanes' products.
    fn times(&mut self, model: &Model<Cpu>, parameters: &[f32], v: &[f32], lanes: impl Iterator<Item = usize>) {
        self.sum.fill(0.0);
        for lane in lanes {
            let input = self.memory.input(&self.device, model, LANE);
            for (i, x) in input.iter_mut().enumerate() {
                *x = ((i * 7919 + lane * 104_729) % 1009) as f32 / 1009.0;
            }
            let labels: Vec<u16> = (0..LANE).map(|n| ((n * 7 + lane) % CLASSES) as u16).collect();
            let along = Along {
                batch: MicroBatch::<Cpu> { samples: LANE, keys: &[] },
                weights: Weights::<Cpu> { parameters, statistics: &[] },
                direction: v,
                drops: true,
            };
            let size = ClassesSize { samples: LANE, classes: CLASSES };
            let mut sums = [0.0; LossSums::LEN];
            let mut loss = |device: &mut Cpu, x: &[f32], d_x: &mut [f32]| {
                device.cross_entropy(&size, x, &labels, LossOutput::<Cpu> { d_x, sums: &mut sums });
            };
            let Self { device, memory, lane, sum } = self;
            model.hessian_product(device, &along, memory, (&mut loss, OutputTangent::Softmax), lane);
            sum.iter_mut().zip(&*lane).for_each(|(sum, x)| *sum += x);
        }
    }
}

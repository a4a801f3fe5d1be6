//! What the by-products of the reduction cost: LeNet-5 at batch 1,024 in micro-batches of 32, one thread.
//!
//!     cargo run --release -p lockstep-worker --example by_products [STEPS]
//!
//! A whole step is the median over a real job's steps. Its parts are measured by themselves, each the median of many, over
//! as many gradients as a step has lanes, so that they come from memory and not from the nearest cache: in a step a lane's
//! gradient has just been written. *Total* is one norm a lane, *by layer* one for each layer, which is what jobs do.

#[path = "../tests/workers/mod.rs"]
mod workers;

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use lockstep_estimators::noise::{Lanes, Step, Window};
use lockstep_kernels::cpu::{Cpu, InstructionSet};
use lockstep_kernels::fold::{BLOCK, Fold};
use lockstep_proto::job::ModelName;
use lockstep_proto::wire::report::Report;
use lockstep_worker::model::{SampleShape, build};
use workers::{Worker, begin, end_all, initial, job};

const MICRO_BATCH: u32 = 32;
const LANES: u32 = 32;
const TRIALS: usize = 300;

fn main() {
    let steps: u64 = std::env::args().nth(1).map_or(60, |text| text.parse().expect("a number of steps"));
    let step = whole_step(steps);
    let shape = SampleShape { channels: 1, height: 28, width: 28, classes: 10 };
    let model = build::<Cpu>(&lenet5().model, shape).expect("a network that ships");
    let layers = model.layer_ranges();
    let rows =
        [("total", std::iter::once(0..model.parameters()).collect()), ("by layer", layers)].map(|(name, ranges)| {
            let [lanes, reduced, estimator] = parts(&ranges, model.parameters());
            (name, [lanes, reduced, estimator, lanes + reduced + estimator])
        });
    println!("a step of {} samples, {} parameters: {:.2} ms", LANES * MICRO_BATCH, model.parameters(), 1e3 * step);
    println!("{:<10}{:>20}{:>20}{:>20}{:>20}", "norms", "lanes", "reduced gradient", "estimator", "all");
    for (name, parts) in rows {
        let cells = parts.map(|seconds| format!("{:.1} µs {:.2}%", 1e6 * seconds, 100.0 * seconds / step));
        println!("{name:<10}{:>20}{:>20}{:>20}{:>20}", cells[0], cells[1], cells[2], cells[3]);
    }
}

fn lenet5() -> lockstep_proto::job::Job {
    let mut job = job(LANES, MICRO_BATCH);
    job.model.name = ModelName::Lenet5;
    job
}

/// Seconds of a step.
fn whole_step(steps: u64) -> f64 {
    let mut job = lenet5();
    job.data.limit = 10 * u64::from(LANES * MICRO_BATCH);
    (job.schedule.epochs, job.schedule.max_steps) = (u32::try_from(steps.div_ceil(10)).expect("fewer steps"), steps);
    job.metrics.every = 1;
    let mut worker = [Worker::prepare(&job, Path::new("/nowhere"), ("a", 1))];
    begin(1, &mut worker, job.batch.lanes(), &initial());
    end_all(&mut worker);
    let seconds = worker[0].reports.iter().filter_map(|report| match &report.report {
        Some(Report::Step(step)) => Some(f64::from(LANES * MICRO_BATCH) / step.samples_per_second),
        _ => None,
    });
    median(seconds.collect())
}

/// Seconds for the norms of all lanes' gradients, for those of the reduced one, and for the estimator with a report.
fn parts(ranges: &[std::ops::Range<usize>], parameters: usize) -> [f64; 3] {
    let mut device = Cpu::new(InstructionSet::detect());
    let gradient = |lane: u32| -> Vec<f32> { (0..parameters).map(|i| (i as f32 + lane as f32).sin()).collect() };
    let gradients: Vec<Vec<f32>> = (0..LANES).map(gradient).collect();
    let (of_ranges, mut norms) = (device.parts(ranges), vec![0.0; ranges.len()]);
    let of_lanes = timed(|| {
        for gradient in &gradients {
            device.squared_norms(&of_ranges, black_box(gradient), &mut norms);
        }
    });
    let end = |block: usize, range: &std::ops::Range<usize>| (block + BLOCK).min(range.end);
    let blocks = ranges.iter().flat_map(|range| range.clone().step_by(BLOCK).map(move |at| at..end(at, range)));
    let blocks = device.parts(&blocks.collect::<Vec<_>>());
    let (mut sums, mut lane) = (vec![0.0; blocks.len()], 0);
    let of_reduced = timed(|| {
        lane = (lane + 1) % gradients.len();
        device.squared_norms(&blocks, black_box(&gradients[lane]), &mut sums);
    });
    let lanes = Lanes { samples: (LANES * MICRO_BATCH).into(), squares: (LANES * MICRO_BATCH * MICRO_BATCH).into() };
    let mut window = Window::new(ranges.len());
    let of_sum: Vec<f64> = norms.iter().map(|norm| 2.0 * norm).collect();
    let step = Step { lanes, of_lanes: &norms, of_sum: &of_sum };
    // A full window, as after the first steps of a job.
    (0..1000).for_each(|_| window.add(&step));
    let estimator = timed(|| {
        window.add(black_box(&step));
        black_box(window.total());
        (0..ranges.len()).for_each(|layer| _ = black_box(window.layer(layer)));
    });
    [of_lanes, of_reduced, estimator]
}

fn timed(mut work: impl FnMut()) -> f64 {
    let trial = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    median((0..TRIALS).map(trial).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

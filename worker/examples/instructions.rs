//! A fixed piece of training for `callgrind`: two workers, one thread each, train LeNet-5 with what a job without faults
//! pays for: ledger, reports, digests of the state, lane replay.
//!
//!     valgrind --tool=callgrind target/release/examples/instructions 500
//!     callgrind_annotate --inclusive=yes callgrind.out.*

#[path = "../tests/workers/mod.rs"]
mod workers;

use std::path::Path;

use lockstep_proto::job::ModelName;
use workers::{Worker, begin, end_all, initial, job};

fn main() {
    let steps: u64 = std::env::args().nth(1).map_or(500, |text| text.parse().expect("a number of steps"));
    let mut job = job(2, 64);
    job.model.name = ModelName::Lenet5;
    job.data.limit = 10 * 128;
    job.schedule.epochs = u32::try_from(steps.div_ceil(10)).expect("fewer steps");
    job.schedule.max_steps = steps;
    let nowhere = Path::new("/nowhere");
    let mut workers: Vec<_> = (0..2).map(|_| Worker::prepare(&job, nowhere, ("a", 1))).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    let (outcome, ledger) = end_all(&mut workers);
    println!("{} steps, {} ledger rows, weights {}", outcome.steps, ledger.rows().len(), outcome.weights_sha256);
}

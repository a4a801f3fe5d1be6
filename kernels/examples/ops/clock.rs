//! A stopwatch for ops.

use std::time::{Duration, Instant};

/// A stopwatch per op, in order of first use.
#[derive(Default)]
pub struct Clock {
    ops: Vec<(String, f64, Vec<Duration>)>,
}

impl Clock {
    /// Runs `op`, which does `multiply_adds`.
    pub fn time(&mut self, name: &str, multiply_adds: usize, op: impl FnOnce()) {
        let start = Instant::now();
        op();
        let elapsed = start.elapsed();
        match self.ops.iter_mut().find(|(known, ..)| known == name) {
            Some((.., times)) => times.push(elapsed),
            None => self.ops.push((name.to_owned(), 2.0 * multiply_adds as f64, vec![elapsed])),
        }
    }

    /// Seconds that the ops take together, each at its median.
    pub fn total(&mut self) -> f64 {
        self.ops.iter_mut().map(|(.., times)| median(times).as_secs_f64()).sum()
    }

    pub fn report(&mut self, peak: f64) {
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

pub fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

//! Medians of times.

use std::time::Duration;

use lockstep_kernels::cuda::{Cuda, CudaError};

/// Turns that are not counted: memory is allocated, plans are made, clocks go up.
pub const WARM_UP: usize = 3;

/// The median, the upper one of two; zero of none.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The median of what the GPU takes for what `run` asks for, over so many turns.
///
/// # Errors
/// If the GPU fails.
pub fn median_on(gpu: &mut Cuda, turns: usize, mut run: impl FnMut(&mut Cuda)) -> Result<Duration, CudaError> {
    (0..WARM_UP).for_each(|_| run(gpu));
    let mut marks = Vec::with_capacity(turns);
    for _ in 0..turns {
        let from = gpu.mark()?;
        run(gpu);
        marks.push((from, gpu.mark()?));
    }
    gpu.finish()?;
    Ok(median(marks.iter().map(|(from, to)| to.since(from)).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_one_of_the_times() {
        let of = |times: &[u64]| median(times.iter().copied().map(Duration::from_micros).collect()).as_micros();
        assert_eq!([of(&[]), of(&[7]), of(&[9, 1, 5]), of(&[4, 1, 3, 2])], [0, 7, 5, 3]);
    }
}

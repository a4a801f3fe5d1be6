//! A worker's lane threads: each owns a device and the working memory of one lane.

use lockstep_kernels::device::Device;

use super::lane::LaneRunner;

/// The lane runners and the threads they run on. One thread runs in place, without a pool.
pub struct Crew<D: Device> {
    runners: Vec<LaneRunner<D>>,
    pool: Option<rayon::ThreadPool>,
}

impl<D: Device> Crew<D> {
    /// One thread for each runner.
    ///
    /// # Errors
    /// If the system refuses to start the threads.
    pub fn new(runners: Vec<LaneRunner<D>>) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = runners.len();
        let pool = match threads {
            0 | 1 => None,
            _ => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .thread_name(|index| format!("lane-{index}"))
                    .build()?,
            ),
        };
        Ok(Self { runners, pool })
    }

    /// Lane threads of this worker.
    pub fn threads(&self) -> usize {
        self.runners.len()
    }

    /// The threads, for work that needs no device; none if there is only the caller's.
    pub fn pool(&self) -> Option<&rayon::ThreadPool> {
        self.pool.as_ref()
    }

    /// The first runner, for work that only one thread does.
    pub fn first(&mut self) -> &mut LaneRunner<D> {
        &mut self.runners[0]
    }

    /// Digest of the step's replayed lane, from whichever runner has computed it.
    pub fn lane_digest(&mut self) -> Option<String> {
        self.runners.iter_mut().find_map(LaneRunner::take_lane_digest)
    }

    /// Gives each runner one of `parts`, at most as many as there are threads, and waits until all are done.
    pub fn run<T: Send>(&mut self, parts: Vec<T>, work: impl Fn(&mut LaneRunner<D>, T) + Sync) {
        let alone = parts.len() <= 1;
        let pairs = self.runners.iter_mut().zip(parts);
        match &self.pool {
            Some(pool) if !alone => pool.in_place_scope(|scope| {
                for (runner, part) in pairs {
                    let work = &work;
                    scope.spawn(move |_| work(runner, part));
                }
            }),
            _ => pairs.for_each(|(runner, part)| work(runner, part)),
        }
    }
}

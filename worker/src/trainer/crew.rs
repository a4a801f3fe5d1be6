//! A worker's lane threads: each owns a device and the working memory of one lane.

use lockstep_dataset::DataError;
use lockstep_kernels::device::Device;

use super::lane::LaneRunner;

/// Devices that work at the same time, one a thread.
pub trait Devices<D: Device> {
    /// How many.
    fn threads(&self) -> usize;

    /// The first, for work that only one does.
    fn first_device(&mut self) -> &mut D;

    /// Gives each device one of `parts`, at most as many as there are threads, and waits until all are done.
    fn each_device<T: Send>(&mut self, parts: Vec<T>, work: impl Fn(&mut D, T) + Sync);
}

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

    /// The threads, for work that needs no device; none if there is only the caller's.
    pub fn pool(&self) -> Option<&rayon::ThreadPool> {
        self.pool.as_ref()
    }

    /// The first runner, for work that only one thread does.
    pub fn first(&mut self) -> &mut LaneRunner<D> {
        &mut self.runners[0]
    }

    /// Whether all samples of the lanes that were computed could be read.
    ///
    /// # Errors
    /// Why one could not be. What was computed is of no use then.
    pub fn check_read(&mut self) -> Result<(), DataError> {
        self.runners.iter_mut().find_map(LaneRunner::take_unread).map_or(Ok(()), Err)
    }

    /// Forgets what samples were left out or could not be read so far.
    pub fn forget_unread(&mut self) {
        for runner in &mut self.runners {
            runner.take_skipped();
            runner.take_unread();
        }
    }

    /// Samples that evaluations have left out since the last call.
    pub fn take_skipped(&mut self) -> Vec<u64> {
        self.runners.iter_mut().flat_map(LaneRunner::take_skipped).collect()
    }

    /// Digest of the step's replayed lane, from whichever runner has computed it.
    pub fn lane_digest(&mut self) -> Option<String> {
        self.runners.iter_mut().find_map(LaneRunner::take_lane_digest)
    }

    /// Gives each runner one of `parts`, at most as many as there are threads, and waits until all are done.
    pub fn run<T: Send>(&mut self, parts: Vec<T>, work: impl Fn(&mut LaneRunner<D>, T) + Sync) {
        assert!(parts.len() <= self.runners.len(), "{} parts for {} runners", parts.len(), self.runners.len());
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

impl<D: Device> Devices<D> for Crew<D> {
    fn threads(&self) -> usize {
        self.runners.len()
    }

    fn first_device(&mut self) -> &mut D {
        &mut self.runners[0].device
    }

    fn each_device<T: Send>(&mut self, parts: Vec<T>, work: impl Fn(&mut D, T) + Sync) {
        self.run(parts, |runner, part| work(&mut runner.device, part));
    }
}

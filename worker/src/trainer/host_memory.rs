//! Whether what a job's probes keep in the host's memory fits into it, reckoned before the job starts: Lanczos' basis and
//! the gradients of single lanes are by far the most of what a worker holds there, and a process that takes more than there
//! is gets killed, hours later and without a word.
//!
//! Reckoned is one worker by itself, and the most that a measure may come to: a search that converges sooner keeps less.
//! Workers that share a machine share its memory as well, which nobody knows here.

use std::fs;
use std::path::Path;

use lockstep_dataset::Dataset;
use lockstep_kernels::device::Device;
use lockstep_proto::job::Job;

use super::TrainerError;
use super::lane::Work;
use super::probes::{Kept, kept};

/// What a worker may have of this machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    /// Bytes that can be had now, what is only cached included.
    available: u64,
    /// Bytes that can ever be had.
    total: u64,
}

/// Looks whether each of a job's probes fits into this machine's memory; where the system does not tell how much there is,
/// nothing is refused.
///
/// # Errors
/// Names the first that does not, and what would. The job's fault if all of the memory would not do.
pub(super) fn check_host_memory<D: Device>(job: &Job, work: &Work<D>) -> Result<(), TrainerError> {
    let Some(room) = Room::here() else { return Ok(()) };
    check(job, &work.dataset, work.model.parameters(), room)
}

fn check(job: &Job, dataset: &Dataset, parameters: usize, room: Room) -> Result<(), TrainerError> {
    for probe in &job.probe {
        let Some(kept) = kept(probe, job, dataset, parameters) else { continue };
        let vector = size_of::<f32>() as u64 * parameters as u64;
        let bytes = vector.saturating_mul(kept.vectors);
        if bytes <= room.available {
            continue;
        }
        let line = format!(
            "probe {}: it may keep {} vectors of {parameters} weights in each worker's memory, {bytes} bytes, and {} are \
             available here: {}",
            probe.title(),
            kept.vectors,
            room.available,
            remedy(&kept, room.available / vector.max(1))
        );
        return Err(if bytes > room.total { TrainerError::Job(line) } else { TrainerError::Machine(line) });
    }
    Ok(())
}

/// What would fit, where there is room for so many vectors.
fn remedy(kept: &Kept, vectors: u64) -> String {
    match vectors.checked_sub(kept.beside).filter(|most| *most >= kept.fewest) {
        Some(most) => format!("set `{}` to {most} or fewer", kept.key),
        None => "leave it out, or take a machine with more memory".to_owned(),
    }
}

impl Room {
    /// This machine's, or less where the process' control groups have a limit.
    fn here() -> Option<Self> {
        let of_machine = Self::of_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Some(of_groups(Path::new("/sys/fs/cgroup"), &groups).into_iter().fold(of_machine, Self::least))
    }

    fn of_meminfo(text: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        Some(Self { available: bytes("MemAvailable")?, total: bytes("MemTotal")? })
    }

    /// A control group's; none if it has no limit. Files' pages that were not used of late are only cached, as those that
    /// the machine has available.
    fn of_group(folder: &Path) -> Option<Self> {
        let number = |name| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        let total = number("memory.max")?;
        let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let cached = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
        let used = number("memory.current")?.saturating_sub(cached.unwrap_or(0));
        Some(Self { available: total.saturating_sub(used), total })
    }

    fn least(self, other: Self) -> Self {
        Self { available: self.available.min(other.available), total: self.total.min(other.total) }
    }
}

/// Those of a process' control group and the groups above it that have a limit (version 2).
fn of_groups(root: &Path, groups: &str) -> Vec<Room> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let innermost = group.map(|group| root.join(group));
    let folders = innermost.as_deref().into_iter().flat_map(Path::ancestors);
    folders.take_while(|folder| folder.starts_with(root)).filter_map(Room::of_group).collect()
}

#[cfg(test)]
mod tests {
    use lockstep_proto::job::{Probe, ProbeMeasure};

    use super::*;

    /// What becomes of a probe of a thousand weights with so many bytes.
    fn checked(probe: Probe, available: u64) -> Result<(), TrainerError> {
        let mut job = Job::default();
        job.data.path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/mnist").into();
        job.data.limit = 4096;
        job.probe = vec![probe];
        let dataset = Dataset::open(&job.data).unwrap();
        check(&job, &dataset, 1000, Room { available, total: 200_000 })
    }

    fn refused(probe: Probe, available: u64) -> TrainerError {
        checked(probe, available).expect_err("must be refused")
    }

    #[test]
    fn what_probes_keep_is_held_to_what_there_is() {
        let probe = |measure| Probe { measure, ..Probe::default() };
        let lanczos = Probe { iterations: 40, ..probe(ProbeMeasure::Eigenvalues) };
        assert!(checked(lanczos.clone(), 4 * 1000 * 41).is_ok());
        let error = refused(lanczos, 4 * 1000 * 41 - 1);
        assert!(matches!(error, TrainerError::Machine(_)));
        assert_eq!(
            error.to_string(),
            "probe eigenvalues: it may keep 41 vectors of 1000 weights in each worker's memory, 164000 bytes, and 163999 \
             are available here: set `iterations` to 39 or fewer"
        );
        // More than the whole machine has.
        let error = refused(probe(ProbeMeasure::Density), 100_000);
        assert!(matches!(error, TrainerError::Job(_)), "{error}");
        assert!(error.to_string().ends_with("set `iterations` to 24 or fewer"), "{error}");
        // There are no more lanes than samples fill, and two at least.
        let lanes = Probe { samples: 20 * 32 + 5, ..probe(ProbeMeasure::LaneGradients) };
        assert!(checked(lanes.clone(), 4 * 1000 * 20).is_ok());
        assert!(refused(lanes.clone(), 79_999).to_string().ends_with("set `lanes` to 19 or fewer"));
        assert!(refused(lanes, 7_999).to_string().ends_with("leave it out, or take a machine with more memory"));
        assert!(checked(probe(ProbeMeasure::Trace), 1).is_ok());
    }

    #[test]
    fn room_is_what_the_system_tells() {
        let text = "MemTotal:       8000000 kB\nMemFree:  1 kB\nMemAvailable:    5000000 kB\n";
        let room = Room { available: 5_000_000 << 10, total: 8_000_000 << 10 };
        assert_eq!(Room::of_meminfo(text), Some(room));
        assert_eq!([Room::of_meminfo(""), Room::of_meminfo("MemTotal: 3 kB\nMemAvailable: x kB")], [None, None]);
        let here = Room::here().expect("Linux tells");
        assert!(here.available > 0 && here.available <= here.total);

        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        let rooms = |groups: &str| of_groups(root.path(), groups);
        assert_eq!(rooms("1:cpu:/\n0::/a/b\n"), []);
        let write = |name: &str, text: &str| fs::write(root.path().join("a").join(name), text).unwrap();
        write("memory.max", "4096\n");
        write("memory.current", "3000\n");
        write("memory.stat", "file 900\ninactive_file 500\nactive_file 400\n");
        assert_eq!(rooms("0::/a/b\n"), [Room { available: 4096 - 2500, total: 4096 }]);
        write("memory.current", "6000\n");
        assert_eq!(rooms("0::/a/b\n"), [Room { available: 0, total: 4096 }], "the limit was lowered");
        assert_eq!([rooms("0::/\n"), rooms("")], [vec![], vec![]]);
    }
}

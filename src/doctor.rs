//! `doctor`: what this machine offers, what a job finds on it, and the budget of time for everything.

use std::path::Path;

use anyhow::Result;
use lockstep_coordinator::client::{columns, exit};
use lockstep_coordinator::cluster::timeouts;
use lockstep_kernels::cuda;
use lockstep_proto::job::Job;
use lockstep_worker::trainer::{self, Hardware};

use crate::arguments::Doctor;
use crate::{load_job, print};

/// Looks and prints; gives the exit code: 1 if a job could not run here.
///
/// # Errors
/// If the job file can't be read.
pub fn doctor(arguments: &Doctor) -> Result<u8> {
    print(&columns(&machine()?))?;
    print("\nlimits of time\n")?;
    let limits = timeouts::lines().into_iter().map(|(limit, what)| vec![format!("  {limit}"), what.to_owned()]);
    print(&columns(&limits.collect::<Vec<_>>()))?;
    let Some(file) = &arguments.job else { return Ok(exit::COMPLETED) };
    let job = load_job(file, &arguments.set)?;
    let (rows, usable) = looks(&job);
    print(&format!("\n{}\n{}", file.display(), columns(&rows)))?;
    Ok(if usable { exit::COMPLETED } else { exit::FAILED })
}

fn row(name: &str, value: impl ToString) -> Vec<String> {
    vec![name.to_owned(), value.to_string()]
}

fn machine() -> Result<Vec<Vec<String>>> {
    let fingerprint = trainer::fingerprint(Hardware::Cpu)?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut rows = vec![
        row("version", lockstep_proto::VERSION),
        row("build", fingerprint.build),
        row("instruction set", fingerprint.instruction_set),
        row("canary", fingerprint.canary),
        row("cores", cores),
    ];
    rows.extend(gpus());
    Ok(rows)
}

/// GPUs, driver and compiler; or what is missing.
fn gpus() -> Vec<Vec<String>> {
    let gpus = match cuda::look() {
        Ok(gpus) => gpus,
        Err(why) => return vec![row("GPUs", format!("none: {why}"))],
    };
    let driver = gpus.first().map_or(0, |gpu| gpu.driver);
    let mut rows = vec![row("NVIDIA driver", format!("for CUDA {}.{}", driver / 1000, driver % 1000 / 10))];
    rows.push(match cuda::compiler::version() {
        Ok((major, minor)) => row("NVRTC", format!("{major}.{minor}")),
        Err(why) => row("NVRTC", why),
    });
    rows.extend(gpus.iter().map(|gpu| {
        let cuda::About { index, name, architecture, memory, .. } = gpu;
        row(&format!("GPU {index}"), format!("{name}, {architecture}, {} GiB", memory >> 30))
    }));
    rows
}

/// What a job finds here, and whether it could run.
fn looks(job: &Job) -> (Vec<Vec<String>>, bool) {
    let checked = trainer::check(job, &[]);
    let data = checked.as_ref().map_or_else(ToString::to_string, |_| "data set and model fit".to_owned());
    let place = match job.checkpoint.dir.as_str() {
        "" => {
            "in the run folder: seen by this machine alone, unless the coordinator's state is on a shared disk".into()
        }
        dir => lockstep_checkpoint::Place::open(dir)
            .and_then(|place| place.check_writable())
            .map_or_else(|error| error.to_string(), |()| where_it_is(dir)),
    };
    (vec![row("  data", data), row("  checkpoints", place)], checked.is_ok())
}

/// Whether other nodes can see a folder, as far as its file system tells.
fn where_it_is(dir: &str) -> String {
    match is_local(Path::new(dir)) {
        true => format!("{dir}: writable, but local to this node; another node could not go on from there"),
        false => format!("{dir}: writable, and not local to this node"),
    }
}

/// File systems that several nodes may see, by the number that `statfs` gives: NFS, CIFS, SMB2, FUSE, Lustre, GPFS,
/// Ceph, 9P, BeeGFS, OCFS2, GFS2.
const SHARED: [i64; 11] = [
    0x6969,
    0xFF53_4D42,
    0xFE53_4D42,
    0x6573_5546,
    0x0BD0_0BD0,
    0x4750_4653,
    0x00C3_6400,
    0x0102_1997,
    0x1983_0326,
    0x7461_636f,
    0x0116_1970,
];

/// Whether a folder, or where it would be made, is on a disk of this node alone, as far as the file system tells.
fn is_local(folder: &Path) -> bool {
    if folder.to_string_lossy().contains("://") {
        return false;
    }
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    // Sign extension aside, numbers are 32 bits.
    let kind = rustix::fs::statfs(existing).map(|found| found.f_type & 0xFFFF_FFFF);
    !kind.is_ok_and(|kind| SHARED.contains(&kind))
}

//! What a job finds on this machine: its data, and its place for checkpoints.

use std::path::Path;

use lockstep_proto::job::Job;
use lockstep_worker::trainer;
use serde_json::{Value, json};

use super::row;

/// What was found.
pub struct Looks {
    /// Whether it could run.
    pub usable: bool,
    data: String,
    checkpoints: String,
}

impl Looks {
    /// Looks.
    pub fn of(job: &Job) -> Self {
        let checked = trainer::check(job, &[]);
        let data = checked.as_ref().map_or_else(ToString::to_string, |_| "data set and model fit".to_owned());
        let checkpoints = match job.checkpoint.dir.as_str() {
            "" => "in the run folder: seen by this machine alone, unless the coordinator's state is on a shared disk"
                .into(),
            dir => lockstep_checkpoint::Place::open(dir)
                .and_then(|place| place.check_writable())
                .map_or_else(|error| error.to_string(), |()| where_it_is(dir)),
        };
        Self { usable: checked.is_ok(), data, checkpoints }
    }

    /// For people.
    pub fn rows(&self) -> Vec<Vec<String>> {
        vec![row("data", &self.data), row("checkpoints", &self.checkpoints)]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({ "usable": self.usable, "data": self.data, "checkpoints": self.checkpoints })
    }
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

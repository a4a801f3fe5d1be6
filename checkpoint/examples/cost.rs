//! What checkpoints cost: `cargo run --release -p lockstep-checkpoint --example cost [FOLDER] [COUNT]`.
//!
//! Writes COUNT checkpoints of LeNet-5 with momentum (0.5 MB), keeping three, and prints wall and CPU time of one. The
//! parts are timed beside it on the same state: copying it, hashing it, and writing and syncing as many bytes.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use lockstep_checkpoint::{About, Name, Place, Snapshot, Tensor};
use rustix::time::{ClockId, clock_gettime};

const LENET5: [(&str, &[usize]); 10] = [
    ("conv1.weight", &[6, 1, 5, 5]),
    ("conv1.bias", &[6]),
    ("conv2.weight", &[16, 6, 5, 5]),
    ("conv2.bias", &[16]),
    ("fc1.weight", &[120, 400]),
    ("fc1.bias", &[120]),
    ("fc2.weight", &[84, 120]),
    ("fc2.bias", &[84]),
    ("fc3.weight", &[10, 84]),
    ("fc3.bias", &[10]),
];

fn snapshot() -> Snapshot {
    let tensor = |kind: &str, name: &str, shape: &[usize]| Tensor {
        name: format!("{kind}/{name}"),
        shape: shape.into(),
        values: (0..shape.iter().product()).map(|i| (i as f32).sin()).collect(),
    };
    let kinds = ["parameters", "velocity"];
    let tensors = kinds.iter().flat_map(|kind| LENET5.iter().map(|(name, shape)| tensor(kind, name, shape)));
    Snapshot { about: About::default(), tensors: tensors.collect() }
}

/// CPU time of this process, user and system.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Prints the means of `count` calls, after one that is not counted.
fn time(what: &str, count: u64, mut call: impl FnMut(u64)) {
    call(0);
    let (start, before) = (Instant::now(), cpu());
    (1..=count).for_each(&mut call);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3 / count as f64;
    println!("{what:<36} {:8.3} ms wall {:8.3} ms CPU", milliseconds(start.elapsed()), milliseconds(cpu() - before));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = tempfile::tempdir()?;
    let root = arguments.get(1).map_or(folder.path().join("checkpoints"), Into::into);
    let count = arguments.get(2).map_or(Ok(300), |count| count.parse())?;
    let place = Place::open(&root.to_string_lossy())?;
    let mut state = snapshot();
    let bytes = place.write(&state)?.bytes as usize;
    println!("{bytes} bytes, {count} times, in {}", root.display());

    time("write, and remove an older one", count, |step| {
        state.about.step = step + 2;
        place.write(&state).expect("the folder can be written");
        place.remove(Name { step, generation: 0 }).expect("the folder can be written");
    });
    time("the same state again: skipped", count, |_| {
        place.write(&state).expect("the folder can be read");
    });
    println!("parts");
    time("  copy the tensors for a snapshot", count, |_| drop(black_box(state.clone())));
    let file = vec![1u8; bytes];
    time("  hash with BLAKE3", count, |_| {
        black_box(blake3::hash(&file));
    });
    let write = |sync: bool| -> std::io::Result<()> {
        let mut raw = File::create(root.join("raw"))?;
        raw.write_all(&file)?;
        if sync { raw.sync_all() } else { Ok(()) }
    };
    time("  write as many bytes", count, |_| write(false).expect("the folder can be written"));
    time("  write as many bytes and sync them", count, |_| write(true).expect("the folder can be written"));
    std::fs::remove_file(root.join("raw"))?;
    Ok(())
}

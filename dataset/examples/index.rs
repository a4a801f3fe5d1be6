//! How long it takes to open a manifest, to know the sample at a position and where it lies, and to read MNIST's samples
//! from memory. One thread, medians of five rounds.
//!
//!     cargo run --release -p lockstep-dataset --example index -- SAMPLES [SAMPLES …]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use lockstep_dataset::manifest::{Hash, Images, Index, MANIFEST, Manifest, Record, Shard, TABLES};
use lockstep_dataset::{Dataset, Order, SampleReader, Split};
use lockstep_proto::job::Job;

/// As ImageNet has them in shards of 128 MB.
const A_SHARD: u64 = 1165;
const ROUNDS: usize = 5;
const POSITIONS: u64 = 1_000_000;

fn main() -> Result<()> {
    let counts: Vec<u64> =
        std::env::args().skip(1).map(|text| text.parse().context("SAMPLES is a number")).collect::<Result<_>>()?;
    for samples in counts {
        of_manifest(samples)?;
    }
    of_mnist()
}

fn of_manifest(samples: u64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    write(folder.path(), samples)?;
    let open = || Index::open(folder.path());
    let index = open()?;
    let opening = median(|| {
        let begun = Instant::now();
        let opened = open()?;
        Ok((begun.elapsed().as_secs_f64(), opened.manifest.samples))
    })?;
    println!("{samples} samples: opening the manifest takes {:.1} ms", opening * 1e3);
    let order = Order::new(1, 0, samples);
    let positions = || (0..POSITIONS).map(|i| i * 7919 % samples);
    let position = median(|| Ok(timed(|| positions().map(|at| order.sample_at(at)).fold(0, u64::wrapping_add))))?;
    println!("  the sample at a position takes {:.1} ns", position / POSITIONS as f64 * 1e9);
    let lookups = POSITIONS / 100;
    let record = median(|| {
        let sum =
            || (0..lookups).try_fold(0u64, |sum, at| Ok(sum + u64::from(index.record(order.sample_at(at))?.1.crc32)));
        let begun = Instant::now();
        let sum: Result<u64> = sum();
        Ok((begun.elapsed().as_secs_f64(), sum?))
    })?;
    println!("  and its record {:.0} ns", record / lookups as f64 * 1e9);
    Ok(())
}

fn of_mnist() -> Result<()> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/mnist-mlp.toml");
    let job = Job::load(&recipe, [], &[])?;
    let dataset = Dataset::open(&job.data)?;
    let mut reader = SampleReader::of(&job, &dataset).map_err(anyhow::Error::msg)?;
    let (samples, mut pixels) = (dataset.len(Split::Train), Vec::new());
    let order = Order::new(1, 0, samples);
    let seconds = median(|| {
        let begun = Instant::now();
        let mut labels = 0;
        for position in 0..samples {
            if position % 128 == 0 {
                pixels.clear();
            }
            let sample = order.sample_at(position);
            labels += u64::from(reader.append(&dataset, Split::Train, sample, Some(0), &mut pixels)?);
        }
        Ok((begun.elapsed().as_secs_f64(), labels))
    })?;
    println!("MNIST from memory: {:.2} million samples/s", samples as f64 / seconds / 1e6);
    Ok(())
}

/// A manifest of so many samples in shards that are not there.
fn write(folder: &Path, samples: u64) -> Result<()> {
    let mut tables = BufWriter::new(File::create(folder.join(TABLES))?);
    let mut shards = Vec::new();
    for (number, first_sample) in (0..samples).step_by(A_SHARD as usize).enumerate() {
        let count = A_SHARD.min(samples - first_sample) as u32;
        let record = |index: u32| Record { block: 1 + 220 * index, length: 110_000, label: index % 1000, crc32: index };
        let table: Vec<u8> = (0..count).flat_map(|index| record(index).encode()).collect();
        shards.push(Shard {
            name: format!("shard-{number:06}.tar"),
            bytes: (u64::from(count) * 220 + 2) * Record::BLOCK,
            blake3: Hash::of(b"nothing"),
            first_sample,
            samples: count,
            table_blake3: Hash::of(&table),
        });
        tables.write_all(&table)?;
    }
    tables.flush()?;
    let images = Images { channels: 3, least: [20, 20], most: [8000, 8000] };
    let manifest = Manifest::new((0..1000).map(|class| class.to_string()).collect(), images, shards);
    fs::write(folder.join(MANIFEST), manifest.encode()?)?;
    Ok(())
}

fn timed(work: impl FnOnce() -> u64) -> (f64, u64) {
    let begun = Instant::now();
    let result = work();
    (begun.elapsed().as_secs_f64(), result)
}

/// Of the seconds; the result keeps the work from being left out.
fn median(mut round: impl FnMut() -> Result<(f64, u64)>) -> Result<f64> {
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let (taken, result) = round()?;
        std::hint::black_box(result);
        seconds.push(taken);
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[ROUNDS / 2])
}

//! `bench data`: how fast a job's samples come, stage by stage, with no network behind them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use lockstep_coordinator::client::{columns, exit, grouped};
use lockstep_dataset::augment::Seen;
use lockstep_dataset::decode::Decoder;
use lockstep_dataset::loader::{Lane, Loader};
use lockstep_dataset::{Dataset, ImageReader, Order, SampleReader, Split};
use lockstep_proto::job::Job;
use serde_json::{Value, json};

use crate::arguments::BenchData;
use crate::data::{bytes, threads};
use crate::{BadInput, load_job, print};

/// Files that are held in memory to time what comes behind reading them.
const HELD: usize = 256 << 20;
/// Lanes that may wait for the one who takes them.
const WAITING: usize = 16;

/// Measures and prints; gives the exit code.
///
/// # Errors
/// If the job's data can't be used.
pub fn data(arguments: &BenchData) -> Result<u8> {
    let job = load_job(&arguments.job.job, &arguments.job.set)?;
    let dataset = Arc::new(Dataset::open(&job.data).map_err(BadInput::from_display)?);
    let bench = Bench { seconds: Duration::from_secs_f64(arguments.seconds), dataset, job };
    let report = Report {
        stages: bench.stages()?,
        loaders: bench.loaders(threads(arguments.threads))?,
        images: arguments.images,
    };
    print(&if arguments.json { format!("{}\n", report.json()) } else { report.text() })?;
    Ok(exit::COMPLETED)
}

/// A sample, and its file.
type File = (u64, Vec<u8>);

struct Bench {
    job: Job,
    dataset: Arc<Dataset>,
    /// Of each stage.
    seconds: Duration,
}

/// What one thread does with a sample, one thing after the other.
struct Stage {
    name: &'static str,
    /// Samples a second.
    rate: f64,
    /// Bytes a second that go in, where it reads any.
    bytes: Option<f64>,
}

/// All of it, with so many threads.
struct Threads {
    threads: usize,
    rate: f64,
}

struct Report {
    stages: Vec<Stage>,
    loaders: Vec<Threads>,
    /// Images a second of a GPU.
    images: f64,
}

impl Bench {
    /// Of one thread. Later stages take the files that the first has read.
    fn stages(&self) -> Result<Vec<Stage>> {
        let order = Order::of(&self.job, 0, self.dataset.len(Split::Train));
        let mut stages = Vec::new();
        if !self.dataset.is_in_memory() {
            let (read, files) = self.read(&order)?;
            stages.push(read);
            stages.push(self.decode(&files)?);
            stages.push(self.pixels(&files)?);
        }
        let mut reader = self.reader()?;
        let mut lane = Vec::new();
        let all = self.timed(order.len(), |index| {
            if index.is_multiple_of(self.job.batch.micro_batch.into()) {
                lane.clear();
            }
            reader
                .append(&self.dataset, Split::Train, order.sample_at(index), Some(0), &mut lane)
                .map_err(BadInput::from_display)?;
            Ok(0)
        })?;
        stages.push(Stage { name: "all of it, in lanes", ..all });
        Ok(stages)
    }

    fn reader(&self) -> Result<SampleReader> {
        Ok(SampleReader::of(&self.job, &self.dataset).map_err(BadInput)?)
    }

    /// Reads files in the job's order, and keeps them.
    fn read(&self, order: &Order) -> Result<(Stage, Vec<File>)> {
        let (mut files, mut held) = (Vec::new(), 0);
        let stage = self.timed(order.len(), |index| {
            let (sample, mut file) = (order.sample_at(index), Vec::new());
            self.dataset.stored(Split::Train, sample, &mut file).map_err(BadInput::from_display)?;
            let read = file.len();
            if held + read <= HELD || files.is_empty() {
                held += read;
                files.push((sample, file));
            }
            Ok(read)
        })?;
        Ok((Stage { name: "read, checksum", ..stage }, files))
    }

    /// Whole images, as they are stored.
    fn decode(&self, files: &[File]) -> Result<Stage> {
        let mut decoder = Decoder::default();
        let stage = self.timed(files.len() as u64, |index| {
            let (_, file) = &files[index as usize];
            decoder.decode_all(file).map_err(|problem| BadInput(problem.to_string()))?;
            Ok(file.len())
        })?;
        Ok(Stage { name: "decode all of it", ..stage })
    }

    /// What the network sees, out of files in memory.
    fn pixels(&self, files: &[File]) -> Result<Stage> {
        let shape = self.dataset.shape();
        let mut reader = ImageReader::of(&self.job, shape).map_err(BadInput)?;
        let mut out = vec![0; shape.len()];
        let stage = self.timed(files.len() as u64, |index| {
            let (sample, file) = &files[index as usize];
            let seen = Seen { epoch: 0, sample: *sample };
            reader.train(file, seen, &mut out).map_err(|problem| BadInput(problem.to_string()))?;
            Ok(file.len())
        })?;
        Ok(Stage { name: "decode, crop, resize, augment", ..stage })
    }

    /// Does `work` on the things `0..count`, over again if need be; it gives bytes.
    fn timed(&self, count: u64, mut work: impl FnMut(u64) -> Result<usize>) -> Result<Stage> {
        let (began, mut done, mut bytes) = (Instant::now(), 0u64, 0);
        loop {
            bytes += work(done % count)?;
            done += 1;
            let seconds = began.elapsed();
            if seconds >= self.seconds {
                let seconds = seconds.as_secs_f64();
                let bytes = (bytes > 0).then_some(bytes as f64 / seconds);
                return Ok(Stage { name: "", rate: done as f64 / seconds, bytes });
            }
        }
    }

    /// One thread, and all of them.
    fn loaders(&self, threads: usize) -> Result<Vec<Threads>> {
        let counts = if threads == 1 { vec![1] } else { vec![1, threads] };
        counts.into_iter().map(|threads| self.loader(threads)).collect()
    }

    fn loader(&self, threads: usize) -> Result<Threads> {
        let reader = self.reader()?;
        let loader = Loader::start(Arc::clone(&self.dataset), &reader, threads, threads + WAITING, 1)?;
        let (len, micro_batch) = (self.dataset.len(Split::Train), u64::from(self.job.batch.micro_batch));
        let job = self.job.clone();
        let lanes = move || {
            let job = job.clone();
            (0..u64::MAX).flat_map(move |epoch| {
                let order = Order::of(&job, epoch, len);
                (0..len).step_by(micro_batch as usize).map(move |first| Lane {
                    split: Split::Train,
                    epoch: Some(epoch),
                    samples: (first..(first + micro_batch).min(len))
                        .map(|position| order.sample_at(position))
                        .collect(),
                })
            })
        };
        let plan = lanes.clone();
        self.dataset.expect(Split::Train, Arc::new(move || Box::new(plan().flat_map(|lane| lane.samples))));
        loader.train(Box::new(lanes()));
        let (mut began, mut samples) = (Instant::now(), 0);
        for (index, lane) in lanes().enumerate() {
            let Some(decoded) = loader.wait(lane.split, lane.epoch, lane.samples[0]) else { break };
            if let Some(failed) = decoded.labels.iter().position(Option::is_none) {
                // Says what is wrong.
                let (sample, mut out) = (lane.samples[failed], Vec::new());
                let read = reader.clone().append(&self.dataset, lane.split, sample, lane.epoch, &mut out);
                read.map_err(BadInput::from_display)?;
            }
            samples += lane.samples.len();
            if index < 2 * threads {
                (began, samples) = (Instant::now(), 0);
            } else if began.elapsed() >= self.seconds {
                break;
            }
        }
        Ok(Threads { threads, rate: samples as f64 / began.elapsed().as_secs_f64() })
    }
}

impl Report {
    /// Time of all of it, beyond decoding and augmenting; none of samples in memory.
    fn overhead(&self) -> Option<f64> {
        let [.., pixels, all] = self.stages.as_slice() else { return None };
        Some(pixels.rate / all.rate - 1.0)
    }

    fn fastest(&self) -> f64 {
        self.loaders.last().map_or(0.0, |loader| loader.rate)
    }

    fn text(&self) -> String {
        let mut rows = vec![["ONE THREAD", "IMAGES/S", "BYTES/S"].map(str::to_owned).to_vec()];
        rows.extend(self.stages.iter().map(|Stage { name, rate, bytes: read }| {
            vec![(*name).to_owned(), grouped(*rate), read.map_or(String::new(), |read| bytes(read as u64))]
        }));
        let mut text = columns(&rows);
        if let Some(overhead) = self.overhead() {
            text += &format!("all of it takes {:.1}% longer than decoding and augmenting alone\n", 100.0 * overhead);
        }
        let one = self.loaders[0].rate;
        let mut rows = vec![["LOADER", "IMAGES/S", "× ONE THREAD"].map(str::to_owned).to_vec()];
        rows.extend(self.loaders.iter().map(|Threads { threads, rate }| {
            let name = if *threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
            vec![name, grouped(*rate), format!("{:.2}", rate / one)]
        }));
        text += &format!("\n{}", columns(&rows));
        let gpus = self.fastest() / self.images;
        text + &format!("feeds {gpus:.1} GPUs that train {} images/s each (--images)\n", grouped(self.images))
    }

    fn json(&self) -> Value {
        let stages = self.stages.iter().map(|Stage { name, rate, bytes }| {
            json!({ "stage": name, "images_per_second": rate, "bytes_per_second": bytes })
        });
        let loaders = self
            .loaders
            .iter()
            .map(|Threads { threads, rate }| json!({ "threads": threads, "images_per_second": rate }));
        json!({
            "stages": stages.collect::<Vec<_>>(),
            "overhead": self.overhead(),
            "loader": loaders.collect::<Vec<_>>(),
            "gpus": self.fastest() / self.images,
        })
    }
}

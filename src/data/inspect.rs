//! `data inspect DIR`.

use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use lockstep_coordinator::client::{columns, exit, grouped};
use lockstep_dataset::Order;
use lockstep_dataset::dataset::trained_on;
use lockstep_dataset::decode::Decoder;
use lockstep_dataset::manifest::Images;
use lockstep_dataset::place::Place;
use lockstep_dataset::shards::Shards;
use lockstep_worker::trainer::positions_of_step;
use serde_json::{Value, json};

use super::{bytes, open, splits};
use crate::arguments::DataInspect;
use crate::{BadInput, print};

/// Samples that are decoded to know how long it takes.
const DECODED: u64 = 64;
/// Classes of which counts are shown.
const SHOWN: usize = 10;

/// Says what a dataset has.
///
/// # Errors
/// If there is none, or it is not what it should be.
pub fn inspect(arguments: &DataInspect) -> Result<u8> {
    let mut report = Vec::new();
    for place in splits(&arguments.folder)? {
        let shards = open(&place)?;
        let found = Found::of(&place, &shards)?;
        report.push(found.json(&place, &shards));
        if !arguments.json {
            print(&found.told(&place, &shards))?;
        }
    }
    if let Some(path) = &arguments.job {
        let step = Step::of(arguments, path)?;
        match arguments.json {
            true => report.push(step.json()),
            false => print(&step.told())?,
        }
    }
    if arguments.json {
        print(&format!("{}\n", json!(report)))?;
    }
    Ok(exit::COMPLETED)
}

/// What is not in the manifest itself.
struct Found {
    /// Samples of each class.
    classes: Vec<u64>,
    /// Of all images, encoded.
    image_bytes: u64,
    /// Images a second that one thread decodes.
    decoded: f64,
}

impl Found {
    fn of(place: &Place, shards: &Shards) -> Result<Self> {
        let manifest = &shards.index.manifest;
        let mut classes = vec![0; manifest.classes.len()];
        let mut image_bytes = 0;
        for sample in 0..manifest.samples {
            let (_, record) = shards.index.record(sample).map_err(BadInput::from_display)?;
            classes[record.label as usize] += 1;
            image_bytes += u64::from(record.length);
        }
        let (mut decoder, mut bytes) = (Decoder::default(), Vec::new());
        let count = manifest.samples.min(DECODED);
        let begun = Instant::now();
        for sample in 0..count {
            shards.read(sample, &mut bytes).map_err(BadInput::from_display)?;
            decoder.decode_all(&bytes).map_err(|problem| BadInput(format!("{place}: sample {sample}: {problem}")))?;
        }
        let decoded = count as f64 / begun.elapsed().as_secs_f64();
        Ok(Self { classes, image_bytes, decoded })
    }

    fn told(&self, place: &Place, shards: &Shards) -> String {
        let manifest = &shards.index.manifest;
        let Images { channels, least, most } = manifest.images;
        let size = |[height, width]: [u32; 2]| format!("{height}×{width}");
        let sizes = if least == most { size(least) } else { format!("{} to {}", size(least), size(most)) };
        let samples = manifest.samples;
        let (least_of_class, most_of_class) =
            (self.classes.iter().min().unwrap_or(&0), self.classes.iter().max().unwrap_or(&0));
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let mut text = columns(&[
            row("folder", place.to_string()),
            row("id", shards.index.id.to_string()),
            row("samples", grouped(samples as f64)),
            row("classes", format!("{}, of {least_of_class} to {most_of_class} samples", manifest.classes.len())),
            row("shards", format!("{}, {}", grouped(manifest.shards.len() as f64), bytes(manifest.bytes()))),
            row("images", format!("{sizes} pixels, {}", if channels == 1 { "grey" } else { "in colour" })),
            row("a sample", format!("{} as it is stored", bytes(self.image_bytes / samples.max(1)))),
            row("decoding", format!("about {} images/s a thread", grouped(self.decoded.round()))),
        ]);
        let shown = manifest.classes.iter().zip(&self.classes).take(SHOWN);
        let classes: Vec<_> = shown
            .enumerate()
            .map(|(label, (name, count))| vec![label.to_string(), name.clone(), grouped(*count as f64)])
            .collect();
        text += "\n";
        text += &columns(&classes);
        if manifest.classes.len() > SHOWN {
            text += &format!("… and {} more classes (--json has all)\n", manifest.classes.len() - SHOWN);
        }
        text + "\n"
    }

    fn json(&self, place: &Place, shards: &Shards) -> Value {
        let manifest = &shards.index.manifest;
        let classes: Vec<Value> = manifest
            .classes
            .iter()
            .zip(&self.classes)
            .map(|(name, samples)| json!({ "name": name, "samples": samples }))
            .collect();
        json!({
            "folder": place.to_string(),
            "id": shards.index.id,
            "samples": manifest.samples,
            "classes": classes,
            "shards": manifest.shards.len(),
            "bytes": manifest.bytes(),
            "images": manifest.images,
            "image_bytes": self.image_bytes,
            "decoded_images_per_second": self.decoded,
        })
    }
}

/// The samples of one step of a job.
struct Step {
    epoch: u64,
    step: u64,
    micro_batch: u64,
    samples: Vec<u64>,
}

impl Step {
    fn of(arguments: &DataInspect, path: &Path) -> Result<Self> {
        let job = crate::load_job(path, &arguments.set)?;
        let shards = open(&splits(&arguments.folder)?.remove(0))?;
        let len = trained_on(&job.data, shards.samples());
        let (epoch, step) = (arguments.epoch, arguments.step);
        let positions = positions_of_step(&job, len, epoch, step).map_err(BadInput)?;
        let order = Order::of(&job, epoch, len);
        let samples = positions.map(|position| order.sample_at(position)).collect();
        Ok(Self { epoch, step, micro_batch: job.batch.micro_batch.into(), samples })
    }

    fn told(&self) -> String {
        let lanes = self.samples.chunks(self.micro_batch.max(1) as usize).enumerate();
        let rows: Vec<Vec<String>> = lanes
            .map(|(lane, samples)| {
                let samples: Vec<String> = samples.iter().map(ToString::to_string).collect();
                vec![format!("lane {lane}"), samples.join(" ")]
            })
            .collect();
        format!("samples of step {} of epoch {}:\n{}", self.step, self.epoch, columns(&rows))
    }

    fn json(&self) -> Value {
        json!({ "epoch": self.epoch, "step": self.step, "samples": self.samples })
    }
}

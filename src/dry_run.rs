//! `train JOB --dry-run`: what a job will take, with nothing started.

use anyhow::Result;
use lockstep_coordinator::client::{columns, exit, grouped};
use lockstep_coordinator::cluster::deal::deal;
use lockstep_proto::job::Job;
use lockstep_worker::trainer::{BatchOutlook, Outlook, ProbeOutlook};
use serde_json::{Value, json};

use crate::data::bytes;
use crate::{BadInput, print};

/// Workers that share a batch alike are told in one line.
struct Share {
    workers: usize,
    lanes: u32,
}

/// Says what training the job will take.
///
/// # Errors
/// If the job can't be trained: with what a worker would say.
pub fn tell(job: &Job, as_json: bool) -> Result<u8> {
    let outlook = Outlook::of(job).map_err(BadInput::from_display)?;
    match as_json {
        true => print(&format!("{}\n", to_json(job, &outlook)))?,
        false => print(&told(job, &outlook))?,
    }
    Ok(exit::COMPLETED)
}

fn shares(batch: &BatchOutlook, workers: u32) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    for lanes in deal(batch.lanes, workers as usize) {
        match shares.iter_mut().find(|share| share.lanes == lanes) {
            Some(share) => share.workers += 1,
            None => shares.push(Share { workers: 1, lanes }),
        }
    }
    shares
}

fn told(job: &Job, outlook: &Outlook) -> String {
    let Outlook { samples: [train, validation, test], sides: [height, width], .. } = *outlook;
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let number = |number: u64| grouped(number as f64);
    let held_out = if validation > 0 { format!(", {} held out", number(validation)) } else { String::new() };
    let mut rows = vec![
        row("dataset", outlook.dataset.clone()),
        row("samples", format!("{} to train on{held_out}, {} to test on", number(train), number(test))),
        row(
            "network",
            format!(
                "{}: {} parameters",
                json!(job.model.name).as_str().unwrap_or_default(),
                number(outlook.parameters as u64)
            ),
        ),
        row("images", format!("{}×{height}×{width}", outlook.channels)),
        row("steps", format!("{} in {} epochs", number(outlook.steps), number(outlook.epochs))),
    ];
    let micro_batch = u64::from(job.batch.micro_batch);
    for batch in &outlook.batches {
        let from = if batch.epoch == 0 { String::new() } else { format!(" from epoch {} on", batch.epoch) };
        rows.push(row(
            "batch",
            format!(
                "{} = {} lanes of {micro_batch}{from}, {} steps an epoch",
                number(batch.samples),
                number(batch.lanes.into()),
                number(batch.steps)
            ),
        ));
        rows.extend(shares(batch, job.cluster.workers).iter().map(|share| {
            let samples = u64::from(share.lanes) * micro_batch;
            let reads =
                outlook.stored_bytes.map_or(String::new(), |stored| format!(", reads {}", bytes(samples * stored)));
            let each = if share.workers == 1 { "the worker" } else { "each" };
            row(
                "workers",
                format!(
                    "{}: {each} has {} lanes, {} samples a step{reads}",
                    share.workers,
                    share.lanes,
                    number(samples)
                ),
            )
        }));
    }
    rows.push(row("learning rate", learning_rates(outlook)));
    rows.push(row("state", format!("{} a worker", bytes(outlook.state_bytes as u64))));
    rows.push(row("a lane", format!("{} on a thread of a CPU", bytes(outlook.lane_bytes as u64))));
    rows.extend(outlook.probes.iter().map(|probe| row("probe", probe_told(probe))));
    columns(&rows)
}

fn probe_told(probe: &ProbeOutlook) -> String {
    let number = |number: u64| grouped(number as f64);
    let ProbeOutlook { title, times, samples, passes } = probe;
    let each = match passes {
        Some(0) => "of the weights alone".to_owned(),
        Some(1) => format!("a pass over {} samples", number(*samples)),
        Some(passes) => format!("{} passes over {} samples", number(*passes), number(*samples)),
        None => format!("gradients over {} samples", number(*samples)),
    };
    format!("{title}: {} times, {each}", number(*times))
}

/// Where it turns, the first few times.
fn learning_rates(outlook: &Outlook) -> String {
    const SHOWN: usize = 8;
    let mut told: Vec<String> = outlook
        .learning_rates
        .iter()
        .take(SHOWN)
        .map(|(epoch, rate)| format!("{} at epoch {epoch}", (rate * 1e6).round() / 1e6))
        .collect();
    if outlook.learning_rates.len() > SHOWN {
        told.push("…".to_owned());
    }
    told.join(", ")
}

fn to_json(job: &Job, outlook: &Outlook) -> Value {
    let batches: Vec<Value> = outlook
        .batches
        .iter()
        .map(|batch| {
            let lanes = deal(batch.lanes, job.cluster.workers as usize);
            json!({
                "first_epoch": batch.epoch,
                "samples": batch.samples,
                "lanes": batch.lanes,
                "steps_per_epoch": batch.steps,
                "lanes_by_worker": lanes,
            })
        })
        .collect();
    let probes: Vec<Value> = outlook
        .probes
        .iter()
        .map(|probe| {
            json!({
                "name": probe.title, "times": probe.times, "samples": probe.samples, "passes": probe.passes,
            })
        })
        .collect();
    let [train, validation, test] = outlook.samples;
    json!({
        "dataset": outlook.dataset,
        "samples": { "train": train, "validation": validation, "test": test },
        "stored_bytes": outlook.stored_bytes,
        "image": [outlook.channels, outlook.sides[0], outlook.sides[1]],
        "parameters": outlook.parameters,
        "epochs": outlook.epochs,
        "steps": outlook.steps,
        "batches": batches,
        "learning_rates": outlook.learning_rates,
        "state_bytes": outlook.state_bytes,
        "lane_bytes": outlook.lane_bytes,
        "probes": probes,
    })
}

//! `diff RUN1 RUN2`: in what two runs differ: job files, and the first step and tensor.
//!
//! Reports tell of many steps, checkpoints of few but of all their bits. Together they bracket the first step that
//! differs; with `--exact` both runs are trained again from where they are equal, until their states differ.

mod exact;
mod picture;
mod reports;
mod states;
mod told;

use std::fmt::Display;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::Result;
use lockstep_checkpoint::{About, Snapshot, Tensor};
use lockstep_coordinator::client::{ClientError, exit};
use lockstep_coordinator::run_folder::{ForkedFrom, RunFolder, atomic};
use lockstep_proto::job::KeyDifference;
use serde_json::Value;

use crate::arguments::Diff;
use crate::checkpoints::Checkpoints;
use crate::run::Run;
use crate::{BadInput, in_one_line, print};
use exact::Exact;
use reports::Reported;
use states::StateDifference;

/// Bytes of a record that are read: more than those of any run.
const LONGEST_RECORD: u64 = 64 << 20;
/// Name of the picture.
const PICTURE: &str = "diff.svg";

/// A run, and what its folder says of it.
struct Side {
    run: Run,
    checkpoints: Checkpoints,
    forked: Option<ForkedFrom>,
    /// `run.json` and `summary.json`; null where there is none.
    record: Value,
    summary: Value,
}

/// A step of which both have the state.
struct Common {
    step: u64,
    digests: [String; 2],
    difference: Option<StateDifference>,
    distance: Option<f64>,
}

/// The weights at the end of both.
struct Final {
    steps: [Option<u64>; 2],
    difference: Option<StateDifference>,
}

/// All that was found.
struct Comparison {
    keys: Vec<KeyDifference>,
    /// Data set and fingerprint, where they differ.
    records: Vec<(&'static str, [String; 2])>,
    reported: Reported,
    checkpoints: Vec<Common>,
    last: Option<Final>,
    /// The step of a fork that both share.
    shared: Option<u64>,
    exact: Option<Exact>,
}

/// Compares and prints; the exit code is 0 for the same bits, 1 for others.
///
/// # Errors
/// If the two can't be compared; all that is wrong is bad input.
pub fn diff(arguments: &Diff) -> Result<u8> {
    let found = compare(arguments).map_err(|error| match error.is::<ClientError>() {
        true => error,
        false => BadInput(in_one_line(&error)).into(),
    });
    let (sides, comparison) = found?;
    let out = arguments.out.clone().unwrap_or_else(|| ".".into());
    write_picture(&out, &comparison)?;
    match arguments.json {
        true => print(&format!("{}\n", told::json(&sides, &comparison)))?,
        false => print(&told::table(&sides, &comparison, &out.join(PICTURE)))?,
    }
    Ok(if comparison.is_same() { exit::COMPLETED } else { exit::FAILED })
}

fn compare(arguments: &Diff) -> Result<([Side; 2], Comparison)> {
    let sides = [Side::open(&arguments.first)?, Side::open(&arguments.second)?];
    let [first, second] = &sides;
    let mut comparison = Comparison {
        keys: first.run.job.differences(&second.run.job),
        records: records(&sides),
        reported: reports::compare(&first.run, &second.run)?,
        checkpoints: common(&sides)?,
        last: last(&sides)?,
        shared: shared(&sides),
        exact: None,
    };
    if comparison.has_nothing() {
        let [first, second] = sides.each_ref().map(|side| side.run.folder().display());
        let line = format!(
            "{first} and {second} have no step of which both have a report, a checkpoint or the final weights: train \
             with metrics.every or checkpoint.every_steps that meet"
        );
        return Err(BadInput(line).into());
    }
    if arguments.exact {
        comparison.exact = Some(exact::find(&sides, &comparison)?);
    }
    Ok((sides, comparison))
}

/// What a file of a run's folder says; null where there is none.
fn record(run: &Run, name: &str) -> Result<Value> {
    let path = run.folder().join(name);
    let refused = |error: &dyn Display| BadInput(format!("{}: {error}", path.display()));
    let mut text = Vec::new();
    match File::open(&path).and_then(|file| file.take(LONGEST_RECORD).read_to_end(&mut text)) {
        Ok(_) => Ok(serde_json::from_slice(&text).map_err(|error| refused(&error))?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(refused(&error).into()),
    }
}

impl Side {
    fn open(folder: &Path) -> Result<Self> {
        let run = Run::open(folder)?;
        let (record, summary) = (record(&run, "run.json")?, record(&run, "summary.json")?);
        Ok(Self {
            checkpoints: Checkpoints::of(&run)?,
            forked: RunFolder::forked_from(run.folder()),
            record,
            summary,
            run,
        })
    }

    /// Committed steps at the end, if it has ended.
    fn steps(&self) -> Option<u64> {
        self.summary["steps"].as_u64()
    }

    /// The weights at the end, as a state that has no more than these.
    fn last(&self) -> Result<Option<Snapshot>> {
        if !self.run.folder().join("final/model.safetensors").exists() {
            return Ok(None);
        }
        let weights = self.run.final_weights()?;
        let tensor = |(name, shape, values): (&str, &[usize], &[f32])| Tensor {
            name: format!("parameters/{name}"),
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        Ok(Some(Snapshot { about: About::default(), tensors: weights.tensors().map(tensor).collect() }))
    }
}

/// What both runs' records say of data and fingerprint, where they differ.
fn records([first, second]: &[Side; 2]) -> Vec<(&'static str, [String; 2])> {
    let keys = [
        ("data set", "/dataset"),
        ("build", "/fingerprint/build"),
        ("device", "/fingerprint/device"),
        ("instruction set", "/fingerprint/instruction_set"),
        ("canary", "/fingerprint/canary"),
        ("libraries", "/fingerprint/libraries"),
    ];
    let value = |side: &Side, pointer| side.record.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
    let both = keys.map(|(what, pointer)| (what, [value(first, pointer), value(second, pointer)]));
    both.into_iter().filter(|(_, [first, second])| first != second).collect()
}

fn same_network(states: &[Snapshot; 2]) -> Result<(), BadInput> {
    let [first, second] = states;
    states::same_network(first, second)
        .map_err(|line| BadInput(format!("the runs are of different networks, which can't be compared: {line}")))
}

/// The states of all steps of which both have a checkpoint.
fn common([first, second]: &[Side; 2]) -> Result<Vec<Common>> {
    let mut all = Vec::new();
    let theirs: Vec<u64> = second.checkpoints.steps().collect();
    for step in first.checkpoints.steps().filter(|step| theirs.contains(step)) {
        let states = [first.checkpoints.read(step)?, second.checkpoints.read(step)?];
        same_network(&states)?;
        let [ours, other] = &states;
        all.push(Common {
            step,
            digests: states.each_ref().map(|state| state.about.digest.clone()),
            difference: states::compare(ours, other),
            distance: states::distance(ours, other),
        });
    }
    Ok(all)
}

/// The weights at the end of both, if both have completed.
fn last([first, second]: &[Side; 2]) -> Result<Option<Final>> {
    let (Some(ours), Some(other)) = (first.last()?, second.last()?) else { return Ok(None) };
    let states = [ours, other];
    same_network(&states)?;
    let found = states::compare_tensors(&states[0], &states[1]);
    Ok(Some(Final {
        steps: [first.steps(), second.steps()],
        difference: Some(found).filter(|found| found.tensors > 0),
    }))
}

/// The step at which one was forked from the other, or both from the same state.
fn shared([first, second]: &[Side; 2]) -> Option<u64> {
    let is =
        |side: &Side, path: &str| std::fs::canonicalize(path).ok() == std::fs::canonicalize(side.run.folder()).ok();
    match (&first.forked, &second.forked) {
        (Some(ours), Some(theirs)) if (ours.step, &ours.digest) == (theirs.step, &theirs.digest) => Some(ours.step),
        (Some(ours), _) if is(second, &ours.run) => Some(ours.step),
        (_, Some(theirs)) if is(first, &theirs.run) => Some(theirs.step),
        _ => None,
    }
}

impl Comparison {
    /// The first step that is known to differ.
    fn differs_at(&self) -> Option<u64> {
        let checkpoint = self.checkpoint_differs_at();
        let reported = self.reported.first.as_ref().map(|first| first.step);
        let last = self.last.as_ref().filter(|last| last.difference.is_some()).and_then(Final::step);
        let exact = self.exact.as_ref().and_then(Exact::step);
        [checkpoint, reported, last, exact].into_iter().flatten().min()
    }

    /// The first checkpoint of both that differs.
    fn checkpoint_differs_at(&self) -> Option<u64> {
        self.checkpoints.iter().find(|common| common.difference.is_some()).map(|common| common.step)
    }

    /// Steps whose states are known to be the same, before any that differs; descending.
    fn equal_at(&self) -> Vec<u64> {
        let before = self.differs_at().unwrap_or(u64::MAX);
        let equal = self.checkpoints.iter().filter(|common| common.difference.is_none()).map(|common| common.step);
        let exact = self.exact.as_ref().and_then(|exact| exact.equal_to);
        let mut steps: Vec<u64> = equal.chain(self.shared).chain(exact).filter(|step| *step < before).collect();
        steps.sort_unstable_by(|a, b| b.cmp(a));
        steps.dedup();
        steps
    }

    /// Whether nothing differs that was compared.
    fn is_same(&self) -> bool {
        self.differs_at().is_none()
            && self.last.as_ref().is_none_or(|last| last.step().is_none() || last.difference.is_none())
    }

    fn has_nothing(&self) -> bool {
        let last = self.last.as_ref().and_then(Final::step);
        self.reported.compared == 0 && self.checkpoints.is_empty() && last.is_none()
    }
}

impl Final {
    /// The step, if it is the same in both.
    fn step(&self) -> Option<u64> {
        self.steps[0].filter(|_| self.steps[0] == self.steps[1])
    }
}

fn write_picture(out: &Path, comparison: &Comparison) -> Result<()> {
    let refused = |error: std::io::Error| BadInput(format!("{}: {error}: choose another --out", out.display()));
    std::fs::create_dir_all(out).map_err(refused)?;
    atomic::write(&out.join(PICTURE), picture::draw(comparison).as_bytes()).map_err(refused)?;
    Ok(())
}

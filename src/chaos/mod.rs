//! `chaos JOB`: trains a job twice, once undisturbed and once under a seeded schedule of faults, and compares the bits.

mod disk;
mod process;
mod proxy;
mod schedule;
mod stage;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use lockstep_coordinator::client::{columns, exit};
use lockstep_proto::ledger::Ledger;
use serde_json::Value;

use crate::arguments::Chaos;
use crate::{load_job, print};
use process::Process;
use schedule::{Fault, Schedule};
use stage::Stage;

/// Longest time that the job may take once no more faults come.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs it; gives the exit code: 0 if the bits are the same.
///
/// # Errors
/// If a run fails altogether.
pub fn chaos(arguments: &Chaos) -> Result<u8> {
    let scratch = match &arguments.out {
        Some(out) => std::path::absolute(out)?,
        None => std::env::temp_dir().join(format!("lockstep-chaos-{}", std::process::id())),
    };
    std::fs::create_dir_all(&scratch)?;
    // Before hours are spent: the job file can be read.
    let job = load_job(&arguments.file.job, &arguments.file.set)?;
    eprintln!("seed {}, files in {}", arguments.seed, scratch.display());
    let clean = train_clean(arguments, &scratch)?;
    let faulty = train_under_faults(arguments, job.cluster.workers, &scratch)?;
    let same_weights = clean.weights == faulty.run.weights;
    let same_ledger = clean.ledger == faulty.run.ledger;
    let yes = |same: bool| if same { "yes" } else { "no" };
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let mut rows: Vec<Vec<String>> = Vec::new();
    rows.extend(faulty.faults.iter().map(|(kind, count)| row(kind, count.to_string())));
    rows.push(row("faults", faulty.faults.values().sum::<u32>().to_string()));
    rows.push(row("generations", faulty.generations.to_string()));
    rows.push(row("seed", arguments.seed.to_string()));
    rows.push(row("weights", faulty.run.weights));
    rows.push(row("same ledger", yes(same_ledger).into()));
    rows.push(row("same bits", yes(same_weights).into()));
    print(&columns(&rows))?;
    if same_weights && same_ledger && arguments.out.is_none() {
        std::fs::remove_dir_all(&scratch)?;
    }
    Ok(if same_weights && same_ledger { exit::COMPLETED } else { exit::FAILED })
}

/// What a run came to.
struct Outcome {
    weights: String,
    ledger: Ledger,
}

impl Outcome {
    fn of(run: &Path) -> Result<Self> {
        let weights = json(&run.join("summary.json"))?["weights_sha256"].as_str().map(str::to_owned);
        let ledger: Ledger = serde_json::from_value(json(&run.join("ledger.json"))?["rows"].take())?;
        let weights = weights.ok_or_else(|| anyhow!("{} has no weights", run.display()))?;
        Ok(Self { weights, ledger: ledger.across_generations() })
    }
}

struct Faulty {
    run: Outcome,
    faults: BTreeMap<&'static str, u32>,
    generations: usize,
}

fn settings(arguments: &Chaos) -> Vec<String> {
    let mut settings = arguments.file.set.clone();
    settings.push(format!("checkpoint.max_bytes={}", disk::QUOTA));
    settings.push("cluster.max_restarts=1000000".into());
    settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]).collect()
}

fn train_clean(arguments: &Chaos, scratch: &Path) -> Result<Outcome> {
    let run = scratch.join("clean");
    let mut line = vec!["train".to_owned(), arguments.file.job.display().to_string(), "--quiet".into()];
    line.extend(["--out".into(), run.display().to_string(), "--overwrite".into()]);
    line.extend(settings(arguments));
    eprintln!("trains undisturbed");
    call(&line, &scratch.join("clean.log"), LIMIT)?;
    Outcome::of(&run)
}

/// Runs this program to its end, which must be a success; gives what it printed.
fn call(line: &[String], log: &Path, limit: Duration) -> Result<String> {
    let from = std::fs::metadata(log).map_or(0, |file| file.len());
    let arguments: Vec<&str> = line.iter().map(String::as_str).collect();
    let mut process = Process::start(&arguments, log)?;
    if !process.wait(limit) {
        return Err(anyhow!("{line:?} takes longer than {limit:?}"));
    }
    let text = std::fs::read_to_string(log)?;
    Ok(text.get(usize::try_from(from)?..).unwrap_or_default().to_owned())
}

fn train_under_faults(arguments: &Chaos, workers: u32, scratch: &Path) -> Result<Faulty> {
    let nodes = arguments.nodes.max(1);
    // A slot more than needed on each: somebody is there to take over.
    let mut stage = Stage::start(scratch, nodes, workers.div_ceil(nodes) + 1)?;
    let mut line = vec!["submit".to_owned(), arguments.file.job.display().to_string()];
    line.extend(settings(arguments));
    line.extend(["--coordinator".to_owned(), stage.address()]);
    let said = call(&line, &scratch.join("submit.log"), Duration::from_secs(60))?;
    let job = said.lines().last().map(str::trim).unwrap_or_default().to_owned();
    let run = stage.state().join("runs").join(&job);
    let faults = torment(&mut stage, arguments, &run)?;
    let summary = await_end(&run)?;
    if summary["stop_reason"] != "completed" {
        return Err(anyhow!("job {job} is {}: {}", summary["stop_reason"], summary["reason"]));
    }
    let generations = json(&run.join("run.json"))?["generations"].as_array().map_or(0, Vec::len);
    Ok(Faulty { run: Outcome::of(&run)?, faults, generations })
}

/// Lets faults happen until the job has ended, the time is up or there were enough.
fn torment(stage: &mut Stage, arguments: &Chaos, run: &Path) -> Result<BTreeMap<&'static str, u32>> {
    let mut faults = BTreeMap::new();
    let started = Instant::now();
    let limit = Duration::from_secs_f64(arguments.minutes.max(0.0) * 60.0);
    let mut count = 0;
    for (gap, fault) in Schedule::new(arguments.seed) {
        std::thread::sleep(gap);
        let enough = arguments.faults.is_some_and(|most| count >= most);
        if started.elapsed() > limit || enough || has_ended(run) {
            break;
        }
        if let Some(done) = stage.inflict(fault, run)? {
            count += 1;
            *faults.entry(Fault::kind(fault)).or_insert(0) += 1;
            eprintln!("{:7.1} s  {count:3}  {done}", started.elapsed().as_secs_f64());
        }
    }
    Ok(faults)
}

/// Whether the run is over. Its folder is asked, since the coordinator may be away or have forgotten it.
fn has_ended(run: &Path) -> bool {
    run.join("summary.json").exists()
}

fn await_end(run: &Path) -> Result<Value> {
    let started = Instant::now();
    while started.elapsed() < LIMIT {
        if has_ended(run) {
            return json(&run.join("summary.json"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(anyhow!("{} has not ended within {LIMIT:?}", run.display()))
}

fn json(path: &Path) -> Result<Value> {
    let text = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

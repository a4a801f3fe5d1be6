//! The language of the transcripts: each line is something that happens.

use lockstep_proto::job::{DeviceKind, Job as JobSpec, Libraries, Measure, Reduction};
use lockstep_proto::ledger::{Ledger, LedgerRow};
use lockstep_proto::slot::SlotDevice;

use super::peers::node;
use super::stage::Stage;
use crate::cluster::event::{Batch, Failure, News, Transport, Wish};
use crate::cluster::facts::{
    CheckpointFact, EvaluationReport, Held, Outcome, Prepared, Report, RunFacts, StepReport, StopReason,
};
use crate::cluster::{Event, Exit, Submission, Ticket};

/// Words of a line, with values behind keys.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.iter().position(|word| *word == key).and_then(|index| self.0.get(index + 1).copied())
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.value(key).map(|text| text.parse().ok().expect("a number"))
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains(&key)
    }

    fn behind(&self, key: &str) -> Option<String> {
        let index = self.0.iter().position(|word| *word == key)?;
        Some(self.0[index + 1..].join(" "))
    }
}

/// Plays a script. A line that begins with `quietly` shows nothing of what it leads to.
///
/// ```text
/// agent A joins with 2 slots [of cuda] [version 0.0.9] [process q]   agent A is lost   agent A joins again   agent A leaves
/// agent A is stuck
/// submit J workers 2 lanes 5 [on auto] [with_libraries] [spares 1] [restarts 0] [keep_last 2] [keep_every 100]
/// [keep_best] [fast]
/// cancel J   pause J   resume J   scale J to 4   checkpoint J   interrupt   checkpoints
/// J gets ready         all workers of J that were started join, are prepared, and get ready where told to begin
/// J.0 joins [canary ff] [libraries x] [nccl 2.28] [without nccl]
/// J.0 is prepared [checkpoint 40] [dataset x]   J.0 is ready
/// J.0 reports to 50 [test 0.9] [from row 7]   J.0 reports all again
/// J.0 finishes completed [at 100] [weights w]   J.0 left at 50 [lost 1] [holding x] because …   J.0 left empty
/// J.0 stores w   J.0 fails because …   J.0 has bad input because …
/// J.0 writes checkpoint 100   J.0 can not write 100   J.0 has no room for checkpoint 100
/// J.0 tells state 200 abc   J.0 tells lane 3 of 500 abc
/// J.0 is in reduce   J.0 has taken 2 (seconds for a phase)   J.0 falls silent   J.0 gets stuck
/// J.0 disconnects   J.0 comes back   J.0 ends with code 1
/// disk of J is full   disk of J fails   wait 5
/// the state is copied   the coordinator restarts [with the copy] [empty]   the coordinator sleeps for 60 seconds
/// ```
///
/// J.0, J.1, … are the workers of job J in the order in which they were started.
pub fn play(script: &str) -> String {
    let mut stage = Stage::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let loud = line.strip_prefix("quietly ");
        stage.begin_line(line, loud.is_some());
        happen(&mut stage, loud.unwrap_or(line));
    }
    stage.out
}

fn happen(stage: &mut Stage, line: &str) {
    let words = Words(line.split_whitespace().collect());
    match words.0[..] {
        ["agent", name, "joins", "again"] => stage.agent_again(name),
        ["agent", name, "joins", "with", slots, ..] => {
            let version = words.value("version").unwrap_or(lockstep_proto::VERSION);
            let device = words.value("of").and_then(SlotDevice::from_name).unwrap_or(SlotDevice::Cpu);
            let slots = (slots.parse().expect("slots"), device);
            stage.agent_joins(name, slots, version, words.value("process").unwrap_or("p"));
        }
        ["agent", name, "is", "lost"] => stage.agent_lost(name),
        ["agent", name, "is", "stuck"] => stage.agent_stuck(name),
        ["agent", name, "leaves"] => {
            stage.step(Event::AgentLeaving { node: node(name), reason: "its agent was told to end".into() });
        }
        ["submit", name, ..] => {
            let submission = Box::new(submission(name, &words));
            stage.submit(name, Event::Submitted { ticket: Ticket(1), submission });
        }
        ["cancel", name] => stage.ask(name, Wish::Cancel),
        ["pause", name] => stage.ask(name, Wish::Pause),
        ["resume", name] => stage.ask(name, Wish::Resume),
        ["checkpoint", name] => stage.ask(name, Wish::Checkpoint),
        ["scale", name, "to", workers] => stage.ask(name, Wish::Scale(workers.parse().expect("workers"))),
        ["interrupt"] => stage.step(Event::Interrupted { reason: "stopped by Ctrl-C".into() }),
        ["checkpoints"] => stage.step(Event::CheckpointsWanted),
        ["disk", "of", name, ..] => {
            let (job, full) = (stage.job(name), words.has("full"));
            stage.step(Event::StorageFailed { job, cause: "no space left on device".into(), full });
        }
        ["wait", seconds] => stage.wait(seconds.parse().expect("seconds")),
        ["the", "coordinator", "sleeps", "for", seconds, "seconds"] => stage.sleep(seconds.parse().expect("seconds")),
        ["the", "state", "is", "copied"] => stage.copy_state(),
        ["the", "coordinator", "restarts", ..] => stage.restart(words.has("copy"), words.has("empty")),
        [name, "gets", "ready"] if !name.contains('.') => get_ready(stage, name),
        [worker, ..] => worker_event(stage, worker, &words),
        [] => {}
    }
}

fn submission(name: &str, words: &Words<'_>) -> Submission {
    let mut spec = JobSpec::default();
    spec.cluster.workers = words.number("workers").unwrap_or(1);
    spec.cluster.device = match words.value("on") {
        Some("cuda") => DeviceKind::Cuda,
        Some("auto") => DeviceKind::Auto,
        _ => DeviceKind::Cpu,
    };
    spec.cluster.libraries = if words.has("with_libraries") { Libraries::Auto } else { Libraries::Own };
    spec.cluster.spares = words.number("spares").unwrap_or(0);
    spec.cluster.max_restarts = words.number("restarts").unwrap_or(spec.cluster.max_restarts);
    spec.batch.size = words.number("lanes").unwrap_or(2) * spec.batch.micro_batch;
    spec.checkpoint.keep_last = words.number("keep_last").unwrap_or(spec.checkpoint.keep_last);
    spec.checkpoint.keep_every = words.number("keep_every").unwrap_or(0);
    spec.optimizer.reduction = if words.has("fast") { Reduction::Fast } else { Reduction::Tree };
    spec.checkpoint.keep_best = if words.has("keep_best") { Measure::Accuracy } else { Measure::None };
    Submission {
        name: name.into(),
        toml: spec.to_toml(),
        spec,
        run_folder: None,
        command: format!("lockstep submit {name}.toml"),
        from: Vec::new(),
        go_on: false,
        history: Vec::new(),
    }
}

/// Whatever a job's workers have to do until they compute.
fn get_ready(stage: &mut Stage, job: &str) {
    let mut names = stage.workers_of(job);
    names.retain(|name| stage.worker(name).lives);
    for name in &names {
        if !stage.worker(name).joined {
            stage.joins(name);
        }
        if stage.worker(name).prepared.is_none() {
            prepared(stage, name, None, "mnist");
        }
    }
    for name in &names {
        let worker = stage.worker(name);
        if worker.generation.is_some() && worker.ready.is_none() {
            ready(stage, name);
        }
    }
}

fn worker_event(stage: &mut Stage, name: &str, words: &Words<'_>) {
    let step = |at: usize| -> u64 { words.0[at].parse().expect("a step") };
    match words.0[1..] {
        ["joins", ..] => {
            if let Some(canary) = words.value("canary") {
                stage.worker(name).canary = canary.into();
            }
            if let Some(version) = words.value("nccl").filter(|_| !words.has("without")) {
                stage.worker(name).transport.name = format!("NCCL {version}");
            }
            if words.has("without") {
                stage.worker(name).transport = Transport { name: String::new(), missing: "NCCL was not found".into() };
            }
            if let Some(libraries) = words.value("libraries") {
                stage.worker(name).libraries = libraries.into();
            }
            stage.joins(name);
        }
        ["is", "prepared", ..] => {
            prepared(stage, name, words.number("checkpoint"), words.value("dataset").unwrap_or("mnist"));
        }
        ["is", "ready"] => ready(stage, name),
        ["reports", "all", "again"] => reports_again(stage, name),
        ["reports", "to", _, ..] => reports(stage, name, step(3), words),
        ["finishes", why, ..] => finishes(stage, name, why, words),
        ["left", "at", _, ..] => left(stage, name, Some(step(3)), words),
        ["left", "empty", ..] => left(stage, name, None, words),
        ["stores", sha256] => {
            let worker = stage.worker(name).id.clone();
            stage.step(Event::FileStored { worker, sha256: sha256.into() });
        }
        ["fails", ..] | ["has", "bad", "input", ..] => {
            let reason = words.behind("because").expect("a reason");
            stage.tell(name, News::Failed(Failure { reason, bad_input: words.has("bad"), diverged: None }));
        }
        ["writes", "checkpoint", _] => {
            let step = step(3);
            let checkpoint = checkpoint(step);
            stage.tell(name, News::CheckpointWritten(checkpoint));
        }
        ["can", "not", "write", _] => {
            let reason = "permission denied".into();
            stage.tell(name, News::CheckpointFailed { step: step(4), reason, full: false });
        }
        ["has", "no", "room", "for", "checkpoint", _] => {
            let reason = "no space left on device".into();
            stage.tell(name, News::CheckpointFailed { step: step(6), reason, full: true });
        }
        ["tells", "state", _, digest] => {
            let tensors = vec![("bias".into(), "same".into()), ("weight".into(), digest.into())];
            let generation = stage.generation(name);
            stage.tell(name, News::StateDigest { generation, step: step(3), tensors });
        }
        ["tells", "lane", lane, "of", _, digest] => {
            let (lane, generation) = (lane.parse().expect("a lane"), stage.generation(name));
            let owner = name.ends_with('0');
            stage.tell(name, News::LaneDigest { generation, step: step(5), lane, owner, digest: digest.into() });
        }
        ["is", "in", phase] => {
            stage.worker(name).life.phase = phase.into();
            stage.alive(name);
        }
        ["falls", "silent"] => stage.worker(name).speaks = false,
        ["has", "taken", seconds] => stage.worker(name).life.longest = seconds.parse().unwrap(),
        ["gets", "stuck"] => stage.worker(name).moves = false,
        ["disconnects"] => stage.disconnects(name),
        ["comes", "back"] => stage.comes_back(name),
        ["ends", ..] => {
            let clean = words.number("code") == Some(0);
            let cause = words.value("code").map_or("killed by SIGKILL".to_owned(), |c| format!("exited with code {c}"));
            stage.ends(name, Exit { cause, clean });
        }
        ref other => panic!("{other:?} is no event"),
    }
}

fn held(step: u64) -> Held {
    Held { step, digest: format!("digest-{step}") }
}

fn checkpoint(step: u64) -> CheckpointFact {
    let Held { digest, .. } = held(step);
    CheckpointFact { step, name: format!("step-{step}"), digest, bytes: 10, seconds: 0.1, dir: "/checkpoints".into() }
}

fn prepared(stage: &mut Stage, name: &str, checkpoint: Option<u64>, dataset: &str) {
    let prepared = Prepared {
        facts: RunFacts {
            dataset: dataset.into(),
            total_steps: 1000,
            total_epochs: 1,
            parameters: 10,
            train_samples: 6400,
            sample: [1, 28, 28],
        },
        checkpoint: checkpoint.map(|step| (held(step), format!("step-{step}"))),
        remarks: Vec::new(),
        sees_run_folder: true,
    };
    stage.worker(name).prepared = Some(prepared.clone());
    stage.tell(name, News::Prepared(prepared));
}

fn ready(stage: &mut Stage, name: &str) {
    let (generation, held) = (stage.generation(name), held(stage.ledger(name).steps()));
    let worker = stage.worker(name);
    worker.ready = Some(held.clone());
    worker.life.phase = "lanes".into();
    stage.tell(name, News::Ready { generation, held });
}

/// Steps up to this one, as one more row or a longer last one, with a report of the last of them.
fn reports(stage: &mut Stage, name: &str, to: u64, words: &Words<'_>) {
    let generation = stage.generation(name);
    let ledger = stage.ledger(name);
    let first_step = ledger.steps();
    let row = LedgerRow {
        epoch: 0,
        from: first_step * 4,
        to: to * 4,
        first_step,
        steps: to - first_step,
        generation: generation.number,
        samples: (to - first_step) * 4,
        hashes: 0,
        skipped: Vec::new(),
    };
    ledger.add(row).expect("rows without a gap");
    let first_row = words.number("row").unwrap_or(ledger.rows().len() - 1);
    let rows = ledger.rows()[ledger.rows().len() - 1..].to_vec();
    let mut reports = vec![Report::Step(StepReport { step: to, loss: 0.5, ..Default::default() })];
    if let Some(accuracy) = words.number("test") {
        let evaluation = EvaluationReport { step: to, split: "test".into(), accuracy, ..Default::default() };
        reports.push(Report::Evaluation(evaluation));
    }
    stage.tell(name, News::Reported(Batch { generation, step: to, first_row, rows, reports }));
}

fn reports_again(stage: &mut Stage, name: &str) {
    let generation = stage.generation(name);
    let ledger: Ledger = stage.ledger(name).clone();
    let step = ledger.steps();
    let rows = ledger.rows().to_vec();
    let reports = rows.iter().map(|row| Report::Step(StepReport { step: row.last_step(), ..Default::default() }));
    let reports = reports.collect();
    stage.tell(name, News::Reported(Batch { generation, step, first_row: 0, rows, reports }));
}

fn finishes(stage: &mut Stage, name: &str, why: &str, words: &Words<'_>) {
    let step = words.number("at").unwrap_or(stage.ledger(name).steps());
    let outcome = Outcome {
        stop_reason: StopReason::parse(why).expect("a stop reason"),
        steps: step,
        epochs: 1,
        samples: 6400,
        seconds: 2.0,
        train_loss: Some(0.25),
        test_loss: None,
        test_error: None,
        test_top5_error: None,
        reason: String::new(),
        weights_sha256: words.value("weights").unwrap_or_default().into(),
    };
    let word = News::Finished { generation: stage.generation(name), held: held(step), outcome };
    stage.ends_generation(name, Some(held(step)), word);
}

fn left(stage: &mut Stage, name: &str, step: Option<u64>, words: &Words<'_>) {
    let digest = |step| words.value("holding").map_or(held(step).digest, str::to_owned);
    let held = step.map(|step| Held { step, digest: digest(step) });
    let word = News::Left {
        generation: stage.generation(name),
        held: held.clone(),
        cause: words.behind("because").unwrap_or_else(|| "told to leave".into()),
        lost_rank: words.number("lost"),
        recent: Vec::new(),
    };
    stage.ends_generation(name, held, word);
}

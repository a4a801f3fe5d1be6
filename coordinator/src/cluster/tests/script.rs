//! The language of the transcripts.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use lockstep_proto::identity::{Generation, JobId, NodeId, WorkerId};
use lockstep_proto::job::Job as JobSpec;

use crate::cluster::facts::{EvaluationReport, Fingerprint, Outcome, Report, RunFacts, StepReport, StopReason};
use crate::cluster::{
    AgentHello, Cluster, Command, Connection, Entropy, Event, Exit, Submission, Ticket, Timestamp, WorkerHello,
};

/// Plays a script. Each line is an event:
///
/// ```text
/// agent A joins with 2 slots [version 0.0.9]     agent A is lost
/// submit J workers 2 lanes 5                     cancel J          interrupt
/// J.0 starts   J.0 joins [canary ff]   J.0 ready [dataset x]   J.0 reports 0 step 50,60
/// J.0 stores w   J.0 finishes completed [weights w] [steps 9]   J.0 fails some reason
/// J.0 has bad input some reason   J.0 is silent   J.0 exits with code 0   J.0 is killed by SIGKILL
/// J.0 reports 0 step 50 of an old generation     disk of J fails   wait 5
/// ```
///
/// Jobs have the names that the script gives them; J.0 is the worker of rank 0 of job J.
pub fn play(script: &str) -> String {
    let mut stage = Stage::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let _ = writeln!(stage.out, "{line}");
        let event = stage.event(line);
        let commands = stage.cluster.step(stage.now, event);
        for command in commands {
            stage.note(command);
        }
    }
    stage.out
}

struct Stage {
    cluster: Cluster,
    now: Timestamp,
    connections: u64,
    /// Real ids by the script's names.
    names: BTreeMap<String, JobId>,
    submitting: String,
    generations: BTreeMap<String, Generation>,
    out: String,
}

impl Stage {
    fn new() -> Self {
        Self {
            cluster: Cluster::new("/state/runs".into(), Entropy::new([7; 32])),
            now: Timestamp::from_millis(1_800_000_000_000),
            connections: 0,
            names: BTreeMap::new(),
            submitting: String::new(),
            generations: BTreeMap::new(),
            out: String::new(),
        }
    }

    fn event(&mut self, line: &str) -> Event {
        let words: Vec<&str> = line.split_whitespace().collect();
        let value = |key: &str| words.iter().position(|word| *word == key).map(|i| words[i + 1]);
        let number = |key: &str| value(key).map(|text| text.parse().expect("a number"));
        match words[..] {
            ["agent", name, "joins", "with", slots, ..] => Event::AgentJoined {
                connection: self.connection(),
                hello: AgentHello {
                    version: value("version").unwrap_or(lockstep_proto::VERSION).into(),
                    node: node(name),
                    host: format!("host-{name}"),
                    slots: slots.parse().expect("slots"),
                    threads: 1,
                },
            },
            ["agent", name, "is", "lost"] => Event::AgentLost { node: node(name), cause: "connection ended".into() },
            ["submit", name, ..] => self.submit(name, number("workers"), number("lanes")),
            ["cancel", name] => Event::CancelRequested { ticket: Ticket(9), job: self.names[name].to_string() },
            ["interrupt"] => Event::Interrupted { reason: "stopped by Ctrl-C".into() },
            ["disk", "of", name, "fails"] => {
                Event::StorageFailed { job: self.names[name].clone(), cause: "no space left on device".into() }
            }
            ["wait", seconds] => {
                self.now = self.now.plus(Duration::from_secs(seconds.parse().expect("seconds")));
                Event::Tick
            }
            [worker, ref what @ ..] => self.worker_event(worker, what, &value),
            [] => Event::Tick,
        }
    }

    fn submit(&mut self, name: &str, workers: Option<u32>, lanes: Option<u32>) -> Event {
        let mut spec = JobSpec::default();
        spec.cluster.workers = workers.unwrap_or(1);
        spec.batch.size = lanes.unwrap_or(2) * spec.batch.micro_batch;
        self.submitting = name.into();
        self.now = self.now.plus(Duration::from_secs(1));
        let submission = Submission {
            name: name.into(),
            toml: spec.to_toml(),
            spec,
            run_folder: None,
            command: format!("lockstep submit {name}.toml"),
        };
        Event::Submitted { ticket: Ticket(1), submission: Box::new(submission) }
    }

    fn worker_event<'a>(&mut self, name: &str, what: &[&str], value: &dyn Fn(&str) -> Option<&'a str>) -> Event {
        let (job, rank) = name.split_once('.').expect("a worker is written J.0");
        let id = self.names[job].clone();
        let worker = WorkerId::try_from(format!("{id}-g1-{rank}")).expect("a worker id");
        let node = self.node_of(&id, rank);
        let mut generation = self.generations.get(job).copied().unwrap_or(Generation { number: 1, id: [0; 16] });
        if what.ends_with(&["of", "an", "old", "generation"]) {
            generation = Generation { number: 0, id: [255; 16] };
        }
        let text = |from: usize| what[from..].join(" ");
        match what {
            ["starts"] => Event::WorkerStarted { node, worker, pid: 100 },
            ["joins", ..] => Event::WorkerJoined {
                connection: self.connection(),
                hello: WorkerHello {
                    version: lockstep_proto::VERSION.into(),
                    worker,
                    node,
                    data_address: "127.0.0.1:1".into(),
                    unix_address: "u".into(),
                    threads: 1,
                    fingerprint: Fingerprint {
                        build: "0.1.0-aa".into(),
                        device: "cpu".into(),
                        instruction_set: value("set").unwrap_or("avx2").into(),
                        canary: value("canary").unwrap_or("00").into(),
                    },
                },
            },
            ["ready", ..] => Event::Ready {
                worker,
                generation,
                facts: RunFacts {
                    dataset: value("dataset").unwrap_or("mnist").into(),
                    total_steps: 100,
                    total_epochs: 1,
                    parameters: 10,
                    train_samples: 6400,
                },
            },
            ["reports", first, kind, steps, ..] => {
                let steps = steps.split(',').map(|step| step.parse().expect("a step"));
                let reports = steps.map(|step| report(kind, step)).collect();
                Event::Reported { worker, generation, first: first.parse().expect("a number"), reports }
            }
            ["stores", sha256] => Event::FileStored { worker, sha256: (*sha256).into() },
            ["finishes", why, ..] => Event::Finished { worker, generation, outcome: outcome(why, value) },
            ["fails", ..] => Event::Failed { worker, generation: Some(generation), reason: text(1), bad_input: false },
            ["has", "bad", "input", ..] => {
                Event::Failed { worker, generation: Some(generation), reason: text(3), bad_input: true }
            }
            ["is", "silent"] => Event::WorkerLost { worker, cause: "connection reset".into() },
            ["exits", ..] => {
                let exit = Exit { cause: format!("exited {}", text(1)), clean: what[3] == "0" };
                Event::WorkerExited { node, worker, exit }
            }
            ["is", "killed", ..] => {
                let exit = Exit { cause: text(1), clean: false };
                Event::WorkerExited { node, worker, exit }
            }
            other => panic!("{other:?} is no event"),
        }
    }

    fn node_of(&self, job: &JobId, rank: &str) -> NodeId {
        let rank: usize = rank.parse().expect("a rank");
        let job = self.cluster.job(job).expect("a job");
        node(job.placements.get(rank).map_or("none", |placement| &placement.node))
    }

    fn connection(&mut self) -> Connection {
        self.connections += 1;
        Connection(self.connections)
    }

    /// A command as a line; that progress is told to watchers is left out.
    fn note(&mut self, command: Command) {
        let line = match command {
            Command::WelcomeAgent { reason, .. } => format!("welcome: {reason}"),
            Command::WelcomeWorker { worker, .. } => format!("welcome {worker}"),
            Command::Refuse { reason, .. } => format!("refuse: {reason}"),
            Command::StartWorker { node, worker, threads, .. } => {
                format!("start {worker} on {node} with {threads} thread")
            }
            Command::StopWorker { node, worker, reason } => format!("end {worker} on {node}: {reason}"),
            Command::Begin(begin) => {
                let lanes: Vec<u32> = begin.members.iter().map(|member| member.lanes).collect();
                let name = self.name_of(&begin.job);
                self.generations.insert(name, begin.generation);
                format!("tell {} to begin {} as rank {}, lanes {lanes:?}", begin.worker, begin.generation, begin.rank)
            }
            Command::Stop { worker, why, .. } => format!("tell {worker} to stop: {}", why.as_str()),
            Command::Abort { worker, reason, .. } => format!("tell {worker} to abort: {reason}"),
            Command::Acknowledge { worker, below, .. } => format!("acknowledge to {worker} below {below}"),
            Command::Leave { worker } => format!("tell {worker} to leave"),
            Command::CreateRun { record } => {
                self.names.insert(std::mem::take(&mut self.submitting), record.job.clone());
                format!("make {}", record.run_folder.display())
            }
            Command::SaveJob { record } => {
                let input = if record.bad_input { " (bad input)" } else { "" };
                format!("save {} as {}{input}", record.job, record.state.as_str())
            }
            Command::SaveRun { job, run } => format!("save run of {job}, {} generation", run.generations.len()),
            Command::AppendReports { job, reports } => format!("append {} reports of {job}", reports.len()),
            Command::CloseRun { job, summary } => format!("close run of {job} as {}", summary.stop_reason),
            Command::Notify { job, reason: Some(reason) } => format!("tell watchers of {job}: {reason}"),
            Command::Notify { reason: None, .. } => return,
            Command::Answer { answer: Ok(job), .. } => format!("answer {job}"),
            Command::Answer { answer: Err(refusal), .. } => format!("answer no: {refusal}"),
            Command::Ignore { reason } => format!("ignore: {reason}"),
        };
        let _ = writeln!(self.out, "    {}", self.readable(line));
    }

    fn name_of(&self, job: &JobId) -> String {
        let found = self.names.iter().find(|(_, id)| *id == job);
        found.map(|(name, _)| name.clone()).expect("a job of the script")
    }

    /// Names of the script instead of ids.
    fn readable(&self, mut line: String) -> String {
        for (name, id) in &self.names {
            line = line.replace(&format!("{id}-g1-"), &format!("{name}.")).replace(id.as_str(), name);
        }
        line
    }
}

fn node(name: &str) -> NodeId {
    NodeId::try_from(name).expect("a node id")
}

fn report(kind: &str, step: u64) -> Report {
    match kind {
        "step" => Report::Step(StepReport { step, loss: 0.5, samples_per_second: 100.0, ..Default::default() }),
        split => Report::Evaluation(EvaluationReport { step, split: split.into(), ..Default::default() }),
    }
}

fn outcome<'a>(why: &str, value: &dyn Fn(&str) -> Option<&'a str>) -> Outcome {
    Outcome {
        stop_reason: match why {
            "completed" => StopReason::Completed,
            "cancelled" => StopReason::Cancelled,
            _ => StopReason::Interrupted,
        },
        steps: value("steps").map_or(100, |steps| steps.parse().expect("steps")),
        epochs: 1,
        samples: 6400,
        seconds: 2.0,
        train_loss: Some(0.25),
        test_loss: None,
        test_error: None,
        weights_sha256: value("weights").unwrap_or_default().into(),
    }
}

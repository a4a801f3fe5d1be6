//! Workers as threads of a test's process: they meet over real sockets and real shared memory.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use lockstep_collective::Endpoint;
use lockstep_proto::identity::Generation;
use lockstep_proto::job::{Activation, LossName};
use lockstep_proto::job::{Job, LastBatch, OutputActivation};
use lockstep_proto::ledger::Ledger;
use lockstep_proto::wire::{self, start::From};
use lockstep_worker::control::{Entry, Event, StopReason, TrainerEvent, Weights};
use lockstep_worker::trainer::{self, Hardware, Progress, Seat, Signals, Task};
use tokio::sync::mpsc::UnboundedReceiver;

/// A small job over the shipped MNIST: `lanes` lanes of `micro_batch`, three steps an epoch, the last short and kept.
pub fn job(lanes: u32, micro_batch: u32) -> Job {
    let mut job = Job::default();
    job.data.path = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/mnist").into();
    job.data.limit = u64::from(lanes * micro_batch * 2 + micro_batch * 2 + 1);
    job.data.last_batch = LastBatch::Keep;
    job.data.validation = 59_000;
    job.batch.micro_batch = micro_batch;
    job.batch.size = lanes * micro_batch;
    job.schedule.epochs = 2;
    job.optimizer.learning_rate = 0.05;
    job.optimizer.momentum = 0.9;
    job.evaluate.every_epochs = 0;
    job.checkpoint.every_epochs = 0;
    job
}

pub fn mlp(lanes: u32, micro_batch: u32) -> Job {
    let mut job = job(lanes, micro_batch);
    job.model.hidden = vec![30];
    job.model.activation = Activation::Sigmoid;
    job.model.output_activation = OutputActivation::Sigmoid;
    job.loss.name = LossName::SquaredError;
    job
}

/// A worker, prepared for a job.
pub struct Worker {
    node: String,
    threads: u32,
    addresses: (String, String),
    tasks: Sender<Task>,
    events: UnboundedReceiver<Event>,
    signals: Arc<Signals>,
    pub progress: Arc<Progress>,
    pub prepared: wire::Prepared,
    /// As control would keep it.
    pub ledger: Ledger,
    /// Of the newest generation.
    pub reports: Vec<wire::Report>,
    /// Events that no wait was for.
    pub others: VecDeque<TrainerEvent>,
}

/// How a generation ended for a worker.
#[derive(Clone, Debug)]
pub enum End {
    Finished { held: wire::Held, outcome: wire::Outcome, weights: Option<Weights> },
    Left { held: Option<wire::Held>, cause: String, lost_rank: Option<u32>, recent: Vec<String> },
}

impl End {
    pub fn held(&self) -> wire::Held {
        match self {
            Self::Finished { held, .. } => held.clone(),
            Self::Left { held, .. } => held.clone().expect("it holds a state"),
        }
    }
}

impl Worker {
    /// Starts a worker and waits until it is prepared.
    pub fn prepare(job: &Job, run_folder: &Path, (node, threads): (&str, u32)) -> Self {
        Self::start(job, run_folder, (node, threads), |_| {})
    }

    /// The same, with its seat changed.
    pub fn start(job: &Job, run_folder: &Path, (node, threads): (&str, u32), change: impl FnOnce(&mut Seat)) -> Self {
        let endpoint = Endpoint::bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let addresses = (endpoint.tcp().to_string(), endpoint.unix().to_owned());
        let (events, inbox) = tokio::sync::mpsc::unbounded_channel();
        let progress = Arc::<Progress>::default();
        let mut seat = Seat {
            endpoint,
            hardware: Hardware::Cpu,
            threads: threads as usize,
            progress: progress.clone(),
            events,
            data: Vec::new(),
            #[cfg(feature = "fault-points")]
            fault: None,
        };
        change(&mut seat);
        let (tasks, tasks_inbox) = std::sync::mpsc::channel();
        std::thread::spawn(move || trainer::run(seat, tasks_inbox));
        tasks
            .send(Task::Prepare(Box::new(wire::Assignment {
                job: "test".into(),
                job_toml: job.to_toml(),
                run_folder: run_folder.display().to_string(),
                ..Default::default()
            })))
            .unwrap();
        let mut worker = Self {
            node: node.into(),
            threads,
            addresses,
            tasks,
            events: inbox,
            signals: Arc::default(),
            progress,
            prepared: wire::Prepared::default(),
            ledger: Ledger::default(),
            reports: Vec::new(),
            others: VecDeque::new(),
        };
        match worker.next() {
            TrainerEvent::Prepared(prepared) => worker.prepared = *prepared,
            other => panic!("not prepared: {other:?}"),
        }
        worker
    }

    fn next(&mut self) -> TrainerEvent {
        match self.events.blocking_recv() {
            Some(Event::Trainer(event)) => event,
            other => panic!("no event of the trainer: {other:?}"),
        }
    }

    pub fn order(&self, task: Task) {
        self.tasks.send(task).unwrap();
    }

    pub fn abort(&self) {
        self.signals.abort();
    }

    pub fn want_stop(&self, why: StopReason) {
        self.signals.want_stop(why);
    }

    /// Waits until the trainer has committed `step` steps.
    pub fn await_step(&self, step: u64) {
        while self.progress.alive().step < step {
            std::thread::yield_now();
        }
    }

    /// Waits for the end of the generation, noting what comes before.
    pub fn end(&mut self) -> End {
        loop {
            if let Some(end) = self.note() {
                return end;
            }
        }
    }

    /// Waits for an event that `wanted` takes, before the generation ends.
    pub fn find<T>(&mut self, wanted: impl Fn(&TrainerEvent) -> Option<T>) -> T {
        loop {
            if let Some(found) = self.others.iter().find_map(&wanted) {
                return found;
            }
            let end = self.note();
            assert!(end.is_none(), "{end:?}");
        }
    }

    /// Waits for the next event and notes it, as control would.
    fn note(&mut self) -> Option<End> {
        match self.next() {
            TrainerEvent::Ready(ready) => {
                self.ledger = Ledger::default();
                self.ledger.replace_from(0, &ready.rows).unwrap();
                self.reports.extend(ready.reports);
            }
            TrainerEvent::Committed(batch) => {
                self.ledger.replace_from(batch.first_row, &batch.rows).unwrap();
                // Behind what was broken off, a step is committed whose reports are not whole: they are made anew.
                assert!(self.ledger.steps() - batch.reported <= 1, "{} {}", self.ledger.steps(), batch.reported);
                self.reports.extend(batch.reports.into_iter().filter(|report| step_of(report) <= batch.reported));
            }
            TrainerEvent::Finished { held, outcome, weights } => {
                return Some(End::Finished { held, outcome: *outcome, weights });
            }
            TrainerEvent::Left { held, cause, lost_rank, recent } => {
                return Some(End::Left { held, cause, lost_rank, recent });
            }
            TrainerEvent::Failed { reason, .. } => panic!("a worker failed: {reason}"),
            other => self.others.push_back(other),
        }
        None
    }
}

/// Lets workers, in the order of ranks, enter a generation. Lanes are dealt evenly, the last rank's are the rest.
pub fn begin(number: u64, workers: &mut [Worker], lanes: u32, start: &wire::Start) {
    begin_of(number, &mut workers.iter_mut().collect::<Vec<_>>(), lanes, start);
}

pub fn begin_of(number: u64, workers: &mut [&mut Worker], lanes: u32, start: &wire::Start) {
    begin_recorded(number, workers, lanes, (start, start.step));
}

/// The same where reports are recorded up to a step of their own.
pub fn begin_recorded(
    number: u64,
    workers: &mut [&mut Worker],
    lanes: u32,
    (start, recorded_step): (&wire::Start, u64),
) {
    let count = workers.len() as u32;
    let member = |(rank, worker): (usize, &&mut Worker)| wire::Member {
        worker: format!("w{rank}"),
        node: worker.node.clone(),
        data_address: worker.addresses.0.clone(),
        unix_address: worker.addresses.1.clone(),
        threads: worker.threads,
        lanes: (rank as u32 + 1) * lanes / count - rank as u32 * lanes / count,
    };
    let members: Vec<_> = workers.iter().enumerate().map(member).collect();
    let generation = Generation { number, id: [number as u8; 16] };
    for (rank, worker) in workers.iter_mut().enumerate() {
        let begin = wire::Begin {
            generation: Some(generation.into()),
            secret: vec![9; 32],
            rank: rank as u32,
            members: members.clone(),
            start: Some(start.clone()),
            ledger_rows: 0,
            recorded_step,
            transport: String::new(),
        };
        let reports = std::mem::take(&mut worker.reports);
        worker.signals = Arc::default();
        worker.order(Task::Enter(Box::new(Entry { generation, begin, reports }), worker.signals.clone()));
    }
}

pub fn initial() -> wire::Start {
    wire::Start { from: From::Initial.into(), ..Default::default() }
}

/// From the memory of the one that holds the highest step, which gives it to the others.
pub fn from_memory(ends: &[End]) -> wire::Start {
    let held: Vec<_> = ends.iter().map(End::held).collect();
    let step = held.iter().map(|held| held.step).max().unwrap();
    let source = held.iter().position(|held| held.step == step).unwrap();
    let digest = held[source].digest.clone();
    wire::Start { step, digest, source: source as u32, from: From::Memory.into(), share: true, ..Default::default() }
}

pub fn from_checkpoint(held: wire::Held, name: &str, source: u32) -> wire::Start {
    let wire::Held { step, digest } = held;
    wire::Start { step, digest, source, from: From::Checkpoint.into(), share: true, checkpoint: name.into() }
}

/// Trains a job to its end by workers of (node, threads) each, in rank order; gives rank 0's outcome and ledger, which
/// all agree on.
pub fn train(job: &Job, workers: &[(&str, u32)]) -> (wire::Outcome, Ledger) {
    let nowhere = Path::new("/nowhere");
    let mut workers: Vec<_> = workers.iter().map(|&seat| Worker::prepare(job, nowhere, seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    end_all(&mut workers)
}

/// Waits until all workers have finished all steps.
pub fn end_all(workers: &mut [Worker]) -> (wire::Outcome, Ledger) {
    let mut ended = workers.iter_mut().enumerate().map(|(rank, worker)| match worker.end() {
        End::Finished { held, outcome, weights } => {
            assert_eq!((outcome.stop_reason.as_str(), weights.is_some()), ("completed", rank == 0));
            (wire::Outcome { seconds: 0.0, ..outcome }, worker.ledger.clone(), held)
        }
        left @ End::Left { .. } => panic!("rank {rank}: {left:?}"),
    });
    let first = ended.next().unwrap();
    ended.for_each(|other| assert_eq!(other, first));
    (first.0, first.1)
}

fn step_of(report: &wire::Report) -> u64 {
    use wire::report::Report;
    match report.report.as_ref().expect("a report") {
        Report::Step(step) => step.step,
        Report::Evaluation(evaluation) => evaluation.step,
        Report::Probe(probe) => probe.step,
    }
}

/// All digests of lanes, with the rank that computed them.
pub fn lane_digests(workers: &[Worker]) -> Vec<(usize, wire::LaneDigest)> {
    let of_rank = |(rank, worker): (usize, &Worker)| -> Vec<_> {
        let digest = |event: &TrainerEvent| match event {
            TrainerEvent::LaneDigest(digest) => Some((rank, (**digest).clone())),
            _ => None,
        };
        worker.others.iter().filter_map(digest).collect()
    };
    workers.iter().enumerate().flat_map(of_rank).collect()
}

/// Of three workers that replay each step's lane, one that computes wrongly from its second step on differs from the
/// others. `what` begins the failures' messages.
#[cfg(feature = "fault-points")]
pub fn check_outvoted(job: &Job, what: &str) {
    let worker = |rank: u32| {
        let fault = (rank == 1).then(|| trainer::Fault::Gradient { worker: "1".into(), from_step: 1 });
        Worker::start(job, "/nowhere".as_ref(), ("a", 1), |seat| seat.fault = fault)
    };
    let mut workers: Vec<_> = (0..3).map(worker).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    end_all(&mut workers);
    let lanes = lane_digests(&workers);
    for step in [1, 2, 4, 5] {
        let of = |rank| &lanes.iter().find(|(by, digest)| *by == rank && digest.step == step).unwrap().1.digest;
        assert_eq!(of(0), of(2), "{what}step {step}");
        assert_eq!(of(1) == of(0), step == 1, "{what}step {step}: wrong from the second step on");
    }
}

//! The promise on the trainer alone: the same weights for any split of the lanes over workers, threads and nodes.
//! Workers are threads of this process here; they meet over real sockets and real shared memory.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use lockstep_collective::Endpoint;
use lockstep_proto::identity::Generation;
use lockstep_proto::job::{
    Activation, InstructionSet, Job, LastBatch, LossName, ModelName, OutputActivation, Pooling, Transport,
};
use lockstep_proto::wire;
use lockstep_worker::control::Assignment;
use lockstep_worker::trainer::{self, Seat, Signals};

/// A small job over the shipped MNIST: `lanes` lanes of `micro_batch`, a few steps, a kept short last batch.
fn job(lanes: u32, micro_batch: u32) -> Job {
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
    job
}

fn mlp(lanes: u32, micro_batch: u32) -> Job {
    let mut job = job(lanes, micro_batch);
    job.model.hidden = vec![30];
    job.model.activation = Activation::Sigmoid;
    job.model.output_activation = OutputActivation::Sigmoid;
    job.loss.name = LossName::SquaredError;
    job
}

fn lenet5(lanes: u32, micro_batch: u32) -> Job {
    let mut job = job(lanes, micro_batch);
    job.model.name = ModelName::Lenet5;
    job.model.activation = Activation::Tanh;
    job.model.pooling = Pooling::Average;
    job
}

/// Trains with workers of (node, threads) each, in rank order; returns the weights' SHA-256, which all ranks agree on.
fn train(job: &Job, workers: &[(&str, u32)]) -> String {
    let endpoints: Vec<_> = workers.iter().map(|_| Endpoint::bind(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap()).collect();
    let (count, lanes) = (workers.len() as u32, job.batch.lanes());
    let member = |(rank, ((node, threads), endpoint)): (usize, (&(&str, u32), &Endpoint))| wire::Member {
        worker: format!("w{rank}"),
        node: (*node).into(),
        data_address: endpoint.tcp().to_string(),
        unix_address: endpoint.unix().into(),
        threads: *threads,
        lanes: (rank as u32 + 1) * lanes / count - rank as u32 * lanes / count,
    };
    let members: Vec<_> = workers.iter().zip(&endpoints).enumerate().map(member).collect();
    let generation = Generation { number: 1, id: [7; 16] };
    let run = |(rank, endpoint): (usize, Endpoint)| {
        let begin = wire::Begin {
            generation: Some(generation.into()),
            secret: vec![9; 32],
            rank: rank as u32,
            members: members.clone(),
            job: "test".into(),
            job_toml: job.to_toml(),
        };
        let (events, _inbox) = tokio::sync::mpsc::unbounded_channel();
        let threads = workers[rank].1 as usize;
        let seat = Seat { endpoint, threads, signals: Arc::<Signals>::default(), events };
        let (outcome, weights) = trainer::run(seat, &Assignment { generation, begin }).unwrap();
        assert_eq!(weights.is_some(), rank == 0);
        (outcome.weights_sha256, outcome.steps, outcome.test_error.map(f64::to_bits))
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = endpoints.into_iter().enumerate().map(|seat| scope.spawn(move || run(seat))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "ranks disagree: {outcomes:?}");
    assert_eq!(outcomes[0].1, 6);
    outcomes[0].0.clone()
}

/// All splits give the weights that one worker of one thread gives.
fn check(job: &Job, splits: &[&[(&str, u32)]]) {
    let serial = train(job, &[("a", 1)]);
    for split in splits {
        assert_eq!(train(job, split), serial, "split {split:?}");
    }
    let mut tcp = job.clone();
    tcp.cluster.transport = Transport::Tcp;
    assert_eq!(train(&tcp, &[("a", 1), ("a", 2)]), serial, "over TCP");
}

/// All instruction sets give the weights that `Auto` gives.
fn check_instruction_sets(job: &Job) {
    let serial = train(job, &[("a", 1)]);
    for (name, instruction_set) in
        [("avx512", InstructionSet::Avx512), ("avx2", InstructionSet::Avx2), ("portable", InstructionSet::Portable)]
    {
        let mut other = job.clone();
        other.cluster.instruction_set = instruction_set;
        if !name.parse::<lockstep_kernels::cpu::InstructionSet>().unwrap().is_available() {
            println!("skipped {name}: this processor lacks it");
            continue;
        }
        assert_eq!(train(&other, &[("a", 1)]), serial, "{name}");
    }
}

const SPLITS: [&[(&str, u32)]; 5] = [
    &[("a", 2)],
    &[("a", 1), ("a", 1)],
    &[("a", 1), ("b", 1), ("b", 2)],
    &[("a", 3), ("b", 1)],
    &[("a", 1), ("a", 1), ("b", 1), ("c", 1), ("c", 1)],
];

#[test]
fn mlp_with_a_power_of_two_of_lanes() {
    check(&mlp(4, 8), &SPLITS);
}

#[test]
fn mlp_with_seven_lanes() {
    check(&mlp(7, 5), &SPLITS);
}

#[test]
fn mlp_with_fewer_lanes_than_workers() {
    check(&mlp(3, 16), &SPLITS);
}

#[test]
fn lenet5_with_six_lanes() {
    check(&lenet5(6, 9), &SPLITS);
}

#[test]
fn all_instruction_sets_train_the_same_weights() {
    check_instruction_sets(&mlp(3, 8));
}

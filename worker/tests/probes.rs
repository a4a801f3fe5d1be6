//! Probes through the whole trainer: the same bits for any workers and threads, taken when they are due, made up when a
//! loss has broken them off, and what they come to against what is computed apart.

mod workers;

use std::path::Path;

use lockstep_proto::job::{Job, Probe, ProbeMeasure, ProbeSamples};
use lockstep_proto::wire;
use workers::{End, Worker, begin, begin_recorded, end_all, from_memory, initial, mlp};

fn probe(measure: ProbeMeasure) -> Probe {
    Probe { measure, ..Probe::default() }
}

fn reports(worker: &Worker) -> Vec<wire::ProbeReport> {
    let of = |report: &wire::Report| match &report.report {
        Some(wire::report::Report::Probe(probe)) => Some(probe.clone()),
        _ => None,
    };
    worker.reports.iter().filter_map(of).collect()
}

/// Trains to the end; gives the probes' reports, which all ranks agree on, and the outcome.
fn train(job: &Job, seats: &[(&str, u32)]) -> (Vec<wire::ProbeReport>, wire::Outcome) {
    let mut workers: Vec<_> = seats.iter().map(|&seat| Worker::prepare(job, Path::new("/nowhere"), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    let (outcome, _) = end_all(&mut workers);
    let first = reports(&workers[0]);
    workers.iter().for_each(|worker| assert_eq!(reports(worker), first));
    (first, outcome)
}

/// The value of a figure that is one number.
fn one(report: &wire::ProbeReport, name: &str) -> f64 {
    let values = many(report, name);
    assert_eq!(values.len(), 1, "{name}");
    values[0]
}

fn many<'r>(report: &'r wire::ProbeReport, name: &str) -> &'r [f64] {
    &report.figures.iter().find(|figure| figure.name == name).unwrap_or_else(|| panic!("no {name}")).values
}

const SPLITS: [&[(&str, u32)]; 3] = [&[("a", 2)], &[("a", 1), ("b", 2)], &[("a", 1), ("a", 2), ("b", 1)]];

#[test]
fn probes_are_the_same_bits_for_any_workers_and_leave_the_weights_alone() {
    let mut job = mlp(4, 8);
    let plain = workers::train(&job, &[("a", 1)]).0.weights_sha256;
    job.probe = vec![Probe { every: 2, samples: 45, ..probe(ProbeMeasure::Gap) }];
    let (serial, outcome) = train(&job, &[("a", 1)]);
    assert_eq!(outcome.weights_sha256, plain);
    let steps: Vec<u64> = serial.iter().map(|report| report.step).collect();
    assert_eq!(steps, [2, 4, 6], "the last is the end's");
    for split in SPLITS {
        let (split_reports, outcome) = train(&job, split);
        assert_eq!(split_reports, serial, "{split:?}");
        assert_eq!(outcome.weights_sha256, plain, "{split:?}");
    }
}

#[test]
fn a_probe_that_a_loss_broke_off_is_made_up() {
    let mut job = mlp(2, 8);
    // Over the 59,000 samples held out as well, so that it takes long enough to be broken off.
    job.probe = vec![Probe { every: 3, ..probe(ProbeMeasure::Gap) }];
    let (serial, _) = train(&job, &[("a", 1)]);
    let mut workers: Vec<_> =
        [("a", 1), ("b", 1)].into_iter().map(|seat| Worker::prepare(&job, Path::new("/nowhere"), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    while workers[0].progress.alive().phase != "probe" {
        std::thread::yield_now();
    }
    workers.iter().for_each(Worker::abort);
    let ends: Vec<_> = workers.iter_mut().map(Worker::end).collect();
    assert!(ends.iter().all(|end| matches!(end, End::Left { .. }) && end.held().step == 3), "{ends:?}");
    assert!(reports(&workers[0]).is_empty(), "it was broken off");
    let start = from_memory(&ends);
    begin_recorded(2, &mut workers.iter_mut().collect::<Vec<_>>(), job.batch.lanes(), (&start, start.step - 1));
    end_all(&mut workers);
    assert_eq!(reports(&workers[0]), serial);
}

#[test]
fn the_gap_is_between_the_evaluations() {
    let mut job = mlp(3, 16);
    job.evaluate.every_epochs = 1;
    job.probe = vec![Probe { on: ProbeSamples::Train, ..probe(ProbeMeasure::Gap) }];
    let mut workers = vec![Worker::prepare(&job, Path::new("/nowhere"), ("a", 2))];
    begin(1, &mut workers, job.batch.lanes(), &initial());
    end_all(&mut workers);
    let evaluation = workers[0].reports.iter().rev().find_map(|report| match &report.report {
        Some(wire::report::Report::Evaluation(evaluation)) if evaluation.split == "validation" => Some(evaluation),
        _ => None,
    });
    let evaluation = evaluation.expect("the last epoch's");
    let gap = &reports(&workers[0])[0];
    assert_eq!((gap.step, gap.samples, gap.on.as_str()), (6, job.data.limit, "train"));
    assert_eq!(gap.method, "held out: validation");
    assert_eq!((one(gap, "held_out_loss"), one(gap, "held_out_accuracy")), (evaluation.loss, evaluation.accuracy));
    assert_eq!(one(gap, "loss_gap"), evaluation.loss - one(gap, "train_loss"));
    assert_eq!(one(gap, "accuracy_gap"), one(gap, "train_accuracy") - evaluation.accuracy);
    assert!(one(gap, "train_loss") > 0.0);
}

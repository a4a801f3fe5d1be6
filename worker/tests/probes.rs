//! Probes through the whole trainer: the same bits for any workers and threads, taken when they are due, made up when a
//! loss or a stop has broken them off.

mod workers;

use std::path::Path;

use lockstep_proto::job::{Job, Probe, ProbeMeasure, ProbeSamples};
use lockstep_proto::wire;
use lockstep_worker::control::StopReason;
use workers::{End, Worker, begin, begin_recorded, end_all, from_memory, initial, mlp, probes};

fn probe(measure: ProbeMeasure) -> Probe {
    Probe { measure, ..Probe::default() }
}

/// Trains to the end; gives the probes' reports, which all ranks agree on, and the outcome.
fn train(job: &Job, seats: &[(&str, u32)]) -> (Vec<wire::ProbeReport>, wire::Outcome) {
    let mut workers: Vec<_> = seats.iter().map(|&seat| Worker::prepare(job, Path::new("/nowhere"), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    let (outcome, _) = end_all(&mut workers);
    let first = probes(&workers[0]);
    workers.iter().for_each(|worker| assert_eq!(probes(worker), first));
    (first, outcome)
}

const SPLITS: [&[(&str, u32)]; 3] = [&[("a", 2)], &[("a", 1), ("b", 2)], &[("a", 1), ("a", 2), ("b", 1)]];

#[test]
fn probes_are_the_same_bits_for_any_workers_and_leave_the_weights_alone() {
    let mut job = mlp(4, 8);
    let plain = workers::train(&job, &[("a", 1)]).0.weights_sha256;
    use ProbeMeasure::{Fgsm, Gap, Interpolation, Margins, Noise, Plane, Rotations, Scalings, Shifts, Slice, Weights};
    let few = |measure| Probe { samples: 45, ..probe(measure) };
    job.probe = vec![
        Probe { every: 4, on: ProbeSamples::Train, ..probe(Gap) },
        Probe { points: 5, ..few(Slice) },
        Probe { points: 3, every: 2, ..few(Plane) },
        Probe { points: 5, every: 6, ..few(Interpolation) },
    ];
    job.probe.extend([Margins, Shifts, Rotations, Scalings, Noise, Fgsm].map(few));
    job.probe.push(probe(Weights));
    let (serial, outcome) = train(&job, &[("a", 1)]);
    assert_eq!(outcome.weights_sha256, plain);
    let taken = |step| serial.iter().filter(move |report| report.step == step).map(|report| report.probe.as_str());
    assert_eq!(taken(2).collect::<Vec<_>>(), ["plane"]);
    assert_eq!(taken(4).collect::<Vec<_>>(), ["gap", "plane"]);
    // Behind the last step first those that are due there, then the others.
    let mut all: Vec<&str> = job.probe.iter().map(Probe::title).collect();
    all.sort_by_key(|title| !["plane", "interpolation"].contains(title));
    assert_eq!(taken(6).collect::<Vec<_>>(), all);
    assert_eq!(serial.len(), 3 + all.len());
    for split in SPLITS {
        let (split_reports, outcome) = train(&job, split);
        assert_eq!(split_reports, serial, "{split:?}");
        assert_eq!(outcome.weights_sha256, plain, "{split:?}");
    }
}

/// A job whose probe takes long enough to be broken off: it is over the 59,000 samples held out as well.
fn long() -> Job {
    let mut job = mlp(2, 8);
    job.probe = vec![Probe { every: 3, ..probe(ProbeMeasure::Gap) }];
    job
}

/// Two workers, at the probe behind the third step.
fn at_the_probe(job: &Job) -> Vec<Worker> {
    let seats = [("a", 1), ("b", 1)];
    let mut workers: Vec<_> = seats.into_iter().map(|seat| Worker::prepare(job, Path::new("/nowhere"), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    while workers.iter().any(|worker| worker.progress.alive().phase != "probe") {
        std::thread::yield_now();
    }
    workers
}

/// Goes on from where the reports of the third step are not recorded, to the end; gives all reports of probes.
fn go_on(job: &Job, mut workers: Vec<Worker>, ends: &[End]) -> Vec<wire::ProbeReport> {
    assert!(ends.iter().all(|end| end.held().step == 3), "{ends:?}");
    assert!(probes(&workers[0]).is_empty(), "it was broken off");
    let start = from_memory(ends);
    begin_recorded(2, &mut workers.iter_mut().collect::<Vec<_>>(), job.batch.lanes(), (&start, start.step - 1));
    end_all(&mut workers);
    probes(&workers[0])
}

#[test]
fn a_probe_that_a_loss_broke_off_is_made_up() {
    let job = long();
    let mut workers = at_the_probe(&job);
    workers.iter().for_each(Worker::abort);
    let ends: Vec<_> = workers.iter_mut().map(Worker::end).collect();
    assert!(ends.iter().all(|end| matches!(end, End::Left { .. })), "{ends:?}");
    assert_eq!(go_on(&job, workers, &ends), train(&job, &[("a", 1)]).0);
}

#[test]
fn a_probe_that_a_stop_broke_off_is_made_up() {
    let mut job = long();
    // Each point is a pass, and the stop is in the next.
    job.probe = vec![Probe { every: 3, on: ProbeSamples::Validation, ..probe(ProbeMeasure::Interpolation) }];
    job.probe[0].points = 9;
    let mut workers = at_the_probe(&job);
    workers[1].want_stop(StopReason::Regrouped);
    let ends: Vec<_> = workers.iter_mut().map(Worker::end).collect();
    for end in &ends {
        let End::Finished { outcome, .. } = end else { panic!("it left: {end:?}") };
        assert_eq!(outcome.stop_reason, "regrouped");
    }
    assert_eq!(go_on(&job, workers, &ends), train(&job, &[("a", 1)]).0);
}

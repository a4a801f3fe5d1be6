//! Jobs that are done before all of their steps: after the same step whoever trains them, and through restarts.

mod workers;

use lockstep_proto::job::Job;
use lockstep_proto::wire;
use lockstep_worker::control::StopReason;
use workers::{End, Worker, begin, from_checkpoint, from_memory, initial, mlp};

/// Evaluations every three steps on 1,000 held-out samples.
fn job() -> Job {
    let mut job = mlp(4, 8);
    (job.data.limit, job.data.validation) = (3200, 1000);
    job.evaluate.every_steps = 3;
    job.schedule.epochs = 3;
    job.optimizer.learning_rate = 1.0;
    job
}

/// Outcomes of all workers, without their time, and rank 0's digest.
fn end_all(workers: &mut [Worker]) -> (wire::Outcome, wire::Held) {
    let mut ends = workers.iter_mut().map(|worker| match worker.end() {
        End::Finished { held, outcome, .. } => (wire::Outcome { seconds: 0.0, ..outcome }, held),
        left @ End::Left { .. } => panic!("{left:?}"),
    });
    let first = ends.next().unwrap();
    ends.for_each(|other| assert_eq!(other, first));
    first
}

fn train(job: &Job, seats: &[(&str, u32)]) -> (wire::Outcome, wire::Held) {
    let mut workers: Vec<_> = seats.iter().map(|&seat| Worker::prepare(job, "/nowhere".as_ref(), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    end_all(&mut workers)
}

/// The step and reason of the stop, for one worker and for three.
fn stop_of(job: &Job) -> (u64, String) {
    let (outcome, held) = train(job, &[("a", 1)]);
    assert_eq!(train(job, &[("a", 1), ("a", 2), ("b", 1)]), (outcome.clone(), held));
    assert!(outcome.test_error.is_some() && !outcome.weights_sha256.is_empty());
    (outcome.steps, outcome.stop_reason)
}

/// Score of each evaluation of the held-out samples of a job without stops, by step.
fn evaluations(job: &Job) -> Vec<(u64, f64, f64)> {
    let mut worker = Worker::prepare(job, "/nowhere".as_ref(), ("a", 1));
    begin(1, std::slice::from_mut(&mut worker), job.batch.lanes(), &initial());
    end_all(std::slice::from_mut(&mut worker));
    let evaluation = |report: &wire::Report| match report.report.as_ref()? {
        wire::report::Report::Evaluation(e) if e.split == "validation" => Some((e.step, e.loss, e.accuracy)),
        _ => None,
    };
    worker.reports.iter().filter_map(evaluation).collect()
}

#[test]
fn targets_and_plateaus_stop_at_the_evaluation_that_shows_them() {
    let mut job = job();
    let evaluations = evaluations(&job);
    assert_eq!(evaluations.iter().map(|(step, ..)| *step).take(3).collect::<Vec<_>>(), [3, 6, 9]);

    let target = evaluations[40].2;
    let expected = evaluations.iter().find(|(.., accuracy)| *accuracy >= target).unwrap().0;
    job.schedule.target_accuracy = target;
    assert_eq!(stop_of(&job), (expected, "target".to_owned()));

    (job.schedule.target_accuracy, job.schedule.target_loss) = (0.0, evaluations[30].1);
    let expected = evaluations.iter().find(|(_, loss, _)| *loss <= evaluations[30].1).unwrap().0;
    assert_eq!(stop_of(&job), (expected, "target".to_owned()));

    (job.schedule.target_loss, job.schedule.patience) = (0.0, 2);
    let (mut lowest, mut since) = (f64::INFINITY, 0);
    let plateau = evaluations.iter().find(|(_, loss, _)| {
        since = if *loss < lowest { 0 } else { since + 1 };
        lowest = lowest.min(*loss);
        since == 2
    });
    assert_eq!(stop_of(&job), (plateau.expect("a rate this high oscillates").0, "plateau".to_owned()));

    // A target that is out of reach.
    (job.schedule.patience, job.schedule.target_accuracy, job.schedule.max_steps) = (0, 1.0, 20);
    assert_eq!(stop_of(&job), (20, "completed".to_owned()));
}

/// What evaluations came to is in the state: stops, a newcomer and a checkpoint change nothing.
#[test]
fn a_plateau_is_the_same_through_restarts() {
    let mut job = job();
    job.schedule.patience = 25;
    let (expected, expected_held) = train(&job, &[("a", 1)]);
    assert_eq!((expected.stop_reason.as_str(), expected.steps), ("plateau", 81));

    let folder = tempfile::tempdir().unwrap();
    let prepare = |node| Worker::prepare(&job, folder.path(), (node, 1));
    let lanes = job.batch.lanes();
    let mut workers: Vec<_> = ["a", "b"].into_iter().map(prepare).collect();
    begin(1, &mut workers, lanes, &initial());
    // Each stop comes before, at or behind an evaluation.
    for (generation, step) in [(2, 10), (3, 25), (4, 40)] {
        let ends = stop(&mut workers, step, StopReason::Regrouped);
        begin(generation, &mut workers, lanes, &from_memory(&ends));
    }
    let held = stop(&mut workers, 55, StopReason::Interrupted)[0].held();
    drop(workers);
    let mut fresh = vec![prepare("c")];
    let name = fresh[0].prepared.checkpoint_name.clone();
    assert_eq!(fresh[0].prepared.checkpoint.as_ref(), Some(&held));
    begin(9, &mut fresh, lanes, &from_checkpoint(held, &name, 0));
    assert_eq!(end_all(&mut fresh), (expected, expected_held));
}

/// Of each epoch of a job whose epochs are `steps` long, the mean training loss in the order of steps.
fn epoch_losses(job: &Job, steps: usize) -> Vec<f64> {
    let mut job = job.clone();
    job.metrics.every = 1;
    let mut worker = Worker::prepare(&job, "/nowhere".as_ref(), ("a", 1));
    begin(1, std::slice::from_mut(&mut worker), job.batch.lanes(), &initial());
    end_all(std::slice::from_mut(&mut worker));
    let loss = |report: &wire::Report| match report.report.as_ref()? {
        wire::report::Report::Step(step) => Some(step.loss),
        _ => None,
    };
    let losses: Vec<f64> = worker.reports.iter().filter_map(loss).collect();
    let samples = f64::from(job.batch.size);
    losses
        .chunks(steps)
        .map(|epoch| epoch.iter().map(|loss| loss * samples).sum::<f64>() / (samples * steps as f64))
        .collect()
}

/// Epochs of 50 steps, no samples held out, and the test samples left alone.
fn untested_job() -> Job {
    let mut job = workers::job(4, 8);
    job.model.hidden = vec![30];
    (job.data.limit, job.data.validation) = (1600, 0);
    (job.evaluate.test, job.evaluate.every_epochs) = (false, 1);
    job.schedule.epochs = 6;
    job
}

#[test]
fn a_training_loss_stops_at_the_end_of_its_epoch_through_restarts() {
    let mut job = untested_job();
    let losses = epoch_losses(&job, 50);
    assert!(losses.len() == 6 && losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    // The very mean is low enough; the next number below is not.
    job.schedule.target_train_loss = losses[3];
    let (expected, expected_held) = train(&job, &[("a", 1)]);
    assert_eq!((expected.steps, expected.epochs, expected.stop_reason.as_str()), (200, 4, "target"));
    assert_eq!((expected.train_loss, expected.test_error, expected.test_loss), (losses[3], None, None));
    assert_eq!(train(&job, &[("a", 2), ("b", 1)]), (expected.clone(), expected_held.clone()));
    job.schedule.target_train_loss = losses[3].next_down();
    assert_eq!(train(&job, &[("a", 1)]).0.steps, 250);
    // The last epoch may reach it too; a batch that ends the job amid an epoch does not.
    (job.schedule.target_train_loss, job.schedule.max_steps) = (losses[3], 200);
    assert_eq!(train(&job, &[("a", 1)]).0.stop_reason, "target");
    (job.schedule.target_train_loss, job.schedule.max_steps) = (1e3, 7);
    assert_eq!(train(&job, &[("a", 1)]).0.stop_reason, "completed");
    (job.schedule.target_train_loss, job.schedule.max_steps) = (losses[3], 0);

    // One that is stopped within an epoch, and goes on with a newcomer.
    job.checkpoint.every_epochs = 1;
    let folder = tempfile::tempdir().unwrap();
    let lanes = job.batch.lanes();
    let prepare = |node| Worker::prepare(&job, folder.path(), (node, 1));
    let mut workers = vec![prepare("a")];
    begin(1, &mut workers, lanes, &initial());
    let ends = stop(&mut workers, 23, StopReason::Regrouped);
    workers.push(prepare("b"));
    begin(2, &mut workers, lanes, &from_memory(&ends));
    assert_eq!(end_all(&mut workers), (expected.clone(), expected_held.clone()));
    // A generation that starts right there takes no step more.
    drop(workers);
    let mut fresh = vec![prepare("c")];
    let name = fresh[0].prepared.checkpoint_name.clone();
    assert_eq!(fresh[0].prepared.checkpoint.as_ref(), Some(&expected_held));
    begin(9, &mut fresh, lanes, &from_checkpoint(expected_held.clone(), &name, 0));
    assert_eq!(end_all(&mut fresh), (expected, expected_held));
}

/// Has all workers stop behind `step`, well before the plateau.
fn stop(workers: &mut [Worker], step: u64, why: StopReason) -> Vec<End> {
    workers[0].await_step(step);
    workers[0].want_stop(why);
    let ends: Vec<End> = workers.iter_mut().map(Worker::end).collect();
    for end in &ends {
        let End::Finished { outcome, .. } = end else { panic!("{end:?}") };
        assert!(!["plateau", "target"].contains(&outcome.stop_reason.as_str()), "{outcome:?}");
    }
    ends
}

#[test]
fn time_is_over_for_all_after_the_same_step() {
    let mut job = job();
    job.schedule.max_minutes = 1e-12;
    assert_eq!(stop_of(&job), (1, "time".to_owned()));
    job.schedule.max_minutes = 1000.0;
    job.schedule.max_steps = 5;
    assert_eq!(stop_of(&job), (5, "completed".to_owned()));
}

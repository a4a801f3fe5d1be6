//! One job through many generations ends in the same weights and the same ledger as without any fault.

mod workers;

use lockstep_proto::job::Job;
use lockstep_proto::wire;
use lockstep_worker::control::{StopReason, TrainerEvent};
#[cfg(feature = "fault-points")]
use workers::check_outvoted;
use workers::{End, Worker, begin, begin_of, end_all, from_checkpoint, from_memory, initial, lane_digests, mlp};

/// Enough steps to be interrupted in.
fn long_job() -> Job {
    let mut job = mlp(4, 8);
    job.data.limit = 400 * 32 + 17;
    job.data.validation = 40_000;
    job.schedule.epochs = 4;
    job.metrics.every = 100;
    job
}

fn end_each<'a>(workers: impl IntoIterator<Item = &'a mut Worker>) -> Vec<End> {
    workers.into_iter().map(Worker::end).collect()
}

/// All have left, none further than a step from another.
fn assert_left(ends: &[End]) {
    let steps: Vec<_> = ends.iter().map(|end| end.held().step).collect();
    assert!(steps.iter().max().unwrap() - steps.iter().min().unwrap() <= 1, "{steps:?}");
    for end in ends {
        let End::Left { cause, recent, .. } = end else { panic!("{end:?}") };
        assert!(cause.contains("aborted") && !recent.is_empty(), "{cause} {recent:?}");
    }
}

fn written(event: &TrainerEvent) -> Option<wire::CheckpointWritten> {
    match event {
        TrainerEvent::CheckpointWritten(written) => Some((**written).clone()),
        _ => None,
    }
}

#[test]
fn losses_newcomers_and_checkpoints_do_not_show_in_the_result() {
    let job = long_job();
    let (serial, serial_ledger) = workers::train(&job, &[("a", 1)]);
    let folder = tempfile::tempdir().unwrap();
    let prepare = |node| Worker::prepare(&job, folder.path(), (node, 1));
    let lanes = job.batch.lanes();

    let mut workers: Vec<_> = ["a", "a", "b"].into_iter().map(prepare).collect();
    begin(1, &mut workers, lanes, &initial());
    workers[2].await_step(130);
    workers.iter().for_each(Worker::abort);
    let mut ends = end_each(&mut workers);
    assert_left(&ends);

    // Two survivors, one of them was rank 2.
    let _lost = (workers.remove(1), ends.remove(1));
    begin(2, &mut workers, lanes, &from_memory(&ends));
    workers[0].await_step(300);
    workers[1].want_stop(StopReason::Regrouped);
    let ends = end_each(&mut workers);
    assert!(ends.iter().all(|end| end.held() == ends[0].held() && matches!(end, End::Finished { .. })), "{ends:?}");

    // A newcomer without any state, even as rank 0.
    let mut newcomer = prepare("c");
    let mut start = from_memory(&ends);
    start.source += 1;
    let [first, second] = &mut workers[..] else { unreachable!() };
    begin_of(3, &mut [&mut newcomer, first, second], lanes, &start);
    newcomer.await_step(500);
    second.want_stop(StopReason::Interrupted);
    let ends = end_each([&mut newcomer, first, second]);
    assert!(ends.iter().all(|end| end.held() == ends[0].held() && matches!(end, End::Finished { .. })), "{ends:?}");
    let checkpoint = newcomer.others.iter().find_map(written).expect("written before it is told");
    assert_eq!((checkpoint.step, &checkpoint.digest), (ends[0].held().step, &ends[0].held().digest));
    drop((newcomer, workers));

    // All memory is lost.
    let mut workers: Vec<_> = ["d", "d"].into_iter().map(prepare).collect();
    let held = workers[1].prepared.checkpoint.clone().unwrap();
    assert_eq!((held.step, &held.digest), (checkpoint.step, &checkpoint.digest));
    assert_eq!(workers[1].prepared.checkpoint_name, checkpoint.name);
    begin(4, &mut workers, lanes, &from_checkpoint(held, &checkpoint.name, 1));
    let (outcome, ledger) = end_all(&mut workers);
    assert_eq!(outcome, serial);
    assert_eq!(ledger.across_generations(), serial_ledger.across_generations());
    let generations: Vec<_> = ledger.rows().iter().map(|row| row.generation).collect();
    assert_eq!((generations.first(), generations.last()), (Some(&1), Some(&4)), "{generations:?}");
    assert!(generations.contains(&2) && generations.contains(&3), "{generations:?}");

    // A start that makes no sense is left with the state that was held before; who waits for it is told to leave.
    begin(5, &mut workers, lanes, &from_checkpoint(wire::Held::default(), "step-000000000000-g0", 0));
    let first = workers[0].end();
    let End::Left { cause, .. } = &first else { panic!("{first:?}") };
    assert!(cause.contains("step-000000000000-g0"), "{cause}");
    workers[1].abort();
    let ends = [first, workers[1].end()];
    assert!(ends.iter().all(|end| end.held().step == serial.steps), "{ends:?}");

    // Nothing is left to do, which is done again, also with a newcomer.
    workers.push(prepare("d"));
    begin(6, &mut workers, lanes, &from_memory(&ends));
    assert_eq!(end_all(&mut workers).0, serial);
}

#[test]
fn a_state_that_is_not_the_one_that_was_meant_is_refused() {
    let mut job = mlp(2, 8);
    job.schedule.max_steps = 2;
    let mut workers = vec![Worker::prepare(&job, "/nowhere".as_ref(), ("a", 1))];
    begin(1, &mut workers, 2, &initial());
    end_all(&mut workers);
    let start = wire::Start { step: 2, digest: "0123".into(), from: wire::start::From::Memory.into(), ..initial() };
    begin(2, &mut workers, 2, &start);
    let End::Left { held, cause, .. } = workers[0].end() else { panic!("it trained on") };
    assert_eq!(held.unwrap().step, 2);
    assert!(cause.contains("0123"), "{cause}");
}

#[test]
fn an_interrupted_job_is_on_disk_before_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let job = long_job();
    let mut workers: Vec<_> =
        ["a", "b"].into_iter().map(|node| Worker::prepare(&job, folder.path(), (node, 1))).collect();
    assert!(workers[0].prepared.checkpoint.is_none() && workers[0].prepared.sees_run_folder);
    begin(1, &mut workers, job.batch.lanes(), &initial());
    workers[0].await_step(10);
    workers[0].want_stop(StopReason::Interrupted);
    let ends = end_each(&mut workers);
    let End::Finished { held, outcome, .. } = &ends[0] else { panic!("{ends:?}") };
    assert_eq!((held, outcome.stop_reason.as_str()), (&ends[1].held(), "interrupted"));
    let written = workers[0].others.iter().find_map(written).expect("before the end is told");
    assert_eq!((written.step, &written.digest), (held.step, &held.digest));
    let fresh = Worker::prepare(&job, folder.path(), ("a", 1));
    assert_eq!(fresh.prepared.checkpoint.as_ref(), Some(held));
}

#[test]
fn digests_of_states_and_lanes_agree() {
    let mut job = mlp(6, 8);
    job.cluster.digest_every = 2;
    job.cluster.replay_every = 1;
    let seats = [("a", 1), ("a", 2), ("b", 1)];
    let mut workers: Vec<_> = seats.into_iter().map(|seat| Worker::prepare(&job, "/nowhere".as_ref(), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    end_all(&mut workers);
    let states = |worker: &Worker| -> Vec<wire::StateDigest> {
        let digest = |event: &TrainerEvent| match event {
            TrainerEvent::StateDigest(digest) => Some((**digest).clone()),
            _ => None,
        };
        worker.others.iter().filter_map(digest).collect()
    };
    let first = states(&workers[0]);
    assert_eq!(first.iter().map(|digest| digest.step).collect::<Vec<_>>(), [2, 4, 6]);
    assert_eq!(first[0].names[..2], ["parameters/fc2.weight", "parameters/fc2.bias"]);
    workers.iter().for_each(|worker| assert_eq!(states(worker), first));

    let lanes = lane_digests(&workers);
    // The last step of each epoch has a short batch.
    for step in [1, 2, 4, 5] {
        let of_step: Vec<_> = lanes.iter().filter(|(_, digest)| digest.step == step).collect();
        assert_eq!(of_step.len(), 3, "step {step}: {of_step:?}");
        assert_eq!(of_step.iter().filter(|(_, digest)| digest.owner).count(), 1);
        assert!(of_step.iter().all(|(_, digest)| digest.digest == of_step[0].1.digest), "{of_step:?}");
    }
    assert_eq!(lanes.len(), 12);
}

/// Whoever holds a lane of a small batch, others replay it.
#[test]
fn lanes_of_growing_batches_are_replayed() {
    let mut job = mlp(1, 8);
    job.batch.growth = vec![(1, 24)];
    job.cluster.replay_every = 1;
    let seats = [("a", 1), ("a", 1), ("b", 1)];
    let mut workers: Vec<_> = seats.into_iter().map(|seat| Worker::prepare(&job, "/nowhere".as_ref(), seat)).collect();
    begin(1, &mut workers, job.batch.lanes(), &initial());
    end_all(&mut workers);
    let lanes = lane_digests(&workers);
    // 33 samples: four batches of 8 and one of 1, then one of 24 and one of 9.
    for step in [1, 2, 3, 4, 6] {
        let of_step: Vec<_> = lanes.iter().filter(|(_, digest)| digest.step == step).collect();
        assert_eq!(of_step.iter().filter(|(_, digest)| digest.owner).count(), 1, "step {step}: {of_step:?}");
        assert_eq!(of_step.len(), 3, "step {step}: {of_step:?}");
        assert!(of_step.iter().all(|(_, digest)| digest.digest == of_step[0].1.digest), "{of_step:?}");
    }
    assert_eq!(lanes.len(), 15);
}

#[cfg(feature = "fault-points")]
#[test]
fn a_worker_that_computes_wrongly_is_outvoted() {
    let mut job = mlp(6, 8);
    job.cluster.replay_every = 1;
    check_outvoted(&job, "");
}

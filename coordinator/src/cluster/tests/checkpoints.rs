//! Checkpoints: which are kept, and what happens where there is no room.

use expect_test::expect;

use super::{RUNNING, check, check_after};

#[test]
fn the_last_few_those_at_multiples_and_the_best_are_kept() {
    check(
        "agent A joins with 1 slots
        quietly submit J workers 1 keep_last 2 keep_every 100 keep_best
        quietly J gets ready
        quietly J.0 reports to 50 test 0.9
        J.0 writes checkpoint 50
        quietly J.0 reports to 100 test 0.8
        J.0 writes checkpoint 100
        quietly J.0 reports to 150 test 0.7
        J.0 writes checkpoint 150
        J.0 writes checkpoint 200
        J.0 writes checkpoint 250
        the coordinator restarts
        quietly agent A joins again
        quietly J.0 comes back
        J.0 writes checkpoint 300",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            quietly submit J workers 1 keep_last 2 keep_every 100 keep_best
            quietly J gets ready
            quietly J.0 reports to 50 test 0.9
            J.0 writes checkpoint 50
                save checkpoints [step-50]
            quietly J.0 reports to 100 test 0.8
            J.0 writes checkpoint 100
                save checkpoints [step-50, step-100]
            quietly J.0 reports to 150 test 0.7
            J.0 writes checkpoint 150
                save checkpoints [step-50, step-100, step-150]
            J.0 writes checkpoint 200
                save checkpoints [step-50, step-100, step-150, step-200]
            J.0 writes checkpoint 250
                save checkpoints [step-50, step-100, step-200, step-250]
                tell J.0 to delete step-150
            the coordinator restarts
                save J as recovering
            quietly agent A joins again
            quietly J.0 comes back
            J.0 writes checkpoint 300
                save checkpoints [step-50, step-100, step-200, step-250, step-300]
        "#]],
    );
}

#[test]
fn a_full_disk_pauses_until_there_is_room() {
    check_after(
        RUNNING,
        "J.0 has no room for checkpoint 50
        J.0 finishes regrouped at 60
        J.1 finishes regrouped at 60
        wait 60
        J.0 writes checkpoint 50",
        expect![[r#"
            J.0 has no room for checkpoint 50
                save J as paused
                tell watchers of J: rank 0 on host host-A could not write the checkpoint of step 50: no space left on device: goes on when there is room
                log: rank 0 on host host-A could not write the checkpoint of step 50: no space left on device
                tell J.0 to stop: regrouped
                tell J.1 to stop: regrouped
                log: generation 1 ends after the step in flight: regrouped
            J.0 finishes regrouped at 60
            J.1 finishes regrouped at 60
                save J as paused
            wait 60
            J.0 writes checkpoint 50
                save checkpoints [step-50]
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [2, 3]
                log: there is room for checkpoints again
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 60 (memory of rank 0)
                tell J.1 to begin 2 as rank 1 of [2, 3] from step 60 (memory of rank 0)
        "#]],
    );
}

#[test]
fn who_waits_for_room_and_is_lost_holds_up_nobody() {
    check_after(
        RUNNING,
        "quietly J.0 has no room for checkpoint 50
        quietly J.0 finishes regrouped at 60
        quietly J.1 finishes regrouped at 60
        J.0 ends",
        expect![[r#"
            quietly J.0 has no room for checkpoint 50
            quietly J.0 finishes regrouped at 60
            quietly J.1 finishes regrouped at 60
            J.0 ends
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                log: lost a worker on host host-A: killed by SIGKILL
                tell J.1 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
                start J.2 on A
        "#]],
    );
}

#[test]
fn a_job_that_waits_for_room_can_be_cancelled() {
    check_after(
        RUNNING,
        "quietly pause J
        quietly J.0 has no room for checkpoint 51
        J.1 finishes paused at 51
        cancel J
        J.0 left at 51",
        expect![[r#"
            quietly pause J
            quietly J.0 has no room for checkpoint 51
            J.1 finishes paused at 51
            cancel J
                save J as stopping
                tell watchers of J: cancelled by a user: stops after the step in flight
                tell J.0 to abort 1: cancelled by a user
                answer J
            J.0 left at 51
                close run as cancelled
                save J as cancelled
                tell watchers of J: cancelled by a user
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn a_job_that_waits_for_room_goes_on_after_a_restart() {
    check_after(
        RUNNING,
        "quietly J.0 has no room for checkpoint 50
        quietly J.0 finishes regrouped at 60
        quietly J.1 finishes regrouped at 60
        the coordinator restarts
        quietly agent A joins again
        quietly agent B joins again
        J.0 comes back
        J.1 comes back",
        expect![[r#"
            quietly J.0 has no room for checkpoint 50
            quietly J.0 finishes regrouped at 60
            quietly J.1 finishes regrouped at 60
            the coordinator restarts
                save J as recovering
            quietly agent A joins again
            quietly agent B joins again
            J.0 comes back
                welcome J.0
                acknowledge to J.0: 0 rows, step 50
                ignore: the outcome of worker J.0 for generation 1-853c is ignored: the job's is none
            J.1 comes back
                welcome J.1
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [2, 3]
                acknowledge to J.1: 0 rows, step 50
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 60 (memory of rank 0)
                tell J.1 to begin 2 as rank 1 of [2, 3] from step 60 (memory of rank 0)
        "#]],
    );
}

#[test]
fn a_checkpoint_that_can_not_be_written_is_told() {
    check_after(
        RUNNING,
        "checkpoint J
        J.0 can not write 51",
        expect![[r#"
            checkpoint J
                tell J.0 to write a checkpoint
            J.0 can not write 51
                tell watchers of J: rank 0 on host host-A could not write the checkpoint of step 51: permission denied
                log: rank 0 on host host-A could not write the checkpoint of step 51: permission denied
                answer no: job J is running: rank 0 on host host-A could not write the checkpoint of step 51: permission denied
        "#]],
    );
}

#[test]
fn a_full_disk_of_the_coordinator_is_tried_again() {
    check_after(
        RUNNING,
        "disk of J is full
        J.0 finishes regrouped at 60
        J.1 finishes regrouped at 60
        wait 2
        J.0 is ready
        J.1 is ready
        J.0 reports all again",
        expect![[r#"
            disk of J is full
                save J as paused
                tell watchers of J: the coordinator's disk is full: no space left on device: goes on when there is room
                tell J.0 to stop: regrouped
                tell J.1 to stop: regrouped
                log: generation 1 ends after the step in flight: regrouped
            J.0 finishes regrouped at 60
            J.1 finishes regrouped at 60
                save J as paused
            wait 2
                void above step 60, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [2, 3]
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 60 (memory of rank 0)
                tell J.1 to begin 2 as rank 1 of [2, 3] from step 60 (memory of rank 0)
            J.0 is ready
            J.1 is ready
                save J as running
                tell watchers of J: 2 workers ready: generation 2
            J.0 reports all again
                append 1 rows from 0, 1 reports, step 50
                acknowledge to J.0: 0 rows, step 50
        "#]],
    );
}

#[test]
fn a_broken_disk_of_the_coordinator_ends_the_job() {
    check_after(
        RUNNING,
        "disk of J fails",
        expect![[r#"
        disk of J fails
            close run as failed
            save J as failed
            tell watchers of J: no space left on device
            tell J.0 to abort 1: no space left on device
            tell J.1 to abort 1: no space left on device
            tell J.0 to leave
            tell J.1 to leave
    "#]],
    );
}

#[test]
fn a_job_that_never_ran_and_can_not_be_stored_has_failed() {
    check(
        "submit J workers 1
        disk of J is full",
        expect![[r#"
            submit J workers 1
                make /runs/J
                save J as queued
                answer J
                tell watchers of J: waits for 1 slot: no agent has joined
            disk of J is full
                close run as failed
                save J as failed
                tell watchers of J: no space left on device
        "#]],
    );
}

//! What users and signals want: cancel, pause, resume, interrupt, a checkpoint.

use expect_test::expect;

use super::{RUNNING, check, check_after};

#[test]
fn a_running_job_is_cancelled_after_the_step_in_flight() {
    check_after(
        RUNNING,
        "cancel J
        J.0 finishes cancelled at 51
        J.1 finishes cancelled at 51
        cancel J",
        expect![[r#"
            cancel J
                save J as stopping
                tell watchers of J: cancelled by a user: stops after the step in flight
                tell J.0 to stop: cancelled
                tell J.1 to stop: cancelled
                answer J
            J.0 finishes cancelled at 51
            J.1 finishes cancelled at 51
                close run as cancelled
                save J as cancelled
                tell watchers of J: cancelled after step 51
                tell J.0 to leave
                tell J.1 to leave
            cancel J
                answer no: job J has ended: it is cancelled
        "#]],
    );
}

#[test]
fn a_job_is_cancelled_at_once_where_no_step_is_in_flight() {
    check(
        "submit J workers 1
        cancel J
        agent A joins with 1 slots
        quietly submit K workers 1
        cancel K
        quietly submit L workers 1
        K.0 ends
        quietly L.0 joins
        quietly L.0 is prepared
        cancel L
        L.0 left at 0
        quietly submit M workers 1
        pause M
        cancel M",
        expect![[r#"
            submit J workers 1
                make /runs/J
                save J as queued
                answer J
                tell watchers of J: waits for 1 slot: no agent has joined
            cancel J
                close run as cancelled
                save J as cancelled
                tell watchers of J: cancelled by a user
                answer J
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            quietly submit K workers 1
            cancel K
                close run as cancelled
                save K as cancelled
                tell watchers of K: cancelled by a user
                end K.0 on A: job K has no more use for it
                answer K
            quietly submit L workers 1
            K.0 ends
                save L as starting
                tell watchers of L: starts 1 worker
                start L.0 on A
            quietly L.0 joins
            quietly L.0 is prepared
            cancel L
                save L as stopping
                tell watchers of L: cancelled by a user: stops after the step in flight
                tell L.0 to abort 1: cancelled by a user
                answer L
            L.0 left at 0
                close run as cancelled
                save L as cancelled
                tell watchers of L: cancelled by a user
                tell L.0 to leave
            quietly submit M workers 1
            pause M
                save M as paused
                tell watchers of M: paused by a user while queued
                answer M
            cancel M
                close run as cancelled
                save M as cancelled
                tell watchers of M: cancelled by a user
                answer M
        "#]],
    );
}

#[test]
fn a_running_job_is_paused_and_resumed() {
    check_after(
        RUNNING,
        "pause J
        pause J
        quietly J.0 writes checkpoint 51
        J.0 finishes paused at 51
        J.1 finishes paused at 51
        J.0 ends with code 0
        J.1 ends with code 0
        resume J
        resume J",
        expect![[r#"
            pause J
                save J as pausing
                tell watchers of J: paused by a user: stops after the step in flight
                tell J.0 to stop: paused
                tell J.1 to stop: paused
                answer J
            pause J
                answer no: job J is pausing: it is paused already
            quietly J.0 writes checkpoint 51
            J.0 finishes paused at 51
            J.1 finishes paused at 51
                save J as paused
                tell watchers of J: paused by a user after step 51
                tell J.0 to leave
                tell J.1 to leave
            J.0 ends with code 0
            J.1 ends with code 0
            resume J
                save J as queued
                tell watchers of J: resumed by a user
                answer J
                save J as recovering
                tell watchers of J: starts 2 workers
                start J.2 on A
                start J.3 on B
            resume J
                answer no: job J is recovering: only a paused job can be resumed
        "#]],
    );
}

#[test]
fn a_pause_that_is_taken_back_in_time_costs_nothing() {
    check_after(
        RUNNING,
        "pause J
        resume J
        J.0 finishes paused at 51
        J.1 finishes paused at 51",
        expect![[r#"
            pause J
                save J as pausing
                tell watchers of J: paused by a user: stops after the step in flight
                tell J.0 to stop: paused
                tell J.1 to stop: paused
                answer J
            resume J
                save J as running
                tell watchers of J: resumed by a user
                answer J
            J.0 finishes paused at 51
            J.1 finishes paused at 51
                save J as recovering
                tell watchers of J: generation 2 from step 51 (memory): 5 lanes dealt as [2, 3]
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 51 (memory of rank 0)
                tell J.1 to begin 2 as rank 1 of [2, 3] from step 51 (memory of rank 0)
        "#]],
    );
}

#[test]
fn a_job_that_starts_is_paused_at_once() {
    check(
        "agent A joins with 1 slots
        quietly submit J workers 1
        pause J
        J.0 ends
        resume J",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            quietly submit J workers 1
            pause J
                save J as paused
                tell watchers of J: paused by a user after step 0
                end J.0 on A: job J has no more use for it
                answer J
            J.0 ends
            resume J
                save J as queued
                tell watchers of J: resumed by a user
                answer J
                save J as starting
                tell watchers of J: starts 1 worker
                start J.1 on A
        "#]],
    );
}

#[test]
fn a_pause_while_workers_are_lost_saves_what_they_hold() {
    check_after(
        RUNNING,
        "quietly J.1 ends
        pause J
        J.0 left at 60
        J.0 is ready
        quietly J.0 writes checkpoint 61
        J.0 finishes paused at 61",
        expect![[r#"
            quietly J.1 ends
            pause J
                save J as pausing
                tell watchers of J: paused by a user: stops after the step in flight
                answer J
            J.0 left at 60
                save J as pausing
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
            J.0 is ready
                tell watchers of J: paused by a user: stops after the step in flight
                tell J.0 to stop: paused
            quietly J.0 writes checkpoint 61
            J.0 finishes paused at 61
                save J as paused
                tell watchers of J: paused by a user after step 61
                tell J.0 to leave
                end J.2 on B: job J has no more use for it
        "#]],
    );
}

#[test]
fn a_cancel_goes_before_a_pause() {
    check_after(
        RUNNING,
        "pause J
        cancel J
        J.0 finishes paused at 51
        J.1 finishes paused at 51",
        expect![[r#"
            pause J
                save J as pausing
                tell watchers of J: paused by a user: stops after the step in flight
                tell J.0 to stop: paused
                tell J.1 to stop: paused
                answer J
            cancel J
                save J as stopping
                tell watchers of J: cancelled by a user: stops after the step in flight
                tell J.0 to stop: cancelled
                tell J.1 to stop: cancelled
                answer J
            J.0 finishes paused at 51
            J.1 finishes paused at 51
                close run as cancelled
                save J as cancelled
                tell watchers of J: cancelled after step 51
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn a_signal_ends_all_jobs_and_the_second_does_not_wait() {
    check_after(
        RUNNING,
        "quietly submit K workers 2
        interrupt
        interrupt
        wait 5",
        expect![[r#"
            quietly submit K workers 2
            interrupt
                save J as stopping
                tell watchers of J: stopped by Ctrl-C: stops after the step in flight
                tell J.0 to stop: interrupted
                tell J.1 to stop: interrupted
                close run as interrupted
                save K as interrupted
                tell watchers of K: stopped by Ctrl-C
            interrupt
                close run as interrupted
                save J as interrupted
                tell watchers of J: stopped by Ctrl-C twice
                tell J.0 to abort 1: stopped by Ctrl-C
                tell J.1 to abort 1: stopped by Ctrl-C
                tell J.0 to leave
                tell J.1 to leave
            wait 5
                end J.0 on A: it did not leave within 5 s
                end J.1 on B: it did not leave within 5 s
        "#]],
    );
}

#[test]
fn a_signal_is_obeyed_with_a_checkpoint() {
    check_after(
        RUNNING,
        "interrupt
        quietly J.0 writes checkpoint 51
        J.0 finishes interrupted at 51
        J.1 finishes interrupted at 51",
        expect![[r#"
            interrupt
                save J as stopping
                tell watchers of J: stopped by Ctrl-C: stops after the step in flight
                tell J.0 to stop: interrupted
                tell J.1 to stop: interrupted
            quietly J.0 writes checkpoint 51
            J.0 finishes interrupted at 51
            J.1 finishes interrupted at 51
                close run as interrupted
                save J as interrupted
                tell watchers of J: interrupted after step 51
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn a_checkpoint_that_is_asked_for_is_answered_when_on_disk() {
    check_after(
        RUNNING,
        "checkpoint J
        J.0 writes checkpoint 51",
        expect![[r#"
            checkpoint J
                tell J.0 to write a checkpoint
            J.0 writes checkpoint 51
                save checkpoints [step-51]
                answer checkpoint step-51
        "#]],
    );
}

#[test]
fn who_writes_next_is_asked_when_the_writer_is_lost() {
    check_after(
        RUNNING,
        "checkpoint J
        J.0 ends
        checkpoint J
        J.1 left at 60
        J.1 is ready
        J.1 writes checkpoint 61",
        expect![[r#"
            checkpoint J
                tell J.0 to write a checkpoint
            J.0 ends
                save J as recovering
                tell watchers of J: rank 0 on host host-A: killed by SIGKILL
                log: lost rank 0 on host host-A: killed by SIGKILL
                tell J.1 to abort 1: rank 0 on host host-A: killed by SIGKILL
                start J.2 on A
            checkpoint J
                answer no: job J is recovering: a checkpoint can be asked for while it is running
            J.1 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.1 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
            J.1 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
                tell J.1 to write a checkpoint
            J.1 writes checkpoint 61
                save checkpoints [step-61]
                answer checkpoint step-61
        "#]],
    );
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    check_after(
        RUNNING,
        "resume J
        scale J to 0
        J.0 finishes completed at 1000
        J.1 finishes completed at 1000
        scale J to 2
        checkpoint J",
        expect![[r#"
            resume J
                answer no: job J is running: only a paused job can be resumed
            scale J to 0
                answer no: job J is running: at least 1 worker has to stay; `pause` stops all
            J.0 finishes completed at 1000
            J.1 finishes completed at 1000
                close run as completed
                save J as completed
                tell watchers of J: all 1000 steps are done
                log: the ledger has 50 of 1000 steps
                tell J.0 to leave
                tell J.1 to leave
            scale J to 2
                answer no: job J has ended: it is completed
            checkpoint J
                answer no: job J has ended: it is completed
        "#]],
    );
}

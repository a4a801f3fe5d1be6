//! The coordinator is restarted: with what it knew, with an older copy, with nothing.

use expect_test::expect;

use super::{RUNNING, check, check_after};

#[test]
fn workers_come_back_and_nothing_is_lost() {
    check_after(
        RUNNING,
        "the coordinator restarts
        agent A joins again
        J.0 comes back
        agent B joins again
        J.1 comes back
        J.0 reports to 60
        wait 20",
        expect![[r#"
            the coordinator restarts
                save J as recovering
            agent A joins again
                welcome: the agent on host-A offers 1 slot of 1 thread
            J.0 comes back
                welcome J.0
                acknowledge to J.0: 0 rows, step 50
            agent B joins again
                welcome: the agent on host-B offers 1 slot of 1 thread
            J.1 comes back
                welcome J.1
                acknowledge to J.1: 0 rows, step 50
                save J as running
                tell watchers of J: 2 workers ready: generation 1
            J.0 reports to 60
                append 1 rows from 0, 1 reports, step 60
                acknowledge to J.0: 0 rows, step 60
            wait 20
        "#]],
    );
}

#[test]
fn who_does_not_come_back_is_lost() {
    check_after(
        RUNNING,
        "the coordinator restarts
        quietly agent A joins again
        quietly J.0 comes back
        wait 10
        J.0 left at 60",
        expect![[r#"
            the coordinator restarts
                save J as recovering
            quietly agent A joins again
            quietly J.0 comes back
            wait 10
                tell watchers of J: rank 1 on host host-B: its connection is gone and it did not come back
                log: lost rank 1 on host host-B: its connection is gone and it did not come back
                tell J.0 to abort 1: rank 1 on host host-B: its connection is gone and it did not come back
            J.0 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
        "#]],
    );
}

#[test]
fn if_nobody_comes_back_the_job_goes_on_from_its_checkpoint() {
    check_after(
        RUNNING,
        "quietly J.0 writes checkpoint 40
        the coordinator restarts
        wait 10
        agent C joins with 2 slots
        quietly J.2 joins
        quietly J.3 joins
        quietly J.2 is prepared checkpoint 40
        J.3 is prepared checkpoint 40",
        expect![[r#"
            quietly J.0 writes checkpoint 40
            the coordinator restarts
                save J as recovering
            wait 10
                save J as recovering
                tell watchers of J: rank 1 on host host-B: its connection is gone and it did not come back
                log: lost rank 0 on host host-A: its connection is gone and it did not come back
                tell J.1 to abort 1: rank 0 on host host-A: its connection is gone and it did not come back
                log: lost rank 1 on host host-B: its connection is gone and it did not come back
                tell watchers of J: waits for 2 slots: no agent has joined
            agent C joins with 2 slots
                welcome: the agent on host-C offers 2 slots of 1 thread
                start J.2 on C
                start J.3 on C
            quietly J.2 joins
            quietly J.3 joins
            quietly J.2 is prepared checkpoint 40
            J.3 is prepared checkpoint 40
                void above step 40, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 40 (checkpoint): 5 lanes dealt as [2, 3]
                tell J.2 to begin 2 as rank 0 of [2, 3] from step 40 (step-40 by rank 0, shared)
                tell J.3 to begin 2 as rank 1 of [2, 3] from step 40 (step-40 by rank 0, shared)
        "#]],
    );
}

#[test]
fn a_second_restart_while_workers_are_away_forgets_nobody() {
    check_after(
        RUNNING,
        "the coordinator restarts
        the coordinator restarts
        quietly agent A joins again
        quietly agent B joins again
        quietly J.0 comes back
        J.1 comes back",
        expect![[r#"
            the coordinator restarts
                save J as recovering
            the coordinator restarts
                save J as recovering
            quietly agent A joins again
            quietly agent B joins again
            quietly J.0 comes back
            J.1 comes back
                welcome J.1
                acknowledge to J.1: 0 rows, step 50
                save J as running
                tell watchers of J: 2 workers ready: generation 1
        "#]],
    );
}

#[test]
fn an_older_copy_learns_the_newer_generation_from_its_workers() {
    check_after(
        RUNNING,
        "the state is copied
        quietly J.1 ends
        quietly J.0 left at 60
        quietly J gets ready
        quietly J.0 finishes regrouped at 70
        quietly J gets ready
        the coordinator restarts with the copy
        agent A joins again
        J.0 comes back
        agent B joins again
        J.2 comes back
        J.0 reports all again",
        expect![[r#"
            the state is copied
            quietly J.1 ends
            quietly J.0 left at 60
            quietly J gets ready
            quietly J.0 finishes regrouped at 70
            quietly J gets ready
            the coordinator restarts with the copy
                save J as recovering
            agent A joins again
                welcome: the agent on host-A offers 1 slot of 1 thread
            J.0 comes back
                welcome J.0
                save J as recovering
                tell watchers of J: generation 3 is taken over from its workers
                acknowledge to J.0: 0 rows, step 50
            agent B joins again
                welcome: the agent on host-B offers 1 slot of 1 thread
            J.2 comes back
                welcome J.2
                acknowledge to J.2: 0 rows, step 50
                save J as running
                tell watchers of J: 2 workers ready: generation 3
            J.0 reports all again
                append 1 rows from 0, 0 reports, step 50
                acknowledge to J.0: 0 rows, step 50
        "#]],
    );
}

#[test]
fn an_empty_state_takes_the_job_over() {
    check_after(
        RUNNING,
        "the coordinator restarts empty
        J.0 comes back
        J.0 reports all again
        agent A joins again
        agent B joins again
        J.1 comes back
        wait 20",
        expect![[r#"
            the coordinator restarts empty
            J.0 comes back
                go on in /runs/J
                save J as queued
                welcome J.0
                save J as recovering
                tell watchers of J: generation 1 is taken over from its workers
                acknowledge to J.0: 0 rows, step 0
            J.0 reports all again
                append 1 rows from 0, 1 reports, step 50
                acknowledge to J.0: 0 rows, step 50
            agent A joins again
                welcome: the agent on host-A offers 1 slot of 1 thread
            agent B joins again
                welcome: the agent on host-B offers 1 slot of 1 thread
            J.1 comes back
                welcome J.1
                acknowledge to J.1: 0 rows, step 50
                save J as running
                tell watchers of J: 2 workers ready: generation 1
            wait 20
        "#]],
    );
}

#[test]
fn of_two_generations_that_are_told_the_newer_counts() {
    check_after(
        RUNNING,
        "quietly agent C joins with 1 slots
        quietly J.1 disconnects
        quietly wait 3
        quietly J.0 left at 60
        quietly J gets ready
        quietly J.0 finishes regrouped at 70
        quietly J gets ready
        the coordinator restarts empty
        J.1 comes back
        J.0 comes back
        J.1 left at 60
        J.2 comes back",
        expect![[r#"
            quietly agent C joins with 1 slots
            quietly J.1 disconnects
            quietly wait 3
            quietly J.0 left at 60
            quietly J gets ready
            quietly J.0 finishes regrouped at 70
            quietly J gets ready
            the coordinator restarts empty
            J.1 comes back
                go on in /runs/J
                save J as queued
                welcome J.1
                save J as recovering
                tell watchers of J: generation 1 is taken over from its workers
                acknowledge to J.1: 0 rows, step 0
            J.0 comes back
                welcome J.0
                save J as recovering
                tell watchers of J: generation 3 is taken over from its workers
                tell J.1 to abort 1: this generation is over
                acknowledge to J.0: 0 rows, step 0
                tell J.1 to leave
            J.1 left at 60
                ignore: words of worker J.1 are ignored: it is not of job J
            J.2 comes back
                welcome J.2
                acknowledge to J.2: 0 rows, step 0
                save J as running
                tell watchers of J: 2 workers ready: generation 3
        "#]],
    );
}

#[test]
fn a_stale_worker_is_refused() {
    check_after(
        RUNNING,
        "quietly J.1 disconnects
        quietly wait 3
        quietly J.0 left at 60
        quietly J.0 is ready
        the coordinator restarts
        J.1 comes back",
        expect![[r#"
            quietly J.1 disconnects
            quietly wait 3
            quietly J.0 left at 60
            quietly J.0 is ready
            the coordinator restarts
                save J as recovering
            J.1 comes back
                refuse: job J went on without it
        "#]],
    );
}

#[test]
fn a_restart_while_a_generation_begins_goes_on_with_it() {
    check_after(
        RUNNING,
        "quietly J.0 finishes regrouped at 60
        quietly J.1 finishes regrouped at 60
        the coordinator restarts
        quietly agent A joins again
        quietly agent B joins again
        quietly J.0 comes back
        J.1 comes back
        J.0 is ready
        J.1 is ready",
        expect![[r#"
            quietly J.0 finishes regrouped at 60
            quietly J.1 finishes regrouped at 60
            the coordinator restarts
                save J as recovering
            quietly agent A joins again
            quietly agent B joins again
            quietly J.0 comes back
            J.1 comes back
                welcome J.1
                acknowledge to J.1: 0 rows, step 50
            J.0 is ready
            J.1 is ready
                save J as running
                tell watchers of J: 2 workers ready: generation 2
        "#]],
    );
}

#[test]
fn a_generation_that_broke_meanwhile_is_followed_by_another() {
    check_after(
        RUNNING,
        "quietly J.1 ends
        the coordinator restarts
        J.0 left at 60 lost 1 because rank 1 closed its connection
        quietly agent A joins again
        quietly agent B joins again
        J.0 comes back
        J.0 is ready",
        expect![[r#"
            quietly J.1 ends
            the coordinator restarts
                save J as recovering
            J.0 left at 60 lost 1 because rank 1 closed its connection
            quietly agent A joins again
            quietly agent B joins again
            J.0 comes back
                welcome J.0
                acknowledge to J.0: 0 rows, step 50
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                log: rank 0 on host host-A left generation 1: rank 1 closed its connection
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
            J.0 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
        "#]],
    );
}

#[test]
fn a_job_that_was_completed_meanwhile_tells_of_it_again() {
    check_after(
        RUNNING,
        "quietly J.0 stores cafe
        the coordinator restarts
        J.0 finishes completed at 1000 weights cafe
        J.1 finishes completed at 1000
        quietly agent A joins again
        quietly agent B joins again
        J.0 comes back
        J.1 comes back
        quietly J gets ready
        J.0 stores cafe
        J.0 finishes completed at 1000 weights cafe
        J.1 finishes completed at 1000",
        expect![[r#"
            quietly J.0 stores cafe
            the coordinator restarts
                save J as recovering
            J.0 finishes completed at 1000 weights cafe
            J.1 finishes completed at 1000
            quietly agent A joins again
            quietly agent B joins again
            J.0 comes back
                welcome J.0
                acknowledge to J.0: 0 rows, step 50
            J.1 comes back
                welcome J.1
                acknowledge to J.1: 0 rows, step 50
                save J as recovering
                tell watchers of J: generation 2 from step 1000 (memory): 5 lanes dealt as [2, 3]
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 1000 (memory of rank 0)
                tell J.1 to begin 2 as rank 1 of [2, 3] from step 1000 (memory of rank 0)
            quietly J gets ready
            J.0 stores cafe
            J.0 finishes completed at 1000 weights cafe
            J.1 finishes completed at 1000
                close run as completed
                save J as completed
                tell watchers of J: all 1000 steps are done
                log: the ledger has 50 of 1000 steps
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn a_cancel_is_not_forgotten() {
    check_after(
        RUNNING,
        "quietly cancel J
        the coordinator restarts
        quietly agent A joins again
        quietly agent B joins again
        J.0 comes back
        J.1 comes back
        J.0 left at 60
        J.1 left at 60",
        expect![[r#"
            quietly cancel J
            the coordinator restarts
                save J as stopping
            quietly agent A joins again
            quietly agent B joins again
            J.0 comes back
                welcome J.0
                acknowledge to J.0: 0 rows, step 50
                tell J.0 to abort 1: cancelled by a user
                tell J.1 to abort 1: cancelled by a user
            J.1 comes back
                welcome J.1
                acknowledge to J.1: 0 rows, step 50
                tell J.1 to abort 1: cancelled by a user
            J.0 left at 60
            J.1 left at 60
                close run as cancelled
                save J as cancelled
                tell watchers of J: cancelled by a user
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn a_pause_is_not_forgotten() {
    check_after(
        RUNNING,
        "quietly pause J
        the coordinator restarts
        quietly agent A joins again
        quietly agent B joins again
        J.0 comes back
        J.1 comes back
        quietly J.0 writes checkpoint 51
        J.0 finishes paused at 51
        J.1 finishes paused at 51",
        expect![[r#"
            quietly pause J
            the coordinator restarts
                save J as pausing
            quietly agent A joins again
            quietly agent B joins again
            J.0 comes back
                welcome J.0
                acknowledge to J.0: 0 rows, step 50
            J.1 comes back
                welcome J.1
                acknowledge to J.1: 0 rows, step 50
                tell watchers of J: paused by a user: stops after the step in flight
                tell J.0 to stop: paused
                tell J.1 to stop: paused
            quietly J.0 writes checkpoint 51
            J.0 finishes paused at 51
            J.1 finishes paused at 51
                save J as paused
                tell watchers of J: paused by a user after step 51
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn a_paused_job_stays_paused_whoever_comes() {
    check_after(
        RUNNING,
        "quietly pause J
        quietly J.0 writes checkpoint 51
        quietly J.0 finishes paused at 51
        quietly J.1 finishes paused at 51
        the coordinator restarts
        J.0 comes back
        agent A joins again
        wait 10",
        expect![[r#"
            quietly pause J
            quietly J.0 writes checkpoint 51
            quietly J.0 finishes paused at 51
            quietly J.1 finishes paused at 51
            the coordinator restarts
                save J as paused
            J.0 comes back
                refuse: job J is paused
            agent A joins again
                welcome: the agent on host-A offers 1 slot of 1 thread
            wait 10
                end J.0 on A: no job here has use for it
        "#]],
    );
}

#[test]
fn workers_that_start_when_it_happens_are_ended_and_replaced() {
    check(
        "agent A joins with 2 slots
        quietly submit J workers 2
        quietly J.0 joins
        the coordinator restarts
        agent A joins again
        J.0 comes back
        wait 10
        J.1 ends
        wait 1",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            quietly submit J workers 2
            quietly J.0 joins
            the coordinator restarts
                save J as starting
            agent A joins again
                welcome: the agent on host-A offers 2 slots of 1 thread
                tell watchers of J: waits for 2 slots: 0 free of 2 offered by 1 agent
            J.0 comes back
                welcome J.0
                acknowledge to J.0: 0 rows, step 0
            wait 10
                end J.1 on A: no job here has use for it
            J.1 ends
                start J.2 on A
            wait 1
        "#]],
    );
}

#[test]
fn processes_that_nobody_has_use_for_are_ended() {
    check_after(
        RUNNING,
        "the coordinator restarts empty
        agent A joins again
        wait 10
        J.0 ends",
        expect![[r#"
            the coordinator restarts empty
            agent A joins again
                welcome: the agent on host-A offers 1 slot of 1 thread
            wait 10
                end J.0 on A: no job here has use for it
            J.0 ends
        "#]],
    );
}

#[test]
fn a_coordinator_that_slept_judges_nobody() {
    check_after(
        RUNNING,
        "the coordinator sleeps for 60 seconds
        wait 9",
        expect![[r#"
            the coordinator sleeps for 60 seconds
            wait 9
        "#]],
    );
}

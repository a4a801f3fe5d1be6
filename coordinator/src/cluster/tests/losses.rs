//! Workers are lost; the others go on.

use expect_test::expect;

use super::{RUNNING, check, check_after};

#[test]
fn a_killed_worker_costs_at_most_the_step_in_flight() {
    check_after(
        RUNNING,
        "J.1 ends
        J.0 left at 60
        J.0 is ready
        J.0 reports to 70
        J.2 joins",
        expect![[r#"
            J.1 ends
                save J as recovering
                tell watchers of J: rank 1 on host host-B: killed by SIGKILL
                log: lost rank 1 on host host-B: killed by SIGKILL
                tell J.0 to abort 1: rank 1 on host host-B: killed by SIGKILL
                start J.2 on B
            J.0 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
            J.0 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
            J.0 reports to 70
                append 1 rows from 1, 1 reports, step 70
                acknowledge to J.0: 1 rows, step 70
            J.2 joins
                welcome J.2
                assign to J.2
        "#]],
    );
}

#[test]
fn a_closed_connection_that_comes_back_in_time_changes_nothing() {
    check_after(
        RUNNING,
        "J.1 disconnects
        wait 2
        J.1 comes back
        wait 20",
        expect![[r#"
            J.1 disconnects
            wait 2
            J.1 comes back
                welcome J.1
                acknowledge to J.1: 0 rows, step 50
            wait 20
        "#]],
    );
}

#[test]
fn a_closed_connection_that_does_not_come_back_is_a_loss() {
    check_after(
        RUNNING,
        "J.1 disconnects
        wait 3
        J.0 left at 60",
        expect![[r#"
            J.1 disconnects
            wait 3
                save J as recovering
                tell watchers of J: rank 1 on host host-B: its connection is gone and it did not come back
                log: lost rank 1 on host host-B: its connection is gone and it did not come back
                tell J.0 to abort 1: rank 1 on host host-B: its connection is gone and it did not come back
                end J.1 on B: its connection is gone and it did not come back
            J.0 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
        "#]],
    );
}

#[test]
fn ten_seconds_of_silence_are_a_loss() {
    check_after(
        RUNNING,
        "J.1 falls silent
        wait 9
        wait 1
        J.0 left at 60",
        expect![[r#"
            J.1 falls silent
            wait 9
            wait 1
                save J as recovering
                tell watchers of J: rank 1 on host host-B: no sign of life for 10 s
                log: lost rank 1 on host host-B: no sign of life for 10 s
                tell J.0 to abort 1: rank 1 on host host-B: no sign of life for 10 s
                end J.1 on B: no sign of life for 10 s
            J.0 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
        "#]],
    );
}

/// Once it is known how long a phase takes, ten times as long is too long.
#[test]
fn a_worker_that_was_faster_before_is_stuck_sooner() {
    check_after(
        RUNNING,
        "J.1 has taken 2
        J.1 gets stuck
        J.0 is in reduce
        wait 19
        wait 1",
        expect![[r#"
            J.1 has taken 2
            J.1 gets stuck
            J.0 is in reduce
            wait 19
            wait 1
                save J as recovering
                tell watchers of J: rank 1 on host host-B: no progress for 20 s (phase lanes, step 0, lanes 2 to 4)
                log: lost rank 1 on host host-B: no progress for 20 s (phase lanes, step 0, lanes 2 to 4)
                tell J.0 to abort 1: rank 1 on host host-B: no progress for 20 s (phase lanes, step 0, lanes 2 to 4)
                end J.1 on B: no progress for 20 s (phase lanes, step 0, lanes 2 to 4)
        "#]],
    );
}

#[test]
fn a_worker_without_progress_is_stuck() {
    check_after(
        RUNNING,
        "J.1 gets stuck
        J.0 is in reduce
        J.0 gets stuck
        wait 121
        J.0 left at 60",
        expect![[r#"
            J.1 gets stuck
            J.0 is in reduce
            J.0 gets stuck
            wait 121
                save J as recovering
                tell watchers of J: rank 1 on host host-B: no progress for 120 s (phase lanes, step 0, lanes 2 to 4)
                log: lost rank 1 on host host-B: no progress for 120 s (phase lanes, step 0, lanes 2 to 4)
                tell J.0 to abort 1: rank 1 on host host-B: no progress for 120 s (phase lanes, step 0, lanes 2 to 4)
                end J.1 on B: no progress for 120 s (phase lanes, step 0, lanes 2 to 4)
            J.0 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
        "#]],
    );
}

#[test]
fn ranks_that_wait_for_each_other_are_cut_off() {
    check_after(
        RUNNING,
        "J.0 is in reduce
        J.1 is in reduce
        J.0 gets stuck
        J.1 gets stuck
        wait 11
        J.0 left at 50
        J.1 left at 50",
        expect![[r#"
            J.0 is in reduce
            J.1 is in reduce
            J.0 gets stuck
            J.1 gets stuck
            wait 11
                save J as recovering
                tell watchers of J: behind step 0 of generation 1 nothing moves for 10 s: 2 ranks wait for each other
                log: behind step 0 of generation 1 nothing moves for 10 s: 2 ranks wait for each other
                tell J.0 to abort 1: behind step 0 of generation 1 nothing moves for 10 s: 2 ranks wait for each other
                tell J.1 to abort 1: behind step 0 of generation 1 nothing moves for 10 s: 2 ranks wait for each other
            J.0 left at 50
            J.1 left at 50
                save J as recovering
                tell watchers of J: generation 2 from step 50 (memory): 5 lanes dealt as [2, 3]
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 50 (memory of rank 0)
                tell J.1 to begin 2 as rank 1 of [2, 3] from step 50 (memory of rank 0)
        "#]],
    );
}

#[test]
fn who_waits_for_one_that_computes_for_long_does_not_spin() {
    check_after(
        RUNNING,
        "J.0 is in reduce
        J.0 gets stuck
        wait 30",
        expect![[r#"
            J.0 is in reduce
            J.0 gets stuck
            wait 30
        "#]],
    );
}

#[test]
fn a_worker_that_waits_for_room_on_a_disk_is_not_stuck() {
    check_after(
        RUNNING,
        "J.0 is in checkpoint
        J.0 gets stuck
        wait 60",
        expect![[r#"
            J.0 is in checkpoint
            J.0 gets stuck
            wait 60
        "#]],
    );
}

#[test]
fn one_that_does_not_leave_when_told_is_ended() {
    check_after(
        RUNNING,
        "J.0 is in reduce
        J.0 gets stuck
        J.1 ends
        wait 10
        J.0 ends",
        expect![[r#"
            J.0 is in reduce
            J.0 gets stuck
            J.1 ends
                save J as recovering
                tell watchers of J: rank 1 on host host-B: killed by SIGKILL
                log: lost rank 1 on host host-B: killed by SIGKILL
                tell J.0 to abort 1: rank 1 on host host-B: killed by SIGKILL
                start J.2 on B
            wait 10
                save J as recovering
                tell watchers of J: rank 0 on host host-A: no progress for 10 s (phase reduce, step 0, lanes 0 to 1)
                log: lost rank 0 on host host-A: no progress for 10 s (phase reduce, step 0, lanes 0 to 1)
                end J.0 on A: no progress for 10 s (phase reduce, step 0, lanes 0 to 1)
            J.0 ends
                start J.3 on A
        "#]],
    );
}

#[test]
fn a_generation_that_does_not_get_ready_is_given_up() {
    check_after(
        "agent A joins with 2 slots
        submit J workers 2
        J.0 joins
        J.1 joins
        J.0 is prepared
        J.1 is prepared
        J.0 is in start
        J.0 gets stuck
        J.1 gets stuck",
        "wait 119
        wait 1",
        expect![[r#"
            wait 119
            wait 1
                tell watchers of J: behind the beginning of generation 1 nothing moves for 120 s: 2 ranks wait for each other
                log: behind the beginning of generation 1 nothing moves for 120 s: 2 ranks wait for each other
                tell J.0 to abort 1: behind the beginning of generation 1 nothing moves for 120 s: 2 ranks wait for each other
                tell J.1 to abort 1: behind the beginning of generation 1 nothing moves for 120 s: 2 ranks wait for each other
        "#]],
    );
}

#[test]
fn a_survivor_tells_first_and_the_dead_one_is_named() {
    check_after(
        RUNNING,
        "J.0 left at 60 lost 1 because rank 1 closed its connection
        J.1 ends
        J.0 is ready",
        expect![[r#"
            J.0 left at 60 lost 1 because rank 1 closed its connection
                save J as recovering
                tell watchers of J: rank 0 on host host-A left generation 1: rank 1 closed its connection
                log: rank 0 on host host-A left generation 1: rank 1 closed its connection
                tell J.1 to abort 1: rank 0 on host host-A left generation 1: rank 1 closed its connection
            J.1 ends
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                log: lost rank 1 on host host-B: killed by SIGKILL
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
                start J.2 on B
            J.0 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
        "#]],
    );
}

#[test]
fn a_break_with_nobody_to_blame_may_happen_once_at_a_step() {
    check_after(
        RUNNING,
        "J.0 left at 50 lost 1 because connection reset
        J.1 left at 50
        quietly J gets ready
        J.0 left at 50 lost 1 because connection reset
        J.1 left at 50",
        expect![[r#"
            J.0 left at 50 lost 1 because connection reset
                save J as recovering
                tell watchers of J: rank 0 on host host-A left generation 1: connection reset
                log: rank 0 on host host-A left generation 1: connection reset
                tell J.1 to abort 1: rank 0 on host host-A left generation 1: connection reset
            J.1 left at 50
                save J as recovering
                tell watchers of J: generation 2 from step 50 (memory): 5 lanes dealt as [2, 3]
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 50 (memory of rank 0)
                tell J.1 to begin 2 as rank 1 of [2, 3] from step 50 (memory of rank 0)
            quietly J gets ready
            J.0 left at 50 lost 1 because connection reset
                save J as recovering
                tell watchers of J: rank 0 on host host-A left generation 2: connection reset
                log: rank 0 on host host-A left generation 2: connection reset
                tell J.1 to abort 2: rank 0 on host host-A left generation 2: connection reset
                log: host host-B gets no more lanes of this job: not reached over the data plane: rank 0 on host host-A left generation 2: connection reset
            J.1 left at 50
                save J as recovering
                tell watchers of J: generation 3 from step 50 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 3 as rank 0 of [5] from step 50 (memory of rank 0)
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn a_loss_while_starting_waits_for_another() {
    check(
        "agent A joins with 3 slots
        quietly submit J workers 2
        quietly J.0 joins
        J.1 ends with code 1
        quietly J gets ready
        wait 1",
        expect![[r#"
            agent A joins with 3 slots
                welcome: the agent on host-A offers 3 slots of 1 thread
            quietly submit J workers 2
            quietly J.0 joins
            J.1 ends with code 1
                tell watchers of J: a worker on host host-A: exited with code 1
                log: lost a worker on host host-A: exited with code 1
                start J.2 on A
            quietly J gets ready
            wait 1
        "#]],
    );
}

#[test]
fn a_loss_while_stopping_is_no_failure() {
    check_after(
        RUNNING,
        "cancel J
        J.1 ends
        J.0 left at 60",
        expect![[r#"
            cancel J
                save J as stopping
                tell watchers of J: cancelled by a user: stops after the step in flight
                tell J.0 to stop: cancelled
                tell J.1 to stop: cancelled
                answer J
            J.1 ends
                tell watchers of J: rank 1 on host host-B: killed by SIGKILL
                log: lost rank 1 on host host-B: killed by SIGKILL
                tell J.0 to abort 1: rank 1 on host host-B: killed by SIGKILL
            J.0 left at 60
                close run as cancelled
                save J as cancelled
                tell watchers of J: cancelled by a user
                tell J.0 to leave
        "#]],
    );
}

#[test]
fn who_was_lost_while_storing_weights_is_made_up_for() {
    check_after(
        RUNNING,
        "J.1 finishes completed at 1000
        J.0 ends
        J.1 is ready
        J.1 stores cafe
        J.1 finishes completed at 1000 weights cafe",
        expect![[r#"
            J.1 finishes completed at 1000
            J.0 ends
                save J as recovering
                tell watchers of J: generation 2 from step 1000 (memory): 5 lanes dealt as [5]
                log: lost rank 0 on host host-A: killed by SIGKILL
                tell J.1 to begin 2 as rank 0 of [5] from step 1000 (memory of rank 0)
                start J.2 on A
            J.1 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
            J.1 stores cafe
            J.1 finishes completed at 1000 weights cafe
                close run as completed
                save J as completed
                tell watchers of J: all 1000 steps are done
                log: the ledger has 50 of 1000 steps
                tell J.1 to leave
                end J.2 on A: job J has no more use for it
        "#]],
    );
}

#[test]
fn a_worker_that_fails_is_dismissed_and_replaced() {
    check_after(
        RUNNING,
        "J.1 fails because reading samples: input/output error
        J.0 left at 60
        J.1 ends with code 1",
        expect![[r#"
            J.1 fails because reading samples: input/output error
                save J as recovering
                tell watchers of J: rank 1 on host host-B: reading samples: input/output error
                log: lost rank 1 on host host-B: reading samples: input/output error
                tell J.0 to abort 1: rank 1 on host host-B: reading samples: input/output error
                tell J.1 to leave
            J.0 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
            J.1 ends with code 1
                start J.2 on B
        "#]],
    );
}

#[test]
fn losses_without_progress_exhaust_the_budget() {
    check(
        "agent A joins with 1 slots
        quietly submit J workers 1 restarts 1
        quietly J.0 joins
        J.0 ends with code 1
        J.1 ends with code 1",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            quietly submit J workers 1 restarts 1
            quietly J.0 joins
            J.0 ends with code 1
                tell watchers of J: a worker on host host-A: exited with code 1
                log: lost a worker on host host-A: exited with code 1
                start J.1 on A
            J.1 ends with code 1
                close run as failed
                save J as failed
                tell watchers of J: a worker on host host-A: exited with code 1: the last of 2 losses without progress (cluster.max_restarts is 1)
                log: lost a worker on host host-A: exited with code 1
        "#]],
    );
}

#[test]
fn without_a_budget_the_first_loss_is_the_last() {
    check(
        "agent A joins with 2 slots
        quietly submit J workers 2 restarts 0
        quietly J gets ready
        J.1 ends",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            quietly submit J workers 2 restarts 0
            quietly J gets ready
            J.1 ends
                close run as failed
                save J as failed
                tell watchers of J: rank 1 on host host-A: killed by SIGKILL (cluster.max_restarts is 0)
                log: lost rank 1 on host host-A: killed by SIGKILL
                tell J.0 to abort 1: rank 1 on host host-A: killed by SIGKILL
                tell J.0 to leave
        "#]],
    );
}

#[test]
fn a_node_that_goes_is_one_loss() {
    check(
        "agent A joins with 1 slots
        agent B joins with 3 slots
        quietly submit J workers 4 lanes 4 restarts 1
        quietly J gets ready
        quietly J.1 ends
        quietly J.2 ends
        quietly J.3 ends
        J.0 left at 0
        J.0 is ready",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            agent B joins with 3 slots
                welcome: the agent on host-B offers 3 slots of 1 thread
            quietly submit J workers 4 lanes 4 restarts 1
            quietly J gets ready
            quietly J.1 ends
            quietly J.2 ends
            quietly J.3 ends
            J.0 left at 0
                void above step 0, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 0 (memory): 4 lanes dealt as [4]
                tell J.0 to begin 2 as rank 0 of [4] from step 0 (memory of rank 0)
            J.0 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
        "#]],
    );
}

#[test]
fn a_node_with_too_many_losses_gets_no_more_lanes() {
    check(
        "agent A joins with 1 slots
        agent B joins with 1 slots
        quietly submit J workers 2
        quietly J gets ready
        quietly J.1 ends
        quietly J.0 left at 0
        quietly J.0 is ready
        J.2 ends
        J.3 ends",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            agent B joins with 1 slots
                welcome: the agent on host-B offers 1 slot of 1 thread
            quietly submit J workers 2
            quietly J gets ready
            quietly J.1 ends
            quietly J.0 left at 0
            quietly J.0 is ready
            J.2 ends
                tell watchers of J: a worker on host host-B: killed by SIGKILL
                log: lost a worker on host host-B: killed by SIGKILL
                start J.3 on B
            J.3 ends
                log: lost a worker on host host-B: killed by SIGKILL
                log: host B gets no more lanes of this job: 3 losses without progress, the last: a worker on host host-B: killed by SIGKILL
        "#]],
    );
}

#[test]
fn a_lost_agent_may_come_back_and_its_workers_go_on() {
    check_after(
        RUNNING,
        "agent B is lost
        wait 11
        agent B joins again",
        expect![[r#"
            agent B is lost
            wait 11
            agent B joins again
                welcome: the agent on host-B offers 1 slot of 1 thread again
        "#]],
    );
}

#[test]
fn a_lost_agent_with_its_workers_is_lost_for_good() {
    check_after(
        RUNNING,
        "agent B is lost
        J.1 disconnects
        wait 3
        J.0 left at 60
        wait 8",
        expect![[r#"
            agent B is lost
            J.1 disconnects
            wait 3
                save J as recovering
                tell watchers of J: rank 1 on host host-B: its connection is gone and it did not come back
                log: lost rank 1 on host host-B: its connection is gone and it did not come back
                tell J.0 to abort 1: rank 1 on host host-B: its connection is gone and it did not come back
                end J.1 on B: its connection is gone and it did not come back
            J.0 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
            wait 8
        "#]],
    );
}

#[test]
fn a_stuck_agent_is_given_no_workers() {
    check(
        "agent A joins with 1 slots
        agent A is stuck
        wait 10
        submit J workers 1",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            agent A is stuck
            wait 10
            submit J workers 1
                make /runs/J
                save J as queued
                answer J
                tell watchers of J: waits for 1 slot: no agent has joined
        "#]],
    );
}

#[test]
fn workers_that_ended_while_their_agent_was_away_are_lost() {
    check_after(
        RUNNING,
        "agent B is lost
        J.1 ends
        agent B joins again
        J.0 left at 60",
        expect![[r#"
            agent B is lost
            J.1 ends
            agent B joins again
                welcome: the agent on host-B offers 1 slot of 1 thread again
                save J as recovering
                tell watchers of J: rank 1 on host host-B: it ended while its agent had no coordinator
                log: lost rank 1 on host host-B: it ended while its agent had no coordinator
                tell J.0 to abort 1: rank 1 on host host-B: it ended while its agent had no coordinator
                start J.2 on B
            J.0 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
        "#]],
    );
}

#[test]
fn nobody_left_goes_on_from_the_newest_checkpoint() {
    check_after(
        RUNNING,
        "J.0 writes checkpoint 40
        J.0 ends
        J.1 ends
        quietly J.2 joins
        quietly J.3 joins
        J.2 is prepared
        J.3 is prepared checkpoint 40
        J.3 left empty because cannot start from a checkpoint
        J.2 left empty",
        expect![[r#"
            J.0 writes checkpoint 40
                save checkpoints [step-40]
            J.0 ends
                save J as recovering
                tell watchers of J: rank 0 on host host-A: killed by SIGKILL
                log: lost rank 0 on host host-A: killed by SIGKILL
                tell J.1 to abort 1: rank 0 on host host-A: killed by SIGKILL
                start J.2 on A
            J.1 ends
                save J as recovering
                tell watchers of J: rank 1 on host host-B: killed by SIGKILL
                log: lost rank 1 on host host-B: killed by SIGKILL
                start J.3 on B
            quietly J.2 joins
            quietly J.3 joins
            J.2 is prepared
            J.3 is prepared checkpoint 40
                void above step 40, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 40 (checkpoint): 5 lanes dealt as [2, 3]
                tell J.2 to begin 2 as rank 0 of [2, 3] from step 40 (step-40 by rank 1, shared)
                tell J.3 to begin 2 as rank 1 of [2, 3] from step 40 (step-40 by rank 1, shared)
            J.3 left empty because cannot start from a checkpoint
                save checkpoints []
                tell watchers of J: rank 1 on host host-B left generation 2: cannot start from a checkpoint
                log: rank 1 on host host-B left generation 2: cannot start from a checkpoint
                tell J.2 to abort 2: rank 1 on host host-B left generation 2: cannot start from a checkpoint
                log: checkpoint step-40 can't be read: the one before it is taken
            J.2 left empty
                void above step 0, 0 rows stay
                save J as recovering
                tell watchers of J: generation 3 from step 0 (initial): 5 lanes dealt as [2, 3]
                tell J.2 to begin 3 as rank 0 of [2, 3] from step 0 (initial)
                tell J.3 to begin 3 as rank 1 of [2, 3] from step 0 (initial)
        "#]],
    );
}

#[test]
fn an_unreadable_checkpoint_gives_way_to_the_one_before() {
    check_after(
        RUNNING,
        "quietly J.0 writes checkpoint 20
        quietly J.0 writes checkpoint 40
        quietly J.0 ends
        quietly J.1 ends
        quietly J.2 joins
        quietly J.3 joins
        quietly J.2 is prepared
        J.3 is prepared checkpoint 40
        J.3 left empty because cannot start from a checkpoint: damaged
        J.2 left empty",
        expect![[r#"
            quietly J.0 writes checkpoint 20
            quietly J.0 writes checkpoint 40
            quietly J.0 ends
            quietly J.1 ends
            quietly J.2 joins
            quietly J.3 joins
            quietly J.2 is prepared
            J.3 is prepared checkpoint 40
                void above step 40, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 40 (checkpoint): 5 lanes dealt as [2, 3]
                tell J.2 to begin 2 as rank 0 of [2, 3] from step 40 (step-40 by rank 1, shared)
                tell J.3 to begin 2 as rank 1 of [2, 3] from step 40 (step-40 by rank 1, shared)
            J.3 left empty because cannot start from a checkpoint: damaged
                save checkpoints [step-20]
                tell watchers of J: rank 1 on host host-B left generation 2: cannot start from a checkpoint: damaged
                log: rank 1 on host host-B left generation 2: cannot start from a checkpoint: damaged
                tell J.2 to abort 2: rank 1 on host host-B left generation 2: cannot start from a checkpoint: damaged
                log: checkpoint step-40 can't be read: the one before it is taken
            J.2 left empty
                void above step 20, 0 rows stay
                save J as recovering
                tell watchers of J: generation 3 from step 20 (checkpoint): 5 lanes dealt as [2, 3]
                tell J.2 to begin 3 as rank 0 of [2, 3] from step 20 (step-20 by rank 0, shared)
                tell J.3 to begin 3 as rank 1 of [2, 3] from step 20 (step-20 by rank 0, shared)
        "#]],
    );
}

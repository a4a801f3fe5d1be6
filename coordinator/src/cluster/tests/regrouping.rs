//! Planned changes of who takes part: each at a step boundary.

use expect_test::expect;

use super::{RUNNING, check, check_after};

#[test]
fn a_newcomer_joins_at_a_step_boundary() {
    check_after(
        RUNNING,
        "quietly J.1 ends
        quietly J.0 left at 60
        J.0 is ready
        J.2 joins
        J.2 is prepared
        J.0 finishes regrouped at 70
        J.0 is ready
        J.2 is ready",
        expect![[r#"
            quietly J.1 ends
            quietly J.0 left at 60
            J.0 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
            J.2 joins
                welcome J.2
                assign to J.2
            J.2 is prepared
                tell J.0 to stop: regrouped
                log: generation 2 ends after the step in flight: regrouped
            J.0 finishes regrouped at 70
                save J as recovering
                tell watchers of J: generation 3 from step 70 (memory): 5 lanes dealt as [2, 3]
                tell J.0 to begin 3 as rank 0 of [2, 3] from step 70 (memory of rank 0, shared)
                tell J.2 to begin 3 as rank 1 of [2, 3] from step 70 (memory of rank 0, shared)
            J.0 is ready
            J.2 is ready
                save J as running
                tell watchers of J: 2 workers ready: generation 3
        "#]],
    );
}

#[test]
fn newcomers_that_come_up_together_are_taken_in_together() {
    check(
        "agent A joins with 3 slots
        quietly submit J workers 1 lanes 3
        quietly J gets ready
        quietly scale J to 3
        quietly J.1 joins
        quietly J.2 joins
        J.1 is prepared
        wait 1
        J.2 is prepared
        J.0 finishes regrouped at 5",
        expect![[r#"
            agent A joins with 3 slots
                welcome: the agent on host-A offers 3 slots of 1 thread
            quietly submit J workers 1 lanes 3
            quietly J gets ready
            quietly scale J to 3
            quietly J.1 joins
            quietly J.2 joins
            J.1 is prepared
            wait 1
                tell J.0 to stop: regrouped
                log: generation 1 ends after the step in flight: regrouped
            J.2 is prepared
            J.0 finishes regrouped at 5
                void above step 5, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 5 (memory): 3 lanes dealt as [1, 1, 1]
                tell J.0 to begin 2 as rank 0 of [1, 1, 1] from step 5 (memory of rank 0, shared)
                tell J.1 to begin 2 as rank 1 of [1, 1, 1] from step 5 (memory of rank 0, shared)
                tell J.2 to begin 2 as rank 2 of [1, 1, 1] from step 5 (memory of rank 0, shared)
        "#]],
    );
}

#[test]
fn a_job_is_scaled_up_and_down() {
    check(
        "agent A joins with 4 slots
        quietly submit J workers 1 lanes 4
        quietly J gets ready
        scale J to 4
        quietly J gets ready
        J.0 finishes regrouped at 5
        quietly J gets ready
        scale J to 2
        J.0 finishes regrouped at 9
        J.1 finishes regrouped at 9
        J.2 finishes regrouped at 9
        J.3 finishes regrouped at 9
        wait 6",
        expect![[r#"
            agent A joins with 4 slots
                welcome: the agent on host-A offers 4 slots of 1 thread
            quietly submit J workers 1 lanes 4
            quietly J gets ready
            scale J to 4
                save J as running
                tell watchers of J: scaled from 1 to 4 workers by a user
                answer J
                start J.1 on A
                start J.2 on A
                start J.3 on A
            quietly J gets ready
            J.0 finishes regrouped at 5
                void above step 5, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 5 (memory): 4 lanes dealt as [1, 1, 1, 1]
                tell J.0 to begin 2 as rank 0 of [1, 1, 1, 1] from step 5 (memory of rank 0, shared)
                tell J.1 to begin 2 as rank 1 of [1, 1, 1, 1] from step 5 (memory of rank 0, shared)
                tell J.2 to begin 2 as rank 2 of [1, 1, 1, 1] from step 5 (memory of rank 0, shared)
                tell J.3 to begin 2 as rank 3 of [1, 1, 1, 1] from step 5 (memory of rank 0, shared)
            quietly J gets ready
            scale J to 2
                save J as running
                tell watchers of J: scaled from 4 to 2 workers by a user
                tell J.0 to stop: regrouped
                tell J.1 to stop: regrouped
                tell J.2 to stop: regrouped
                tell J.3 to stop: regrouped
                log: generation 2 ends after the step in flight: regrouped
                answer J
            J.0 finishes regrouped at 9
            J.1 finishes regrouped at 9
            J.2 finishes regrouped at 9
            J.3 finishes regrouped at 9
                void above step 9, 0 rows stay
                save J as recovering
                tell watchers of J: generation 3 from step 9 (memory): 4 lanes dealt as [2, 2]
                tell J.0 to begin 3 as rank 0 of [2, 2] from step 9 (memory of rank 0)
                tell J.1 to begin 3 as rank 1 of [2, 2] from step 9 (memory of rank 0)
                tell J.2 to leave
                tell J.3 to leave
            wait 6
                end J.3 on A: it did not leave within 5 s
                end J.2 on A: it did not leave within 5 s
        "#]],
    );
}

#[test]
fn newcomers_that_are_not_wanted_any_more_leave_at_once() {
    check(
        "agent A joins with 2 slots
        quietly submit J workers 1
        quietly J gets ready
        quietly scale J to 2
        quietly J.1 joins
        scale J to 1
        wait 6",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            quietly submit J workers 1
            quietly J gets ready
            quietly scale J to 2
            quietly J.1 joins
            scale J to 1
                save J as running
                tell watchers of J: scaled from 2 to 1 workers by a user
                tell J.1 to leave
                answer J
            wait 6
                end J.1 on A: it did not leave within 5 s
        "#]],
    );
}

#[test]
fn a_spare_takes_over_at_once() {
    check(
        "agent A joins with 2 slots
        agent B joins with 1 slots
        quietly submit J workers 2 lanes 4 spares 1
        quietly J gets ready
        J.0 ends
        J.1 left at 5
        J.2 left at 5",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            agent B joins with 1 slots
                welcome: the agent on host-B offers 1 slot of 1 thread
            quietly submit J workers 2 lanes 4 spares 1
            quietly J gets ready
            J.0 ends
                save J as recovering
                tell watchers of J: rank 0 on host host-A: killed by SIGKILL
                log: lost rank 0 on host host-A: killed by SIGKILL
                tell J.1 to abort 1: rank 0 on host host-A: killed by SIGKILL
                tell J.2 to abort 1: rank 0 on host host-A: killed by SIGKILL
                start J.3 on A
            J.1 left at 5
            J.2 left at 5
                void above step 5, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 5 (memory): 4 lanes dealt as [2, 2]
                tell J.1 to begin 2 as rank 0 of [2, 2] from step 5 (memory of rank 0)
                tell J.2 to begin 2 as rank 1 of [2, 2] from step 5 (memory of rank 0)
        "#]],
    );
}

#[test]
fn an_agent_that_leaves_is_dismissed_after_the_step() {
    check_after(
        RUNNING,
        "agent B leaves
        J.0 finishes regrouped at 60
        J.1 finishes regrouped at 60
        J.1 ends with code 0
        J.0 is ready",
        expect![[r#"
            agent B leaves
                tell J.0 to stop: regrouped
                tell J.1 to stop: regrouped
                log: generation 1 ends after the step in flight: regrouped
            J.0 finishes regrouped at 60
            J.1 finishes regrouped at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
                tell J.1 to leave
            J.1 ends with code 0
                dismiss agent B
            J.0 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
        "#]],
    );
}

#[test]
fn an_agent_that_leaves_takes_those_along_that_come_up() {
    check_after(
        RUNNING,
        "quietly agent C joins with 1 slots
        quietly scale J to 3
        quietly J.2 joins
        agent C leaves
        J.2 ends with code 0",
        expect![[r#"
            quietly agent C joins with 1 slots
            quietly scale J to 3
            quietly J.2 joins
            agent C leaves
                tell J.2 to leave
            J.2 ends with code 0
                dismiss agent C
        "#]],
    );
}

#[test]
fn the_last_agent_that_leaves_has_a_checkpoint_written() {
    check(
        "agent A joins with 1 slots
        quietly submit J workers 1
        quietly J gets ready
        quietly J.0 reports to 50
        agent A leaves
        quietly J.0 writes checkpoint 51
        J.0 finishes paused at 51
        J.0 ends with code 0
        agent B joins with 1 slots
        quietly J.1 joins
        J.1 is prepared checkpoint 51",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            quietly submit J workers 1
            quietly J gets ready
            quietly J.0 reports to 50
            agent A leaves
                tell J.0 to stop: paused
                log: generation 1 ends after the step in flight: paused
            quietly J.0 writes checkpoint 51
            J.0 finishes paused at 51
                save J as queued
                tell watchers of J: its agents left after step 51: goes on when there are slots
                tell J.0 to leave
                tell watchers of J: waits for 1 slot: no agent has joined
            J.0 ends with code 0
                dismiss agent A
            agent B joins with 1 slots
                welcome: the agent on host-B offers 1 slot of 1 thread
                save J as recovering
                tell watchers of J: starts 1 worker
                start J.1 on B
            quietly J.1 joins
            J.1 is prepared checkpoint 51
                save J as recovering
                tell watchers of J: generation 2 from step 51 (checkpoint): 2 lanes dealt as [2]
                tell J.1 to begin 2 as rank 0 of [2] from step 51 (step-51 by rank 0)
        "#]],
    );
}

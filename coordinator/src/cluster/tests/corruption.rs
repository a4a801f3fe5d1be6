//! Silent corruption: what is in doubt is not gone on from, who is wrong twice is excluded.

use expect_test::expect;

use super::{RUNNING, check_after};

#[test]
fn the_minority_of_three_is_wrong_and_all_go_back() {
    check_after(
        "agent A joins with 1 slots
        agent B joins with 1 slots
        agent C joins with 1 slots
        submit J workers 3 lanes 6
        J gets ready
        J.0 reports to 100
        J.0 writes checkpoint 100
        J.0 tells state 100 same
        J.1 tells state 100 same
        J.2 tells state 100 same
        J.0 reports to 150
        J.0 writes checkpoint 150",
        "J.0 tells state 200 same
        J.1 tells state 200 other
        J.2 tells state 200 same
        J.0 left at 201
        J.1 left at 201
        J.2 left at 200
        quietly J gets ready
        quietly J.0 ends
        quietly J.1 left at 105
        quietly J.2 left at 105
        quietly J.1 ends
        J.2 ends",
        expect![[r#"
            J.0 tells state 200 same
            J.1 tells state 200 other
            J.2 tells state 200 same
                save checkpoints [step-100]
                save J as recovering
                tell watchers of J: after step 200 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                log: after step 200 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                tell J.0 to abort 1: after step 200 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                tell J.1 to abort 1: after step 200 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                tell J.2 to abort 1: after step 200 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                tell J.0 to delete step-150
            J.0 left at 201
            J.1 left at 201
            J.2 left at 200
                void above step 100, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 100 (checkpoint): 6 lanes dealt as [2, 2, 2]
                tell J.0 to begin 2 as rank 0 of [2, 2, 2] from step 100 (step-100 by rank 0, shared)
                tell J.1 to begin 2 as rank 1 of [2, 2, 2] from step 100 (step-100 by rank 0, shared)
                tell J.2 to begin 2 as rank 2 of [2, 2, 2] from step 100 (step-100 by rank 0, shared)
            quietly J gets ready
            quietly J.0 ends
            quietly J.1 left at 105
            quietly J.2 left at 105
            quietly J.1 ends
            J.2 ends
                save J as recovering
                tell watchers of J: rank 1 on host host-C: killed by SIGKILL
                log: lost rank 1 on host host-C: killed by SIGKILL
                start J.5 on C
        "#]],
    );
}

#[test]
fn two_that_disagree_are_both_in_doubt() {
    check_after(
        RUNNING,
        "J.0 tells state 100 same
        J.1 tells state 100 other
        J.0 left at 101
        J.1 left at 101",
        expect![[r#"
            J.0 tells state 100 same
            J.1 tells state 100 other
                save checkpoints []
                save J as recovering
                tell watchers of J: after step 100 the states of rank 0 on host host-A and rank 1 on host host-B differ, first in tensor weight: goes back to what was in no doubt, up to step 0
                log: after step 100 the states of rank 0 on host host-A and rank 1 on host host-B differ, first in tensor weight: goes back to what was in no doubt, up to step 0
                tell J.0 to abort 1: after step 100 the states of rank 0 on host host-A and rank 1 on host host-B differ, first in tensor weight: goes back to what was in no doubt, up to step 0
                tell J.1 to abort 1: after step 100 the states of rank 0 on host host-A and rank 1 on host host-B differ, first in tensor weight: goes back to what was in no doubt, up to step 0
            J.0 left at 101
            J.1 left at 101
                void above step 0, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 0 (initial): 5 lanes dealt as [2, 3]
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 0 (initial)
                tell J.1 to begin 2 as rank 1 of [2, 3] from step 0 (initial)
        "#]],
    );
}

#[test]
fn a_lane_that_others_compute_differently_casts_doubt() {
    check_after(
        "agent A joins with 1 slots
        agent B joins with 1 slots
        agent C joins with 1 slots
        submit J workers 3 lanes 6
        J gets ready
        J.0 reports to 100
        J.0 writes checkpoint 100
        J.0 tells state 100 same
        J.1 tells state 100 same
        J.2 tells state 100 same
        J.0 reports to 150
        J.0 writes checkpoint 150",
        "J.0 tells lane 3 of 160 same
        J.1 tells lane 3 of 160 same
        J.2 tells lane 3 of 160 same
        J.0 tells lane 1 of 170 other
        J.2 tells lane 1 of 170 same
        J.2 tells lane 1 of 170 same
        J.1 tells lane 1 of 170 same",
        expect![[r#"
            J.0 tells lane 3 of 160 same
            J.1 tells lane 3 of 160 same
            J.2 tells lane 3 of 160 same
            J.0 tells lane 1 of 170 other
            J.2 tells lane 1 of 170 same
            J.2 tells lane 1 of 170 same
            J.1 tells lane 1 of 170 same
                save checkpoints [step-100, step-150]
                save J as recovering
                tell watchers of J: rank 0 on host host-A computed another gradient of lane 1 at step 170 than others did (it is held by rank 0 on host host-A): goes back to what was in no doubt, up to step 159
                log: rank 0 on host host-A computed another gradient of lane 1 at step 170 than others did (it is held by rank 0 on host host-A): goes back to what was in no doubt, up to step 159
                tell J.0 to abort 1: rank 0 on host host-A computed another gradient of lane 1 at step 170 than others did (it is held by rank 0 on host host-A): goes back to what was in no doubt, up to step 159
                tell J.1 to abort 1: rank 0 on host host-A computed another gradient of lane 1 at step 170 than others did (it is held by rank 0 on host host-A): goes back to what was in no doubt, up to step 159
                tell J.2 to abort 1: rank 0 on host host-A computed another gradient of lane 1 at step 170 than others did (it is held by rank 0 on host host-A): goes back to what was in no doubt, up to step 159
        "#]],
    );
}

#[test]
fn the_second_disagreement_excludes() {
    check_after(
        "agent A joins with 1 slots
        agent B joins with 1 slots
        agent C joins with 1 slots
        submit J workers 3 lanes 6
        J gets ready
        J.0 reports to 100
        J.0 writes checkpoint 100
        J.0 tells state 100 same
        J.1 tells state 100 same
        J.2 tells state 100 same
        J.0 reports to 150
        J.0 writes checkpoint 150",
        "quietly J.0 tells state 200 same
        quietly J.1 tells state 200 other
        quietly J.2 tells state 200 same
        quietly J.0 left at 201
        quietly J.1 left at 201
        quietly J.2 left at 201
        quietly J gets ready
        quietly J.0 tells state 120 same
        quietly J.1 tells state 120 other
        J.2 tells state 120 same
        J.0 left at 121
        J.1 ends
        J.2 left at 121",
        expect![[r#"
            quietly J.0 tells state 200 same
            quietly J.1 tells state 200 other
            quietly J.2 tells state 200 same
            quietly J.0 left at 201
            quietly J.1 left at 201
            quietly J.2 left at 201
            quietly J gets ready
            quietly J.0 tells state 120 same
            quietly J.1 tells state 120 other
            J.2 tells state 120 same
                save checkpoints [step-100]
                save J as recovering
                tell watchers of J: after step 120 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                log: after step 120 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                tell J.0 to abort 2: after step 120 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                tell J.1 to abort 2: after step 120 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                tell J.2 to abort 2: after step 120 the state of rank 1 on host host-B is not that of the others, first in tensor weight: goes back to what was in no doubt, up to step 100
                log: rank 1 on host host-B: excluded after 2 disagreements: after step 120 the state of rank 1 on host host-B is not that of the others, first in tensor weight
                end J.1 on B: excluded after 2 disagreements: after step 120 the state of rank 1 on host host-B is not that of the others, first in tensor weight
            J.0 left at 121
            J.1 ends
            J.2 left at 121
                save J as recovering
                tell watchers of J: generation 3 from step 100 (checkpoint): 6 lanes dealt as [3, 3]
                tell J.0 to begin 3 as rank 0 of [3, 3] from step 100 (step-100 by rank 0, shared)
                tell J.2 to begin 3 as rank 1 of [3, 3] from step 100 (step-100 by rank 0, shared)
        "#]],
    );
}

#[test]
fn holders_of_one_step_must_hold_the_same() {
    check_after(
        "agent A joins with 1 slots
        agent B joins with 1 slots
        agent C joins with 1 slots
        submit J workers 3 lanes 6
        J gets ready
        J.0 reports to 100
        J.0 writes checkpoint 100
        J.0 tells state 100 same
        J.1 tells state 100 same
        J.2 tells state 100 same
        J.0 reports to 150
        J.0 writes checkpoint 150",
        "quietly J.2 ends
        J.0 left at 160
        J.1 left at 160 holding another",
        expect![[r#"
            quietly J.2 ends
            J.0 left at 160
            J.1 left at 160 holding another
                save checkpoints [step-100]
                save J as recovering
                tell watchers of J: in memory after step 160 the states of a worker on host host-A and a worker on host host-B differ: goes back to what was in no doubt, up to step 100
                log: in memory after step 160 the states of a worker on host host-A and a worker on host host-B differ: goes back to what was in no doubt, up to step 100
                tell J.0 to delete step-150
        "#]],
    );
}

#[test]
fn a_checkpoint_in_doubt_that_a_newcomer_finds_is_not_gone_on_from() {
    check_after(
        "agent A joins with 1 slots
        agent B joins with 1 slots
        agent C joins with 1 slots
        submit J workers 3 lanes 6
        J gets ready
        J.0 reports to 100
        J.0 writes checkpoint 100
        J.0 tells state 100 same
        J.1 tells state 100 same
        J.2 tells state 100 same
        J.0 reports to 150
        J.0 writes checkpoint 150",
        "quietly J.0 tells state 200 same
        quietly J.1 tells state 200 other
        quietly J.2 tells state 200 same
        quietly J.0 ends
        quietly J.1 ends
        quietly J.2 ends
        quietly J.3 joins
        quietly J.4 joins
        quietly J.5 joins
        quietly J.3 is prepared checkpoint 150
        quietly J.4 is prepared checkpoint 100
        J.5 is prepared checkpoint 150",
        expect![[r#"
            quietly J.0 tells state 200 same
            quietly J.1 tells state 200 other
            quietly J.2 tells state 200 same
            quietly J.0 ends
            quietly J.1 ends
            quietly J.2 ends
            quietly J.3 joins
            quietly J.4 joins
            quietly J.5 joins
            quietly J.3 is prepared checkpoint 150
            quietly J.4 is prepared checkpoint 100
            J.5 is prepared checkpoint 150
                void above step 100, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 100 (checkpoint): 6 lanes dealt as [2, 2, 2]
                tell J.3 to begin 2 as rank 0 of [2, 2, 2] from step 100 (step-100 by rank 1, shared)
                tell J.4 to begin 2 as rank 1 of [2, 2, 2] from step 100 (step-100 by rank 1, shared)
                tell J.5 to begin 2 as rank 2 of [2, 2, 2] from step 100 (step-100 by rank 1, shared)
        "#]],
    );
}

//! Committed steps are recorded once, whoever tells of them.

use expect_test::expect;

use super::{RUNNING, check_after};

#[test]
fn a_gap_is_asked_for_again() {
    check_after(
        RUNNING,
        "J.0 reports to 60
        J.0 reports to 70 from row 7
        J.0 reports all again",
        expect![[r#"
            J.0 reports to 60
                append 1 rows from 0, 1 reports, step 60
                acknowledge to J.0: 0 rows, step 60
            J.0 reports to 70 from row 7
                acknowledge to J.0: 0 rows, step 60
            J.0 reports all again
                append 1 rows from 0, 1 reports, step 70
                acknowledge to J.0: 0 rows, step 70
        "#]],
    );
}

#[test]
fn what_is_recorded_is_not_recorded_again() {
    check_after(
        RUNNING,
        "J.0 reports all again
        J.1 reports all again",
        expect![[r#"
            J.0 reports all again
                append 1 rows from 0, 0 reports, step 50
                acknowledge to J.0: 0 rows, step 50
            J.1 reports all again
                append 1 rows from 0, 0 reports, step 50
                acknowledge to J.1: 0 rows, step 50
        "#]],
    );
}

#[test]
fn steps_that_are_committed_anew_are_void_first() {
    check_after(
        RUNNING,
        "quietly J.0 writes checkpoint 30
        quietly J.0 ends
        quietly J.1 ends
        quietly J.2 joins
        quietly J.3 joins
        quietly J.2 is prepared
        J.3 is prepared",
        expect![[r#"
            quietly J.0 writes checkpoint 30
            quietly J.0 ends
            quietly J.1 ends
            quietly J.2 joins
            quietly J.3 joins
            quietly J.2 is prepared
            J.3 is prepared
                void above step 30, 0 rows stay
                save J as recovering
                tell watchers of J: generation 2 from step 30 (checkpoint): 5 lanes dealt as [2, 3]
                tell J.2 to begin 2 as rank 0 of [2, 3] from step 30 (step-30 by rank 0, shared)
                tell J.3 to begin 2 as rank 1 of [2, 3] from step 30 (step-30 by rank 0, shared)
        "#]],
    );
}

#[test]
fn the_next_to_speak_goes_on_where_the_last_ended() {
    check_after(
        RUNNING,
        "quietly J.0 ends
        J.1 left at 60
        J.1 is ready
        J.1 reports to 70",
        expect![[r#"
            quietly J.0 ends
            J.1 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.1 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
            J.1 is ready
                save J as running
                tell watchers of J: 1 worker ready: generation 2
            J.1 reports to 70
                append 1 rows from 1, 1 reports, step 70
                acknowledge to J.1: 1 rows, step 70
        "#]],
    );
}

#[test]
fn reports_of_an_older_generation_come_too_late() {
    check_after(
        RUNNING,
        "J.0 disconnects
        wait 3
        J.0 reports to 55
        J.1 left at 60
        J.0 reports to 56",
        expect![[r#"
            J.0 disconnects
            wait 3
                save J as recovering
                tell watchers of J: rank 0 on host host-A: its connection is gone and it did not come back
                log: lost rank 0 on host host-A: its connection is gone and it did not come back
                tell J.1 to abort 1: rank 0 on host host-A: its connection is gone and it did not come back
                end J.0 on A: its connection is gone and it did not come back
            J.0 reports to 55
                ignore: words of worker J.0 are ignored: it is not of job J
            J.1 left at 60
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.1 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
            J.0 reports to 56
                ignore: words of worker J.0 are ignored: it is not of job J
        "#]],
    );
}

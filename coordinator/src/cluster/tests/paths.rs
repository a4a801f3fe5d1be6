//! Jobs that go their way: join, prepare, begin, reports, completion.

use expect_test::expect;

use super::{RUNNING, check, check_after};

#[test]
fn a_job_goes_from_submission_to_completion() {
    check(
        "agent A joins with 1 slots
        agent B joins with 1 slots
        submit J workers 2 lanes 5
        J.0 joins
        J.1 joins
        J.1 is prepared
        J.0 is prepared
        J.0 is ready
        J.1 is ready
        J.0 reports to 50
        J.0 reports to 1000 test 0.9
        J.0 stores cafe
        J.0 finishes completed weights cafe
        J.1 finishes completed
        J.0 ends with code 0
        J.1 ends with code 0",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            agent B joins with 1 slots
                welcome: the agent on host-B offers 1 slot of 1 thread
            submit J workers 2 lanes 5
                make /runs/J
                save J as queued
                answer J
                save J as starting
                tell watchers of J: starts 2 workers
                start J.0 on A
                start J.1 on B
            J.0 joins
                welcome J.0
                assign to J.0
            J.1 joins
                welcome J.1
                assign to J.1
            J.1 is prepared
                tell watchers of J: waits for 1 of 2 workers to be prepared
            J.0 is prepared
                void above step 0, 0 rows stay
                save J as starting
                tell watchers of J: generation 1 from step 0 (initial): 5 lanes dealt as [2, 3]
                tell J.0 to begin 1 as rank 0 of [2, 3] from step 0 (initial)
                tell J.1 to begin 1 as rank 1 of [2, 3] from step 0 (initial)
            J.0 is ready
            J.1 is ready
                save J as running
                tell watchers of J: 2 workers ready: generation 1
            J.0 reports to 50
                append 1 rows from 0, 1 reports, step 50
                acknowledge to J.0: 0 rows, step 50
            J.0 reports to 1000 test 0.9
                append 1 rows from 0, 2 reports, step 1000
                acknowledge to J.0: 0 rows, step 1000
            J.0 stores cafe
            J.0 finishes completed weights cafe
            J.1 finishes completed
                close run as completed
                save J as completed
                tell watchers of J: all 1000 steps are done
                tell J.0 to leave
                tell J.1 to leave
            J.0 ends with code 0
            J.1 ends with code 0
        "#]],
    );
}

#[test]
fn ranks_must_agree_on_what_came_out() {
    check_after(
        RUNNING,
        "J.0 finishes completed at 1000
        J.1 finishes completed at 999",
        expect![[r#"
            J.0 finishes completed at 1000
            J.1 finishes completed at 999
                close run as failed
                save J as failed
                tell watchers of J: rank 1 on host host-B: it tells of steps 999, not 1000 as rank 0
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn weights_are_those_that_were_stored() {
    check_after(
        RUNNING,
        "J.0 stores beef
        J.0 finishes completed weights cafe
        J.1 finishes completed",
        expect![[r#"
            J.0 stores beef
            J.0 finishes completed weights cafe
            J.1 finishes completed
                close run as failed
                save J as failed
                tell watchers of J: rank 0 tells of weights "cafe" but has stored "beef"
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn bad_input_ends_the_job_as_such() {
    check(
        "agent A joins with 1 slots
        submit J workers 1
        quietly J.0 joins
        J.0 has bad input because data.path: /data/train.gz does not exist
        J.0 ends with code 2",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            submit J workers 1
                make /runs/J
                save J as queued
                answer J
                save J as starting
                tell watchers of J: starts 1 worker
                start J.0 on A
            quietly J.0 joins
            J.0 has bad input because data.path: /data/train.gz does not exist
                close run as failed
                save J as failed (bad input)
                tell watchers of J: a worker on host host-A: data.path: /data/train.gz does not exist
                tell J.0 to leave
            J.0 ends with code 2
        "#]],
    );
}

#[test]
fn libraries_have_to_agree_only_where_the_job_uses_them() {
    check(
        "agent A joins with 4 slots
        quietly submit J workers 2
        quietly J.0 joins libraries cuDNN-9.21.1
        J.1 joins libraries cuDNN-9.20.0
        quietly submit K workers 2 with_libraries
        quietly K.0 joins libraries cuDNN-9.21.1
        K.1 joins",
        expect![[r#"
            agent A joins with 4 slots
                welcome: the agent on host-A offers 4 slots of 1 thread
            quietly submit J workers 2
            quietly J.0 joins libraries cuDNN-9.21.1
            J.1 joins libraries cuDNN-9.20.0
                welcome J.1
                assign to J.1
            quietly submit K workers 2 with_libraries
            quietly K.0 joins libraries cuDNN-9.21.1
            K.1 joins
                welcome K.1
                close run as failed
                save K as failed
                tell watchers of K: a worker on host host-A: its set of libraries is none, not cuDNN-9.21.1 as others of the job have
                tell K.0 to leave
                tell K.1 to leave
        "#]],
    );
}

#[test]
fn workers_of_another_fingerprint_or_dataset_do_not_begin() {
    check(
        "agent A joins with 4 slots
        quietly submit J workers 2
        quietly J.0 joins
        J.1 joins canary ff
        quietly submit K workers 2
        quietly K.0 joins
        quietly K.1 joins
        quietly K.0 is prepared
        K.1 is prepared dataset fashion",
        expect![[r#"
            agent A joins with 4 slots
                welcome: the agent on host-A offers 4 slots of 1 thread
            quietly submit J workers 2
            quietly J.0 joins
            J.1 joins canary ff
                welcome J.1
                close run as failed
                save J as failed
                tell watchers of J: a worker on host host-A: its canary is ff, not 00 as others of the job have
                tell J.0 to leave
                tell J.1 to leave
            quietly submit K workers 2
            quietly K.0 joins
            quietly K.1 joins
            quietly K.0 is prepared
            K.1 is prepared dataset fashion
                close run as failed
                save K as failed
                tell watchers of K: a worker on host host-A: its dataset is fashion, not mnist as others of the job have
                tell K.0 to leave
                tell K.1 to leave
        "#]],
    );
}

#[test]
fn a_process_that_never_says_hello_or_never_prepares_is_replaced() {
    check(
        "agent A joins with 1 slots
        quietly submit J workers 1
        wait 120
        J.0 ends
        quietly J.1 joins
        wait 120",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            quietly submit J workers 1
            wait 120
                tell watchers of J: a worker on host host-A: no hello within 120 s
                log: lost a worker on host host-A: no hello within 120 s
                end J.0 on A: no hello within 120 s
                tell watchers of J: waits for 1 slot: 0 free of 1 offered by 1 agent
            J.0 ends
                start J.1 on A
            quietly J.1 joins
            wait 120
                tell watchers of J: a worker on host host-A: not prepared within 120 s (phase prepare, step 0)
                log: lost a worker on host host-A: not prepared within 120 s (phase prepare, step 0)
                end J.1 on A: not prepared within 120 s (phase prepare, step 0)
                tell watchers of J: waits for 1 slot: 0 free of 1 offered by 1 agent
        "#]],
    );
}

#[test]
fn a_job_goes_on_from_a_checkpoint_that_a_worker_finds() {
    check(
        "agent A joins with 2 slots
        quietly submit J workers 2
        quietly J.0 joins
        quietly J.1 joins
        J.0 is prepared
        J.1 is prepared checkpoint 40",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            quietly submit J workers 2
            quietly J.0 joins
            quietly J.1 joins
            J.0 is prepared
                tell watchers of J: waits for 1 of 2 workers to be prepared
            J.1 is prepared checkpoint 40
                void above step 40, 0 rows stay
                save J as starting
                tell watchers of J: generation 1 from step 40 (checkpoint): 2 lanes dealt as [1, 1]
                tell J.0 to begin 1 as rank 0 of [1, 1] from step 40 (step-40 by rank 1, shared)
                tell J.1 to begin 1 as rank 1 of [1, 1] from step 40 (step-40 by rank 1, shared)
        "#]],
    );
}

//! Jobs that go their way: join, deal, start, reports, completion, and ends that somebody wants.

use expect_test::expect;

use super::{TRAINING, check, check_training};

#[test]
fn a_job_goes_from_submission_to_completion() {
    check(
        &format!(
            "{TRAINING}
            J.0 reports 0 step 50,100
            J.1 reports 0 step 50,100
            J.0 reports 1 step 100
            J.0 reports 2 test 100
            J.0 reports 7 step 200
            J.0 stores cafe
            J.0 finishes completed weights cafe
            J.1 finishes completed
            J.0 exits with code 0
            J.1 is silent
            J.1 exits with code 0"
        ),
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            agent B joins with 1 slots
                welcome: the agent on host-B offers 1 slot of 1 thread
            submit J workers 2 lanes 5
                make /state/runs/J
                save J as queued
                answer J
                save J as starting
                tell watchers of J: starts 2 workers
                start J.0 on A with 1 thread
                start J.1 on B with 1 thread
            J.0 joins
                welcome J.0
                tell watchers of J: waits for 1 of 2 workers to say hello
            J.1 joins
                welcome J.1
                save run of J, 1 generation
                tell watchers of J: generation 1: 5 lanes dealt as [2, 3]
                tell J.0 to begin 1 as rank 0, lanes [2, 3]
                tell J.1 to begin 1 as rank 1, lanes [2, 3]
            J.0 ready
                save run of J, 1 generation
            J.1 ready
                save J as running
                tell watchers of J: 2 workers ready
            J.0 reports 0 step 50,100
                append 2 reports of J
                acknowledge to J.0 below 2
            J.1 reports 0 step 50,100
                acknowledge to J.1 below 2
            J.0 reports 1 step 100
                acknowledge to J.0 below 2
            J.0 reports 2 test 100
                append 1 reports of J
                acknowledge to J.0 below 3
            J.0 reports 7 step 200
                ignore: reports from 7 of rank 0 are ignored: 3 is next
                acknowledge to J.0 below 3
            J.0 stores cafe
            J.0 finishes completed weights cafe
            J.1 finishes completed
                close run of J as completed
                save J as completed
                tell watchers of J: all 100 steps are done
                tell J.0 to leave
                tell J.1 to leave
            J.0 exits with code 0
            J.1 is silent
            J.1 exits with code 0
        "#]],
    );
}

#[test]
fn lanes_are_dealt_in_rank_order_and_ranks_node_by_node() {
    check(
        "agent B joins with 2 slots
        agent A joins with 2 slots
        submit J workers 3 lanes 2
        J.2 joins
        J.0 joins set avx512
        J.1 joins set portable",
        expect![[r#"
            agent B joins with 2 slots
                welcome: the agent on host-B offers 2 slots of 1 thread
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            submit J workers 3 lanes 2
                make /state/runs/J
                save J as queued
                answer J
                save J as starting
                tell watchers of J: starts 3 workers
                start J.0 on B with 1 thread
                start J.1 on B with 1 thread
                start J.2 on A with 1 thread
            J.2 joins
                welcome J.2
                tell watchers of J: waits for 2 of 3 workers to say hello
            J.0 joins set avx512
                welcome J.0
                tell watchers of J: waits for 1 of 3 workers to say hello
            J.1 joins set portable
                welcome J.1
                save run of J, 1 generation
                tell watchers of J: generation 1: 2 lanes dealt as [0, 1, 1]
                tell J.0 to begin 1 as rank 0, lanes [0, 1, 1]
                tell J.1 to begin 1 as rank 1, lanes [0, 1, 1]
                tell J.2 to begin 1 as rank 2, lanes [0, 1, 1]
        "#]],
    );
}

#[test]
fn outcomes_and_weights_must_agree() {
    check_training(
        "J.0 finishes completed
            J.1 finishes completed steps 99",
        expect![[r#"
            J.0 finishes completed
            J.1 finishes completed steps 99
                close run of J as failed
                save J as failed
                tell watchers of J: rank 1 on host host-B: it tells of steps 99, not 100 as rank 0
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
    check(
        "agent A joins with 1 slots
        submit J workers 1
        J.0 joins
        J.0 ready
        J.0 stores cafe
        J.0 finishes completed weights beef",
        expect![[r#"
            agent A joins with 1 slots
                welcome: the agent on host-A offers 1 slot of 1 thread
            submit J workers 1
                make /state/runs/J
                save J as queued
                answer J
                save J as starting
                tell watchers of J: starts 1 worker
                start J.0 on A with 1 thread
            J.0 joins
                welcome J.0
                save run of J, 1 generation
                tell watchers of J: generation 1: 2 lanes dealt as [2]
                tell J.0 to begin 1 as rank 0, lanes [2]
            J.0 ready
                save run of J, 1 generation
                save J as running
                tell watchers of J: 1 worker ready
            J.0 stores cafe
            J.0 finishes completed weights beef
                close run of J as failed
                save J as failed
                tell watchers of J: rank 0 tells of weights "beef" but has stored "cafe"
                tell J.0 to leave
        "#]],
    );
}

#[test]
fn a_running_job_is_cancelled_after_the_step_in_flight() {
    check_training(
        "cancel J
            cancel J
            J.0 reports 0 step 7
            J.0 finishes cancelled steps 7
            J.1 finishes cancelled steps 7
            cancel J",
        expect![[r#"
            cancel J
                save J as stopping
                tell watchers of J: cancelled by a user: stops after the step in flight
                tell J.0 to stop: cancelled
                tell J.1 to stop: cancelled
                answer J
            cancel J
                ignore: job J is stopping already: "cancelled by a user" is ignored
                answer J
            J.0 reports 0 step 7
                append 1 reports of J
                acknowledge to J.0 below 1
            J.0 finishes cancelled steps 7
            J.1 finishes cancelled steps 7
                close run of J as cancelled
                save J as cancelled
                tell watchers of J: cancelled after step 7
                tell J.0 to leave
                tell J.1 to leave
            cancel J
                answer no: job J has ended: it is cancelled
        "#]],
    );
}

#[test]
fn a_starting_job_is_cancelled_at_once() {
    check(
        "agent A joins with 2 slots
        submit J workers 2
        J.0 starts
        J.0 joins
        cancel J
        J.1 joins
        J.0 exits with code 0
        wait 6
        J.1 is killed by SIGKILL",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            submit J workers 2
                make /state/runs/J
                save J as queued
                answer J
                save J as starting
                tell watchers of J: starts 2 workers
                start J.0 on A with 1 thread
                start J.1 on A with 1 thread
            J.0 starts
            J.0 joins
                welcome J.0
                tell watchers of J: waits for 1 of 2 workers to say hello
            cancel J
                close run of J as cancelled
                save J as cancelled
                tell watchers of J: cancelled by a user
                tell J.0 to leave
                end J.1 on A: job J has ended
                answer J
            J.1 joins
                refuse: job J has ended
            J.0 exits with code 0
            wait 6
            J.1 is killed by SIGKILL
        "#]],
    );
}

#[test]
fn an_interrupt_stops_all_and_a_second_one_aborts() {
    check_training(
        "submit K workers 1
            interrupt
            interrupt
            J.0 exits with code 1
            wait 5",
        expect![[r#"
            submit K workers 1
                make /state/runs/K
                save K as queued
                answer K
                tell watchers of K: waits for 1 slot: 0 free of 2 offered by 2 agents
            interrupt
                save J as stopping
                tell watchers of J: stopped by Ctrl-C: stops after the step in flight
                tell J.0 to stop: interrupted
                tell J.1 to stop: interrupted
                close run of K as interrupted
                save K as interrupted
                tell watchers of K: stopped by Ctrl-C while queued
            interrupt
                close run of J as interrupted
                save J as interrupted
                tell watchers of J: stopped by Ctrl-C twice
                tell J.0 to abort: stopped by Ctrl-C
                tell J.1 to abort: stopped by Ctrl-C
                tell J.0 to leave
                tell J.1 to leave
            J.0 exits with code 1
            wait 5
                end J.1 on B: it did not leave within 5 s
        "#]],
    );
}

#[test]
fn messages_of_an_old_generation_change_nothing() {
    check_training(
        "J.1 reports 0 step 50 of an old generation
            J.1 finishes completed of an old generation
            J.1 fails late of an old generation",
        expect![[r#"
            J.1 reports 0 step 50 of an old generation
                ignore: a report of worker J.1 for generation 0-ffff is ignored: the job's is generation 1-eb92
            J.1 finishes completed of an old generation
                ignore: the outcome of worker J.1 for generation 0-ffff is ignored: the job's is generation 1-eb92
            J.1 fails late of an old generation
                ignore: failure of worker J.1 for generation 0-ffff is ignored
        "#]],
    );
}

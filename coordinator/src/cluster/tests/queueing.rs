//! Who joins, and who waits for what.

use expect_test::expect;

use super::check;

#[test]
fn an_agent_of_another_version_is_refused_with_both_named() {
    check(
        "agent A joins with 2 slots version 0.0.9",
        expect![[r#"
        agent A joins with 2 slots version 0.0.9
            refuse: the agent on host-A is version 0.0.9, this coordinator is version 0.1.0: use the same
    "#]],
    );
}

#[test]
fn a_node_has_one_agent() {
    check(
        "agent A joins with 2 slots
        agent A joins with 2 slots",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            agent A joins with 2 slots
                refuse: node A has an agent already
        "#]],
    );
}

#[test]
fn a_job_says_what_it_waits_for() {
    check(
        "submit J workers 3
        agent A joins with 2 slots
        agent B joins with 1 slots",
        expect![[r#"
            submit J workers 3
                make /state/runs/J
                save J as queued
                answer J
                tell watchers of J: waits for 3 slots: no agent has joined
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
                tell watchers of J: waits for 3 slots: 2 free of 2 offered by 1 agent
            agent B joins with 1 slots
                welcome: the agent on host-B offers 1 slot of 1 thread
                save J as starting
                tell watchers of J: starts 3 workers
                start J.0 on A with 1 thread
                start J.1 on A with 1 thread
                start J.2 on B with 1 thread
        "#]],
    );
}

#[test]
fn jobs_start_in_the_order_of_submission() {
    check(
        "agent A joins with 2 slots
        submit J workers 1
        submit K workers 2
        submit L workers 1
        submit M workers 3
        submit N workers 1
        cancel K
        J.0 joins
        J.0 ready
        J.0 finishes completed
        J.0 exits with code 0",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            submit J workers 1
                make /state/runs/J
                save J as queued
                answer J
                save J as starting
                tell watchers of J: starts 1 worker
                start J.0 on A with 1 thread
            submit K workers 2
                make /state/runs/K
                save K as queued
                answer K
                tell watchers of K: waits for 2 slots: 1 free of 2 offered by 1 agent
            submit L workers 1
                make /state/runs/L
                save L as queued
                answer L
                tell watchers of L: waits behind job K
            submit M workers 3
                make /state/runs/M
                save M as queued
                answer M
                tell watchers of M: waits for 3 slots: 1 free of 2 offered by 1 agent
            submit N workers 1
                make /state/runs/N
                save N as queued
                answer N
                tell watchers of N: waits behind job K
            cancel K
                close run of K as cancelled
                save K as cancelled
                tell watchers of K: cancelled by a user while queued
                answer K
                save L as starting
                tell watchers of L: starts 1 worker
                start L.0 on A with 1 thread
                tell watchers of M: waits for 3 slots: 0 free of 2 offered by 1 agent
                tell watchers of N: waits for 1 slot: 0 free of 2 offered by 1 agent
            J.0 joins
                welcome J.0
                save run of J, 1 generation
                tell watchers of J: generation 1: 2 lanes dealt as [2]
                tell J.0 to begin 1 as rank 0, lanes [2]
            J.0 ready
                save run of J, 1 generation
                save J as running
                tell watchers of J: 1 worker ready
            J.0 finishes completed
                close run of J as completed
                save J as completed
                tell watchers of J: all 100 steps are done
                tell J.0 to leave
            J.0 exits with code 0
                tell watchers of M: waits for 3 slots: 1 free of 2 offered by 1 agent
                save N as starting
                tell watchers of N: starts 1 worker
                start N.0 on A with 1 thread
        "#]],
    );
}

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
        agent A joins with 2 slots process q
        agent A is stuck
        wait 10
        agent A joins with 2 slots process q",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            agent A joins with 2 slots process q
                refuse: node A has an agent already, on host host-A
            agent A is stuck
            wait 10
            agent A joins with 2 slots process q
                welcome: the agent on host-A offers 2 slots of 1 thread
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
                make /runs/J
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
                start J.0 on A
                start J.1 on A
                start J.2 on B
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
        quietly J gets ready
        J.0 finishes completed at 1000
        J.0 ends with code 0",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            submit J workers 1
                make /runs/J
                save J as queued
                answer J
                save J as starting
                tell watchers of J: starts 1 worker
                start J.0 on A
            submit K workers 2
                make /runs/K
                save K as queued
                answer K
                tell watchers of K: waits for 2 slots: 1 free of 2 offered by 1 agent
            submit L workers 1
                make /runs/L
                save L as queued
                answer L
                tell watchers of L: waits behind job K
            submit M workers 3
                make /runs/M
                save M as queued
                answer M
                tell watchers of M: waits for 3 slots: 1 free of 2 offered by 1 agent
            submit N workers 1
                make /runs/N
                save N as queued
                answer N
                tell watchers of N: waits behind job K
            cancel K
                close run as cancelled
                save K as cancelled
                tell watchers of K: cancelled by a user
                answer K
                save L as starting
                tell watchers of L: starts 1 worker
                start L.0 on A
                tell watchers of M: waits for 3 slots: 0 free of 2 offered by 1 agent
                tell watchers of N: waits for 1 slot: 0 free of 2 offered by 1 agent
            quietly J gets ready
            J.0 finishes completed at 1000
                close run as completed
                save J as completed
                tell watchers of J: all 1000 steps are done
                log: the ledger has 0 of 1000 steps
                tell J.0 to leave
            J.0 ends with code 0
                tell watchers of M: waits for 3 slots: 1 free of 2 offered by 1 agent
                save N as starting
                tell watchers of N: starts 1 worker
                start N.0 on A
        "#]],
    );
}

#[test]
fn a_running_job_takes_single_slots_before_those_that_wait() {
    check(
        "agent A joins with 2 slots
        quietly submit J workers 3
        quietly submit K workers 2
        quietly K gets ready
        quietly submit L workers 2
        K.1 ends",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            quietly submit J workers 3
            quietly submit K workers 2
            quietly K gets ready
            quietly submit L workers 2
            K.1 ends
                save K as recovering
                tell watchers of K: rank 1 on host host-A: killed by SIGKILL
                log: lost rank 1 on host host-A: killed by SIGKILL
                tell K.0 to abort 1: rank 1 on host host-A: killed by SIGKILL
                tell watchers of J: waits for 3 slots: 1 free of 2 offered by 1 agent
                start K.2 on A
        "#]],
    );
}

/// Workers of one job never compute on devices of two kinds: the weights would be others.
#[test]
fn a_job_gets_slots_of_one_kind_of_device() {
    check(
        "agent A joins with 2 slots
        quietly agent G joins with 2 slots of cuda
        quietly submit J workers 1
        submit K workers 1 on cuda
        submit L workers 2 on auto
        submit M workers 2 on cuda",
        expect![[r#"
            agent A joins with 2 slots
                welcome: the agent on host-A offers 2 slots of 1 thread
            quietly agent G joins with 2 slots of cuda
            quietly submit J workers 1
            submit K workers 1 on cuda
                make /runs/K
                save K as queued
                answer K
                save K as starting
                tell watchers of K: starts 1 worker
                start K.0 on G
            submit L workers 2 on auto
                make /runs/L
                save L as queued
                answer L
                tell watchers of L: waits for 2 GPUs: 1 free of 2 offered by 1 agent
            submit M workers 2 on cuda
                make /runs/M
                save M as queued
                answer M
                tell watchers of M: waits behind job L
        "#]],
    );
}

/// `auto` takes the CPU where that has more of what is wanted, and stays with what it has begun on.
#[test]
fn a_job_goes_on_with_the_kind_of_device_that_it_began_on() {
    check(
        "quietly agent A joins with 2 slots
        quietly submit J workers 2 on auto
        quietly J gets ready
        agent G joins with 4 slots of cuda
        quietly J.1 ends with code 1
        scale J to 3",
        expect![[r#"
            quietly agent A joins with 2 slots
            quietly submit J workers 2 on auto
            quietly J gets ready
            agent G joins with 4 slots of cuda
                welcome: the agent on host-G offers 4 slots of 1 GPU
            quietly J.1 ends with code 1
            scale J to 3
                save J as recovering
                tell watchers of J: scaled from 2 to 3 workers by a user
                answer J
        "#]],
    );
}

//! What gradients go by, and jobs whose bits depend on it.

use expect_test::expect;

use super::check_after;

const TWO_GPUS: &str = "
    agent A joins with 1 slots of cuda
    agent B joins with 1 slots of cuda
";

#[test]
fn gradients_go_from_device_to_device_where_all_have_the_same_way() {
    check_after(
        &format!("{TWO_GPUS} submit J workers 2 lanes 5 on cuda"),
        "quietly J.0 joins nccl 2.28
        quietly J.1 joins nccl 2.28
        J gets ready
        J.1 ends",
        expect![[r#"
            quietly J.0 joins nccl 2.28
            quietly J.1 joins nccl 2.28
            J gets ready
                tell watchers of J: waits for 1 of 2 workers to be prepared
                void above step 0, 0 rows stay
                save J as starting
                tell watchers of J: generation 1 from step 0 (initial): 5 lanes dealt as [2, 3]
                tell J.0 to begin 1 as rank 0 of [2, 3] from step 0 (initial) by NCCL 2.28
                tell J.1 to begin 1 as rank 1 of [2, 3] from step 0 (initial) by NCCL 2.28
                save J as running
                tell watchers of J: 2 workers ready: generation 1
            J.1 ends
                save J as recovering
                tell watchers of J: rank 1 on host host-B: killed by SIGKILL
                log: lost rank 1 on host host-B: killed by SIGKILL
                tell J.0 to abort 1: rank 1 on host host-B: killed by SIGKILL
                start J.2 on B
        "#]],
    );
}

#[test]
fn where_one_lacks_it_they_go_through_the_hosts_which_is_said() {
    check_after(
        &format!("{TWO_GPUS} submit J workers 2 lanes 5 on cuda"),
        "quietly J.0 joins nccl 2.28
        quietly J.1 joins without nccl
        J gets ready",
        expect![[r#"
            quietly J.0 joins nccl 2.28
            quietly J.1 joins without nccl
            J gets ready
                tell watchers of J: waits for 1 of 2 workers to be prepared
                void above step 0, 0 rows stay
                save J as starting
                tell watchers of J: generation 1 from step 0 (initial): 5 lanes dealt as [2, 3]
                log: gradients go through the hosts' memory, which is slower: a worker on host host-B: NCCL was not found
                tell J.0 to begin 1 as rank 0 of [2, 3] from step 0 (initial)
                tell J.1 to begin 1 as rank 1 of [2, 3] from step 0 (initial)
                save J as running
                tell watchers of J: 2 workers ready: generation 1
        "#]],
    );
}

#[test]
fn a_job_in_the_devices_own_order_takes_none_without_their_way() {
    check_after(
        &format!("{TWO_GPUS} submit J workers 2 lanes 5 on cuda fast"),
        "quietly J.0 joins nccl 2.28
        J.1 joins nccl 2.30",
        expect![[r#"
            quietly J.0 joins nccl 2.28
            J.1 joins nccl 2.30
                welcome J.1
                close run as failed
                save J as failed
                tell watchers of J: a worker on host host-B: optimizer.reduction needs one NCCL on all GPUs, but it has NCCL 2.30, others NCCL 2.28
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

/// It may be scaled, and then nobody could join it.
#[test]
fn a_job_in_the_devices_own_order_takes_no_worker_without_a_way_even_alone() {
    check_after(
        &format!("{TWO_GPUS} submit J workers 1 lanes 5 on cuda fast"),
        "J.0 joins without nccl",
        expect![[r#"
            J.0 joins without nccl
                welcome J.0
                close run as failed
                save J as failed
                tell watchers of J: a worker on host host-A: optimizer.reduction needs one NCCL on all GPUs, but NCCL was not found
                tell J.0 to leave
        "#]],
    );
}

const FAST: &str = "
    agent A joins with 1 slots of cuda
    agent B joins with 1 slots of cuda
    submit J workers 2 lanes 5 on cuda fast
    J.0 joins nccl 2.28
    J.1 joins nccl 2.28
    J gets ready
    J.0 reports to 50
    J.1 ends
";

#[test]
fn a_job_in_the_devices_own_order_waits_for_as_many_as_before() {
    check_after(
        FAST,
        "J.0 left at 60
        quietly J.2 joins nccl 2.28
        J gets ready",
        expect![[r#"
            J.0 left at 60
                save J as recovering
                tell watchers of J: 1 of 2 workers are there: an optimizer.reduction that depends on them is resized by scale alone
            quietly J.2 joins nccl 2.28
            J gets ready
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [2, 3]
                tell J.0 to begin 2 as rank 0 of [2, 3] from step 60 (memory of rank 0, shared) by NCCL 2.28
                tell J.2 to begin 2 as rank 1 of [2, 3] from step 60 (memory of rank 0, shared) by NCCL 2.28
                save J as running
                tell watchers of J: 2 workers ready: generation 2
        "#]],
    );
}

#[test]
fn a_job_in_the_devices_own_order_is_resized_by_scale() {
    check_after(
        FAST,
        "quietly J.0 left at 60
        scale J to 1",
        expect![[r#"
            quietly J.0 left at 60
            scale J to 1
                save J as recovering
                tell watchers of J: scaled from 2 to 1 workers by a user
                save J as recovering
                tell watchers of J: generation 2 from step 60 (memory): 5 lanes dealt as [5]
                tell J.0 to begin 2 as rank 0 of [5] from step 60 (memory of rank 0)
                end J.2 on B: job J has no more use for it
                answer J
        "#]],
    );
}

//! Jobs that fail, with the culprit named.

use expect_test::expect;

use super::{check, check_training};

#[test]
fn a_lost_worker_is_named_with_the_cause_that_its_agent_tells() {
    check_training(
        "J.1 is silent
        J.1 is killed by SIGKILL
        J.0 exits with code 1",
        expect![[r#"
            J.1 is silent
                save J as stopping
                tell watchers of J: rank 1 on host host-B: lost: connection reset
                tell J.0 to abort: rank 1 on host host-B: lost: connection reset
            J.1 is killed by SIGKILL
                close run of J as failed
                save J as failed
                tell watchers of J: rank 1 on host host-B: killed by SIGKILL
                tell J.0 to leave
            J.0 exits with code 1
        "#]],
    );
}

#[test]
fn a_worker_that_complains_about_its_peer_is_not_the_culprit() {
    check_training(
        "J.0 fails rank 1 closed its connection
        J.1 is killed by SIGKILL",
        expect![[r#"
            J.0 fails rank 1 closed its connection
                save J as stopping
                tell watchers of J: rank 0 on host host-A: rank 1 closed its connection
                tell J.1 to abort: rank 0 on host host-A: rank 1 closed its connection
            J.1 is killed by SIGKILL
                close run of J as failed
                save J as failed
                tell watchers of J: rank 1 on host host-B: killed by SIGKILL
                tell J.0 to leave
        "#]],
    );
}

#[test]
fn a_worker_that_fails_alone_is_the_culprit() {
    check_training(
        "J.0 fails reading samples: input/output error
        J.1 is silent
        J.1 exits with code 1",
        expect![[r#"
            J.0 fails reading samples: input/output error
                save J as stopping
                tell watchers of J: rank 0 on host host-A: reading samples: input/output error
                tell J.1 to abort: rank 0 on host host-A: reading samples: input/output error
            J.1 is silent
            J.1 exits with code 1
                close run of J as failed
                save J as failed
                tell watchers of J: rank 0 on host host-A: reading samples: input/output error
                tell J.0 to leave
        "#]],
    );
}

#[test]
fn a_silent_worker_whose_agent_says_nothing_is_lost_after_a_grace() {
    check_training(
        "J.1 is silent
        wait 1
        wait 1
        wait 5",
        expect![[r#"
            J.1 is silent
                save J as stopping
                tell watchers of J: rank 1 on host host-B: lost: connection reset
                tell J.0 to abort: rank 1 on host host-B: lost: connection reset
            wait 1
            wait 1
                close run of J as failed
                save J as failed
                tell watchers of J: rank 1 on host host-B: lost: connection reset
                tell J.0 to leave
                end J.1 on B: job J has ended
            wait 5
                end J.0 on A: it did not leave within 5 s
        "#]],
    );
}

#[test]
fn bad_input_ends_the_job_as_such() {
    check_training(
        "J.1 has bad input data.path: /data/train.gz does not exist
        J.0 is silent",
        expect![[r#"
            J.1 has bad input data.path: /data/train.gz does not exist
                close run of J as failed
                save J as failed (bad input)
                tell watchers of J: rank 1 on host host-B: data.path: /data/train.gz does not exist
                tell J.0 to abort: rank 1 on host host-B: data.path: /data/train.gz does not exist
                tell J.1 to abort: rank 1 on host host-B: data.path: /data/train.gz does not exist
                tell J.0 to leave
                tell J.1 to leave
            J.0 is silent
        "#]],
    );
}

#[test]
fn a_lost_agent_takes_its_workers_along() {
    check_training(
        "agent B is lost",
        expect![[r#"
        agent B is lost
            close run of J as failed
            save J as failed
            tell watchers of J: rank 1 on host host-B: the agent of host host-B was lost: connection ended
            tell J.0 to abort: rank 1 on host host-B: the agent of host host-B was lost: connection ended
            tell J.0 to leave
    "#]],
    );
}

#[test]
fn a_loss_while_cancelling_is_still_a_cancel() {
    check_training(
        "cancel J
        J.1 is killed by SIGKILL",
        expect![[r#"
            cancel J
                save J as stopping
                tell watchers of J: cancelled by a user: stops after the step in flight
                tell J.0 to stop: cancelled
                tell J.1 to stop: cancelled
                answer J
            J.1 is killed by SIGKILL
                close run of J as cancelled
                save J as cancelled
                tell watchers of J: cancelled while stopping: rank 1 on host host-B: killed by SIGKILL
                tell J.0 to abort: rank 1 on host host-B: killed by SIGKILL
                tell J.0 to leave
        "#]],
    );
}

#[test]
fn a_full_disk_fails_the_job() {
    check_training(
        "disk of J fails",
        expect![[r#"
        disk of J fails
            save J as failed
            tell watchers of J: no space left on device
            tell J.0 to abort: no space left on device
            tell J.1 to abort: no space left on device
            tell J.0 to leave
            tell J.1 to leave
    "#]],
    );
}

#[test]
fn a_worker_of_another_fingerprint_is_named() {
    check(
        "agent A joins with 2 slots
        submit J workers 2
        J.0 joins
        J.1 joins canary ff",
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
            J.0 joins
                welcome J.0
                tell watchers of J: waits for 1 of 2 workers to say hello
            J.1 joins canary ff
                welcome J.1
                close run of J as failed
                save J as failed
                tell watchers of J: rank 1 on host host-A: its canary is ff, not 00 as rank 0 has
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
    check(
        "agent A joins with 2 slots
        submit J workers 2
        J.0 joins
        J.1 joins
        J.0 ready
        J.1 ready dataset fashion",
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
            J.0 joins
                welcome J.0
                tell watchers of J: waits for 1 of 2 workers to say hello
            J.1 joins
                welcome J.1
                save run of J, 1 generation
                tell watchers of J: generation 1: 2 lanes dealt as [1, 1]
                tell J.0 to begin 1 as rank 0, lanes [1, 1]
                tell J.1 to begin 1 as rank 1, lanes [1, 1]
            J.0 ready
                save run of J, 1 generation
            J.1 ready dataset fashion
                close run of J as failed
                save J as failed
                tell watchers of J: rank 1 on host host-A: its dataset is fashion, not mnist as rank 0 has
                tell J.0 to abort: rank 1 on host host-A: its dataset is fashion, not mnist as rank 0 has
                tell J.1 to abort: rank 1 on host host-A: its dataset is fashion, not mnist as rank 0 has
                tell J.0 to leave
                tell J.1 to leave
        "#]],
    );
}

#[test]
fn a_process_that_never_says_hello_is_given_up() {
    check(
        "agent A joins with 1 slots
        submit J workers 1
        J.0 starts
        wait 120",
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
            J.0 starts
            wait 120
                close run of J as failed
                save J as failed
                tell watchers of J: rank 0 on host host-A: no hello within 120 s
                end J.0 on A: job J has ended
        "#]],
    );
}

//! Transcripts: what happened, and below it, indented, what the worker does.

use std::sync::Arc;

use expect_test::{Expect, expect};
use lockstep_proto::identity::Generation;
use lockstep_proto::ledger::LedgerRow;
use lockstep_proto::wire::{self, worker_event::Event as Sent};

use super::{Batch, Command, Control, Entry, Event, Ready, StopReason, TrainerEvent, Weights};

fn generation(number: u64) -> Generation {
    Generation { number, id: [number as u8; 16] }
}

fn held(step: u64) -> wire::Held {
    wire::Held { step, digest: format!("d{step}") }
}

/// A ledger of `steps` steps of generation 1.
fn row(steps: u64) -> LedgerRow {
    LedgerRow {
        epoch: 0,
        from: 0,
        to: steps,
        first_step: 0,
        steps,
        generation: 1,
        samples: steps,
        hashes: 0,
        skipped: Vec::new(),
    }
}

fn report(step: u64) -> wire::Report {
    wire::Report { report: Some(wire::report::Report::Step(wire::StepReport { step, ..Default::default() })) }
}

/// `begin NUMBER as RANK from STEP (ROWS rows, reports to STEP)`
fn begin(words: &[&str]) -> Event {
    let number = |index: usize| words[index].trim_matches(['(', ')']).parse::<u64>().unwrap();
    let begin = wire::Begin {
        generation: Some(generation(number(1)).into()),
        secret: vec![9; 32],
        rank: number(3) as u32,
        start: Some(wire::Start { step: number(5), ..Default::default() }),
        ledger_rows: number(6),
        recorded_step: number(10),
        ..Default::default()
    };
    Event::Begin(Box::new(Entry { generation: generation(number(1)), begin, reports: Vec::new() }))
}

/// Reads an event from a line of a transcript.
fn event(line: &str) -> Event {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    match words[..] {
        ["connected"] => Event::Connected,
        ["welcome"] => Event::Welcomed,
        ["refused", ..] => Event::Refused(words[1..].join(" ")),
        ["stream", "lost"] => Event::StreamLost("connection reset".into()),
        ["assigned", job] => Event::Assigned(Box::new(wire::Assignment { job: job.into(), ..Default::default() })),
        ["begin", ..] => begin(&words),
        ["stop", _, why] => Event::Stop { generation: generation(number(1)), why: StopReason::from_name(why).unwrap() },
        ["abort", _, ..] => Event::Abort { generation: generation(number(1)), reason: words[2..].join(" ") },
        ["ack", "rows", _, "step", _] => Event::Acknowledged { rows: number(2), step: number(4) },
        ["write", "checkpoint"] => Event::WriteCheckpoint,
        ["delete", "checkpoint", name] => Event::DeleteCheckpoints(vec![name.into()]),
        ["leave"] => Event::Leave,
        ["weights", "stored", _] => Event::WeightsStored { attempt: number(2) },
        ["weights", "lost", _] => {
            Event::WeightsNotStored { attempt: number(2), reason: "connection reset".into(), lost: true }
        }
        ["weights", "refused", _] => {
            Event::WeightsNotStored { attempt: number(2), reason: "disk full".into(), lost: false }
        }
        ["trainer", ..] => Event::Trainer(trainer_event(&words[1..])),
        _ => panic!("no event: {line}"),
    }
}

fn trainer_event(words: &[&str]) -> TrainerEvent {
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    match *words {
        ["prepared"] => TrainerEvent::Prepared(Box::default()),
        ["ready", "at", _] => {
            let rows = if number(2) == 0 { Vec::new() } else { vec![row(number(2))] };
            TrainerEvent::Ready(Box::new(Ready {
                held: held(number(2)),
                rows,
                reported: number(2),
                reports: Vec::new(),
            }))
        }
        ["step", _] => {
            let batch = Batch {
                reported: number(1),
                first_row: 0,
                rows: vec![row(number(1))],
                reports: vec![report(number(1))],
            };
            TrainerEvent::Committed(Box::new(batch))
        }
        ["finished", reason, "at", _, ref rest @ ..] => TrainerEvent::Finished {
            held: held(number(3)),
            outcome: Box::new(wire::Outcome { stop_reason: reason.into(), ..Default::default() }),
            weights: (!rest.is_empty()).then(|| Weights(Arc::new(vec![0; 40]))),
        },
        ["left", "at", _, "lost", "rank", _] => TrainerEvent::Left {
            held: Some(held(number(2))),
            cause: format!("lost rank {}", number(5)),
            lost_rank: Some(number(5) as u32),
            recent: vec!["reduce".into()],
        },
        ["left", "at", _] => TrainerEvent::Left {
            held: Some(held(number(2))),
            cause: "the reduction was aborted".into(),
            lost_rank: None,
            recent: Vec::new(),
        },
        ["failed", ..] => TrainerEvent::Failed { reason: words[1..].join(" "), bad_input: true },
        ["checkpoint", name] => TrainerEvent::CheckpointWritten(Box::new(wire::CheckpointWritten {
            name: name.into(),
            ..Default::default()
        })),
        ["digest"] => TrainerEvent::StateDigest(Box::default()),
        _ => panic!("no event of the trainer: {words:?}"),
    }
}

fn describe(command: &Command) -> String {
    match command {
        Command::Send(sent) => format!("say {}", describe_sent(sent)),
        Command::Prepare(assignment) => format!("prepare for job {}", assignment.job),
        Command::Enter(entry) => {
            assert_eq!(entry.begin.secret.len(), 32);
            format!("enter {:?} with {} unrecorded reports", entry.generation, entry.reports.len())
        }
        Command::WantStop { generation, why } => format!("want {generation:?} stopped: {}", why.name()),
        Command::AbortTrainer(generation) => format!("abort {generation:?}"),
        Command::WriteCheckpoint => "write a checkpoint".into(),
        Command::DeleteCheckpoints(names) => format!("delete {}", names.join(", ")),
        Command::StoreWeights { attempt, weights } => format!("store weights, attempt {attempt}: {weights:?}"),
        Command::PassOver(reason) => format!("pass over: {reason}"),
        Command::Exit { code, reason } => format!("exit {code}: {reason}"),
    }
}

fn describe_held(held: Option<&wire::Held>) -> String {
    held.map_or("nothing".into(), |held| format!("step {} {:?}", held.step, held.digest))
}

fn describe_sent(sent: &Sent) -> String {
    let number = |generation: &Option<wire::GenerationId>| generation.as_ref().map_or(0, |id| id.number);
    match sent {
        Sent::Hello(wire::WorkerHello { attachment: None, .. }) => "hello".into(),
        Sent::Hello(wire::WorkerHello { attachment: Some(attachment), .. }) => {
            let generation = attachment.generation.as_ref().map_or("none".into(), |begin| {
                assert!(begin.secret.is_empty());
                number(&begin.generation).to_string()
            });
            format!(
                "hello again: assigned {}, prepared {}, highest {}, in {generation}, holds {}",
                attachment.assignment.is_some(),
                attachment.prepared.is_some(),
                attachment.highest_generation,
                describe_held(attachment.held.as_ref())
            )
        }
        Sent::Prepared(_) => "prepared".into(),
        Sent::Ready(ready) => format!("ready in {}: {}", number(&ready.generation), describe_held(ready.held.as_ref())),
        Sent::Reports(reports) => {
            let steps = reports.reports.iter().map(|report| match &report.report {
                Some(wire::report::Report::Step(report)) => report.step.to_string(),
                _ => "?".into(),
            });
            let rows: Vec<_> = reports.rows.iter().map(|row| format!("0..{}", row.to)).collect();
            let (generation, steps) = (number(&reports.generation), steps.collect::<Vec<_>>().join(" "));
            format!("in {generation}: rows from {}: {}; reports {steps}", reports.first_row, rows.join(" "))
        }
        Sent::Finished(finished) => {
            let reason = finished.outcome.as_ref().map_or("", |outcome| &outcome.stop_reason);
            format!("finished {} {reason}: {}", number(&finished.generation), describe_held(finished.held.as_ref()))
        }
        Sent::Left(left) => {
            let (generation, held) = (number(&left.generation), describe_held(left.held.as_ref()));
            format!(
                "left {generation}: {}, lost {:?}, {held}, {} events",
                left.cause,
                left.lost_rank,
                left.recent.len()
            )
        }
        Sent::Failed(failed) => format!("failed: {}, bad input {}", failed.reason, failed.bad_input),
        Sent::CheckpointWritten(written) => format!("checkpoint {}", written.name),
        Sent::StateDigest(_) => "digest".into(),
        Sent::Alive(_) | Sent::CheckpointFailed(_) | Sent::LaneDigest(_) => "something else".into(),
    }
}

/// Plays the events and compares the transcript.
fn check(events: &str, expected: Expect) {
    let mut control = Control::new(wire::WorkerHello::default());
    let mut transcript = String::new();
    for line in events.lines().map(str::trim).filter(|line| !line.is_empty()) {
        transcript += &format!("{line}\n");
        for command in control.step(event(line)) {
            transcript += &format!("    {}\n", describe(&command));
        }
    }
    expected.assert_eq(&transcript);
}

/// A worker that waits for its first generation.
const PREPARED: &str = "connected\n welcome\n assigned j1\n trainer prepared\n";

fn check_prepared(events: &str, expected: Expect) {
    check(&format!("{PREPARED}{events}"), expected);
}

#[test]
fn rank_0_trains_reports_stores_the_weights_and_begins_again() {
    check_prepared(
        "begin 1 as 0 from 0 (0 rows, reports to 0)
         trainer ready at 0
         trainer step 1
         trainer step 2
         ack rows 0 step 2
         trainer step 3
         trainer finished completed at 3 with weights
         weights stored 1
         begin 2 as 0 from 3 (0 rows, reports to 3)
         trainer ready at 3
         leave",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 1 as 0 from 0 (0 rows, reports to 0)
                enter generation 1-0101 with 0 unrecorded reports
            trainer ready at 0
                say ready in 1: step 0 "d0"
            trainer step 1
                say in 1: rows from 0: 0..1; reports 1
            trainer step 2
                say in 1: rows from 0: 0..2; reports 2
            ack rows 0 step 2
            trainer step 3
                say in 1: rows from 0: 0..3; reports 3
            trainer finished completed at 3 with weights
                store weights, attempt 1: 40 bytes
            weights stored 1
                say finished 1 completed: step 3 "d3"
            begin 2 as 0 from 3 (0 rows, reports to 3)
                enter generation 2-0202 with 0 unrecorded reports
            trainer ready at 3
                say ready in 2: step 3 "d3"
                say in 2: rows from 0: 0..3; reports 
            leave
                exit 0: nothing more to do
        "#]],
    );
}

#[test]
fn other_ranks_keep_what_rank_0_says() {
    check_prepared(
        "begin 1 as 1 from 0 (0 rows, reports to 0)
         trainer ready at 0
         trainer step 1
         trainer step 2
         trainer step 3
         ack rows 0 step 1
         trainer left at 3 lost rank 0
         begin 2 as 0 from 2 (0 rows, reports to 1)
         trainer ready at 2
         trainer step 3
         trainer finished regrouped at 3",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 1 as 1 from 0 (0 rows, reports to 0)
                enter generation 1-0101 with 0 unrecorded reports
            trainer ready at 0
                say ready in 1: step 0 "d0"
            trainer step 1
            trainer step 2
            trainer step 3
            ack rows 0 step 1
            trainer left at 3 lost rank 0
                say left 1: lost rank 0, lost Some(0), step 3 "d3", 1 events
            begin 2 as 0 from 2 (0 rows, reports to 1)
                enter generation 2-0202 with 1 unrecorded reports
            trainer ready at 2
                say ready in 2: step 2 "d2"
                say in 2: rows from 0: 0..2; reports 2
            trainer step 3
                say in 2: rows from 0: 0..3; reports 3
            trainer finished regrouped at 3
                say finished 2 regrouped: step 3 "d3"
        "#]],
    );
}

#[test]
fn a_stop_is_for_one_generation_only() {
    check_prepared(
        "begin 2 as 1 from 0 (0 rows, reports to 0)
         stop 1 cancelled
         trainer ready at 0
         stop 2 paused
         trainer finished paused at 1
         stop 2 cancelled",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 2 as 1 from 0 (0 rows, reports to 0)
                enter generation 2-0202 with 0 unrecorded reports
            stop 1 cancelled
                pass over: a stop of generation 1-0101, in which the trainer is not
            trainer ready at 0
                say ready in 2: step 0 "d0"
            stop 2 paused
                want generation 2-0202 stopped: paused
            trainer finished paused at 1
                say finished 2 paused: step 1 "d1"
            stop 2 cancelled
                pass over: a stop of generation 2-0202, in which the trainer is not
        "#]],
    );
}

#[test]
fn an_abort_makes_the_trainer_leave_once() {
    check_prepared(
        "begin 1 as 0 from 0 (0 rows, reports to 0)
         trainer ready at 0
         abort 7 another generation
         abort 1 rank 1 is lost
         abort 1 rank 1 is lost
         trainer step 4
         trainer left at 4
         abort 1 rank 1 is lost",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 1 as 0 from 0 (0 rows, reports to 0)
                enter generation 1-0101 with 0 unrecorded reports
            trainer ready at 0
                say ready in 1: step 0 "d0"
            abort 7 another generation
                pass over: an abort of generation 7-0707, in which this worker is not
            abort 1 rank 1 is lost
                abort generation 1-0101
            abort 1 rank 1 is lost
            trainer step 4
                say in 1: rows from 0: 0..4; reports 4
            trainer left at 4
                say left 1: told to leave: rank 1 is lost, lost None, step 4 "d4", 0 events
            abort 1 rank 1 is lost
                pass over: an abort of generation 1-0101, in which this worker is not
        "#]],
    );
}

#[test]
fn an_aborted_worker_says_left_even_if_it_had_finished() {
    check_prepared(
        "begin 1 as 0 from 0 (0 rows, reports to 0)
         trainer ready at 0
         trainer finished completed at 2 with weights
         abort 1 rank 1 is lost
         weights stored 1",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 1 as 0 from 0 (0 rows, reports to 0)
                enter generation 1-0101 with 0 unrecorded reports
            trainer ready at 0
                say ready in 1: step 0 "d0"
            trainer finished completed at 2 with weights
                store weights, attempt 1: 40 bytes
            abort 1 rank 1 is lost
                say left 1: told to leave: rank 1 is lost, lost None, step 2 "d2", 0 events
            weights stored 1
        "#]],
    );
}

#[test]
fn a_newer_generation_is_entered_when_the_trainer_has_left_the_older() {
    check_prepared(
        "begin 3 as 1 from 0 (0 rows, reports to 0)
         trainer ready at 0
         begin 3 as 1 from 0 (0 rows, reports to 0)
         begin 2 as 1 from 0 (0 rows, reports to 0)
         begin 5 as 0 from 4 (0 rows, reports to 0)
         trainer step 4
         trainer left at 4
         trainer ready at 4
         begin 4 as 0 from 4 (0 rows, reports to 0)",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 3 as 1 from 0 (0 rows, reports to 0)
                enter generation 3-0303 with 0 unrecorded reports
            trainer ready at 0
                say ready in 3: step 0 "d0"
            begin 3 as 1 from 0 (0 rows, reports to 0)
                pass over: generation 3-0303 begins, but 3 was seen before
            begin 2 as 1 from 0 (0 rows, reports to 0)
                pass over: generation 2-0202 begins, but 3 was seen before
            begin 5 as 0 from 4 (0 rows, reports to 0)
                abort generation 3-0303
            trainer step 4
            trainer left at 4
                say left 3: told to leave: generation 5-0505 begins, lost None, step 4 "d4", 0 events
                enter generation 5-0505 with 1 unrecorded reports
            trainer ready at 4
                say ready in 5: step 4 "d4"
                say in 5: rows from 0: 0..4; reports 4
            begin 4 as 0 from 4 (0 rows, reports to 0)
                pass over: generation 4-0404 begins, but 5 was seen before
        "#]],
    );
}

#[test]
fn a_lost_stream_costs_nothing() {
    check_prepared(
        "begin 1 as 0 from 0 (0 rows, reports to 0)
         trainer ready at 0
         trainer step 1
         ack rows 0 step 1
         stream lost
         trainer step 2
         trainer checkpoint step-2
         trainer digest
         connected
         welcome
         trainer step 3
         ack rows 0 step 3
         stream lost
         trainer finished regrouped at 3
         connected
         welcome",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 1 as 0 from 0 (0 rows, reports to 0)
                enter generation 1-0101 with 0 unrecorded reports
            trainer ready at 0
                say ready in 1: step 0 "d0"
            trainer step 1
                say in 1: rows from 0: 0..1; reports 1
            ack rows 0 step 1
            stream lost
            trainer step 2
            trainer checkpoint step-2
            trainer digest
            connected
                say hello again: assigned true, prepared true, highest 1, in 1, holds step 2 ""
            welcome
                say prepared
                say ready in 1: step 0 "d0"
                say in 1: rows from 0: 0..2; reports 2
                say checkpoint step-2
            trainer step 3
                say in 1: rows from 0: 0..3; reports 3
            ack rows 0 step 3
            stream lost
            trainer finished regrouped at 3
            connected
                say hello again: assigned true, prepared true, highest 1, in none, holds step 3 "d3"
            welcome
                say prepared
                say in 1: rows from 0: 0..3; reports 
                say checkpoint step-2
                say finished 1 regrouped: step 3 "d3"
        "#]],
    );
}

#[test]
fn a_coordinator_that_forgot_asks_for_all_rows() {
    check_prepared(
        "begin 1 as 0 from 0 (0 rows, reports to 0)
         trainer ready at 0
         trainer step 5
         ack rows 1 step 5
         stream lost
         connected
         welcome
         ack rows 0 step 0
         ack rows 0 step 0",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 1 as 0 from 0 (0 rows, reports to 0)
                enter generation 1-0101 with 0 unrecorded reports
            trainer ready at 0
                say ready in 1: step 0 "d0"
            trainer step 5
                say in 1: rows from 0: 0..5; reports 5
            ack rows 1 step 5
            stream lost
            connected
                say hello again: assigned true, prepared true, highest 1, in 1, holds step 5 ""
            welcome
                say prepared
                say ready in 1: step 0 "d0"
                say in 1: rows from 0: 0..5; reports 
            ack rows 0 step 0
                say in 1: rows from 0: 0..5; reports 
            ack rows 0 step 0
        "#]],
    );
}

#[test]
fn weights_are_stored_again_on_the_next_stream() {
    check_prepared(
        "begin 1 as 0 from 0 (0 rows, reports to 0)
         trainer ready at 0
         trainer finished completed at 2 with weights
         stream lost
         weights lost 1
         connected
         welcome
         weights lost 1
         weights stored 2",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 1 as 0 from 0 (0 rows, reports to 0)
                enter generation 1-0101 with 0 unrecorded reports
            trainer ready at 0
                say ready in 1: step 0 "d0"
            trainer finished completed at 2 with weights
                store weights, attempt 1: 40 bytes
            stream lost
            weights lost 1
            connected
                say hello again: assigned true, prepared true, highest 1, in 1, holds step 0 ""
            welcome
                say prepared
                say ready in 1: step 0 "d0"
                store weights, attempt 2: 40 bytes
            weights lost 1
            weights stored 2
                say finished 1 completed: step 2 "d2"
        "#]],
    );
    check_prepared(
        "begin 1 as 0 from 0 (0 rows, reports to 0)
         trainer ready at 0
         stream lost
         trainer finished completed at 2 with weights
         connected
         welcome
         weights refused 1",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            begin 1 as 0 from 0 (0 rows, reports to 0)
                enter generation 1-0101 with 0 unrecorded reports
            trainer ready at 0
                say ready in 1: step 0 "d0"
            stream lost
            trainer finished completed at 2 with weights
            connected
                say hello again: assigned true, prepared true, highest 1, in 1, holds step 0 ""
            welcome
                say prepared
                say ready in 1: step 0 "d0"
                store weights, attempt 1: 40 bytes
            weights refused 1
                say failed: the coordinator did not store the weights: disk full, bad input false
        "#]],
    );
}

#[test]
fn a_failed_trainer_is_told_and_told_again() {
    check(
        "connected
         welcome
         assigned j1
         trainer failed data.path: no such folder
         begin 1 as 0 from 0 (0 rows, reports to 0)
         stream lost
         connected
         welcome
         leave",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer failed data.path: no such folder
                say failed: data.path: no such folder, bad input true
            begin 1 as 0 from 0 (0 rows, reports to 0)
                pass over: generation 1-0101 begins, but this worker is not prepared
            stream lost
            connected
                say hello again: assigned true, prepared false, highest 0, in none, holds nothing
            welcome
                say failed: data.path: no such folder, bad input true
            leave
                exit 0: nothing more to do
        "#]],
    );
}

#[test]
fn a_refused_worker_ends() {
    check(
        "connected\n refused version 0.2.0 wanted",
        expect![[r#"
        connected
            say hello
        refused version 0.2.0 wanted
            exit 2: refused by the coordinator: version 0.2.0 wanted
    "#]],
    );
    check_prepared(
        "stream lost\n connected\n refused the job has ended",
        expect![[r#"
        connected
            say hello
        welcome
        assigned j1
            prepare for job j1
        trainer prepared
            say prepared
        stream lost
        connected
            say hello again: assigned true, prepared true, highest 0, in none, holds nothing
        refused the job has ended
            exit 1: refused by the coordinator: the job has ended
    "#]],
    );
}

#[test]
fn a_worker_that_was_never_welcomed_says_that_it_comes_again() {
    check(
        "connected\n stream lost\n connected\n welcome\n assigned j1\n assigned j1\n assigned j2",
        expect![[r#"
        connected
            say hello
        stream lost
        connected
            say hello again: assigned false, prepared false, highest 0, in none, holds nothing
        welcome
        assigned j1
            prepare for job j1
        assigned j1
        assigned j2
            pass over: an assignment to job j2: this worker is for job j1
    "#]],
    );
}

#[test]
fn checkpoints_are_written_and_deleted_in_any_phase() {
    check_prepared(
        "write checkpoint
         trainer checkpoint step-1
         trainer checkpoint step-2
         delete checkpoint step-2
         stream lost
         connected
         welcome",
        expect![[r#"
            connected
                say hello
            welcome
            assigned j1
                prepare for job j1
            trainer prepared
                say prepared
            write checkpoint
                write a checkpoint
            trainer checkpoint step-1
                say checkpoint step-1
            trainer checkpoint step-2
                say checkpoint step-2
            delete checkpoint step-2
                delete step-2
            stream lost
            connected
                say hello again: assigned true, prepared true, highest 0, in none, holds nothing
            welcome
                say prepared
        "#]],
    );
}

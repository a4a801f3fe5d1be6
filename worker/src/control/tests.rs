//! Transcripts: what happened, and below it, indented, what the worker does.

use expect_test::{Expect, expect};
use lockstep_proto::identity::Generation;
use lockstep_proto::wire;

use super::{Assignment, Command, Control, Event, StopReason, Weights};

fn generation(number: u64) -> Generation {
    Generation { number, id: [number as u8; 16] }
}

/// Reads an event from a line of a transcript.
fn event(line: &str) -> Event {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |index: usize| words[index].parse().unwrap();
    match words[..] {
        ["welcome"] => Event::Welcomed,
        ["refused", ..] => Event::Refused(words[1..].join(" ")),
        ["begin", _] => {
            let begin = wire::Begin { generation: Some(generation(number(1)).into()), ..Default::default() };
            Event::Begin(Box::new(Assignment { generation: generation(number(1)), begin }))
        }
        ["stop", _, "cancelled"] => Event::Stop { generation: generation(number(1)), why: StopReason::Cancelled },
        ["stop", _, "interrupted"] => Event::Stop { generation: generation(number(1)), why: StopReason::Interrupted },
        ["abort", _, ..] => Event::Abort { generation: generation(number(1)), reason: words[2..].join(" ") },
        ["ack", _] => Event::Acknowledged(number(1)),
        ["leave"] => Event::Leave,
        ["stream", "lost"] => Event::StreamLost("connection reset".into()),
        ["trainer", "ready"] => Event::TrainerReady(wire::Ready::default()),
        ["trainer", "step", _] => {
            let report = wire::StepReport { step: number(2), ..Default::default() };
            Event::TrainerReported(wire::Report { report: Some(wire::report::Report::Step(report)) })
        }
        ["trainer", "finished", "with", "weights"] => finished(Some(Weights(vec![0; 40]))),
        ["trainer", "finished"] => finished(None),
        ["trainer", "failed", ..] => Event::TrainerFailed { reason: words[2..].join(" "), bad_input: false },
        ["weights", "stored"] => Event::WeightsStored,
        ["weights", "not", "stored"] => Event::WeightsNotStored("disk full".into()),
        _ => panic!("no event: {line}"),
    }
}

fn finished(weights: Option<Weights>) -> Event {
    Event::TrainerFinished { outcome: wire::Outcome { steps: 9, ..Default::default() }, weights }
}

fn describe(command: &Command) -> String {
    use wire::worker_event::Event as Sent;
    match command {
        Command::StartTrainer(assignment) => format!("start the trainer for {:?}", assignment.generation),
        Command::WantStop(why) => format!("want a stop: {why:?}"),
        Command::AbortTrainer => "abort the trainer".into(),
        Command::StoreWeights(weights) => format!("store weights: {weights:?}"),
        Command::Exit { code, reason } => format!("exit {code}: {reason}"),
        Command::Send(Sent::Ready(_)) => "say ready".into(),
        Command::Send(Sent::Reports(reports)) => {
            format!("report {} to {}", reports.first, reports.first + reports.reports.len() as u64 - 1)
        }
        Command::Send(Sent::Finished(finished)) => {
            format!("say finished after {} steps", finished.outcome.as_ref().map_or(0, |outcome| outcome.steps))
        }
        Command::Send(Sent::Failed(failed)) => format!("say failed: {}", failed.reason),
        Command::Send(Sent::Hello(_) | Sent::Alive(_)) => "say hello or alive".into(),
    }
}

/// Plays the events and compares the transcript.
fn check(events: &str, expected: Expect) {
    let mut control = Control::default();
    let mut transcript = String::new();
    for line in events.lines().map(str::trim).filter(|line| !line.is_empty()) {
        transcript += &format!("{line}\n");
        for command in control.step(event(line)) {
            transcript += &format!("    {}\n", describe(&command));
        }
    }
    expected.assert_eq(&transcript);
}

#[test]
fn rank_0_trains_reports_and_stores_the_weights() {
    check(
        "welcome
         begin 1
         trainer ready
         trainer step 1
         trainer step 2
         ack 2
         trainer step 3
         trainer finished with weights
         weights stored
         leave",
        expect![[r#"
            welcome
            begin 1
                start the trainer for generation 1-0101
            trainer ready
                say ready
            trainer step 1
                report 0 to 0
            trainer step 2
                report 1 to 1
            ack 2
            trainer step 3
                report 2 to 2
            trainer finished with weights
                store weights: 40 bytes
            weights stored
                say finished after 9 steps
            leave
                exit 0: nothing more to do
        "#]],
    );
}

#[test]
fn other_ranks_have_no_weights_to_store() {
    check(
        "welcome\n begin 1\n trainer ready\n trainer finished\n leave",
        expect![[r#"
        welcome
        begin 1
            start the trainer for generation 1-0101
        trainer ready
            say ready
        trainer finished
            say finished after 9 steps
        leave
            exit 0: nothing more to do
    "#]],
    );
}

#[test]
fn a_stop_of_an_old_generation_is_ignored() {
    check(
        "welcome\n begin 2\n stop 1 cancelled\n stop 2 cancelled\n trainer finished\n leave",
        expect![[r#"
        welcome
        begin 2
            start the trainer for generation 2-0202
        stop 1 cancelled
        stop 2 cancelled
            want a stop: Cancelled
        trainer finished
            say finished after 9 steps
        leave
            exit 0: nothing more to do
    "#]],
    );
}

#[test]
fn an_abort_ends_the_process_whether_it_trains_or_stores() {
    check(
        "welcome\n begin 1\n abort 7 another generation\n abort 1 rank 1 is lost",
        expect![[r#"
        welcome
        begin 1
            start the trainer for generation 1-0101
        abort 7 another generation
        abort 1 rank 1 is lost
            abort the trainer
            exit 1: the coordinator ended generation 1-0101: rank 1 is lost
    "#]],
    );
    check(
        "welcome\n begin 1\n trainer finished with weights\n abort 1 rank 1 is lost",
        expect![[r#"
        welcome
        begin 1
            start the trainer for generation 1-0101
        trainer finished with weights
            store weights: 40 bytes
        abort 1 rank 1 is lost
            exit 1: the coordinator ended generation 1-0101: rank 1 is lost
    "#]],
    );
}

#[test]
fn a_failed_trainer_is_told_and_waits_to_be_let_go() {
    check(
        "welcome\n begin 1\n trainer failed lost rank 1\n trainer step 4\n leave",
        expect![[r#"
        welcome
        begin 1
            start the trainer for generation 1-0101
        trainer failed lost rank 1
            say failed: lost rank 1
        trainer step 4
        leave
            exit 0: nothing more to do
    "#]],
    );
}

#[test]
fn weights_that_are_not_stored_fail_the_job() {
    check(
        "welcome\n begin 1\n trainer finished with weights\n weights not stored",
        expect![[r#"
        welcome
        begin 1
            start the trainer for generation 1-0101
        trainer finished with weights
            store weights: 40 bytes
        weights not stored
            say failed: the coordinator did not store the weights: disk full
    "#]],
    );
}

#[test]
fn a_refused_worker_and_a_lost_coordinator_end_the_process() {
    check(
        "refused version 0.2.0 wanted",
        expect![[r#"
        refused version 0.2.0 wanted
            exit 2: refused by the coordinator: version 0.2.0 wanted
    "#]],
    );
    check(
        "welcome\n begin 1\n stream lost",
        expect![[r#"
        welcome
        begin 1
            start the trainer for generation 1-0101
        stream lost
            abort the trainer
            exit 1: lost the coordinator: connection reset
    "#]],
    );
}

#[test]
fn what_comes_before_its_time_changes_nothing() {
    check(
        "begin 1\n trainer ready\n welcome\n stop 1 interrupted\n trainer finished",
        expect![[r#"
        begin 1
        trainer ready
        welcome
        stop 1 interrupted
        trainer finished
    "#]],
    );
}

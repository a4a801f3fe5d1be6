//! The writer's thread: what it writes, what it leaves out, what it tells, and a full disk.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use lockstep_checkpoint::{Name, Outcome, Place, Priority, Writer};

use crate::{name, place, snapshot};

/// Long enough that nothing in a test waits for it by chance.
const NEVER: Duration = Duration::from_secs(3600);

/// A writer whose thread stands still after each outcome until the test lets it go on.
struct Stepped {
    writer: Writer,
    outcomes: Receiver<Outcome>,
    go_on: Sender<()>,
}

fn stepped(place: Place, retry: Duration) -> Stepped {
    let (tell, outcomes) = channel();
    let (go_on, wait) = channel();
    let writer = Writer::start(place, retry, move |outcome| {
        let _ = tell.send(outcome);
        let _ = wait.recv();
    });
    Stepped { writer: writer.unwrap(), outcomes, go_on }
}

impl Stepped {
    /// The next outcome, while the thread stands still.
    fn outcome(&self) -> Outcome {
        self.outcomes.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn written(&self) -> Name {
        match self.outcome() {
            Outcome::Written(written) => written.name,
            other => panic!("{other:?}"),
        }
    }

    fn full(&self) -> u64 {
        match self.outcome() {
            Outcome::Failed { step, full: true, .. } => step,
            other => panic!("{other:?}"),
        }
    }

    fn go_on(&self) {
        self.go_on.send(()).unwrap();
    }
}

#[test]
fn a_newer_snapshot_takes_the_place_of_one_that_waits_unless_it_is_urgent() {
    let (_folder, place) = place();
    let stepped = stepped(place.clone(), NEVER);
    let submit =
        |step, priority| stepped.writer.submit(snapshot(step, 1), priority).map(|replaced| replaced.about.step);
    assert_eq!(submit(1, Priority::Replaceable), None);
    assert_eq!(stepped.written(), name(1, 1));
    // The thread is busy: these wait.
    assert_eq!(submit(2, Priority::Replaceable), None);
    assert_eq!(submit(3, Priority::Urgent), Some(2));
    assert_eq!(submit(4, Priority::Replaceable), None);
    assert_eq!(submit(5, Priority::Replaceable), Some(4));
    stepped.writer.remove(name(1, 1));
    assert!(!stepped.writer.flush(|| true), "aborted");
    stepped.go_on();
    assert_eq!(stepped.outcome(), Outcome::Removed(name(1, 1)));
    stepped.go_on();
    assert_eq!(stepped.written(), name(3, 1));
    stepped.go_on();
    assert_eq!(stepped.written(), name(5, 1));
    stepped.go_on();
    assert!(stepped.writer.flush(|| false));
    assert_eq!(place.list().unwrap(), [name(3, 1), name(5, 1)]);
}

#[test]
fn a_step_that_is_there_is_told_as_written() {
    let (_folder, place) = place();
    place.write(&snapshot(1, 1)).unwrap();
    let stepped = stepped(place, NEVER);
    stepped.writer.submit(snapshot(1, 2), Priority::Urgent);
    assert_eq!(stepped.written(), name(1, 1));
    stepped.go_on();
}

#[test]
fn a_full_disk_is_told_once_and_tried_until_there_is_room() {
    let (_folder, place) = place();
    let bytes = place.write(&snapshot(1, 1)).unwrap().bytes;
    let stepped = stepped(place.clone().with_quota(bytes * 3 / 2), Duration::from_millis(1));
    stepped.writer.submit(snapshot(2, 1), Priority::Replaceable);
    assert_eq!(stepped.full(), 2);
    stepped.go_on();
    assert!(!stepped.writer.flush({
        let looks = std::cell::Cell::new(0);
        move || looks.replace(looks.get() + 1) == 2
    }));
    // A newer one takes its place and is no news; room made by somebody else is found.
    stepped.writer.submit(snapshot(3, 1), Priority::Replaceable);
    place.remove(name(1, 1)).unwrap();
    let written = stepped.written();
    stepped.go_on();
    if written == name(2, 1) {
        // It was being tried just then, and took the room.
        assert_eq!(stepped.full(), 3);
        stepped.go_on();
    } else {
        assert_eq!(written, name(3, 1));
        assert!(stepped.writer.flush(|| false));
    }
}

#[test]
fn a_removal_makes_room_at_once() {
    let (_folder, place) = place();
    let bytes = place.write(&snapshot(1, 1)).unwrap().bytes;
    let stepped = stepped(place.clone().with_quota(bytes * 3 / 2), NEVER);
    stepped.writer.submit(snapshot(2, 1), Priority::Urgent);
    assert_eq!(stepped.full(), 2);
    stepped.go_on();
    stepped.writer.remove(name(1, 1));
    assert_eq!(stepped.outcome(), Outcome::Removed(name(1, 1)));
    stepped.go_on();
    assert_eq!(stepped.written(), name(2, 1));
    stepped.go_on();
    assert!(stepped.writer.flush(|| false));
}

#[test]
fn another_failure_is_final() {
    let (folder, place) = place();
    std::fs::write(folder.path().join("run"), "in the way").unwrap();
    let stepped = stepped(place, NEVER);
    stepped.writer.submit(snapshot(1, 1), Priority::Urgent);
    match stepped.outcome() {
        Outcome::Failed { step: 1, reason, full: false } => assert!(reason.contains("run"), "{reason}"),
        other => panic!("{other:?}"),
    }
    stepped.go_on();
    assert!(stepped.writer.flush(|| false));
}

#[test]
fn a_writer_ends_although_the_disk_is_full() {
    let (_folder, place) = place();
    let stepped = stepped(place.with_quota(0), NEVER);
    stepped.writer.submit(snapshot(1, 1), Priority::Urgent);
    assert_eq!(stepped.full(), 1);
    stepped.go_on();
    drop(stepped.writer);
}

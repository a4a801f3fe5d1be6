//! A process that is killed at each point of a write or a removal leaves the last whole checkpoint.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use lockstep_checkpoint::{Name, Place};

use crate::{entries, name, newest, place, snapshot};

/// Where the child works.
const CHILD: &str = "LOCKSTEP_TEST_CHILD";

/// Writes steps 1 and 2 and removes 1 in another process, which `fault` may kill; gives whether it did.
pub fn killed(place: &str, variables: Vec<(String, String)>, fault: &str) -> bool {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kill::child"])
        .envs(variables)
        .env(CHILD, place)
        .env("LOCKSTEP_FAULT", fault)
        .output()
        .unwrap();
    let killed = child.status.signal() == Some(9);
    assert!(killed || child.status.success(), "{fault}: {}", String::from_utf8_lossy(&child.stdout));
    killed
}

#[test]
#[ignore = "the child of the others"]
fn child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let place = Place::open(&place).unwrap();
    place.write(&snapshot(1, 1)).unwrap();
    place.write(&snapshot(2, 1)).unwrap();
    place.remove(name(1, 1)).unwrap();
}

fn check(fault: &str, found: Option<Name>, then: &[&str]) {
    let (_folder, place) = place();
    assert!(killed(&place.to_string(), Vec::new(), fault), "{fault}");
    assert_eq!(newest(&place), (found, 0), "{fault}: {:?}", entries(&place));
    assert_eq!(entries(&place), then, "{fault}: leftovers are gone");
    // The next process does the same work again.
    assert!(!killed(&place.to_string(), Vec::new(), ""), "{fault}");
    assert_eq!(newest(&place), (Some(name(2, 1)), 0), "{fault}");
    assert_eq!(entries(&place), ["step-000000000002-g1"], "{fault}");
}

#[test]
fn killed_in_the_first_write() {
    for point in ["before-state", "half-state", "after-state", "half-manifest", "before-rename"] {
        check(&format!("checkpoint:{point}"), None, &[]);
    }
    check("checkpoint:after-rename:1", Some(name(1, 1)), &["step-000000000001-g1"]);
}

#[test]
fn killed_in_the_second_write() {
    for point in ["before-state", "half-state", "after-state", "half-manifest", "before-rename"] {
        check(&format!("checkpoint:{point}:2"), Some(name(1, 1)), &["step-000000000001-g1"]);
    }
    let both = ["step-000000000001-g1", "step-000000000002-g1"];
    check("checkpoint:after-rename:2", Some(name(2, 1)), &both);
    check("checkpoint:before-delete:1", Some(name(2, 1)), &both);
    check("checkpoint:half-delete:1", Some(name(2, 1)), &["step-000000000002-g1"]);
}

#[test]
fn a_limit_on_file_sizes_is_a_full_disk() {
    let (_folder, place) = place();
    // 50 KiB; a process that does not ignore the signal would be ended by it.
    let limited = "trap '' XFSZ; ulimit -f 100; exec \"$0\" --ignored --exact kill::limited_child";
    let child = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, place.to_string())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(entries(&place), [""; 0]);
}

#[test]
#[ignore = "the child of the one above"]
fn limited_child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let error = Place::open(&place).unwrap().write(&snapshot(1, 1)).unwrap_err();
    assert!(error.is_full(), "{error}");
}

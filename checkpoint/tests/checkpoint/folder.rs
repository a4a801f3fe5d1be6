//! A folder of checkpoints in good days: write, find, read, remove; other jobs, quotas and forbidden folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lockstep_checkpoint::{Error, Place, Wanted};

use crate::{at, entries, name, newest, place, snapshot, wanted};

#[test]
fn the_newest_is_found_and_read_back() {
    let (_folder, place) = place();
    assert_eq!(newest(&place), (None, 0));
    assert_eq!(entries(&place), [""; 0], "nothing is created before the first write");
    for step in [100, 300, 200] {
        let written = place.write(&snapshot(step, 3)).unwrap();
        assert_eq!(written.name, name(step, 3));
        assert!(written.bytes > 120_000, "{written:?}");
    }
    assert_eq!(entries(&place), ["step-000000000100-g3", "step-000000000200-g3", "step-000000000300-g3"]);
    let found = place.newest(&wanted()).unwrap();
    assert_eq!(found.newest, Some((name(300, 3), snapshot(300, 3).about)));
    assert_eq!(place.read(name(300, 3)).unwrap(), snapshot(300, 3));
    place.remove(name(300, 3)).unwrap();
    place.remove(name(300, 3)).unwrap();
    assert!(matches!(place.read(name(300, 3)), Err(Error::Missing { .. })));
    assert_eq!(newest(&place), (Some(name(200, 3)), 0));
    assert_eq!(place.list().unwrap(), [name(100, 3), name(200, 3)]);
}

#[test]
fn the_same_state_is_written_once_whatever_the_generation() {
    let (_folder, place) = place();
    place.write(&snapshot(100, 3)).unwrap();
    let again = place.write(&snapshot(100, 4)).unwrap();
    assert_eq!((again.name, again.bytes), (name(100, 3), 0));
    let mut other = snapshot(100, 4);
    other.about.digest = "of another learning rate".into();
    assert_eq!(place.write(&other).unwrap().name, name(100, 4));
    other.about.digest = "of yet another".into();
    other.about.generation = 3;
    let error = place.write(&other).unwrap_err().to_string();
    assert!(error.contains("belongs to another state: digest of 100"), "{error}");
    assert_eq!(newest(&place), (Some(name(100, 4)), 0));
}

#[test]
fn a_damaged_one_makes_room_for_the_same_step() {
    let (_folder, place) = place();
    place.write(&snapshot(100, 3)).unwrap();
    fs::write(format!("{place}/step-000000000100-g3/checkpoint.json"), "{}").unwrap();
    assert!(place.write(&snapshot(100, 3)).unwrap().bytes > 0);
    assert_eq!(entries(&place), ["damaged-step-000000000100-g3", "step-000000000100-g3"]);
    assert_eq!(place.read(name(100, 3)).unwrap(), snapshot(100, 3));
}

#[test]
fn another_jobs_checkpoint_is_refused_by_name() {
    let (_folder, place) = place();
    place.write(&snapshot(100, 3)).unwrap();
    for (wanted, words) in [
        (Wanted { dataset: "letters".into(), ..wanted() }, "another data set: digits, this job has letters"),
        (Wanted { model: "lenet5".into(), ..wanted() }, "another model: mlp, this job has lenet5"),
        (
            Wanted { model: "lenet5".into(), tensors: vec![("w".into(), vec![30, 100])], ..wanted() },
            "another model: its tensor w is of shape [300, 100], this job has one of [30, 100]",
        ),
    ] {
        let error = place.newest(&wanted).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.contains("step-000000000100-g3"), "{error}");
    }
    assert_eq!(newest(&place), (Some(name(100, 3)), 0), "nothing was set aside");
}

#[test]
fn what_could_not_be_read_back_is_not_written() {
    let (_folder, place) = place();
    let mut twice = snapshot(1, 1);
    twice.tensors[1].name = "w".into();
    let mut short = snapshot(1, 1);
    short.tensors[1].values.pop();
    let mut reserved = snapshot(1, 1);
    reserved.tensors[0].name = "__metadata__".into();
    let mut ledger = snapshot(2, 1);
    ledger.about.step = 1;
    for wrong in [twice, short, reserved, ledger] {
        assert!(matches!(place.write(&wrong), Err(Error::Invalid { .. })));
    }
    assert_eq!(entries(&place), [""; 0]);
}

#[test]
fn a_quota_ends_a_write_as_a_full_disk_does_and_leaves_nothing() {
    let (_folder, place) = place();
    let bytes = place.write(&snapshot(100, 1)).unwrap().bytes;
    for room in [0, 1, 70_000, bytes - 1] {
        let small = place.clone().with_quota(bytes + room);
        let error = small.write(&snapshot(200, 1)).unwrap_err();
        assert!(error.is_full(), "{error}");
        assert_eq!(entries(&place), ["step-000000000100-g1"]);
    }
    let enough = place.clone().with_quota(2 * bytes + 99);
    assert!(enough.write(&snapshot(200, 1)).is_ok());
}

#[test]
fn writability_is_told_beforehand_and_leaves_nothing() {
    let (folder, place) = place();
    place.check_writable().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    place.write(&snapshot(1, 1)).unwrap();
    place.check_writable().unwrap();
    assert_eq!(entries(&place), ["step-000000000001-g1"]);

    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for wrong in [&file, &file.join("checkpoints")] {
        let error = at(wrong).check_writable().unwrap_err().to_string();
        assert!(error.contains("cannot write checkpoints to"), "{error}");
        assert!(at(wrong).write(&snapshot(1, 1)).is_err());
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let forbidden = at(&folder.path().join("new"));
    if rustix::process::geteuid().is_root() {
        // /proc refuses even root, as a read-only disk does.
        assert!(at("/proc/checkpoints".as_ref()).write(&snapshot(1, 1)).is_err());
    } else {
        let error = forbidden.check_writable().unwrap_err().to_string();
        assert!(error.contains("Permission denied"), "{error}");
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn other_names_and_places_are_told_apart() {
    for text in ["", "gs://bucket", "https://host/checkpoints"] {
        assert!(matches!(Place::open(text), Err(Error::Place { .. })), "{text}");
    }
    let (_folder, place) = place();
    place.write(&snapshot(1, 1)).unwrap();
    for other in ["notes", "step-2", ".hidden", "damaged-step-000000000009-g1"] {
        fs::create_dir(format!("{place}/{other}")).unwrap();
    }
    fs::write(format!("{place}/README"), "mine").unwrap();
    assert_eq!(newest(&place), (Some(name(1, 1)), 0));
    assert_eq!(entries(&place).len(), 6, "what is not ours stays");
}

//! Disks that lie: every kind of damage is refused, and the checkpoint before is found.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use lockstep_checkpoint::{Error, Place};

use crate::{entries, name, newest, place, snapshot, wanted};

const PARTS: [&str; 2] = ["state.safetensors", "checkpoint.json"];

/// Writes steps 1 and 2, changes 2 as told, and checks that 1 is found and 2 set aside.
fn check(what: &str, change: impl Fn(&PathBuf)) {
    let (_folder, place) = place();
    place.write(&snapshot(1, 1)).unwrap();
    place.write(&snapshot(2, 1)).unwrap();
    change(&PathBuf::from(format!("{place}/step-000000000002-g1")));
    let found = place.newest(&wanted()).unwrap();
    assert_eq!(found.newest.map(|(name, _)| name), Some(name(1, 1)), "{what}");
    assert_eq!(found.remarks.len(), 1, "{what}: {:?}", found.remarks);
    assert!(found.remarks[0].contains("step-000000000002-g1"), "{what}: {:?}", found.remarks);
    assert_eq!(entries(&place), ["damaged-step-000000000002-g1", "step-000000000001-g1"], "{what}");
    assert_eq!(newest(&place), (Some(name(1, 1)), 0), "{what}: told once");
}

#[test]
fn a_damaged_one_is_set_aside_and_the_one_before_is_found() {
    for part in PARTS {
        check("emptied", |folder| fs::write(folder.join(part), "").unwrap());
        check("missing", |folder| fs::remove_file(folder.join(part)).unwrap());
        check("a folder", |folder| {
            fs::remove_file(folder.join(part)).unwrap();
            fs::create_dir(folder.join(part)).unwrap();
        });
        check("endless", |folder| {
            fs::remove_file(folder.join(part)).unwrap();
            symlink("/dev/zero", folder.join(part)).unwrap();
        });
        check("a named pipe", |folder| {
            fs::remove_file(folder.join(part)).unwrap();
            let made = std::process::Command::new("mkfifo").arg(folder.join(part)).status().unwrap();
            assert!(made.success());
        });
        check("longer", |folder| {
            let mut bytes = fs::read(folder.join(part)).unwrap();
            bytes.push(b'x');
            fs::write(folder.join(part), bytes).unwrap();
        });
        check("vast", |folder| {
            fs::OpenOptions::new().write(true).open(folder.join(part)).unwrap().set_len(1 << 40).unwrap();
        });
    }
    check("another's files", |folder| {
        for part in PARTS {
            fs::copy(folder.with_file_name("step-000000000001-g1").join(part), folder.join(part)).unwrap();
        }
    });
    check("a file", |folder| {
        fs::remove_dir_all(folder).unwrap();
        fs::write(folder, "").unwrap();
    });
}

#[test]
fn every_damaged_one_is_kept() {
    let (_folder, place) = place();
    for _ in 0..3 {
        place.write(&snapshot(1, 1)).unwrap();
        fs::write(format!("{place}/step-000000000001-g1/checkpoint.json"), "").unwrap();
        assert_eq!(newest(&place), (None, 1));
    }
    let aside = "damaged-step-000000000001-g1";
    assert_eq!(entries(&place), [aside.to_owned(), format!("{aside}-2"), format!("{aside}-3")]);
}

#[test]
fn a_newer_programs_checkpoint_is_refused_and_stays() {
    let (_folder, place) = place();
    place.write(&snapshot(1, 1)).unwrap();
    place.write(&snapshot(2, 1)).unwrap();
    let content = r#"{"later":true}"#;
    let seal = blake3::hash(format!("7\n{content}").as_bytes()).to_hex();
    let text = format!(r#"{{"version":7,"seal":"{seal}","content":{content}}}"#);
    fs::write(format!("{place}/step-000000000002-g1/checkpoint.json"), text).unwrap();
    let error = place.newest(&wanted()).unwrap_err();
    assert!(matches!(error, Error::Newer { version: 7, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("written by a newer program: version 7, this program knows up to 1"), "{error}");
    assert_eq!(entries(&place).len(), 2);
}

/// A stream of numbers that is the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// Changes one part of the only checkpoint: it reads as what was written, or not at all.
fn check_read(place: &Place, part: &str, changed: &[u8], what: &str) {
    fs::write(format!("{place}/step-000000000002-g1/{part}"), changed).unwrap();
    match place.read(name(2, 1)) {
        Ok(read) => assert_eq!(read, snapshot(2, 1), "{part}: {what}"),
        Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{part}: {what}: {error}"),
    }
}

#[test]
fn no_truncation_and_no_flipped_bit_gives_a_wrong_state() {
    let (_folder, place) = place();
    let mut small = snapshot(2, 1);
    small.tensors.truncate(2);
    place.write(&small).unwrap();
    let mut numbers = Numbers(1);
    for part in PARTS {
        let path = format!("{place}/step-000000000002-g1/{part}");
        let whole = fs::read(&path).unwrap();
        let edges = [0, 1, 7, 8, 9, 63, 64, 65, 65_535, 65_536, 65_537, whole.len() / 2, whole.len() - 1];
        for length in edges.into_iter().filter(|&length| length < whole.len()) {
            check_read(&place, part, &whole[..length], &format!("cut to {length} bytes"));
        }
        let mut changed = whole.clone();
        for round in 0..400 {
            // Half of them where the structure is.
            let end = if round % 2 == 0 { whole.len() } else { whole.len().min(600) };
            let (byte, bit) = (numbers.below(end), numbers.below(8));
            changed[byte] ^= 1 << bit;
            check_read(&place, part, &changed, &format!("bit {bit} of byte {byte}"));
            changed[byte] = whole[byte];
        }
        check_read(&place, part, &whole, "as it was");
    }
    assert_eq!(newest(&place), (Some(name(2, 1)), 0));
}

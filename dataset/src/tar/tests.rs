//! tar files of others, and of our own.

use std::fs;
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::*;

fn listed(bytes: &[u8]) -> Result<Vec<Member>, TarError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    listed_at(file.path())
}

fn listed_at(path: &Path) -> Result<Vec<Member>, TarError> {
    let mut all = Vec::new();
    members::<TarError>(path, |member| {
        all.push(member);
        Ok(())
    })?;
    Ok(all)
}

fn refused(bytes: &[u8], told: &str) {
    let said = listed(bytes).unwrap_err().to_string();
    assert!(said.contains(told), "{said}");
}

/// A header of any type, its content, and its padding.
fn part(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = ::tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(::tar::EntryType::new(kind));
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let padding = content.len().next_multiple_of(512) - content.len();
    [header.as_bytes(), content, &vec![0; padding]].concat()
}

fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let line = |length: usize| format!("{length} {key}={value}\n");
    let length = (1..).find(|length| line(*length).len() == *length).unwrap();
    part(b'x', "PaxHeaders/x", line(length).as_bytes())
}

#[test]
fn shards_are_ustar_and_the_same_bytes_each_time() {
    let shard = || {
        let mut writer = ShardWriter::new(Vec::new());
        assert_eq!(writer.append("000000000.jpg", &[7; 513]).unwrap(), 1);
        assert_eq!(writer.append("000000000.cls", b"3").unwrap(), 4);
        assert_eq!(writer.append("empty", b"").unwrap(), 6);
        writer.finish().unwrap()
    };
    let (bytes, written) = shard();
    assert_eq!(shard().0, bytes);
    assert_eq!((written.bytes, written.blake3), (bytes.len() as u64, crate::manifest::Hash::of(&bytes)));
    assert_eq!(bytes.len() % 512, 0);
    let all = listed(&bytes).unwrap();
    let names: Vec<_> = all.iter().map(|member| (member.name.as_str(), member.offset, member.length)).collect();
    assert_eq!(names, [("000000000.jpg", 512, 513), ("000000000.cls", 2048, 1), ("empty", 3072, 0)]);
}

#[test]
fn names_of_pax_and_gnu_are_read() {
    let long = format!("{}/x.jpg", "folder".repeat(30));
    let parts = [
        part(b'5', "folder/", b""),
        part(b'g', "pax_global_header", b"19 comment=whatever\n"),
        pax("path", &long),
        part(b'0', "short", b"1"),
        part(b'L', "././@LongLink", format!("{long}\0").as_bytes()),
        part(b'0', "short", b"22"),
        pax("mtime", "1700000000.25"),
        part(b'0', "./plain", b"333"),
        part(0, "old", b""),
    ];
    let all = listed(&whole(&parts)).unwrap();
    let names: Vec<_> = all.iter().map(|member| (member.name.as_str(), member.length)).collect();
    assert_eq!(names, [(long.as_str(), 1), (&long, 2), ("plain", 3), ("old", 0)]);
}

#[test]
fn what_would_not_be_read_as_it_was_meant_is_refused() {
    refused(&whole(&[part(b'S', "sparse", b"x")]), "sparse");
    refused(&whole(&[pax("GNU.sparse.major", "1"), part(b'0', "x", b"x")]), "sparse");
    refused(&whole(&[part(b'2', "link", b"")]), "type '2'");
    refused(&whole(&[pax("size", "9000000000"), part(b'0', "x", b"x")]), "more than 8 GB");
    refused(&whole(&[part(b'x', "long", &vec![b'1'; 70_000])]), "extended header of 70000 bytes");
    for name in ["../x", "/x", "a/../../x", "a/.."] {
        refused(&whole(&[part(b'0', name, b"x")]), "leads elsewhere");
        refused(&whole(&[pax("path", name), part(b'0', "x", b"x")]), "leads elsewhere");
    }
    refused(b"hello, this is no tar", "is no tar file");
    refused(&[b'x'; 2048], "is no tar file");
}

/// Wherever a tar is cut, it is told.
#[test]
fn a_tar_that_is_cut_is_refused() {
    let bytes = whole(&[part(b'0', "a", &[1; 700]), part(b'0', "b", &[2; 100])]);
    assert_eq!(listed(&bytes).unwrap().len(), 2);
    // The second block of zeros at the end is for tapes.
    for length in (0..bytes.len() - 512).step_by(100) {
        assert!(listed(&bytes[..length]).is_err(), "cut at {length} of {}", bytes.len());
    }
    refused(&bytes[..700], "ends 512 bytes before the end of a member: get it again (member \"a\", byte 0)");
    refused(&bytes[..bytes.len() - 1024], "end-of-archive block is missing");
}

#[test]
fn what_is_not_there_is_named() {
    let said = listed_at(Path::new("/nowhere/x.tar")).unwrap_err().to_string();
    assert!(said.starts_with("/nowhere/x.tar: cannot be read"), "{said}");
    fs::metadata("/nowhere").unwrap_err();
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(at: prop::sample::Index, byte: u8, length: prop::sample::Index) {
        let mut bytes = whole(&[
            pax("path", "a/b.jpg"),
            part(b'0', "x", &[1; 700]),
            part(b'L', "././@LongLink", b"long\0"),
            part(b'0', "b", &[2; 100]),
        ]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(length.index(bytes.len()) + 1);
        let _ = listed(&bytes);
    }
}

//! tar files of anybody: no panic, and members lie within the file, under names that stay in a folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_dataset::tar::{TarError, members};

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let _ = members::<TarError>(file.path(), |member| {
        assert!(member.offset + member.length <= bytes.len() as u64);
        assert!(!member.name.starts_with('/') && member.name.split('/').all(|part| part != ".."));
        Ok(())
    });
});

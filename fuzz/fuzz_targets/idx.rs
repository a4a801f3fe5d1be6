//! idx files of anybody, plain and gzip, as images and as labels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_dataset::idx::{IdxFile, Layout};

fuzz_target!(|bytes: &[u8]| {
    let file = tempfile::NamedTempFile::new_in("/dev/shm").unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let path = file.path().to_owned();
    let open = || IdxFile::open(std::slice::from_ref(&path)).unwrap();
    if let Ok(images) = open().images() {
        let size = images.count * images.channels.unwrap_or(1) * images.height * images.width;
        assert_eq!(images.pixels.len(), size);
    }
    let _ = open().labels();
    let _ = Layout::of(&path);
});

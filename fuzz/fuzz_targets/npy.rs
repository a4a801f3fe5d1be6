//! Headers of `.npy` files of anybody, behind two bytes that say how long the file is beyond them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_dataset::npy::Header;

fuzz_target!(|bytes: &[u8]| {
    let Some((beyond, start)) = bytes.split_first_chunk::<2>() else { return };
    let length = start.len() as u64 + u64::from(u16::from_le_bytes(*beyond));
    if let Ok(header) = Header::decode(start, length) {
        let elements: u64 = header.shape.iter().product();
        assert_eq!(header.first + elements * header.element.bytes() as u64, length);
    }
});

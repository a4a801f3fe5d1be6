//! Files that are damaged, lie about themselves, or are no idx files at all.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::super::idx;
use super::{FILES, gzip, idx_file, refusal_of_file};

#[test]
fn files_that_do_not_belong_together() {
    let check = |name, sizes: &[u32], line: Expect| line.assert_eq(&refusal_of_file(name, &idx_file(sizes, 0)));
    check(
        FILES[0],
        &[11, 2, 3],
        expect![
            "train-images-idx3-ubyte: 11 images, but train-labels-idx1-ubyte holds 12 labels: take both files from one dataset"
        ],
    );
    check(
        FILES[2],
        &[5, 3, 2],
        expect![
            "t10k-images-idx3-ubyte: images of 3×2 pixels, but train-images-idx3-ubyte has 2×3: take both files from one dataset"
        ],
    );
    check(
        FILES[0],
        &[12],
        expect![
            "train-images-idx3-ubyte: is 1-dimensional, but images are 3- or 4-dimensional: check that the files are not swapped"
        ],
    );
    check(
        FILES[1],
        &[12, 2, 3],
        expect![
            "train-labels-idx1-ubyte: is 3-dimensional, but labels are 1-dimensional: check that the files are not swapped"
        ],
    );
    let mut labels = idx_file(&[12], 0);
    labels[8 + 4] = 10;
    expect!["train-labels-idx1-ubyte: label 10 of sample 4 is out of range: data.classes = 10 allows 0 to 9: mend the file or set data.classes"].assert_eq(&refusal_of_file(FILES[1], &labels));
}

#[test]
fn damaged_files() {
    let check = |bytes: &[u8], line: Expect| line.assert_eq(&refusal_of_file(FILES[0], bytes));
    let good = idx_file(&[12, 2, 3], 0);
    let packed = gzip(&good);
    check(b"", expect!["train-images-idx3-ubyte: ends inside the idx header: get the file again"]);
    check(&good[..10], expect!["train-images-idx3-ubyte: ends inside the idx header: get the file again"]);
    check(
        b"<!DOCTYPE html>",
        expect![
            "train-images-idx3-ubyte: is not an idx file, plain or gzip (starts with [3c, 21, 44, 4f]): check data.path"
        ],
    );
    check(
        &[&good[..], &[0]].concat(),
        expect!["train-images-idx3-ubyte: goes on after the 88 bytes that its header promises: get the file again"],
    );
    check(
        &good[..80],
        expect![
            "train-images-idx3-ubyte: is truncated: its header promises 88 bytes, but there are 80: get the file again"
        ],
    );
    check(
        &gzip(&good[..80]),
        expect![
            "train-images-idx3-ubyte: is truncated: its header promises 88 bytes, but there are 80: get the file again"
        ],
    );
    check(
        &gzip(&[&good[..], &[0]].concat()),
        expect!["train-images-idx3-ubyte: goes on after the 88 bytes that its header promises: get the file again"],
    );
    check(
        &packed[..packed.len() - 12],
        expect![
            "train-images-idx3-ubyte: is truncated: its header promises 88 bytes, but there are 25: get the file again"
        ],
    );
    check(
        &packed[..packed.len() - 3],
        expect!["train-images-idx3-ubyte: its gzip data is damaged (unexpected end of file): get the file again"],
    );
    let mut wrong_crc = packed.clone();
    wrong_crc[packed.len() - 6] ^= 1;
    check(
        &wrong_crc,
        expect![
            "train-images-idx3-ubyte: its gzip data is damaged (corrupt gzip stream does not have a matching checksum): get the file again"
        ],
    );
    check(
        &[&packed[..], b"more"].concat(),
        expect!["train-images-idx3-ubyte: its gzip data is damaged (unexpected end of file): get the file again"],
    );
    check(&idx_file(&[0, 2, 3], 0), expect!["train-images-idx3-ubyte: holds no samples: get the file again"]);
    let float = [&[0, 0, 13, 3], &good[4..]].concat();
    check(
        &float,
        expect![
            "train-images-idx3-ubyte: holds idx elements of type 0x0d, but only unsigned bytes (0x08) can be read: convert the file"
        ],
    );
}

#[test]
fn claims_are_checked_before_memory_is_taken() {
    let claim = |sizes: [u32; 3]| {
        let mut bytes = vec![0, 0, 8, 3];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes
    };
    let check = |bytes: &[u8], line: Expect| line.assert_eq(&refusal_of_file(FILES[0], bytes));
    check(
        &claim([u32::MAX; 3]),
        expect![
            "train-images-idx3-ubyte: claims 4294967295 samples, above the limit of 268435456: get the file again, or make the dataset smaller"
        ],
    );
    check(
        &claim([1, 28, 1 << 20]),
        expect![
            "train-images-idx3-ubyte: claims 1048576 pixels a side, above the limit of 4096: get the file again, or make the dataset smaller"
        ],
    );
    check(
        &claim([1 << 28, 4096, 4096]),
        expect![
            "train-images-idx3-ubyte: claims 4503599627370496 bytes, above the limit of 17179869184: get the file again, or make the dataset smaller"
        ],
    );
    check(
        &claim([1 << 20, 64, 64]),
        expect![
            "train-images-idx3-ubyte: is truncated: its header promises 4294967312 bytes, but there are 16: get the file again"
        ],
    );
    check(
        &gzip(&claim([1 << 20, 64, 64])),
        expect![
            "train-images-idx3-ubyte: is truncated: its header promises 4294967312 bytes, which 31 compressed bytes cannot hold: get the file again"
        ],
    );
    let mut bytes = claim([1, 257, 28]);
    bytes[3] = 4;
    bytes.extend(28u32.to_be_bytes());
    check(
        &bytes,
        expect![
            "train-images-idx3-ubyte: claims 257 channels, above the limit of 256: get the file again, or make the dataset smaller"
        ],
    );
    // A bomb: a promise of 72 bytes, 16 MiB of zeros in 16 KiB.
    let bomb = gzip(&[idx_file(&[12, 2, 3], 0), vec![0; 16 << 20]].concat());
    check(
        &bomb,
        expect!["train-images-idx3-ubyte: goes on after the 88 bytes that its header promises: get the file again"],
    );
}

/// Whatever is read fits into what the stored bytes can hold.
fn check_any(bytes: &[u8]) -> Result<(), TestCaseError> {
    let stored = bytes.len() as u64;
    if let Ok(images) = idx::read_images(bytes, stored) {
        let channels = images.channels.unwrap_or(1);
        prop_assert_eq!(images.pixels.len(), images.count * channels * images.height * images.width);
        prop_assert!(images.pixels.capacity() <= bytes.len() * 1040);
    }
    if let Ok(labels) = idx::read_labels(bytes, stored) {
        prop_assert!(!labels.values.is_empty() && labels.values.len() <= bytes.len() * 1040);
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check_any(&bytes)?;
        check_any(&gzip(&bytes))?;
    }

    #[test]
    fn random_claims_do_no_harm(start in 0u8..5, sizes: [u32; 3], tail in proptest::collection::vec(any::<u8>(), 0..50)) {
        let mut bytes = vec![0, 0, 8, start];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(tail);
        check_any(&bytes)?;
        check_any(&gzip(&bytes))?;
    }

    #[test]
    fn mutations_do_no_harm(
        images: bool,
        packed: bool,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let good = if images { idx_file(&[12, 2, 3], 0) } else { idx_file(&[40], 0) };
        let mut bytes = if packed { gzip(&good) } else { good };
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_any(&bytes)?;
    }
}

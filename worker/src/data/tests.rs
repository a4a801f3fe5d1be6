//! Files on disk, good and bad, read as a job reads them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use lockstep_proto::job::Data;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::dataset::{Dataset, Split};
use super::idx;

const FILES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An idx file whose elements count up from `first`, modulo 10.
fn idx_file(sizes: &[u32], first: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    let elements = sizes.iter().product::<u32>() as usize;
    bytes.extend((first..first + elements).map(|value| (value % 10) as u8));
    bytes
}

/// A folder of 12 training and 5 test images of 2×3 pixels.
fn small_dataset() -> (tempfile::TempDir, Data) {
    let folder = tempfile::tempdir().unwrap();
    let contents = [idx_file(&[12, 2, 3], 0), idx_file(&[12], 0), idx_file(&[5, 2, 3], 4), idx_file(&[5], 3)];
    for (name, bytes) in FILES.iter().zip(contents) {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let data = Data { path: folder.path().to_owned(), ..Data::default() };
    (folder, data)
}

fn mnist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/mnist")
}

/// The error of opening `data`, with the folder's name cut out.
fn refusal(data: &Data) -> String {
    let line = Dataset::open(data).expect_err("must be refused").to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    line.replace(&format!("{}/", data.path.display()), "").replace(&data.path.display().to_string(), "FOLDER")
}

/// The error after file `name` has become `bytes`.
fn refusal_of_file(name: &str, bytes: &[u8]) -> String {
    let (folder, data) = small_dataset();
    fs::write(folder.path().join(name), bytes).unwrap();
    refusal(&data)
}

#[test]
fn mnist_is_the_original() {
    let hashes = [
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ];
    let readme = fs::read_to_string(mnist().join("README.md")).unwrap();
    for (name, hash) in FILES.iter().zip(hashes) {
        let file = idx::IdxFile::open(&mnist().join(name)).unwrap();
        let mut hasher = Sha256::new();
        if name.contains("images") {
            let images = file.images().unwrap();
            hasher.update(images.header());
            hasher.update(images.pixels);
        } else {
            let labels = file.labels().unwrap();
            hasher.update(idx::labels_header(labels.len()));
            hasher.update(labels);
        }
        let got: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(got, hash, "{name}");
        assert!(readme.contains(hash), "README.md lacks the hash of {name}");
    }
}

#[test]
fn mnist_opens_as_a_dataset() {
    let data = Data { path: mnist(), validation: 5_000, ..Data::default() };
    let dataset = Dataset::open(&data).unwrap();
    let lens = [Split::Train, Split::Validation, Split::Test].map(|split| dataset.len(split));
    assert_eq!(lens, [55_000, 5_000, 10_000]);
    assert_eq!([dataset.channels(), dataset.height(), dataset.width(), dataset.classes()], [1, 28, 28, 10]);
    assert_eq!((0..5).map(|sample| dataset.label(Split::Train, sample)).collect::<Vec<_>>(), [5, 0, 4, 1, 9]);
    assert_eq!((0..5).map(|sample| dataset.label(Split::Test, sample)).collect::<Vec<_>>(), [7, 2, 1, 0, 4]);
    assert_eq!(dataset.pixels(Split::Train, 0).len(), 784);
    assert_eq!(dataset.id(), "");
}

#[test]
fn splits_are_cut_from_the_files() {
    let (_folder, mut data) = small_dataset();
    data.validation = 3;
    data.limit = 7;
    let dataset = Dataset::open(&data).unwrap();
    let labels = |split| (0..dataset.len(split)).map(|sample| dataset.label(split, sample)).collect::<Vec<_>>();
    assert_eq!(labels(Split::Train), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(labels(Split::Validation), [9, 0, 1]);
    assert_eq!(labels(Split::Test), [3, 4, 5, 6, 7]);
    assert_eq!(dataset.pixels(Split::Train, 1), [6, 7, 8, 9, 0, 1]);
    assert_eq!(dataset.pixels(Split::Validation, 0), [4, 5, 6, 7, 8, 9]);
    assert_eq!(dataset.pixels(Split::Test, 0), [4, 5, 6, 7, 8, 9]);
    let whole = Dataset::open(&Data { validation: 0, limit: 0, ..data }).unwrap();
    assert_eq!(whole.len(Split::Train), 12);
    assert!(whole.len(Split::Validation) == 0);
    assert_eq!(whole.id(), dataset.id());
}

#[test]
fn compression_is_told_by_content_and_leaves_the_id_alone() {
    let (folder, data) = small_dataset();
    let id = Dataset::open(&data).unwrap().id().to_owned();
    let path = folder.path().join(FILES[0]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, gzip(&bytes)).unwrap();
    assert_eq!(Dataset::open(&data).unwrap().id(), id, "gzip without .gz");
    fs::remove_file(&path).unwrap();
    fs::write(folder.path().join(format!("{}.gz", FILES[0])), &bytes).unwrap();
    assert_eq!(Dataset::open(&data).unwrap().id(), id, "plain with .gz");
    fs::write(folder.path().join(FILES[3]), idx_file(&[5], 2)).unwrap();
    assert_ne!(Dataset::open(&data).unwrap().id(), id);
}

#[test]
fn folders_and_keys_that_cannot_be_used() {
    let (folder, mut data) = small_dataset();
    data.validation = 12;
    assert_eq!(refusal(&data), "");
    data.validation = u64::MAX;
    assert!(Dataset::open(&data).is_err());
    fs::remove_file(folder.path().join(FILES[2])).unwrap();
    assert_eq!(refusal(&data), "");
    fs::create_dir(folder.path().join(FILES[2])).unwrap();
    assert!(refusal(&data).contains("no such file"));
    data.path = folder.path().join("elsewhere");
    assert_eq!(refusal(&data), "");
    data.path = PathBuf::new();
    assert!(Dataset::open(&data).is_err());
}

#[test]
fn files_that_do_not_belong_together() {
    let check = |name, sizes: &[u32], line: &str| assert_eq!(refusal_of_file(name, &idx_file(sizes, 0)), line);
    check(FILES[0], &[11, 2, 3], "");
    check(FILES[2], &[5, 3, 2], "");
    check(FILES[0], &[12], "");
    check(FILES[1], &[12, 2, 3], "");
    let mut labels = idx_file(&[12], 0);
    labels[8 + 4] = 10;
    assert_eq!(refusal_of_file(FILES[1], &labels), "");
}

#[test]
fn damaged_files() {
    let check = |bytes: &[u8], line: &str| assert_eq!(refusal_of_file(FILES[0], bytes), line);
    let good = idx_file(&[12, 2, 3], 0);
    let packed = gzip(&good);
    check(b"", "");
    check(&good[..10], "");
    check(b"<!DOCTYPE html>", "");
    check(&[&good[..], &[0]].concat(), "");
    check(&good[..80], "");
    check(&gzip(&good[..80]), "");
    check(&gzip(&[&good[..], &[0]].concat()), "");
    check(&packed[..packed.len() - 12], "");
    check(&packed[..packed.len() - 3], "");
    let mut wrong_crc = packed.clone();
    wrong_crc[packed.len() - 6] ^= 1;
    check(&wrong_crc, "");
    check(&[&packed[..], b"more"].concat(), "");
    check(&idx_file(&[0, 2, 3], 0), "");
    let float = [&[0, 0, 13, 3], &good[4..]].concat();
    check(&float, "");
}

#[test]
fn claims_are_checked_before_memory_is_taken() {
    let claim = |sizes: [u32; 3]| {
        let mut bytes = vec![0, 0, 8, 3];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes
    };
    let check = |bytes: &[u8], line: &str| assert_eq!(refusal_of_file(FILES[0], bytes), line);
    check(&claim([u32::MAX; 3]), "");
    check(&claim([1, 28, 1 << 20]), "");
    check(&claim([1 << 28, 4096, 4096]), "");
    check(&claim([1 << 20, 64, 64]), "");
    check(&gzip(&claim([1 << 20, 64, 64])), "");
    // A bomb: a promise of 72 bytes, 16 MiB of zeros in 16 KiB.
    let bomb = gzip(&[idx_file(&[12, 2, 3], 0), vec![0; 16 << 20]].concat());
    check(&bomb, "");
}

/// Whatever is read fits into what the stored bytes can hold.
fn check_any(bytes: &[u8]) -> Result<(), TestCaseError> {
    let stored = bytes.len() as u64;
    if let Ok(images) = idx::read_images(bytes, stored) {
        prop_assert_eq!(images.pixels.len(), images.count * images.height * images.width);
        prop_assert!(images.pixels.capacity() <= bytes.len() * 1040);
    }
    if let Ok(labels) = idx::read_labels(bytes, stored) {
        prop_assert!(!labels.is_empty() && labels.capacity() <= bytes.len() * 1040);
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

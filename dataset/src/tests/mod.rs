//! Files on disk, good and bad, read as a job reads them.

mod damage;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use expect_test::expect;
use flate2::Compression;
use flate2::write::GzEncoder;
use lockstep_proto::job::Data;
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
        let file = idx::IdxFile::open(&[mnist().join(name)]).unwrap();
        let mut hasher = Sha256::new();
        if name.contains("images") {
            let images = file.images().unwrap();
            hasher.update(images.header());
            hasher.update(images.pixels);
        } else {
            let labels = file.labels().unwrap();
            hasher.update(labels.file());
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
    assert_eq!((0..5).map(|sample| dataset.label(Split::Train, sample).unwrap()).collect::<Vec<_>>(), [5, 0, 4, 1, 9]);
    assert_eq!((0..5).map(|sample| dataset.label(Split::Test, sample).unwrap()).collect::<Vec<_>>(), [7, 2, 1, 0, 4]);
    assert_eq!(dataset.pixels(Split::Train, 0).unwrap().len(), 784);
    expect!["9c2782a4ace77336e9cb6e94c646a791ac2c14626e0d64647dc3757017eac84a"].assert_eq(dataset.id());
}

#[test]
fn splits_are_cut_from_the_files() {
    let (_folder, mut data) = small_dataset();
    data.validation = 3;
    data.limit = 7;
    let dataset = Dataset::open(&data).unwrap();
    let labels =
        |split| (0..dataset.len(split)).map(|sample| dataset.label(split, sample).unwrap()).collect::<Vec<_>>();
    assert_eq!(labels(Split::Train), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(labels(Split::Validation), [9, 0, 1]);
    assert_eq!(labels(Split::Test), [3, 4, 5, 6, 7]);
    assert_eq!(dataset.pixels(Split::Train, 1).unwrap(), [6, 7, 8, 9, 0, 1]);
    assert_eq!(dataset.pixels(Split::Validation, 0).unwrap(), [4, 5, 6, 7, 8, 9]);
    assert_eq!(dataset.pixels(Split::Test, 0).unwrap(), [4, 5, 6, 7, 8, 9]);
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
    expect!["data.validation = 12 leaves no training sample: train-images-idx3-ubyte holds 12: hold out fewer"]
        .assert_eq(&refusal(&data));
    data.validation = u64::MAX;
    assert!(Dataset::open(&data).is_err());
    fs::remove_file(folder.path().join(FILES[2])).unwrap();
    expect!["t10k-images-idx3-ubyte[.gz]: no such file: data.path needs train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain or .gz"].assert_eq(&refusal(&data));
    fs::create_dir(folder.path().join(FILES[2])).unwrap();
    assert!(refusal(&data).contains("no such file"));
    data.path = folder.path().join("elsewhere");
    expect!["data.path FOLDER: no such folder: set data.path to the folder of the four idx files"]
        .assert_eq(&refusal(&data));
    data.path = PathBuf::new();
    assert!(Dataset::open(&data).is_err());
}

#[test]
fn images_are_padded_and_keep_their_id() {
    let (_folder, data) = small_dataset();
    let plain = Dataset::open(&data).unwrap();
    let padded = Dataset::open(&Data { pad: 1, ..data }).unwrap();
    assert_eq!([padded.channels(), padded.height(), padded.width()], [1, 4, 5]);
    assert_eq!(plain.pixels(Split::Train, 1).unwrap(), [6, 7, 8, 9, 0, 1]);
    assert_eq!(padded.pixels(Split::Train, 1).unwrap(), [0, 0, 0, 0, 0, 0, 6, 7, 8, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(padded.pixels(Split::Test, 4).unwrap()[6..9], plain.pixels(Split::Test, 4).unwrap()[..3]);
    assert_eq!(padded.id(), plain.id());
}

#[test]
fn colour_images_have_four_dimensions() {
    let (folder, data) = small_dataset();
    let grey = Dataset::open(&data).unwrap().id().to_owned();
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.path().join(name), bytes).unwrap();
    write(FILES[0], idx_file(&[12, 1, 2, 3], 0));
    assert_eq!(
        refusal(&data),
        "t10k-images-idx3-ubyte: images of 2×3 pixels, but train-images-idx3-ubyte has 1×2×3: take both files from one \
         dataset"
    );
    write(FILES[2], idx_file(&[5, 1, 2, 3], 4));
    assert_ne!(Dataset::open(&data).unwrap().id(), grey, "of the files as they are");
    write(FILES[0], idx_file(&[12, 3, 1, 2], 0));
    fs::remove_file(folder.path().join(FILES[2])).unwrap();
    write("t10k-images-idx4-ubyte", idx_file(&[5, 3, 1, 2], 4));
    let dataset = Dataset::open(&Data { pad: 1, ..data }).unwrap();
    assert_eq!([dataset.channels(), dataset.height(), dataset.width()], [3, 3, 4]);
    let planes: Vec<&[u8]> = dataset.pixels(Split::Train, 1).unwrap().chunks(12).map(|plane| &plane[5..7]).collect();
    assert_eq!(planes, [[6, 7], [8, 9], [0, 1]]);
}

/// An idx file of 16-bit labels.
fn wide_labels(labels: &[i16]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0x0b, 1];
    bytes.extend((labels.len() as u32).to_be_bytes());
    labels.iter().for_each(|label| bytes.extend(label.to_be_bytes()));
    bytes
}

#[test]
fn labels_may_have_sixteen_bits() {
    let (folder, mut data) = small_dataset();
    let narrow = Dataset::open(&data).unwrap().id().to_owned();
    let labels: Vec<i16> = (0..12).map(|label| label * 2_700).collect();
    fs::remove_file(folder.path().join(FILES[1])).unwrap();
    let path = folder.path().join("train-labels-idx1-short");
    fs::write(&path, wide_labels(&labels)).unwrap();
    data.classes = 20_000;
    assert_eq!(
        refusal(&data),
        "train-labels-idx1-short: label 21600 of sample 8 is out of range: data.classes = 20000 allows 0 to 19999: mend the \
         file or set data.classes"
    );
    data.classes = 1 << 16;
    let dataset = Dataset::open(&data).unwrap();
    assert_eq!((dataset.classes(), dataset.label(Split::Train, 11).unwrap()), (1 << 16, 29_700));
    assert_ne!(dataset.id(), narrow);
    fs::write(&path, wide_labels(&[0, 1, -2, 3])).unwrap();
    assert_eq!(refusal(&data), "train-labels-idx1-short: label -2 of sample 2 is negative: mend the file");
    fs::write(&path, &wide_labels(&labels)[..31]).unwrap();
    assert!(refusal(&data).contains("is truncated: its header promises 32 bytes, but there are 31"));
    fs::write(&path, [&[0, 0, 0x0d, 1], &wide_labels(&labels)[4..]].concat()).unwrap();
    assert_eq!(
        refusal(&data),
        "train-labels-idx1-short: holds idx elements of type 0x0d, but only unsigned bytes (0x08) and 16-bit integers \
         (0x0b) can be read: convert the file"
    );
}

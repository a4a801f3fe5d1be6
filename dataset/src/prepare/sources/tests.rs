//! What is found under a path, and what is refused there.

use super::super::record::{Pixels, Stored};
use super::*;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn collected(path: &Path) -> Result<Vec<(Option<Split>, Source)>, PrepareError> {
    let unpacked = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (split, place) in detect(path)? {
        let classes = place.classes()?.unwrap_or_default();
        let mut collector = Collector::new(unpacked.path()).unwrap();
        let progress = |_| {};
        let mut sink =
            Sink { collector: &mut collector, unpacked: unpacked.path(), classes: &classes, progress: &progress };
        place.collect(&mut sink)?;
        let sources = collector.finish().unwrap();
        all.extend((0..sources.count).map(|index| (split, sources.get(index).unwrap())));
    }
    Ok(all)
}

fn refused(files: &[(&str, &[u8])], told: &[&str]) {
    let folder = folder(files);
    let said = collected(folder.path()).unwrap_err().to_string();
    assert!(told.iter().all(|words| said.contains(words)), "{said}");
    assert!(said.contains(&*folder.path().to_string_lossy()), "the file is named: {said}");
}

#[test]
fn folders_of_classes_are_read_in_the_order_of_their_names() {
    let files: [(&str, &[u8]); 5] =
        [("dog/b.JPEG", b"22"), ("cat/z.png", b"1"), ("dog/a/x.jpg", b"333"), ("cat/.hidden", b""), ("notes.txt", b"")];
    let folder = folder(&files);
    let all = collected(folder.path()).unwrap();
    let told: Vec<_> = all
        .iter()
        .map(|(split, source)| (*split, source.path.strip_prefix(folder.path()).unwrap(), source.label, source.length))
        .collect();
    assert_eq!(
        told,
        [
            (None, Path::new("cat/z.png"), 0, 1),
            (None, Path::new("dog/a/x.jpg"), 1, 3),
            (None, Path::new("dog/b.JPEG"), 1, 2)
        ]
    );
}

#[test]
fn train_and_val_are_splits() {
    let folder = folder(&[("train/cat/a.png", b"1"), ("val/cat/b.png", b"1"), ("test/cat/c.png", b"1")]);
    let splits: Vec<_> = detect(folder.path()).unwrap().into_iter().map(|(split, _)| split).collect();
    assert_eq!(splits, [Some(Split::Train), Some(Split::Test)], "val is what people test on");
}

#[test]
fn cifars_files_are_read() {
    let sample = |label: &[u8]| [label, &[9; 3072]].concat();
    let batch = [sample(&[3]), sample(&[5])].concat();
    let folder = folder(&[
        ("data_batch_1.bin", &batch),
        ("test_batch.bin", &sample(&[1])),
        ("batches.meta.txt", b"a\nb\nc\nd\ne\nf\n\n"),
    ]);
    let all = collected(folder.path()).unwrap();
    let told: Vec<_> = all.iter().map(|(split, source)| (split.unwrap(), source.label, source.offset)).collect();
    assert_eq!(told, [(Split::Train, 3, 1), (Split::Train, 5, 3074), (Split::Test, 1, 1)]);
    let hundred = self::folder(&[("train.bin", &sample(&[3, 77]))]);
    let (_, source) = &collected(hundred.path()).unwrap()[0];
    assert_eq!((source.label, source.offset, source.length), (77, 2, 3072));
    refused(&[("test.bin", &[0; 3000])], &["has 3000 bytes", "3074"]);
}

#[test]
fn npy_pairs_are_read() {
    let array = |descr: &str, shape: &str, elements: &[u8]| {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\0", &(text.len() as u16).to_le_bytes()[..], text.as_bytes(), elements].concat()
    };
    let images = array("|u1", "(2, 4, 5, 3)", &[7; 120]);
    let labels = array("<i8", "(2,)", &[[1u8, 0, 0, 0, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0, 0, 0]].concat());
    let folder = folder(&[("x_train.npy", &images), ("y_train.npy", &labels)]);
    let all = collected(folder.path()).unwrap();
    assert_eq!(all.iter().map(|(_, source)| source.label).collect::<Vec<_>>(), [1, 4]);
    assert_eq!(all[1].1.offset + 60, images.len() as u64);
    let pixels = Pixels { channels: 3, height: 4, width: 5, planar: false };
    assert_eq!((all[0].1.length, all[0].1.stored), (60, Stored::Pixels(pixels)));
    refused(&[("images.npy", &images)], &["images.npy", "no file of labels beside it"]);
    let one = array("<i8", "(1,)", &[0; 8]);
    refused(&[("images.npy", &images), ("labels.npy", &one)], &["has 2 images, but", "has 1 labels"]);
    let negative = array("<i8", "(2,)", &[255; 16]);
    refused(&[("images.npy", &images), ("labels.npy", &negative)], &["label -1 for sample 0"]);
    let floats = array("<f4", "(2, 4, 5, 3)", &[0; 480]);
    refused(&[("images.npy", &floats), ("labels.npy", &labels)], &["\"<f4\""]);
    let four = array("|u1", "(2, 4, 5, 4)", &[0; 160]);
    refused(&[("images.npy", &four), ("labels.npy", &labels)], &["[2, 4, 5, 4]", "(N, H, W, 3)"]);
}

#[test]
fn what_is_no_source_is_refused() {
    refused(&[("cat/a.jpg", b"")], &["a.jpg", "is empty"]);
    refused(&[("cat/readme.txt", b"x")], &["readme.txt", "no image by its name"]);
    refused(&[("x.jpg", b"1")], &["has no folders of classes"]);
    refused(&[("x.tar", b"nonsense")], &["x.tar", "is no tar file"]);
    let file = folder(&[("x.zip", b"1")]);
    let said = collected(&file.path().join("x.zip")).unwrap_err().to_string();
    assert!(said.contains("is no source of samples"), "{said}");
    let said = collected(&file.path().join("nowhere")).unwrap_err().to_string();
    assert!(said.contains("nowhere: cannot be read"), "{said}");
}

#[test]
fn folders_in_a_circle_are_refused() {
    let folder = folder(&[("cat/a.png", b"1")]);
    std::os::unix::fs::symlink(folder.path().join("cat"), folder.path().join("cat/again")).unwrap();
    let said = collected(folder.path()).unwrap_err().to_string();
    assert!(said.contains("more than 16 folders deep"), "{said}");
}

fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = crate::tar::ShardWriter::new(Vec::new());
    members.iter().for_each(|(name, content)| _ = writer.append(name, content).unwrap());
    writer.finish().unwrap().0
}

#[test]
fn members_of_one_name_are_a_sample() {
    let members: [(&str, &[u8]); 9] = [
        ("a/1.jpg", b"11"),
        ("a/1.cls", b"4\n"),
        ("a/1.json", b"{}"),
        ("a/2.cls", b" 70 "),
        ("a/2.PNG", b"2"),
        ("README", b"of no sample"),
        ("a/.hidden", b"of no sample"),
        ("a.b/1.jpeg", b"3"),
        ("a.b/1.cls", b"0"),
    ];
    let folder = folder(&[("x.tar", &tar(&members))]);
    let told: Vec<_> = collected(folder.path())
        .unwrap()
        .iter()
        .map(|(_, source)| (source.offset, source.length, source.label))
        .collect();
    assert_eq!(told, [(512, 2, 4), (4608, 1, 70), (7680, 1, 0)]);
}

#[test]
fn samples_that_are_none_are_named() {
    let check = |members: &[(&str, &[u8])], told: &[&str]| refused(&[("x.tar", &tar(members))], told);
    check(&[("1.jpg", b"1")], &["has no .cls beside it", "\"1.jpg\"", "byte 512"]);
    check(&[("1.cls", b"1"), ("2.jpg", b"1")], &["has no image", "\"1.cls\""]);
    check(&[("1.jpg", b"1"), ("1.png", b"1")], &["comes twice", "\"1.png\""]);
    check(&[("1.jpg", b""), ("1.cls", b"1")], &["is empty", "\"1.jpg\""]);
    check(&[("1.jpg", b"1"), ("1.cls", b"dog")], &["is \"dog\" where a class's number", "\"1.cls\"", "byte 1536"]);
    check(&[("1.jpg", b"1"), ("1.cls", b"-1")], &["\"-1\""]);
    check(&[("1.jpg", b"1"), ("1.cls", b"65536")], &["\"65536\""]);
    check(&[("1.jpg", b"1"), ("1.cls", &[b'0'; 100])], &["where a class's number"]);
    let one: [(&str, &[u8]); 2] = [("1.jpg", b"1"), ("1.cls", b"1")];
    let two: [(&str, &[u8]); 2] = [("2.jpg", b"1"), ("2.cls", b"1")];
    check(&[one, two, one].concat(), &["has a key that another sample before it had", "\"1.jpg\""]);
}

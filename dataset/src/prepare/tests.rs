//! Whole datasets, prepared.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::shards::Shards;
use crate::tar::members;
use crate::verify::{Depth, verify};

fn picture(side: u32, level: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = vec![level; (side * (side + 3) * 3) as usize];
    let (width, height) = ((side + 3) as u16, side as u16);
    jpeg_encoder::Encoder::new(&mut bytes, 90).encode(&pixels, width, height, jpeg_encoder::ColorType::Rgb).unwrap();
    bytes
}

/// Two classes of 30 pictures, each of a level and a size of its own.
fn image_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (class, first) in [("cat", 0), ("dog", 30)] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for number in first..first + 30 {
            let path = folder.path().join(class).join(format!("{number}.jpg"));
            fs::write(path, picture(20 + number, number as u8 * 4)).unwrap();
        }
    }
    folder
}

fn wanted(source: &Path, out: &Path) -> Wanted {
    Wanted {
        sources: vec![source.to_owned()],
        out: out.to_owned(),
        split: Split::Train,
        seed: 1,
        shard_bytes: 20_000,
        smaller: None,
        classes: None,
        skip_bad: 0,
        threads: 2,
    }
}

fn run(wanted: &Wanted) -> Result<Vec<Prepared>, PrepareError> {
    prepare(wanted, &|_| {})
}

/// All files of a folder, by name.
fn files(folder: &Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())).collect()
}

#[test]
fn each_sample_is_there_once_with_its_class() {
    let (source, out) = (image_folder(), tempfile::tempdir().unwrap());
    let prepared = run(&wanted(source.path(), &out.path().join("data"))).unwrap();
    let [Prepared { split: Split::Train, folder, manifest, misnamed: 0, .. }] = &prepared[..] else {
        panic!("{prepared:?}")
    };
    assert_eq!((manifest.samples, manifest.classes.join(" ")), (60, "cat dog".to_owned()));
    assert!(manifest.shards.len() > 3, "{} shards", manifest.shards.len());
    assert_eq!((manifest.images.least, manifest.images.most), ([20, 23], [79, 82]));
    let shards = Shards::open_folder(folder).unwrap();
    let mut bytes = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut classes = Vec::new();
    for sample in 0..60 {
        let record = shards.read(sample, &mut bytes).unwrap();
        let number = (0..60).find(|number| picture(20 + number, *number as u8 * 4) == bytes).unwrap();
        assert_eq!(record.label, u32::from(number >= 30));
        assert!(seen.insert(number));
        classes.push(record.label);
    }
    let changes = classes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes > 15, "shuffled: {classes:?}");
    let damages = verify(&Shards::open_folder(folder).unwrap(), Depth::Decode, 2, &|_, _| {});
    assert!(damages.is_empty(), "{damages:?}");
    let left: Vec<String> = files(folder).into_keys().filter(|name| !name.starts_with("shard-")).collect();
    assert_eq!(left, ["manifest.json", "manifest.samples"]);
}

#[test]
fn the_same_files_come_of_any_number_of_threads_and_others_of_another_seed() {
    let (source, out) = (image_folder(), tempfile::tempdir().unwrap());
    let of = |name: &str, change: &dyn Fn(&mut Wanted)| {
        let mut wanted = wanted(source.path(), &out.path().join(name));
        change(&mut wanted);
        files(&run(&wanted).unwrap()[0].folder)
    };
    let one = of("one", &|wanted| wanted.threads = 1);
    assert!(of("five", &|wanted| wanted.threads = 5) == one);
    assert!(of("other", &|wanted| wanted.seed = 2) != one);
}

/// Whatever was finished is kept, and the rest comes to the same bytes.
#[test]
fn a_killed_one_goes_on() {
    let (source, out) = (image_folder(), tempfile::tempdir().unwrap());
    let clean = run(&wanted(source.path(), &out.path().join("clean"))).unwrap();
    let broken = wanted(source.path(), &out.path().join("broken"));
    let train = broken.out.join("train");
    // Killed in the middle: as a panic leaves it, which no code runs behind.
    let steps = AtomicUsize::new(0);
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        prepare(&broken, &|progress| {
            if matches!(progress, Progress::Preparing { .. }) && steps.fetch_add(1, Ordering::Relaxed) == 40 {
                panic!("killed");
            }
        })
    }));
    assert!(killed.is_err());
    assert!(!train.join(MANIFEST).exists(), "it is not there half-written");
    let kept: Vec<_> = files(&train.join(".prepare")).into_keys().filter(|name| name.ends_with(".json")).collect();
    assert!(kept.len() > 1, "the plan and a shard: {kept:?}");
    let mut other = broken.clone();
    other.seed = 9;
    assert!(matches!(run(&other), Err(PrepareError::Other(_))), "unfinished work is not mixed with other work");
    run(&broken).unwrap();
    assert!(files(&train) == files(&clean[0].folder));
    assert!(matches!(run(&broken), Err(PrepareError::Done(_))));
}

#[test]
fn what_can_not_be_decoded_stops_it_or_is_left_out() {
    let (source, out) = (image_folder(), tempfile::tempdir().unwrap());
    let path = source.path().join("cat/7.jpg");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() * 6 / 10]).unwrap();
    fs::write(source.path().join("dog/31.jpg"), b"nonsense").unwrap();
    let mut wanted = wanted(source.path(), &out.path().join("data"));
    let said = run(&wanted).unwrap_err().to_string();
    assert!(said.contains("cat/7.jpg: ") || said.contains("dog/31.jpg: "), "{said}");
    assert!(said.contains("--skip-bad"), "{said}");
    wanted.skip_bad = 1;
    assert!(matches!(run(&wanted), Err(PrepareError::TooManyBad { allowed: 1, .. })));
    wanted.skip_bad = 2;
    let prepared = run(&wanted).unwrap().remove(0);
    assert_eq!((prepared.manifest.samples, prepared.bad.len()), (58, 2));
    assert!(prepared.bad.iter().any(|bad| bad.contains("cat/7.jpg")), "{:?}", prepared.bad);
}

#[test]
fn larger_images_become_smaller() {
    let (source, out) = (image_folder(), tempfile::tempdir().unwrap());
    let mut wanted = wanted(source.path(), &out.path().join("data"));
    wanted.smaller = Some(Smaller { short_side: 32, quality: 90 });
    let prepared = run(&wanted).unwrap().remove(0);
    assert_eq!((prepared.manifest.images.least, prepared.manifest.images.most), ([20, 23], [32, 35]));
    let of_torchvision = Smaller { short_side: 256, quality: 90 };
    let of = |height, width| of_torchvision.sides(Sides { height, width }).map(|sides| [sides.height, sides.width]);
    assert_eq!([of(375, 500), of(1200, 257), of(256, 9000)], [Some([256, 341]), Some([1195, 256]), None]);
}

/// What is prepared is a source itself, and of its members WebDataset makes samples.
#[test]
fn shards_can_be_prepared_again() {
    let (source, out) = (image_folder(), tempfile::tempdir().unwrap());
    let first = run(&wanted(source.path(), &out.path().join("first"))).unwrap().remove(0);
    let mut names = Vec::new();
    members::<crate::tar::TarError>(&first.folder.join("shard-000000.tar"), |member| {
        names.push(member.name);
        Ok(())
    })
    .unwrap();
    assert_eq!(names[..4], ["000000000.jpg", "000000000.cls", "000000001.jpg", "000000001.cls"]);
    let mut again = wanted(&first.folder, &out.path().join("second"));
    again.classes = Some(vec!["cat".into(), "dog".into()]);
    let second = run(&again).unwrap().remove(0);
    assert_eq!((second.manifest.samples, &second.manifest.classes), (60, &first.manifest.classes));
    again.classes = Some(vec!["cat".into()]);
    again.out = out.path().join("third");
    let said = run(&again).unwrap_err().to_string();
    assert!(said.contains("is of class 1, but there are 1 classes, 0 to 0"), "{said}");
    assert!(!again.out.exists(), "nothing is left behind");
}

#[test]
fn damage_is_found_and_named() {
    let (source, out) = (image_folder(), tempfile::tempdir().unwrap());
    let prepared = run(&wanted(source.path(), &out.path().join("data"))).unwrap().remove(0);
    let shards = || Shards::open_folder(&prepared.folder).unwrap();
    let path = prepared.folder.join("shard-000001.tar");
    let good = fs::read(&path).unwrap();
    let sample = prepared.manifest.shards[1].first_sample;
    let offset = shards().index.record(sample).unwrap().1.offset();
    let mut changed = good.clone();
    changed[offset as usize + 100] ^= 0x10;
    fs::write(&path, changed).unwrap();
    let said = shards().read(sample, &mut Vec::new()).unwrap_err().to_string();
    assert!(said.contains(&format!("shard-000001.tar: sample {sample} at byte {offset} is damaged")), "{said}");
    let damages = |depth| verify(&shards(), depth, 2, &|_, _| {});
    assert!(damages(Depth::Quick).is_empty());
    assert!(damages(Depth::Full)[0].to_string().contains("shard-000001.tar: is not the shard that was prepared"));
    fs::write(&path, &good[..good.len() - 512]).unwrap();
    assert!(damages(Depth::Quick)[0].to_string().contains("shard-000001.tar: has"));
    assert!(shards().read(sample, &mut Vec::new()).unwrap_err().to_string().contains("but the manifest says"));
    fs::remove_file(&path).unwrap();
    assert!(damages(Depth::Quick)[0].to_string().contains("shard-000001.tar: cannot be read"));
}

/// Both splits are there, or work on both goes on.
#[test]
fn one_killed_in_its_second_split_goes_on() {
    let (source, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for split in ["train", "val"] {
        let class = source.path().join(split).join("cat");
        fs::create_dir_all(&class).unwrap();
        (0..10).for_each(|number| fs::write(class.join(format!("{number}.jpg")), picture(20, number * 20)).unwrap());
    }
    let clean = run(&wanted(source.path(), &out.path().join("clean"))).unwrap();
    let broken = wanted(source.path(), &out.path().join("broken"));
    let steps = AtomicUsize::new(0);
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        prepare(&broken, &|progress| {
            if matches!(progress, Progress::Preparing { .. }) && steps.fetch_add(1, Ordering::Relaxed) == 15 {
                panic!("killed");
            }
        })
    }));
    assert!(killed.is_err());
    let again = run(&broken).unwrap();
    assert_eq!(again.len(), 2);
    for (clean, again) in clean.iter().zip(&again) {
        assert!(files(&clean.folder) == files(&again.folder), "{:?}", again.split);
    }
    // Killed between one manifest and the other: what is there stays.
    files(&again[1].folder).keys().for_each(|name| fs::remove_file(again[1].folder.join(name)).unwrap());
    fs::create_dir(again[1].folder.join(".prepare")).unwrap();
    assert_eq!(run(&broken).unwrap()[1].manifest, clean[1].manifest);
    assert!(matches!(run(&broken), Err(PrepareError::Done(_))));
}

#[test]
fn shards_of_others_are_left_alone() {
    let (source, out) = (image_folder(), tempfile::tempdir().unwrap());
    let train = out.path().join("train");
    fs::create_dir(&train).unwrap();
    fs::write(train.join("shard-000077.tar"), b"somebody's").unwrap();
    assert!(
        matches!(run(&wanted(source.path(), out.path())), Err(PrepareError::Stale(path)) if path.ends_with("shard-000077.tar"))
    );
    assert_eq!(fs::read(train.join("shard-000077.tar")).unwrap(), b"somebody's");
}

//! Manifests: what is written is read, tables are checked, and what is wrong is said.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn record(block: u32, label: u32) -> Record {
    Record { block, length: 500, label, crc32: block * 7 }
}

/// Three shards of two, one and three samples.
fn split() -> (TempDir, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let tables = [vec![record(1, 0), record(4, 1)], vec![record(1, 1)], vec![record(1, 0), record(3, 0), record(5, 1)]];
    let tables = tables.map(|table| table.iter().flat_map(Record::encode).collect::<Vec<u8>>());
    let mut first_sample = 0;
    let shards = tables.iter().enumerate().map(|(number, table)| {
        let samples = (table.len() / Record::BYTES) as u32;
        let shard = Shard {
            name: format!("shard-{number:06}.tar"),
            bytes: 4096,
            blake3: Hash::of(b"of the shard"),
            first_sample,
            samples,
            table_blake3: Hash::of(table),
        };
        first_sample += u64::from(samples);
        shard
    });
    let images = Images { channels: 3, least: [28, 30], most: [375, 500] };
    let manifest = Manifest::new(vec!["cat".into(), "dog".into()], images, shards.collect());
    fs::write(folder.path().join(MANIFEST), manifest.encode().unwrap()).unwrap();
    fs::write(folder.path().join(TABLES), tables.concat()).unwrap();
    (folder, manifest)
}

#[test]
fn what_is_written_is_read() {
    let (folder, manifest) = split();
    let index = Index::open(folder.path()).unwrap();
    assert_eq!(index.manifest, manifest);
    assert_eq!(index.id, Hash::of(manifest.encode().unwrap().as_bytes()));
    let places: Vec<(usize, u32)> =
        (0..6).map(|sample| index.record(sample).unwrap().0).map(|l| (l.shard, l.index)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1), (2, 2)]);
    let blocks: Vec<u32> = (0..6).map(|sample| index.record(sample).unwrap().1.block).collect();
    assert_eq!(blocks, [1, 4, 1, 1, 3, 5]);
    assert_eq!(index.record(4).unwrap().1, record(3, 0));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let (_, manifest) = split();
    let check = |change: &dyn Fn(&mut Manifest), told: &str| {
        let mut changed = manifest.clone();
        change(&mut changed);
        let said = Manifest::decode(changed.encode().unwrap().as_bytes()).unwrap_err();
        assert!(said.contains(told), "{said}");
    };
    check(&|m| m.lockstep_manifest = 2, "is of version 2");
    check(&|m| m.samples = 7, "promises 7 samples, but its shards have 6");
    check(&|m| m.shards[1].first_sample = 3, "begin with sample 3, which should be 2");
    check(&|m| m.shards[1].samples = 0, "has 0 samples");
    check(&|m| m.shards[2].name = "shard-000000.tar".into(), "twice");
    for name in ["../shard.tar", "/shard.tar", ".shard", "", "a\\b", "a\nb"] {
        check(&|m| m.shards[0].name = name.into(), "no plain file name");
    }
    check(&|m| m.images.channels = 2, "2 channels");
    check(&|m| m.images.least = [0, 1], "[0, 1]");
    check(&|m| m.classes.clear(), "names 0 classes");
    check(&|m| m.shards[0].bytes = u64::MAX, "more than a shard may");
    check(&|m| m.shards.clear(), "promises 6 samples");
    let text = manifest.encode().unwrap();
    for (from, to) in [("\"samples\"", "\"simples\""), ("\"cat\"", "7"), ("]\n}", "]")] {
        assert!(Manifest::decode(text.replacen(from, to, 1).as_bytes()).is_err(), "{from} as {to}");
    }
}

#[test]
fn tables_that_are_not_the_manifests_are_named() {
    let (folder, _) = split();
    let path = folder.path().join(TABLES);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[2 * Record::BYTES + 3] ^= 1;
    fs::write(&path, &bad).unwrap();
    let index = Index::open(folder.path()).unwrap();
    assert!(index.record(1).is_ok(), "the table of the first shard is as it was");
    let said = index.record(2).unwrap_err().to_string();
    assert!(said.contains("the table of shard-000001.tar at byte 32") && said.contains("its hash differs"), "{said}");
    fs::write(&path, &good[1..]).unwrap();
    let said = Index::open(folder.path()).unwrap_err().to_string();
    assert!(said.contains("has 95 bytes where manifest.json needs 96"), "{said}");
    fs::remove_file(&path).unwrap();
    assert!(matches!(Index::open(folder.path()), Err(ManifestError::Read { .. })));
}

/// A table whose hash is right may still be of somebody who means ill.
#[test]
fn records_that_lead_elsewhere_are_refused() {
    for (record, told) in [
        (Record { block: 8, length: 500, label: 0, crc32: 0 }, "reaches beyond its shard"),
        (Record { block: u32::MAX, length: u32::MAX, label: 0, crc32: 0 }, "reaches beyond its shard"),
        (Record { block: 1, length: 0, label: 0, crc32: 0 }, "reaches beyond its shard"),
        (Record { block: 1, length: 1, label: 2, crc32: 0 }, "a label is no class"),
    ] {
        let (folder, mut manifest) = split();
        let path = folder.path().join(TABLES);
        let mut tables = fs::read(&path).unwrap();
        tables[2 * Record::BYTES..3 * Record::BYTES].copy_from_slice(&record.encode());
        manifest.shards[1].table_blake3 = Hash::of(&record.encode());
        fs::write(&path, tables).unwrap();
        fs::write(folder.path().join(MANIFEST), manifest.encode().unwrap()).unwrap();
        let said = Index::open(folder.path()).unwrap().record(2).unwrap_err().to_string();
        assert!(said.contains(told), "{said}");
    }
}

proptest! {
    #[test]
    fn records_are_coded_exactly(block: u32, length: u32, label: u32, crc32: u32) {
        let record = Record { block, length, label, crc32 };
        prop_assert_eq!(Record::decode(&record.encode()), record);
    }

    #[test]
    fn no_text_makes_it_panic(at in 0usize..900, byte: u8) {
        let (_, manifest) = split();
        let mut text = manifest.encode().unwrap().into_bytes();
        let at = at % text.len();
        text[at] = byte;
        if let Ok((manifest, _)) = Manifest::decode(&text) {
            manifest.locate(manifest.samples - 1);
        }
    }
}

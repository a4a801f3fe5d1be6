//! Which shards come: those of an order that reads one after the other, and none of one that reads all at once.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::manifest::{Images, MANIFEST, Manifest, Record, TABLES};
use crate::order::Order;
use crate::remote::cache::Cache;

const SHARDS: u64 = 10;
const SAMPLES: u64 = 100;
/// A header and an image of less than a block each.
const BYTES: u64 = SAMPLES * 2 * Record::BLOCK;

/// Ten shards in a store that is never asked, and a cache with room for three and a half.
fn mirror() -> (TempDir, Mirror) {
    let folder = tempfile::tempdir().unwrap();
    let record = |sample| Record { block: 2 * sample as u32 + 1, length: 500, label: 0, crc32: 0 };
    let table: Vec<u8> = (0..SAMPLES).flat_map(|sample| record(sample).encode()).collect();
    let shard = |number: u64| Shard {
        name: format!("shard-{number:06}.tar"),
        bytes: BYTES,
        blake3: Hash::of(&number.to_le_bytes()),
        first_sample: number * SAMPLES,
        samples: SAMPLES as u32,
        table_blake3: Hash::of(&table),
    };
    let images = Images { channels: 3, least: [8, 8], most: [9, 9] };
    let manifest = Manifest::new(vec!["cat".into()], images, (0..SHARDS).map(shard).collect());
    fs::write(folder.path().join(MANIFEST), manifest.encode().unwrap()).unwrap();
    fs::write(folder.path().join(TABLES), table.repeat(SHARDS as usize)).unwrap();
    let index = Arc::new(Index::open(folder.path()).unwrap());
    let cache = Cache::open(folder.path().join("cache"), BYTES * 7 / 2).unwrap();
    let remote = Remote::open("http://127.0.0.1:9/data").unwrap();
    let files = Arc::new(Files::remote_of(remote, cache, Arc::clone(&index)));
    (folder, Mirror::new(index, files))
}

fn looked(mirror: &Mirror, plan: Plan) -> (usize, Vec<(usize, bool)>) {
    let (list, queue) = mirror.shared.look(&plan);
    (list.len(), queue.iter().map(|wanted| (wanted.shard, wanted.is_worth_it)).collect())
}

#[test]
fn shards_that_are_read_one_after_the_other_come_in_that_order() {
    let (_folder, mirror) = mirror();
    let from = |first: u64| -> Plan { Arc::new(move || Box::new(first..SHARDS * SAMPLES)) };
    assert_eq!(looked(&mirror, from(0)), (3, vec![(0, true), (1, true), (2, true)]));
    // Of a shard that is nearly behind, the rest is not worth it.
    assert_eq!(looked(&mirror, from(390)), (3, vec![(3, false), (4, true), (5, true)]));
    assert_eq!(looked(&mirror, from(900)), (1, vec![(9, true)]));
    // One that is there, and one that came wrong twice, need not come.
    let cache = mirror.shared.files.cache().unwrap();
    let shards = &mirror.shared.index.manifest.shards;
    fs::File::create(cache.whole(&shards[1])).unwrap();
    mirror.shared.refuse(2, shards[0].blake3);
    assert_eq!(looked(&mirror, from(0)).1, [(0, true), (2, true)]);
    assert!(mirror.check().is_ok());
    mirror.shared.refuse(2, shards[0].blake3);
    assert_eq!(looked(&mirror, from(0)).1, [(0, true)]);
    assert!(mirror.check().unwrap_err().to_string().contains("shard-000002.tar: is not the shard that was prepared"));
}

#[test]
fn an_order_over_all_samples_makes_no_room() {
    let (_folder, mirror) = mirror();
    let order = Order::new(1, 0, SHARDS * SAMPLES);
    let plan: Plan = Arc::new(move || {
        let order = order.clone();
        Box::new((0..SHARDS * SAMPLES).map(move |position| order.sample_at(position)))
    });
    let (listed, queue) = looked(&mirror, plan);
    assert!(listed == 3 && queue.iter().all(|(_, is_worth_it)| !is_worth_it), "{queue:?}");
}
